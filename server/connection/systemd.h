/*
 * Listening sockets that systemd opens (socket activation, sd_listen_fds(3)).
 */
#ifndef SERVER_CONNECTION_SYSTEMD_H
#define SERVER_CONNECTION_SYSTEMD_H

#include <stdbool.h>
#include <stddef.h>

#include "connection/listener.h"

/* Adds the sockets of LISTEN_FDS to the listener. Those named "admin" in LISTEN_FDNAMES become
   admin addresses. Unsets the variables. Must be called before any thread is started and any
   descriptor is opened. On failure, returns false and writes a one-line reason to `message`. */
bool systemd_inherit(struct listener *listener, char *message, size_t size);

#endif
