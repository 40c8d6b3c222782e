/*
 * Identifies clients by their addresses.
 */
#ifndef SERVER_CONNECTION_CLIENT_KEY_H
#define SERVER_CONNECTION_CLIENT_KEY_H

#include <stdint.h>
#include <sys/socket.h>

/* Returns a number that identifies the client with this address: the whole IPv4 address, or the
   first 64 bits of an IPv6 address, because one host usually controls a /64 network. Returns 0 if
   the client has no such address, for example on a Unix socket. */
uint64_t client_key(const struct sockaddr *address);

#endif
