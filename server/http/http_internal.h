/*
 * The state of the HTTP server and of a request, and the functions that process a request. The
 * files of this folder, in the order in which a request passes through them:
 *
 *     accept.c            a connection is accepted and registered
 *     request.c           libmicrohttpd's callbacks, and the states of a request
 *     head_validation.c   the headers are checked to delimit the body unambiguously
 *     dispatch.c          routing, authentication, rate limit and checks of the headers
 *     reserve_memory.c    memory for the body is reserved
 *     body_buffer.c       the body arrives
 *     compute.c           the handler runs, on the I/O thread or on the executor
 *     content_coding.c    the body is decompressed and the response compressed
 *     send_response.c     the response is sent
 *
 * mhd_server.c starts and stops the I/O threads, drain.c shuts down gracefully, timeout.c computes
 * deadlines, request_errors.c fills error responses, and http_metrics.c exports metrics.
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
    HTTP_FILES = CONNECTIONS_FILES, /* connections with this or a higher descriptor are closed */
    HTTP_ADMIN_CONNECTIONS = 16,    /* connections of admin addresses beyond --max-connections */
    HTTP_SEND_PIECE = 128 * 1024,   /* bytes of a response that are sent at a time */
    HTTP_PATH = 256,                /* size of a path that can match a route, including the NUL */
    HTTP_ID = 129,                  /* size of a request id, including the NUL */
};

/* request.c shows the transitions. */
enum request_state {
    REQUEST_WAITING_FOR_BODY_MEMORY,    /* suspended, owned by memory_budget.h */
    REQUEST_WAITING_FOR_COMPUTE_MEMORY, /* likewise */
    REQUEST_REJECTED,   /* the wait for memory failed; the body may still be arriving */
    REQUEST_RECEIVING,  /* the body is being stored */
    REQUEST_DISCARDING, /* the response is known; the body is being discarded */
    REQUEST_COMPUTING,  /* suspended, owned by the executor */
    REQUEST_READY,      /* the response is known; the next callback sends it */
    REQUEST_RESPONDED,  /* the response is queued in libmicrohttpd */
};

/* A connection. Set before its first request. */
struct connection_info {
    const struct listen_address *listen_address; /* the address that accepted it; borrowed */
    struct tls_peer peer;                        /* used only by the connection's I/O thread */
};

struct http {
    struct MHD_Daemon *daemon;        /* connections without TLS; NULL if there are none */
    struct MHD_Daemon *secure_daemon; /* connections with TLS; likewise */
    struct MHD_Daemon *admin_daemon;  /* connections to admin addresses; likewise */
    struct monitor *monitor;
    struct MHD_Response *no_memory; /* sent if allocating a response fails */
    struct http_settings settings;
    atomic_bool draining; /* shutdown has been announced */
    atomic_bool ended;    /* draining is complete: the executor may have stopped */
    struct connections *connections;
    struct memory_budget *budget;
    struct rate_limit *rates; /* NULL if there is no limit */
    bool cancel_all;          /* cancels requests on unmonitored connections; accessed atomically */
    struct connection_info
        connection_info[HTTP_FILES]; /* by descriptor; set before libmicrohttpd gets it */
    char id_prefix[20];              /* prefix of request ids; differs between runs */
    atomic_ullong served;            /* requests so far; the number in request ids */
    pthread_mutex_t mutex;           /* for `idle` */
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
    unsigned number; /* number on the connection, as counted by strict_parser.h */
    enum request_state state;
    int64_t started;       /* clock_ns */
    int64_t body_complete; /* clock_ns when the body was complete; 0: not yet */
    int64_t waited;        /* nanoseconds spent waiting for memory or the executor after that */
    int64_t enqueued; /* clock_ns when the request was last enqueued or its response was queued */
    int64_t ns[PHASE_COUNT];     /* as in struct request_record */
    const char *method, *target; /* in the connection's memory, like all text in `input` */
    char path[HTTP_PATH];        /* decoded */
    char id[HTTP_ID];
    const char *traceparent; /* valid, or NULL */
    const char *timeout;     /* value of X-Request-Timeout, or NULL */
    unsigned timeouts;       /* number of X-Request-Timeout headers */
    int64_t timeout_ms;      /* parsed; 0: none */
    const char *reason;      /* reason of the rejection, one of rejection_names[], or NULL */
    struct client_identity identity; /* the client */
    struct framing framing;
    const struct route *route;
    struct route_request input;
    struct buffer query;       /* owned; the text of input.view.query */
    struct prepared *prepared; /* owned; the parsed and planned body; NULL before and after */
    bool close;                /* close the connection after the response */
    bool sent_directly;        /* request_respond_and_close has sent the response */
    bool kept;                 /* request_keep_response_memory was called */
    bool unread;               /* the client may still be sending: close with linger */
    char *body;                /* owned; capacity + 1 bytes from block_cache.h */
    size_t len, capacity;
    struct content_coding content_coding;
    uint64_t received;      /* bytes of the body received, stored or discarded */
    uint64_t discard_limit; /* bytes that may still be discarded before the connection is closed */
    double expand_ms;       /* time spent decompressing the body */
    struct reservation memory;
    struct response response; /* owned; its body must not change until http_on_completed */
};

/* ---- Connections (accept.c) ---- */

/* Registers and unregisters a connection (MHD_NotifyConnectionCallback). */
void http_on_connection(void *http, struct MHD_Connection *connection, void **slot,
                        enum MHD_ConnectionNotificationCode what);

