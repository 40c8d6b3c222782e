/*
 * Listening sockets that systemd opens (socket activation, sd_listen_fds(3)).
 */
#ifndef SERVER_CONNECTION_SYSTEMD_H
#define SERVER_CONNECTION_SYSTEMD_H

#include <stdbool.h>
#include <stddef.h>

#include "connection/listener.h"

/* Gives the listener the sockets that LISTEN_FDS announces; those that LISTEN_FDNAMES calls "admin"
   are admin addresses. Unsets the variables. Must be called before a thread starts and before a
   descriptor is opened. On failure, returns false and writes a one-line reason to `message`. */
bool systemd_inherit(struct listener *listener, char *message, size_t size);

#endif
