/* Runs lossctl, which is in the same folder as $LOSSD, from a shell, in the folder of the test. */
#ifndef TESTS_LOSSCTL_RUN_H
#define TESTS_LOSSCTL_RUN_H

#include <stddef.h>
#include <string.h>

#include "support/server_process.h"

/* Exit statuses, as documented in lossctl(1). */
enum { OK, FAILED, USAGE, UNREACHABLE, REFUSED, INPUT };

enum { LOSSCTL_TEXT = 1 << 16 };
extern char lossctl_out[LOSSCTL_TEXT], lossctl_err[LOSSCTL_TEXT]; /* output of the last run */

/* The server of the test, whose address is in $LOSSD_URL. */
extern struct server_process lossctl_server;

/* Returns the path of lossctl; NULL if it is not built. */
const char *lossctl_find(void);

/* Makes the folder and starts the server; ends both. */
void lossctl_setup(void);
void lossctl_teardown(void);

/* Runs a shell command in the folder; $L is lossctl, $D is lossd. Returns its exit status and
   writes its output to `lossctl_out` and `lossctl_err`. */
__attribute__((format(printf, 1, 2))) int lossctl_run(const char *format, ...);

#define assert_run(code, ...)                                                                      \
    do {                                                                                           \
        const int ran = lossctl_run(__VA_ARGS__);                                                  \
        ck_assert_msg(ran == (code), "status %d, not %d; stdout: %s stderr: %s", ran, code,        \
                      lossctl_out, lossctl_err);                                                   \
    } while (0)
#define assert_has(text, part)                                                                     \
    ck_assert_msg(strstr(text, part) != NULL, "'%s' is not in: %s", part, text)
/* Asserts that the only output is this error message. */
#define assert_wrong(code, message, ...)                                                           \
    do {                                                                                           \
        assert_run(code, __VA_ARGS__);                                                             \
        ck_assert_str_eq(lossctl_err, "lossctl: " message "\n");                                   \
        ck_assert_str_eq(lossctl_out, "");                                                         \
    } while (0)

/* Writes a NumPy file of version 1. */
void write_npy(const char *name, const char *header, const void *numbers, size_t len);

/* Writes three predictions and targets to x.npy and y.npy, x.csv and y.csv, and both.json. Their
   mean squared error is `small_tensors_loss`, as lossctl prints it. */
void write_small_tensors(void);
extern const char small_tensors_loss[];

#endif
