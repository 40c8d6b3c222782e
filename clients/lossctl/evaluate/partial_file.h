/*
 * Partial results in files. A file contains one partial result, or a response that contains one, as
 * JSON or safetensors.
 *
 *     struct partial_merger merger;
 *     partial_merger_init(&merger, NULL);
 *     if (partial_files_merge(&merger, paths, count) == EXIT_OK)
 *         partial_file_write("total.json", &merger.total);
 *     partial_merger_free(&merger);
 */
#ifndef LOSSCTL_EVALUATE_PARTIAL_FILE_H
#define LOSSCTL_EVALUATE_PARTIAL_FILE_H

#include "cli/fail.h"
#include "evaluation/partial.h"

/* Reads the partial result in the file at `path`; "-" is standard input. Returns EXIT_INPUT if the
   file cannot be read or contains none. Call partial_free() in any case. */
enum exit_code partial_file_read(const char *path, struct partial *partial);

/* Adds the partial results in `count` files, at least one, to a merger that has none, and completes
   it. Returns EXIT_INPUT, and names the files, if they are not of one batch or have rows in common.
   Returns EXIT_USAGE if "-" is given twice. The merger borrows path[0]. */
enum exit_code partial_files_merge(struct partial_merger *merger, const char *const path[],
                                   int count);

/* Writes a partial result and a newline to a path, or to standard output for "-". A file is
   replaced atomically: even a crash of the system leaves the old or the new content. */
enum exit_code partial_file_write(const char *path, const struct partial *partial);

#endif
