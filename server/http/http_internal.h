/*
 * The state of the HTTP server and of a request, and the steps of a request's life. The files of
 * this folder, in the order in which a request passes through them:
 *
 *     accept.c            a connection is accepted and registered
 *     request.c           libmicrohttpd's callbacks, and the states of a request
 *     head_validation.c   the headers delimit the body unambiguously
 *     dispatch.c          route, authentication, rate limit, what the headers alone rule out
 *     reserve_memory.c    memory is reserved for the body, or waited for
 *     body_buffer.c       the body arrives
 *     compute.c           the handler runs, on the I/O thread or on the executor
 *     content_coding.c    the body is decompressed, the response compressed
 *     send_response.c     the response is sent
 *
 * mhd_server.c starts and stops the I/O threads, drain.c shuts down gracefully, timeout.c computes
 * deadlines, request_errors.c fills error replies, and http_metrics.c exports metrics.
 */
#ifndef SERVER_HTTP_HTTP_INTERNAL_H
#define SERVER_HTTP_HTTP_INTERNAL_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admission/memory_budget.h"
#include "connection/connection_limits.h"
#include "connection/tls.h"
#include "evaluation/handler.h"
#include "http/content_coding.h"
#include "http/head_validation.h"
#include "http/http.h"
#include "routes/routes.h"
#include "util/http_error.h"

enum {
    HTTP_FILES = CONNECTIONS_FILES, /* connections with a higher descriptor are closed */
    HTTP_ADMIN_CONNECTIONS = 16,    /* on admin addresses, beyond --max-connections */
    HTTP_SEND_PIECE = 128 * 1024,   /* bytes of a response sent before other connections' turn */
    HTTP_PATH = 256,                /* bytes of a path that can match a route, with its NUL */
    HTTP_ID = 129,                  /* bytes of a request id, with its NUL */
};

/* request.c shows the transitions. */
enum request_state {
    REQUEST_WAITING,    /* for memory for its body; suspended, owned by memory_budget.h */
    REQUEST_GATHERING,  /* for memory to compute; suspended, owned by memory_budget.h */
    REQUEST_LATE,       /* the wait for memory failed; the body may still be arriving */
    REQUEST_RECEIVING,  /* the body is being stored */
    REQUEST_DISCARDING, /* the reply is known, the body is discarded */
    REQUEST_COMPUTING,  /* suspended, owned by the executor */
    REQUEST_READY,      /* the reply is known; the next callback sends it */
    REQUEST_ANSWERED,   /* the reply is queued in libmicrohttpd */
};

/* A connection, before its first request. */
struct connection_info {
    const struct listen_address *listen_address; /* the address that accepted it; borrowed */
    struct tls_peer peer;                        /* used by the connection's I/O thread only */
};

struct http {
    struct MHD_Daemon *daemon;        /* connections without TLS; NULL if there are none */
    struct MHD_Daemon *secure_daemon; /* connections with TLS; likewise */
    struct MHD_Daemon *admin_daemon;  /* connections to admin addresses; likewise */
    struct monitor *monitor;
    struct MHD_Response *no_memory; /* sent if allocating a response fails */
    struct http_settings settings;
    atomic_bool draining; /* shutdown has been announced */
    atomic_bool ended;    /* draining is over: the executor may have stopped */
    struct connections *connections;
    struct memory_budget *budget;
    struct rate_limit *rates; /* NULL if there is no limit */
    bool give_up;             /* cancels requests on unmonitored connections; accessed atomically */
    struct connection_info
        connection_info[HTTP_FILES]; /* by descriptor; set before libmicrohttpd gets it */
    char id_prefix[20];              /* of request ids: differs from run to run */
    atomic_ullong served;            /* requests so far; numbers request ids */
    pthread_mutex_t mutex;           /* of `idle` */
    pthread_cond_t idle;             /* signalled when `active` becomes 0 */
    atomic_size_t active;            /* requests between on_headers and on_completed */
    atomic_ullong adopted;           /* connections accepted so far */
};

