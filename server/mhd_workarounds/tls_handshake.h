/*
 * Suspends connections during a TLS handshake while the server waits for the client.
 *
 * With epoll, libmicrohttpd 0.9.75 treats a socket as readable until a read says otherwise, and
 * ignores what the reads of a handshake say. So from the first byte of a handshake to its end the
 * I/O thread spins: a client that stops in between uses a CPU for as long as it likes, and a
 * distant client for at least its round trips. Therefore a handshake that cannot continue suspends
 * its connection, and one thread waits for all of these sockets and resumes each connection when
 * its socket is ready. This happens in gnutls_handshake itself: the program defines its own, as it
 * does recv (see strict_parser.h).
 */
#ifndef SERVER_MHD_WORKAROUNDS_TLS_HANDSHAKE_H
#define SERVER_MHD_WORKAROUNDS_TLS_HANDSHAKE_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

/* Starts the thread, for connections with descriptors below `files`. On failure, returns false and
   writes a one-line reason to `message`. */
bool handshake_start(size_t files, char *message, size_t size);

/* Registers a connection. Call it before its first handshake, on its I/O thread. */
void handshake_begin(int fd, struct MHD_Connection *connection);

/* Removes the connection of a descriptor. Call it after the last handshake, on its I/O thread.
   No-op if there is none. */
void handshake_end(int fd);

/* Resumes all suspended handshakes and suspends no more, so that libmicrohttpd can be stopped.
   No-op if not started. */
void handshake_stop(void);

#endif
