/*
 * Exit codes, and the functions that report an error.
 *
 * Functions that can fail return an enum exit_code; EXIT_OK is 0. The function that detects an
 * error has printed it to stderr.
 */
#ifndef LOSSCTL_CLI_FAIL_H
#define LOSSCTL_CLI_FAIL_H

#include "loss.h"

enum exit_code {
    EXIT_OK,
    EXIT_FAILED,      /* a limit was missed, a check failed, or memory or disk space ran out */
    EXIT_USAGE,       /* the command line is invalid */
    EXIT_UNREACHABLE, /* the server does not respond */
    EXIT_REFUSED,     /* the server responds with an error, such as 401, 404, 413 or 503 */
    EXIT_INPUT,       /* a file cannot be read, or its values cannot be evaluated */
    EXIT_COUNT,
    EXIT_SIGNAL = 128 /* plus the number of the signal that ended an evaluation over shards */
};
/* Descriptions of the codes, for --help and the manual page. */
extern const char *const exit_meanings[EXIT_COUNT];

/* Prints "lossctl: " and a line on stderr, and returns `code`. */
__attribute__((format(printf, 2, 3))) enum exit_code fail(enum exit_code code, const char *format,
                                                          ...);
/* While `hold` is true, fail() keeps the first line instead of printing it, and discards others. */
void fail_hold(bool hold);
/* Prints and discards the line that fail() has kept. No-op if there is none. */
void fail_show(void);
/* Reports that memory ran out. Returns EXIT_FAILED. */
enum exit_code fail_memory(void);
/* Reports an error of the library or of a file format; `where` names a file, or is NULL. Returns
   EXIT_FAILED if memory ran out, otherwise EXIT_INPUT. */
enum exit_code fail_error(const char *where, const struct loss_error *error);

#endif
