/*
 * What all of lossctl shares: how it ends, and how it says what is wrong.
 *
 * Functions that can fail return one of these, 0 being success; whoever finds the trouble has said
 * on stderr what it is.
 */
#ifndef LOSSCTL_CLI_LOSSCTL_H
#define LOSSCTL_CLI_LOSSCTL_H

#include "loss.h"

enum exit_code {
    EXIT_OK,
    EXIT_FAILED,      /* a limit was missed, a check failed, or memory or disk were wanting */
    EXIT_USAGE,       /* the command line makes no sense */
    EXIT_UNREACHABLE, /* no server answers there */
    EXIT_REFUSED, /* the server answers, but not what was asked: no token, too busy, too large */
    EXIT_INPUT,   /* a file cannot be read, or its numbers cannot be evaluated */
    EXIT_COUNT
};
/* What each stands for, for --help and the manual; static. */
extern const char *const exit_meanings[EXIT_COUNT];

/* Prints "lossctl: " and a line on stderr, and returns `code`. */
__attribute__((format(printf, 2, 3))) enum exit_code fail(enum exit_code code, const char *format,
                                                          ...);
/* The same for want of memory. */
enum exit_code fail_memory(void);
/* The same for an error of the library or a format; `where` is a file, or NULL. */
enum exit_code fail_error(const char *where, const struct loss_error *error);

#endif
