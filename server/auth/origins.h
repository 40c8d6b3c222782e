/*
 * Host names and origins: checks Host and Origin headers against the server's own names and the
 * lists of --allowed-hosts and --cors-origins. These checks prevent web pages of other sites from
 * using a server on the user's machine.
 */
#ifndef SERVER_AUTH_ORIGINS_H
#define SERVER_AUTH_ORIGINS_H

#include <stdbool.h>
#include <stddef.h>

/* Returns true if a host, with or without a port, always refers to this machine: localhost and its
   subdomains, 127.0.0.0/8 and [::1]. No DNS entry can make such a name point elsewhere. */
bool origins_host_is_local(const char *host);

/* Returns true if two hosts are the same, ignoring ports. `other` has `len` bytes. */
bool origins_same_host(const char *host, const char *other, size_t len);

/* Returns true if an origin such as "https://example.org" is that of the server reached as `host`,
   such as "example.org:443". */
bool origins_is_host(const char *origin, const char *host);

/* Returns true if a comma-separated list contains a host, ignoring its port. "*" matches any. */
bool origins_list_has_host(const char *list, const char *host);

/* Returns true if a comma-separated list contains an origin. "*" matches any. */
bool origins_list_has_origin(const char *list, const char *origin);

/* Return true if every item of a list is "*" or a host without a port (an origin in the second
   function). Otherwise copy the first invalid item to `item` and return false. */
bool origins_check_hosts(const char *list, char *item, size_t size);
bool origins_check_origins(const char *list, char *item, size_t size);

#endif
