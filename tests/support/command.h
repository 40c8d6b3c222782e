/* Programs that tests run through the shell. */
#ifndef TESTS_COMMAND_H
#define TESTS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

/* Whether a command can be run and ends with 0; what it prints is dropped. Suites may ask it while
 * they are made. */
bool command_succeeds(const char *command);
/* The same, of a static text whose result does not change: it is run once for all suites that ask.
 */
bool command_succeeds_cached(const char *command);
/* Returns true if /usr/bin/python3 has NumPy. */
bool numpy_is_there(void);

/* Runs a command to its end, without input. `printed` becomes what it wrote on stdout, as far as it
   fits, NUL-terminated. Returns its exit status, or 128 and the signal that ended it. Aborts the
   test if it cannot be run at all. */
__attribute__((format(printf, 3, 4))) int command_run(char *printed, size_t size,
                                                      const char *format, ...);

/* Whether the npm packages that a folder's lock file names are in it; fetches them where they are
 * not. */
bool npm_packages_are_there(const char *folder);

/* Whether node is here, and a Chromium where tests/web/browser.mjs looks for it. */
bool browser_is_there(void);

#endif