struct request {
    struct job job; /* must be first: the executor's job is the request */
    struct http *http;
    struct MHD_Connection *connection;
    struct connection_info *connection_info; /* the connection's */
    struct connection_state *monitored;      /* the connection's; may be NULL */
    struct strict_parser *parser;            /* the connection's; never NULL */
    unsigned number;                         /* on the connection, as strict_parser.h counts */
    enum request_state state;
    int64_t started;         /* clock_ns */
    int64_t whole;           /* clock_ns when the body was complete; 0: it is not */
    int64_t waited;          /* nanoseconds since then spent waiting for memory and the executor */
    int64_t handed;          /* clock_ns when it was last enqueued, or its reply was queued */
    int64_t ns[PHASE_COUNT]; /* as in struct request_record */
    const char *method, *target; /* in the connection's memory, like all text of `input` */
    char path[HTTP_PATH];        /* decoded */
    char id[HTTP_ID];
    const char *traceparent;         /* valid, or NULL */
    const char *timeout;             /* value of X-Request-Timeout, or NULL */
    unsigned timeouts;               /* X-Request-Timeout headers */
    int64_t timeout_ms;              /* parsed; 0: none */
    const char *reason;              /* of the rejection, one of rejection_names[], or NULL */
    struct client_identity identity; /* the client */
    struct framing framing;
    const struct route *route;
    struct route_request input;
    struct buffer query;       /* owned: the text of input.view.query */
    struct prepared *prepared; /* owned: the body, read and planned; NULL before and after */
    bool close;                /* close the connection after the response */
    bool dropped;              /* request_reply_and_close has sent the reply */
    bool kept;                 /* request_keep_response_memory was called */
    bool unread;               /* the client may still be sending: linger */
    char *body;                /* owned, of block_cache.h; capacity + 1 bytes */
    size_t len, capacity;
    struct content_coding content_coding;
    uint64_t received; /* bytes of the body, stored or discarded */
    uint64_t patience; /* bytes that may still be discarded before the connection is closed */
    double expand_ms;  /* time spent decompressing the body */
    struct reservation memory;
    struct response reply; /* owned; its body is sent from here until on_completed */
};

/* ---- Connections (accept.c) ---- */

/* Registers and unregisters a connection of libmicrohttpd's (MHD_NotifyConnectionCallback). */
void http_on_connection(void *http, struct MHD_Connection *connection, void **slot,
                        enum MHD_ConnectionNotificationCode what);

/* ---- Callbacks of libmicrohttpd (request.c) ---- */

/* Takes a request one step further (MHD_AccessHandlerCallback). */
enum MHD_Result http_on_request(void *http, struct MHD_Connection *connection, const char *target,
                                const char *method, const char *version, const char *data,
                                size_t *size, void **slot);

/* Counts, logs and frees a request (MHD_RequestCompletedCallback). */
void http_on_completed(void *http, struct MHD_Connection *connection, void **slot,
                       enum MHD_RequestTerminationCode how);

/* Tells the watchdog that the calling thread works on this request, and lets the request report its
   progress. */
void request_report_to_watchdog(struct request *request);

/* ---- Headers (dispatch.c, timeout.c) ---- */

/* Finds the endpoint and checks everything that the headers decide. Returns true if the body is to
   be received; otherwise fills the reply. */
bool request_dispatch(struct request *request);

/* The key that counts requests and orders jobs: of the token's name if the client has one, else of
   its address; 0 if it has neither. */
uint64_t request_client_key(const struct request *request);

/* The TLS session of a connection; NULL without TLS. */
gnutls_session_t connection_tls_session(struct MHD_Connection *connection);

/* The name of the header that limits how long the client waits. */
extern const char timeout_header[];

/* Parses that header. On failure, returns false and fills the reply. */
bool request_read_timeout(struct request *request);

/* How long a request may take once its body is complete, in milliseconds; 0: no limit. */
int64_t request_timeout_ms(const struct request *request);

