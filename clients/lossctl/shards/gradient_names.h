/* Private to gradient_*.c: the names of the files of gradients. */
#ifndef LOSSCTL_SHARDS_GRADIENT_NAMES_H
#define LOSSCTL_SHARDS_GRADIENT_NAMES_H

#include "shards/gradient_files.h"

#include <limits.h>

/* Returns the shards of the tensor of an output. */
const struct shard_list *gradient_list(const struct gradient_files *files,
                                       const struct gradient_output *output);
/* Returns the part of a path after its last slash. */
const char *gradient_base_name(const char *path);
/* Writes the name of the file of a shard, and a suffix, to `path` of PATH_MAX bytes. */
enum exit_code gradient_name(const struct gradient_output *output, const struct shard *shard,
                             const char *suffix, char *path);
/* Reports that a file cannot be written; `why` is an errno. */
enum exit_code gradient_cannot_write(const char *path, int why);

#endif
