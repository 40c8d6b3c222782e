/*
 * Bearer tokens, of which the server knows the hashes alone.
 *
 * The file has a line `NAME:SHA256` for each, in hexadecimal; names may come twice, so that a token
 * can be replaced while the old one still holds. Its first line may be `# lossd tokens: N`, which
 * says that there are N tokens or more: then a file that has lost its end is refused, and lines can
 * still be appended.
 *
 * The hash is a plain one, without salt and quick to compute: tokens are random, of 256 bits where
 * they are made here, so there is no dictionary to try them from, and a slow hash would only slow
 * down every request, a salted one hash it once for each line. That is also why a token of fewer
 * than TOKENS_LEAST characters is not hashed here.
 */
#ifndef SERVER_AUTH_TOKENS_H
#define SERVER_AUTH_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum {
    TOKENS_NAME = 65,  /* bytes of a name, with its NUL */
    TOKENS_LEAST = 32, /* characters of a token */
    TOKENS_MOST = 256,
};

struct tokens;

/* Reads a file. NULL with one line in `message` if it cannot be read, is not of that form, or has
 * no token in it. */
struct tokens *tokens_read(const char *path, char *message, size_t size);
void tokens_free(struct tokens *tokens); /* NULL is let be */
size_t tokens_count(const struct tokens *tokens);
/* How many tokens there are that `from` does not have. */
size_t tokens_missing(const struct tokens *tokens, const struct tokens *from);

enum tokens_verdict { TOKENS_MISSING, TOKENS_WRONG, TOKENS_RIGHT };

/* Judges the value of an Authorization header, NULL where there is none; copies the token's name
   where it is right. Takes as long for a wrong token as for a right one. From any thread. */
enum tokens_verdict tokens_judge(const struct tokens *tokens, const char *authorization,
                                 char name[TOKENS_NAME]);

/* Makes a token: shows it on `secret`, once and for all, and writes its line of the file to `out`.
   False with one line in `message` if the name is none or that cannot be done. */
bool tokens_make(const char *name, FILE *secret, FILE *out, char *message, size_t size);
/* Makes a token, adds it to a file, and shows it on `secret`. If there is no such file, it is made;
   otherwise a new one with the same owner and mode replaces it at once. Its first line then says
   how many tokens there are, and tokens_read refuses it if there are fewer. False with one line in
   `message` if that cannot be done. */
bool tokens_add(const char *name, const char *path, FILE *secret, char *message, size_t size);
/* Reads a token from `in`, and writes its line to `out`. */
bool tokens_hash(const char *name, FILE *in, FILE *out, char *message, size_t size);

#endif
