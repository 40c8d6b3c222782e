/*
 * Addresses to listen on, in the syntax of the options: "127.0.0.1:8080", "[::1]:8080",
 * "unix:/run/lossd.sock", and comma-separated lists of them.
 */
#ifndef SERVER_CONNECTION_ADDRESS_H
#define SERVER_CONNECTION_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

enum {
    ADDRESS_HOST = 256,               /* bytes of a host or a path, including its NUL */
    ADDRESS_TEXT = ADDRESS_HOST + 16, /* bytes of a formatted address, including its NUL */
    ADDRESS_MAX = 8,                  /* maximum number of addresses in a list */
};

struct address {
    bool is_unix;
    char host[ADDRESS_HOST]; /* host name, IP address without brackets, or path of a Unix socket */
    int port;                /* 0: any free port */
};

struct address_list {
    struct address at[ADDRESS_MAX];
    size_t count;
};

/* Parses a comma-separated list of addresses; an empty text is an empty list. Does not resolve host
   names. Returns false if the syntax is invalid. */
bool address_list_parse(const char *text, struct address_list *list);

/* Formats an address so that address_list_parse can read it. Returns `text`. */
const char *address_text(const struct address *address, char text[ADDRESS_TEXT]);

#endif
