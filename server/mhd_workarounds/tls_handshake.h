/*
 * TLS handshakes that wait for the client.
 *
 * libmicrohttpd 0.9.75 takes a socket with epoll for readable until a read has said otherwise, and
 * does not look at what reads during a handshake say: from the first byte of one to its end the I/O
 * thread goes round without pause. A client that stops in the midst of a handshake would cost a
 * processor for as long as it likes, and one that is far away at least its round trips. So a
 * handshake that cannot go on has its connection suspended, and a thread that waits for all of them
 * resumes it once there is something to read. That is done in gnutls_handshake itself: the program
 * has one of its own, as it has a recv (see strict_parser.h).
 */
#ifndef SERVER_MHD_WORKAROUNDS_TLS_HANDSHAKE_H
#define SERVER_MHD_WORKAROUNDS_TLS_HANDSHAKE_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

/* Starts the thread, for connections of descriptors below `files`. False with one line in `message`
 * if that cannot be. */
bool handshake_start(size_t files, char *message, size_t size);

/* Before the first and after the last handshake of a connection, on the thread that has it. */
void handshake_begin(int fd, struct MHD_Connection *connection);
void handshake_end(int fd);

/* Resumes all that wait, and lets none wait any more: libmicrohttpd can then be stopped. Without a
 * start nothing happens. */
void handshake_stop(void);

#endif
