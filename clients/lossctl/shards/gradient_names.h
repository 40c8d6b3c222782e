/* Private to this folder: the names of the files of gradients. */
#ifndef LOSSCTL_SHARDS_GRADIENT_NAMES_H
#define LOSSCTL_SHARDS_GRADIENT_NAMES_H

#include "shards/gradient_files.h"

#include <limits.h>

/* Returns the shards of the tensor of an output. */
const struct shard_list *gradient_list(const struct gradient_files *files,
                                       const struct gradient_output *output);
/* Returns the part of a path after its last slash. */
const char *gradient_base_name(const char *path);
/* Writes the name of the file of a shard, and a suffix, to `path` of PATH_MAX bytes. Returns
   EXIT_FAILED if it is too long. */
enum exit_code gradient_name(const struct gradient_output *output, const struct shard *shard,
                             const char *suffix, char *path);
/* Returns true if a text is the suffix of an unfinished file, of any run. */
bool gradient_is_suffix(const char *text);
/* Writes the name of an unfinished file of a shard, of any run, to `path` of PATH_MAX bytes.
   Returns false if there is none. */
bool gradient_find_other(const struct gradient_output *output, const struct shard *shard,
                         char *path);
/* Reports that a file cannot be written; `why` is an errno. */
enum exit_code gradient_cannot_write(const char *path, int why);

#endif
