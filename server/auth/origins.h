/*
 * Host names and origins: checks Host and Origin headers, also against the lists of --allowed-hosts
 * and --cors-origins. With these, web pages of other sites cannot use a server on the machine of
 * their visitor.
 */
#ifndef SERVER_AUTH_ORIGINS_H
#define SERVER_AUTH_ORIGINS_H

#include <stdbool.h>
#include <stddef.h>

/* Returns true if a host, with or without a port, always means this machine: localhost and names
   below it, 127.0.0.0/8, [::1]. No DNS entry can make such a name point elsewhere. */
bool origins_host_is_local(const char *host);

/* Returns true if two hosts are the same, ignoring ports. `other` has `len` bytes. */
bool origins_same_host(const char *host, const char *other, size_t len);

/* Returns true if an origin, "https://example.org", belongs to the server reached as `host`,
   "example.org:443". */
bool origins_is_host(const char *origin, const char *host);

/* Returns true if a comma-separated list contains a host, ignoring its port. "*" matches any. */
bool origins_list_has_host(const char *list, const char *host);

/* Returns true if a comma-separated list contains an origin. "*" matches any. */
bool origins_list_has_origin(const char *list, const char *origin);

/* Return true if every item of a list is "*", or a host without a port, or an origin. Otherwise
   copy the first invalid item to `item`. */
bool origins_check_hosts(const char *list, char *item, size_t size);
bool origins_check_origins(const char *list, char *item, size_t size);

#endif
