/*
 * Names and origins: what a Host and an Origin header say, and lists of them. What a browser sends
 * tells which page it was that asked; that a page of somebody else's must not use a server on the
 * machine of who looks at it is seen to with these.
 */
#ifndef SERVER_AUTH_ORIGINS_H
#define SERVER_AUTH_ORIGINS_H

#include <stdbool.h>
#include <stddef.h>

/* Whether a host, with or without a port, always means the machine itself: localhost and names
   below it, 127.0.0.1 and its like,
   [::1]. Nobody else can have such a name point anywhere. */
bool origins_host_is_local(const char *host);

/* Whether two hosts are one, whatever their ports. The second is `len` bytes long. */
bool origins_same_host(const char *host, const char *other, size_t len);

/* Whether an origin, "https://example.org", is that of a server which is reached as `host`,
 * "example.org:443". */
bool origins_is_host(const char *origin, const char *host);

/* Whether a host, whatever its port, is in a list that commas separate; "*" stands for any. */
bool origins_list_has_host(const char *list, const char *host);
/* Whether an origin is in such a list. */
bool origins_list_has_origin(const char *list, const char *origin);

/* Whether every item of a list is a host without a port, or an origin, or "*"; else the first that
 * is not is in `item`. */
bool origins_check_hosts(const char *list, char *item, size_t size);
bool origins_check_origins(const char *list, char *item, size_t size);

#endif
