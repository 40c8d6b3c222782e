/*
 * What is shown while something takes more than a second: on a terminal a bar, which is gone once
 * it is done; elsewhere a plain line every few seconds. It goes to stderr. One thing at a time.
 */
#ifndef LOSSCTL_CLI_PROGRESS_H
#define LOSSCTL_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

/* Nothing is shown from now on. */
void progress_silence(void);
/* Whether nothing is shown. */
bool progress_is_silent(void);

/* Something begins: `what` is shown ("reading pred.csv"). Whatever was under way has ended. */
__attribute__((format(printf, 1, 2))) void progress_begin(const char *format, ...);
/* How much of it is done; until this is called, or while `total` is 0, only the time that has
 * passed is shown. */
void progress_set(double done, double total);
/* Words behind the bar, in place of what progress_begin was told. */
__attribute__((format(printf, 1, 2))) void progress_say(const char *format, ...);
/* It has ended, and the bar is gone. */
void progress_end(void);

#endif
