/*
 * What the value of a tensor option names: one file, a pattern such as 'x-*.npy', or @LIST, a file
 * that contains a path per line. A prefix sets the format, and ":NAME" after the path selects a
 * tensor of safetensors files:
 *
 *     raw:float32,(*,10):dump-*.bin      numbers without a header; * is the dimension of the rows
 *     model-*.safetensors:logits
 */
#ifndef LOSSCTL_SHARDS_SHARD_SPEC_H
#define LOSSCTL_SHARDS_SHARD_SPEC_H

#include "cli/fail.h"

enum shard_format { SHARD_DETECT, SHARD_NPY, SHARD_SAFETENSORS, SHARD_RAW };

struct shard_spec {
    enum shard_format format;
    struct loss_tensor raw; /* if SHARD_RAW: dtype and shape; the dimension `raw_axis` is 0 */
    int raw_axis;
    const char *member; /* borrowed: the name after the path; NULL if there is none */
    char **path;        /* owned, in order */
    size_t count;       /* at least 1 */
};

/* Returns true if a value is a pattern, a list or raw numbers, which only an evaluation over shards
   can read. */
bool shard_spec_matches(const char *text);

/* Finds the files that `text`, which is borrowed, names. Those of a pattern are sorted by the bytes
   of their paths. Returns EXIT_INPUT if there are none, if a list cannot be read or contains a path
   twice, or EXIT_USAGE if raw numbers are not described correctly. Call shard_spec_free() in any
   case. */
enum exit_code shard_spec_read(struct shard_spec *spec, const char *text);
void shard_spec_free(struct shard_spec *spec);

#endif
