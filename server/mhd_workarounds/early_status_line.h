/*
 * The first bytes of an answer, sent before the rest.
 *
 * A client that has closed its connection and one that has only closed its sending half look the
 * same to the server: both have sent a FIN. Linux even answers keepalive probes for a closed
 * connection until tcp_fin_timeout is over. Only new data tells: the side of a closed connection
 * answers it with a reset. So while the answer is being computed a client that may have closed is
 * sent what every answer begins with, "HTTP/1.", a byte at a time. A client that reads takes these
 * bytes as the beginning of its answer, which the program's own send and sendmsg, which
 * libmicrohttpd calls in place of the C library's, then send without them.
 */
#ifndef SERVER_MHD_WORKAROUNDS_EARLY_STATUS_LINE_H
#define SERVER_MHD_WORKAROUNDS_EARLY_STATUS_LINE_H

#include <stdbool.h>
#include <stddef.h>

/* Makes room for connections of descriptors below `files`. False if memory has run out. */
bool prefix_open(size_t files);
/* To be called when there is no connection left. */
void prefix_close(void);

/* To be called when a connection ends: the next one of that descriptor has been sent nothing. */
void prefix_end(int fd);

/* Sends the next byte of the answer to come, if there is one left that is the same in all answers.
   No other thread may send on the connection meanwhile. */
void prefix_send(int fd);

#endif
