/* Programs that tests run through the shell. */
#ifndef TESTS_COMMAND_H
#define TESTS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

/* Returns true if a command exits with 0; its output is discarded. Can be called while suites are
   made. */
bool command_succeeds(const char *command);
/* Like command_succeeds(), for a static text; runs the command only once. */
bool command_succeeds_cached(const char *command);
/* Returns true if /usr/bin/python3 has NumPy. */
bool numpy_is_there(void);

/* Runs a command, which inherits stdin, and copies its stdout to `printed`, truncated to `size` - 1
   bytes and NUL-terminated. Returns its exit status, or 128 plus the signal that killed it. Aborts
   the test if the shell cannot be run. */
__attribute__((format(printf, 3, 4))) int command_run(char *printed, size_t size,
                                                      const char *format, ...);

/* Returns true if the npm packages of the lock file of a folder are installed; installs them if
 * not. */
bool npm_packages_are_there(const char *folder);

/* Returns true if node and Chromium (see tests/web/browser.mjs) are installed. */
bool browser_is_there(void);

#endif
