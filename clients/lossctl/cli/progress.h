/*
 * Progress of operations that take more than a second, on stderr: a bar on a terminal, removed at
 * the end; otherwise a plain line every five seconds. One operation at a time.
 */
#ifndef LOSSCTL_CLI_PROGRESS_H
#define LOSSCTL_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

/* Turns progress off. */
void progress_disable(void);
/* Returns true if progress is off. */
bool progress_is_disabled(void);

/* Starts an operation with its description ("reading pred.csv"). Ends the previous one. */
__attribute__((format(printf, 1, 2))) void progress_begin(const char *format, ...);
/* Sets how much is done. While `total` is 0, only the elapsed time is shown. */
void progress_set(double done, double total);
/* Replaces the description. */
__attribute__((format(printf, 1, 2))) void progress_describe(const char *format, ...);
/* Ends the operation and removes the bar. No-op if none is running. */
void progress_end(void);

#endif
