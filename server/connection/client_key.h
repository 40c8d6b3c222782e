/*
 * Who a client is, as far as its address tells.
 */
#ifndef SERVER_CONNECTION_CLIENT_KEY_H
#define SERVER_CONNECTION_CLIENT_KEY_H

#include <stdint.h>
#include <sys/socket.h>

/* The same number for whoever is to be taken for the same client: an IPv4 address, or the 64 bits
   of an IPv6 address that name a network, since a host has all the rest to itself. 0 for what has
   no address, such as a Unix socket. */
uint64_t peer_key(const struct sockaddr *address);

#endif
