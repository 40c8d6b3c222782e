/*
 * Addresses to listen on, as options have them: "127.0.0.1:8080", "[::1]:8080",
 * "unix:/run/lossd.sock", and lists of them.
 */
#ifndef SERVER_CONNECTION_ADDRESS_H
#define SERVER_CONNECTION_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

enum {
    ADDRESS_HOST = 256,               /* bytes of a host or a path, with its NUL */
    ADDRESS_TEXT = ADDRESS_HOST + 16, /* of an address that is written out */
    ADDRESS_MAX = 8,                  /* in a list */
};

struct address {
    bool is_unix;
    char host[ADDRESS_HOST]; /* a name or a number without brackets; of a Unix socket the path */
    int port;                /* 0: a free one */
};

struct address_list {
    struct address at[ADDRESS_MAX];
    size_t count;
};

/* Takes a list apart, its addresses separated by commas; an empty text is an empty list. False if
   it is not of that form. Looks nothing up. */
bool address_list_parse(const char *text, struct address_list *list);

/* Writes an address as it is read. Returns `text`. */
const char *address_text(const struct address *address, char text[ADDRESS_TEXT]);

#endif
