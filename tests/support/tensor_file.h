/* safetensors files that tests send, sound or not, and those that they get. */
#ifndef TESTS_TENSOR_FILE_H
#define TESTS_TENSOR_FILE_H

#include "memory/buffer.h"

#include <jansson.h>

/* A file that is being put together. */
struct tensor_file {
    struct buffer header, data;
};

/* Adds a tensor; `shape` as in "2,3". */
void tensor_file_add(struct tensor_file *file, const char *name, const char *dtype,
                     const char *shape, const void *data, size_t len);
/* Adds a member of the header as it stands in JSON: "\"__metadata__\":{...}". */
void tensor_file_add_raw(struct tensor_file *file, const char *member);
/* The whole file, with `spaces` behind the header; empties `file`. To be freed with buffer_free. */
struct buffer tensor_file_end(struct tensor_file *file, size_t spaces);
/* A file of that header, closing brace and all, and so many bytes of zeros. */
struct buffer tensor_file_raw(const char *header, size_t len);

/* What came back. */
struct tensor_answer {
    json_t *header; /* owned */
    const char *data;
    size_t len;
};
/* Takes it apart; fails the test if it is not sound, or its data are not where they should be. */
struct tensor_answer tensor_answer_read(const char *bytes, size_t len);
/* The bytes of a tensor, of that dtype and shape; fails the test if there is none. */
const void *tensor_answer_data(const struct tensor_answer *answer, const char *name,
                               const char *dtype, const char *shape, size_t *len);
/* A value of the metadata, NULL if there is none. */
const char *tensor_answer_metadata(const struct tensor_answer *answer, const char *name);
void tensor_answer_free(struct tensor_answer *answer);

#endif
