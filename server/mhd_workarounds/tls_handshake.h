/*
 * Suspends connections during a TLS handshake while the server waits for the client.
 *
 * With epoll, libmicrohttpd 0.9.75 treats a socket as readable until a read shows that it is not,
 * and ignores the result of the reads during a handshake. So the I/O thread spins from the first
 * byte of a handshake to its end: a client that stops in between uses a CPU for as long as it
 * likes, and a distant client uses it for at least its round trips. Therefore a handshake that
 * cannot continue suspends its connection. One thread waits for all these sockets and resumes each
 * connection when its socket is ready. This is done in gnutls_handshake, which the program defines
 * itself, like recv (see strict_parser.h).
 */
#ifndef SERVER_MHD_WORKAROUNDS_TLS_HANDSHAKE_H
#define SERVER_MHD_WORKAROUNDS_TLS_HANDSHAKE_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

/* Starts the thread, for connections with descriptors below `files`. On failure, returns false and
   writes a one-line reason to `message`. */
bool handshake_start(size_t files, char *message, size_t size);

/* Registers a connection. Must be called on its I/O thread, before the handshake. */
void handshake_begin(int fd, struct MHD_Connection *connection);

/* Removes the connection of a descriptor. Must be called on its I/O thread when it ends. No-op if
   it was not registered. */
void handshake_end(int fd);

/* Stops the thread. Resumes all suspended handshakes and suspends no more, so that libmicrohttpd
   can be stopped. No-op if the thread was not started. */
void handshake_stop(void);

#endif
