/*
 * Sends the first bytes of a response before the rest, to find out if the client has closed.
 *
 * A client that has closed its connection and one that has only closed its sending half look the
 * same to the server: both have sent a FIN. Linux even answers keepalive probes for a closed
 * connection until tcp_fin_timeout expires. Only new data distinguishes the two: a closed
 * connection answers it with a reset. So while a response is computed, the server sends a client
 * that may have closed the first bytes of every response, "HTTP/1.", one at a time. The program's
 * own send and sendmsg, which libmicrohttpd calls instead of libc's, later omit those bytes.
 */
#ifndef SERVER_MHD_WORKAROUNDS_EARLY_STATUS_LINE_H
#define SERVER_MHD_WORKAROUNDS_EARLY_STATUS_LINE_H

#include <stdbool.h>
#include <stddef.h>

/* Allocates the state of connections with descriptors below `files`. Returns false if memory is
   insufficient. */
bool early_status_line_open(size_t files);

/* Frees the state. Call it after the last connection has ended. */
void early_status_line_close(void);

/* Resets the state of a descriptor. Call it when its connection ends. */
void early_status_line_end(int fd);

/* Sends the next early byte of the response; no-op after the last one. No other thread may send on
   the connection at the same time. */
void early_status_line_send(int fd);

#endif
