/*
 * Bearer tokens. The server stores only their hashes.
 *
 * The file has one line `NAME:SHA256` per token, with the hash in hexadecimal. Other lines are
 * empty or begin with #. Names may repeat, so that a token can be replaced while the old one is
 * still accepted. The first line may be `# lossd tokens: N`: the file then has at least N tokens.
 * This detects a truncated file, and still allows lines to be appended.
 *
 * The hash is unsalted and fast. Tokens are random, with 256 bits if lossd creates them, so
 * dictionary attacks do not work. A slow hash would delay every request, and a salted hash would
 * have to be computed once per line. Because the hash is fast, tokens_hash rejects tokens of fewer
 * than TOKENS_LENGTH_MIN characters, which could be guessed.
 */
#ifndef SERVER_AUTH_TOKENS_H
#define SERVER_AUTH_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum {
    TOKENS_NAME = 65,        /* size of a name, including the NUL */
    TOKENS_LENGTH_MIN = 32,  /* minimum length of a token for tokens_hash */
    TOKENS_LENGTH_MAX = 256, /* maximum length of any token */
};

struct tokens;

/* Reads a file. Returns NULL and writes a one-line reason to `message` if it cannot be read, is
   malformed or has no tokens. */
struct tokens *tokens_read(const char *path, char *message, size_t size);

/* No-op if NULL. */
void tokens_free(struct tokens *tokens);

size_t tokens_count(const struct tokens *tokens);

/* Returns how many of `tokens` are not in `from`. */
size_t tokens_missing(const struct tokens *tokens, const struct tokens *from);

enum tokens_verdict { TOKENS_MISSING, TOKENS_UNKNOWN, TOKENS_KNOWN };

/* Checks the value of an Authorization header (NULL: no header). Copies the name of the token if it
   is known. Takes the same time for known and unknown tokens. Thread-safe. */
enum tokens_verdict tokens_check(const struct tokens *tokens, const char *authorization,
                                 char name[TOKENS_NAME]);

/* On failure, the next three functions return false and write a one-line reason to `message`. */

/* Creates a token. Prints the token to `secret`, and its line for the token file to `out`. */
bool tokens_make(const char *name, FILE *secret, FILE *out, char *message, size_t size);

/* Creates a token, prints it to `secret` and adds it to a file. Creates the file if it does not
   exist; otherwise replaces it atomically, with the same owner and mode. The first line of the new
   file declares the number of tokens. */
bool tokens_add(const char *name, const char *path, FILE *secret, char *message, size_t size);

/* Reads a token from `in` and prints its line for the token file to `out`. */
bool tokens_hash(const char *name, FILE *in, FILE *out, char *message, size_t size);

#endif
