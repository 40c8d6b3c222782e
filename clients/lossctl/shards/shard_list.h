/*
 * A tensor whose rows are spread over files, "shards": the rows of the first file, then those of
 * the second, and so on. Only the headers are read.
 */
#ifndef LOSSCTL_SHARDS_SHARD_LIST_H
#define LOSSCTL_SHARDS_SHARD_LIST_H

#include "memory/buffer.h"
#include "shards/shard_spec.h"
#include "shards/shard_window.h"

struct shard {
    const char *path; /* borrowed from the list's spec */
    struct shard_stamp stamp;
    enum shard_format format;
    struct loss_tensor tensor; /* shape and dtype; `data` is NULL */
    uint64_t offset;           /* of the numbers: bytes from the start of the file */
    uint64_t first, rows;      /* the first row in the whole batch, and the number of rows */
};

struct shard_list {
    const char *name; /* borrowed: of the tensor */
    const char *text; /* borrowed: the value of its option */
    struct shard_spec spec;
    struct shard *shard; /* owned: spec.count of them */
    int axis;      /* the dimension of the rows, from loss_sample_axis(); LOSS_SHARED if the tensors
                      have fewer dimensions */
    uint64_t rows; /* of all shards; 0 without a dimension of rows */
};

/* Opens the files of `text`, whose tensors are tensor k of a loss; reads and compares their
   headers. Both texts are borrowed. Returns EXIT_INPUT if a file is not a tensor of the same dtype
   and dimensions as the first. Call shard_list_free() in any case. */
enum exit_code shard_list_open(struct shard_list *list, const struct loss_descriptor *loss, int k,
                               const char *name, const char *text);
enum shard_detail { SHARD_WITH_TIMES, SHARD_WITH_ROWS };
/* Appends a line for each shard: the name of the tensor, the path and size of the file, the time at
   which it was modified or its number of rows, and where in the file the tensor begins. */
void shard_list_describe(const struct shard_list *list, enum shard_detail detail,
                         struct buffer *out);
void shard_list_free(struct shard_list *list);

/* Returns the shape and dtype of all shards together. The dimension of the rows is list->rows.
   Other dimensions that differ between shards (those before that of the rows) are the largest; with
   LOSS_OWN, each dimension is the sum of those of the shards. */
struct loss_tensor shard_list_whole(const struct shard_list *list);

/* Returns the index of the shard that contains a row, which must be less than list->rows. */
size_t shard_list_find(const struct shard_list *list, uint64_t row);

/* Returns the number of bytes of a row of a tensor; its first dimension is that of the rows. */
size_t shard_row_bytes(const struct loss_tensor *tensor);

#endif
