/* Tokens of two clients, and their lines in a token file. */
#ifndef TESTS_TOKENS_H
#define TESTS_TOKENS_H

extern const char alice_token[], alice_line[], bob_token[], bob_line[];

/* Requests a path with a token. */
void ask_with_token(const char *path, const char *token);
/* Requests a path with a token, which the server must accept. */
void expect_known(const char *token);
/* Writes the file "tokens", and starts a server with it. */
void start_with_tokens(const char *lines);

#endif
