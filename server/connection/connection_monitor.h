/*
 * What clients do to connections while nobody else looks: they leave, and they are slow.
 *
 * libmicrohttpd's own timeout is for connections on which nothing happens at all: a byte every now
 * and then keeps one alive for ever. And 0.9.75 misses with epoll that a client has left: it takes
 * a read that came up short for the end of what there is to read, but when the client's last bytes
 * and its FIN arrive together, the FIN is still to be read, and an edge-triggered epoll does not
 * tell twice. So a thread looks at every connection every now and then, and shuts down those whose
 * client has gone, or whose time is up, which libmicrohttpd does notice.
 *
 * A client may take its time with a large body or answer, for which memory is kept meanwhile, but
 * not at the cost of others: when they lack memory, those who hold the most for the longest are cut
 * until there will be enough.
 */
#ifndef SERVER_CONNECTION_CONNECTION_MONITOR_H
#define SERVER_CONNECTION_CONNECTION_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admission/limits.h"
#include "observe/rejections.h"

struct watch;
struct watched; /* one connection */

/* What the server waits for on a connection. */
enum watch_phase {
    WATCH_HEADERS, /* the next request: idle until its first byte, then --header-timeout */
    WATCH_BODY,    /* a body, at --min-body-rate */
    WATCH_NOTHING, /* the server is at work: a client may have closed its sending half and still
                      wait for the answer, of which it may then be sent the first bytes
                      (early_status_line.h) */
    WATCH_ANSWER,  /* the client is to read, at --min-response-rate */
    WATCH_CUT,     /* none of these: the connection was cut, and is about to be closed */
};

/* What else is to be done every now and then. Returns how many bytes of memory are lacking to
 * requests, 0 if none are. */
struct watch_tick {
    size_t (*tick)(void *context);
    void *context;
};

enum { WATCH_ANY_LENGTH = 1 }; /* of a body in chunks */

/* Borrows limits and rejects, for as long as it lives. NULL with one line in `message` if that
 * cannot be. */
struct watch *watch_start(const struct limits *limits, struct rejections *rejects,
                          const struct watch_tick *tick, char *message, size_t size);

/* Watches a socket, in WATCH_HEADERS, which must stay open until watch_remove. `plain`: text
   written to it is what the client reads, so that a client that is cut can be told why. NULL where
   memory has run out: it is not watched then, and functions below let it be. */
struct watched *watch_add(struct watch *watch, int fd, bool plain);
void watch_remove(struct watch *watch, struct watched *watched);

/* Says what the server waits for from now on. False if the connection has been cut: nothing can be
   sent on it any more. To be called by the thread that has the connection, as the next one. */
bool watch_turn(struct watched *watched, enum watch_phase phase);
/* Until all of the body, of so many bytes, has come, or all of the answer has been taken, so much
   memory is held: where others lack it, and this goes too slowly for --slow-client-memory-timeout,
   the connection may be cut. To be called after each watch_turn of which that is so, and when it
   becomes more. */
void watch_holds(struct watched *watched, uint64_t bytes, size_t memory);
/* What is set, atomically, once a client is found to have gone, or to be gone: while the server is
   at work, if the connection was reset or closed on both sides. Lives as long as the connection;
   NULL for NULL. */
const bool *watch_gone(const struct watched *watched);
/* Sets it for all connections for which the server is at work. */
void watch_give_up(struct watch *watch);
/* Whether a request is likely to come at once: something is there to be read, or a connection is
 * new and has asked nothing. */
bool watch_expects(struct watch *watch);
/* So many bytes of the body have come, or of the answer been handed over, so far. */
void watch_progress(struct watched *watched, uint64_t bytes);
/* What the client was told when the connection was cut: 408, or 0 if it was not cut for being slow
 * with its request. */
int watch_status(struct watched *watched);
/* Why it was cut, as rejection_names has it; NULL if it was not, or because the client had left. */
const char *watch_reason(struct watched *watched);

/* Ends the thread and frees all; nothing may be watched any more. NULL is let be. */
void watch_stop(struct watch *watch);

#endif
