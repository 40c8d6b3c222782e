/*
 * Sends the first bytes of a response early, to find out whether the client has closed the
 * connection.
 *
 * The server cannot distinguish a client that has closed its connection from one that has closed
 * only its sending half: both have sent a FIN. Linux even answers keepalive probes for a closed
 * connection until tcp_fin_timeout expires. Only new data makes a difference: a closed connection
 * responds with a reset. All responses begin with "HTTP/1.". So if a client may have closed while
 * its response is computed, the server sends it these bytes, one at a time. The program's own send
 * and sendmsg, which libmicrohttpd calls instead of libc's, later omit the bytes already sent.
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
