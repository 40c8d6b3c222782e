/* A folder of a test's own, for its files. */
#ifndef TESTS_FOLDER_H
#define TESTS_FOLDER_H

/* Makes one, which becomes the one that the functions below are about. Aborts the test if that
 * cannot be. */
void folder_make(void);
/* Removes it with all that is in it. */
void folder_remove(void);

/* Its path. */
const char *folder_name(void);
/* The path of a file in it. Good until the sixteenth call after it. */
const char *folder_path(const char *name);
/* Writes a file of it, whatever it held before. */
void folder_write(const char *name, const char *text);

/* Writes an authority's certificate to `ca`, one of a server's that it has signed to `cert`, and
 * its key to `key`. */
void folder_write_certificates(void);

#endif
