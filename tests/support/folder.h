/* A temporary folder for the files of a test. */
#ifndef TESTS_FOLDER_H
#define TESTS_FOLDER_H

#include <stddef.h>

/* Makes the folder that the other functions use. Aborts the test on failure. */
void folder_make(void);
/* Removes the folder and its files. */
void folder_remove(void);

/* Returns the path of the folder. */
const char *folder_name(void);
/* Returns the path of a file in the folder, valid until sixteen more calls, including those by
   folder_option. */
const char *folder_path(const char *name);
/* Returns an option that ends with the path of a file in the folder, such as
   "--listen=127.0.0.1:0,unix:PATH"; valid until sixteen more calls. */
const char *folder_option(const char *text, const char *name);
/* Writes a file, replacing its content. */
void folder_write(const char *name, const char *text);
/* Writes a file of `len` bytes, replacing its content. */
void folder_write_bytes(const char *name, const void *bytes, size_t len);
/* Reads up to `size` - 1 bytes of a file, and writes a NUL after them. Returns their number. */
size_t folder_read(const char *name, char *bytes, size_t size);

/* Writes the certificate of an authority to `ca`, a server certificate signed by it to `cert`, and
   the server's private key to `key`. */
void folder_write_certificates(void);

#endif