/* The clock_ns at which that time is up; INT64_MAX for never. */
int64_t request_deadline(const struct request *request);

/* ---- Memory (reserve_memory.c) ---- */

/* Bytes that a request with a body of `bytes` bytes is expected to need in all. */
size_t request_expected_bytes(const struct request *request, size_t bytes);

/* The length of the body as monitor_holds takes it. */
uint64_t request_body_length(const struct request *request);

/* Reserves memory for the body, or suspends the connection until it is available. */
enum MHD_Result request_reserve_memory(struct request *request);

/* Suspends the connection until the memory last asked for is available; the rest of the body stays
   in the socket. `state` is REQUEST_WAITING or REQUEST_GATHERING. */
void request_wait_for_memory(struct request *request, enum request_state state);

/* Trims the reservation to what the response needs, once that is known. */
void request_keep_response_memory(struct request *request);

/* ---- The body (body_buffer.c) ---- */

/* Stores or discards a chunk of the body. Sets `*size` to 0 unless the chunk is to be delivered
   again. Returns MHD_NO, which closes the connection, if the chunk is malformed or more bytes
   than request->patience are discarded. */
enum MHD_Result request_on_body_chunk(struct request *request, const char *data, size_t *size);

/* Frees the body and discards the rest of it as it arrives, as the request is rejected. */
void request_discard_body(struct request *request);

/* Frees the body and what was prepared from it. */
void request_free_body(struct request *request);

/* ---- Computing (compute.c) ---- */

/* Runs the handler if it is little work, otherwise enqueues the request. */
enum MHD_Result request_on_body_complete(struct request *request);

/* Suspends the connection and enqueues the request on the executor. Returns false, with nothing
   changed, if that takes no more jobs. */
bool request_enqueue_compute(struct request *request);

/* Like request_enqueue_compute, for a suspended connection. Any thread may call it. */
bool request_enqueue_suspended(struct request *request);

/* Returns true if the client disconnected, or the server has cancelled all requests. */
bool request_is_cancelled(const struct request *request);

/* ---- Error replies (request_errors.c) ---- */

/* Counts a rejection and notes it for the log. */
void request_count_rejection(struct request *request, enum rejection reason);

/* These fill the reply, and count the rejection. `what` names what needs the memory. */
void request_fail_too_large(struct request *request);
void request_fail_no_memory(struct request *request, const char *what);
void request_fail_cancelled(struct request *request);
void request_fail_timeout(struct request *request);
void request_fail_queue_full(struct request *request);

/* Fills the reply of a malformed request, and closes the connection: what follows on it cannot be
   trusted. */
void request_fail_malformed(struct request *request, const struct http_error *fault);

/* Fills the reply of a request that the executor did not take. It is sent at the next callback. */
enum MHD_Result request_fail_enqueue(struct request *request);

/* ---- The response (send_response.c) ---- */

/* The name of the header that says how many bytes of a body are JSON, if binary tensors follow. */
extern const char inference_header[];

/* Makes the response that is sent if allocating another one fails. Returns NULL if memory is
   insufficient. */
struct MHD_Response *http_no_memory_response(void);

/* Sends a reply that is known after the headers: now, or after the body has been discarded. */
enum MHD_Result request_reply_after_headers(struct request *request);

/* Compresses a reply that is known after the body, if the client asked for that, and sends it. */
enum MHD_Result request_finish_reply(struct request *request);

/* Queues the reply in libmicrohttpd. Returns MHD_NO, which closes the connection, on failure. */
enum MHD_Result request_send_reply(struct request *request);

/* Sends the reply in the middle of a body, and closes the connection. Returns MHD_NO. */
enum MHD_Result request_reply_and_close(struct request *request);

/* ---- Metrics (http_metrics.c) ---- */

/* Adds the metrics of connections and requests. Returns false if memory is insufficient. */
bool http_add_metrics(struct http *http);

#endif