/* ---- Callbacks of libmicrohttpd (request.c) ---- */

/* Performs the next step of a request (MHD_AccessHandlerCallback). */
enum MHD_Result http_on_request(void *http, struct MHD_Connection *connection, const char *target,
                                const char *method, const char *version, const char *data,
                                size_t *size, void **slot);

/* Counts, logs and frees a request (MHD_RequestCompletedCallback). */
void http_on_completed(void *http, struct MHD_Connection *connection, void **slot,
                       enum MHD_RequestTerminationCode how);

/* Tells the watchdog that the calling thread is working on this request, and lets the request
   report its progress. */
void request_report_to_watchdog(struct request *request);

/* ---- Headers (dispatch.c, timeout.c) ---- */

/* Finds the route and performs all checks that need only the headers. Returns true if the body must
   be received. Otherwise fills the response and returns false. */
bool request_dispatch(struct request *request);

/* Returns the key of the client for rate limits and the job queue: that of its name if it has one,
   else that of its address. Returns 0 if it has neither. */
uint64_t request_client_key(const struct request *request);

/* Returns the TLS session of a connection, or NULL without TLS. */
gnutls_session_t connection_tls_session(struct MHD_Connection *connection);

/* Name of the header that limits how long the client waits. */
extern const char timeout_header[];

/* Parses that header. On failure, returns false and fills the response. */
bool request_read_timeout(struct request *request);

/* Returns how many milliseconds a request may take after its body is complete; 0: no limit. */
int64_t request_timeout_ms(const struct request *request);

/* Returns the clock_ns at which that time expires; INT64_MAX: never. */
int64_t request_deadline(const struct request *request);

/* ---- Memory (reserve_memory.c) ---- */

/* Returns how much memory a request with a body of `bytes` bytes is expected to need in total. */
size_t request_expected_bytes(const struct request *request, size_t bytes);

/* Returns the length of the body, for monitor_set_memory. */
uint64_t request_body_length(const struct request *request);

/* Reserves memory for the body. If it is not available, suspends the connection until it is, or
   rejects the request. */
enum MHD_Result request_reserve_memory(struct request *request);

/* Suspends the connection until the memory last requested is available. The rest of the body stays
   in the socket. `state` is REQUEST_WAITING_FOR_BODY_MEMORY or REQUEST_WAITING_FOR_COMPUTE_MEMORY.
 */
void request_wait_for_memory(struct request *request, enum request_state state);

/* Reduces the reservation to what the response needs. Call it when the response is known. */
void request_keep_response_memory(struct request *request);

/* ---- The body (body_buffer.c) ---- */

/* Stores or discards a chunk of the body. Sets *size to 0 unless the chunk must be delivered again.
   Returns MHD_NO, which closes the connection, if the chunk is malformed or exceeds the
   request->discard_limit bytes to discard. */
enum MHD_Result request_on_body_chunk(struct request *request, const char *data, size_t *size);

/* Frees the body of a rejected request, and discards the rest of it as it arrives. */
void request_discard_body(struct request *request);

/* Frees the body and what was prepared from it. */
void request_free_body(struct request *request);

/* ---- Computing (compute.c) ---- */

/* Runs the handler if it is little work, otherwise enqueues the request, after a wait for memory if
   necessary. */
enum MHD_Result request_on_body_complete(struct request *request);

/* Suspends the connection and enqueues the request on the executor. Returns false, without any
   effect, if the executor accepts no more jobs. */
bool request_enqueue_compute(struct request *request);

/* Like request_enqueue_compute, for a suspended connection. Any thread may call it. */
bool request_enqueue_suspended(struct request *request);

/* Returns true if the client disconnected, or the server has cancelled all requests. */
bool request_is_cancelled(const struct request *request);

/* ---- Error responses (request_errors.c) ---- */

/* Counts a rejection and stores its reason for the log. */
void request_count_rejection(struct request *request, enum rejection reason);

/* These fill the response and count the rejection. `what` is what the memory was needed for. */
void request_fail_too_large(struct request *request);
void request_fail_no_memory(struct request *request, const char *what);
void request_fail_cancelled(struct request *request);
void request_fail_timeout(struct request *request);
void request_fail_queue_full(struct request *request);

/* Fills the response to a malformed request, and closes the connection, because nothing after the
   fault can be trusted. */
void request_fail_malformed(struct request *request, const struct http_error *fault);

/* Fills the response to a request that the executor did not accept. The next callback sends it. */
enum MHD_Result request_fail_enqueue(struct request *request);

/* ---- The response (send_response.c) ---- */

/* Name of the header with the length of the JSON part of a body that also has binary tensors. */
extern const char inference_header[];

/* Creates the response that is sent if allocating another one fails. Returns NULL if memory is
   insufficient. */
struct MHD_Response *http_no_memory_response(void);

/* Sends a response that is known after the headers: now, or after the body has been discarded. */
enum MHD_Result request_respond_after_headers(struct request *request);

/* Compresses a response that is known after the body, if the client asked for that, and sends
   it. */
enum MHD_Result request_finish_response(struct request *request);

/* Queues the response in libmicrohttpd. Returns MHD_NO, which closes the connection, on failure. */
enum MHD_Result request_send_response(struct request *request);

/* Sends the response in the middle of a body and closes the connection. Returns MHD_NO. */
enum MHD_Result request_respond_and_close(struct request *request);

/* ---- Metrics (http_metrics.c) ---- */

/* Adds the metrics of connections and requests. Returns false if memory is insufficient. */
bool http_add_metrics(struct http *http);

#endif
