/*
 * The HTTP server: what becomes of each request between its first header and its last byte.
 *
 * libmicrohttpd calls on_request several times for one request, always on the I/O thread that has
 * the connection: once when the headers are in, once for each piece of the body, once when all is
 * in, and once more when a suspended connection was resumed. What to do next is kept in
 * request.state:
 *
 *                    refused, body long or not to be trusted
 *     (first call) ---------------------------------------------------------------> ANSWERED
 *          |  |  refused, body short, or too long without having said so
 *          |  +-----------------------> DISCARDING ------ all is in -------> READY --> ANSWERED
 *          |  answered from the headers alone                                  ^
 *          |  +----------------------------------------------------------------+
 *          v                                                                   |
 *      WAITING (until there is memory) -- too late ---> LATE: answered and dropped
 *          |  ^ the body grows                                                 |
 *      RECEIVING -- all is in, small: computed at once ------------------------+
 *          |  +------- all is in, no memory to compute: GATHERING -- too late -+  resumed
 *          |                                      v                            |
 *          +------- all is in, large: queued --> COMPUTING --------------------+  resumed
 *
 * READY goes to COMPUTING once if the executor has to compress the answer.
 *
 * Who owns a request (struct request): the I/O thread, from the first call until on_completed frees
 * it, except in three states. In COMPUTING it belongs to the executor, in WAITING and GATHERING to
 * memory_budget.h, and from there it may be given to the executor without the I/O thread. Each of
 * them gives it back by a call of on_job_done or on_memory, on any thread: the executor's two, the
 * one of connection_monitor.h, or an I/O thread that frees memory or queues a job. That is safe
 * because of three things. (1) The connection is suspended before the request is given away, and
 * libmicrohttpd does nothing to a suspended connection, it does not even notice that the client has
 * gone: so neither on_request nor on_completed can run meanwhile. (2) The last thing that is done
 * to a request before it is given back is MHD_resume_connection; from that call on the I/O thread
 * may free it, so neither the request nor the connection is touched again. (3)
 * MHD_resume_connection locks the same mutex under which the I/O thread takes the connection back,
 * so whatever was written is seen there.
 *
 * A client that resets or closes its connection in the meantime is noticed by connection_monitor.h,
 * and its work is given up; in any case sending fails, and on_completed frees the request as ever.
 */
#include "http/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "admission/memory_budget.h"
#include "admission/rate_limit.h"
#include "connection/client_key.h"
#include "connection/connection_limits.h"
#include "connection/connection_monitor.h"
#include "connection/tls.h"
#include "http/content_coding.h"
#include "http/head_validation.h"
#include "http/http_error.h"
#include "memory/block_cache.h"
#include "mhd_workarounds/early_status_line.h"
#include "mhd_workarounds/strict_parser.h"
#include "mhd_workarounds/tls_handshake.h"
#include "observe/log.h"
#include "observe/traceparent.h"
#include "routes/routes.h"
#include "system/watchdog.h"
#include "util/clock.h"
#include "util/digits.h"
#include "util/duration.h"
#include "json/scanner.h"

enum {
    /* Bodies below this are evaluated by the I/O thread: some 10 000 numbers, read and computed in
       well under a millisecond, for which waking another thread twice would cost as much again.
       Longer ones would hold up the other connections. */
    HTTP_INLINE_BODY = 64 * 1024,
    /* The most work that the I/O thread does for one evaluation (loss_plan.work): some 150 us. */
    HTTP_INLINE_WORK = 150 * 1000,
    /* Work for each byte of a body that the executor does without asking whether there are shorter
       jobs: more than reading the body once more costs. */
    HTTP_BYTE_WORK = 100,
    /* Nanoseconds of one core that a byte of a body is expected to cost, for reading JSON and
       writing it, and a byte of an answer that is compressed. */
    HTTP_BODY_COST = 4,
    HTTP_CODING_COST = 20,
    /* Up to this many bytes of a refused request's body are read and dropped, so that the
       connection stays usable. */
    HTTP_DISCARD_BODY = 64 * 1024,
    /* A body has memory for what has come of it and not much more, however long it is said to be.
       It starts with so much, */
    HTTP_BODY_START = 64 * 1024,
    HTTP_BODY_DOUBLES = 2 << 20, /* doubles up to here, */
    HTTP_BODY_SPARE =
        4, /* and then grows by a quarter and more, in whole huge pages, which copies nothing */
    HTTP_CONNECTIONS_MIN = 16,
    HTTP_ADMIN_CONNECTIONS =
        16, /* that health and metrics may have where there are too many of others */
    /* For headers and the piece of the body that is being read, which is half of it; more where
       headers may be longer. libmicrohttpd clears all of it for each request, which with 128 KiB
       took a quarter of a small request's time; larger pieces make no body faster. */
    HTTP_CONNECTION_MEMORY = 32 * 1024,
    HTTP_HEADER_MEMORY =
        68, /* that libmicrohttpd takes of it for each header besides its name and value ... */
    HTTP_PARAMETER_MEMORY = 64, /* ... and for each parameter of a query */
    HTTP_ANSWER_MEMORY = 2048,  /* and for the headers of its answer */
    HTTP_SEND_PIECE =
        128 * 1024, /* bytes of an answer that are sent before other connections have their turn */
    HTTP_FILES =
        CONNECTIONS_FILES, /* descriptors that are numbered higher are not served: none will be */
    HTTP_SPARE_FILES = 64, /* descriptors for everything but connections and I/O threads */
    HTTP_THREAD_FILES = 4, /* the same, for each I/O thread: two with TLS, two without */
    HTTP_DRAIN_LAST_MS = 2000, /* that clients have for reading that their request was given up */
    HTTP_DRAIN_QUIET_MS = 100, /* without a request, until what was on its way has surely come */
    HTTP_DRAIN_LOOK_MS = 2,    /* between two looks whether connections are still open meanwhile */
    /* What a connection takes besides libmicrohttpd's memory for it. As much as both is set aside
       for each that there may be, of a part of the budget. */
    HTTP_CONNECTION_BYTES = 8 * 1024,
    HTTP_SECURE_BYTES = 40 * 1024, /* and what GnuTLS takes */
    HTTP_CONNECTIONS_SHARE = 4,
    HTTP_BODY_FACTOR = 2,  /* what a request is expected to need in all, by its body: numbers and
                              answer are about as large */
    HTTP_CODED_FACTOR = 5, /* the same, of a body that is compressed */
    HTTP_REQUEST_BYTES = 64 * 1024, /* that are expected of any request that has a body */
    HTTP_ANSWER_FREE =
        4096,        /* bytes of an answer that are not counted: those of a connection do for it */
    HTTP_PATH = 256, /* bytes of a path that can be ours, with its NUL */
    HTTP_ID = 129,   /* bytes of a request id, with its NUL */
    HTTP_TIMEOUT_MOST_MS = 86400000,
};

enum request_state {
    REQUEST_WAITING,    /* for memory for its body; the connection is suspended, and it belongs to
                           memory_budget.h */
    REQUEST_GATHERING,  /* the same for memory to be computed */
    REQUEST_LATE,       /* refused while it waited; the rest of the body may still be to come */
    REQUEST_RECEIVING,  /* the body is being stored */
    REQUEST_DISCARDING, /* the reply is known, the body is dropped as it comes */
    REQUEST_COMPUTING,  /* belongs to the executor; the connection is suspended */
    REQUEST_READY,      /* the reply is known and can be sent at the next call */
    REQUEST_ANSWERED,   /* the reply is with libmicrohttpd */
};

/* What is known of a connection before its first request. */
struct arrival {
    const struct entrance *entrance; /* where it came in */
    struct tls_peer peer;            /* of TLS; belongs to the thread that has the connection */
};

struct http {
    struct MHD_Daemon *daemon;        /* of connections without TLS; NULL where there can be none */
    struct MHD_Daemon *secure_daemon; /* of those with it, likewise */
    struct MHD_Daemon
        *admin_daemon; /* of those to the admin addresses, likewise; its thread does nothing else */
    struct watch *watch;
    struct MHD_Response *no_memory; /* for when there is none to make a response with */
    struct http_settings settings;
    atomic_bool draining; /* it is about to end */
    atomic_bool ended;    /* clients have had their time: the executor may be stopped */
    struct connections *connections;
    struct budget *budget;
    struct rates *rates; /* NULL: there is no limit */
    bool give_up; /* what is computed on connections that are not watched is not wanted any more;
                     accessed atomically */
    struct arrival arrival[HTTP_FILES]; /* of connections, by descriptor; set before libmicrohttpd
                                           knows of them */
    char id_prefix[20];                 /* makes ids of different runs differ */
    atomic_ullong served;               /* requests so far: numbers the ids */
    pthread_mutex_t mutex;
    pthread_cond_t idle;   /* active has become 0 */
    atomic_size_t active;  /* requests between their first call and their completion */
    atomic_ullong adopted; /* connections so far */
};

struct request {
    struct job job; /* first, so that the executor's job is the request */
    struct http *http;
    struct MHD_Connection *connection;
    struct arrival *arrival; /* the connection's */
    struct watched *watched; /* the connection's; may be NULL */
    struct wire *wire;       /* likewise; never NULL */
    unsigned number;         /* on the connection, as strict_parser.h counts */
    enum request_state state;
    int64_t started;         /* clock_ns */
    int64_t whole;           /* the same, when all of it had come; 0: it has not */
    int64_t waited;          /* nanoseconds since then for memory and for the executor */
    int64_t handed;          /* the same, when it was last handed to the executor, or its answer to
                                libmicrohttpd */
    int64_t ns[PHASE_COUNT]; /* as in struct record */
    const char *method, *target; /* in the connection's memory, as is all text of `call` */
    char path[HTTP_PATH];        /* decoded */
    char id[HTTP_ID];
    const char *traceparent; /* sound, or NULL */
    const char *timeout;     /* of the header X-Request-Timeout, or NULL */
    unsigned timeouts;       /* how many of them there are */
    int64_t timeout_ms;      /* what it says; 0: nothing */
    const char *reason;      /* of reject_names, or NULL */
    struct visitor visitor;  /* who sent it */
    struct framing framing;
    const struct route *route;
    struct call call;
    struct buffer query; /* owned: the text of call.query */
    bool close;          /* the connection is closed after the answer */
    bool dropped;        /* answered in the midst of its body */
    bool kept;           /* memory for the answer is kept, and no more */
    bool unread;         /* the answer was given while the client may still be sending */
    char *body;          /* owned, of block_cache.h; capacity bytes and one */
    size_t len, capacity;
    struct transfer transfer;
    uint64_t received; /* bytes of the body, whether stored or dropped */
    uint64_t patience; /* bytes that are still dropped before the connection is */
    double expand_ms;  /* that expanding the body took */
    struct reservation memory;
    struct reply reply; /* owned; libmicrohttpd sends from its body until on_completed */
};

static void count_reject(struct request *request, enum reject reason)
{
    reject_count(metrics_rejects(request->http->settings.metrics), reason);
    request->reason = reject_names[reason];
}

/* ---- answering ---- */

static bool add_header(struct MHD_Response *response, const char *name, const char *value)
{
    return MHD_add_response_header(response, name, value) == MHD_YES;
}

__attribute__((format(printf, 3, 4))) static bool
add_header_printf(struct MHD_Response *response, const char *name, const char *format, ...)
{
    char value[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(value, sizeof value, format, arguments);
    va_end(arguments);
    return add_header(response, name, value);
}

/* "name;dur=12.345". Put together by hand, as every answer has it. */
static char *put_duration(char *to, const char *name, double ms)
{
    to = stpcpy(stpcpy(to, name), ";dur=");
    return put_ms(to, (int64_t)(ms * 1e6));
}

static bool add_timing(struct MHD_Response *response, const struct reply *reply)
{
    char value[160], *to = put_duration(value, "decode", reply->decode_ms);
    to = put_duration(to, ", compute", reply->compute_ms);
    *put_duration(to, ", encode", reply->encode_ms) = '\0';
    return add_header(response, "Server-Timing", value);
}

/* How many bytes of a body are JSON, where binary tensors follow it. */
static const char inference_header[] = "Inference-Header-Content-Length";

/* For how many seconds the client waits for the answer. */
static const char timeout_header[] = "X-Request-Timeout";

/* Whether the answer is to a GET or a HEAD, which others than the client may keep. */
static bool is_read(const struct request *request)
{
    return (request->reply.status == 200 || request->reply.status == 304) &&
           strcmp(request->method, "POST") != 0;
}

/* Those headers of a reply that only some have. */
static bool add_rare_headers(const struct reply *reply, struct MHD_Response *response)
{
    bool added = !reply->etag || add_header(response, "ETag", reply->etag);
    for (const struct reply_header *header = reply->headers; added && header && header->name;
         header++)
        added = add_header(response, header->name, header->value);
    return added;
}

static bool add_headers(const struct request *request, struct MHD_Response *response)
{
    const struct reply *reply = &request->reply;
    return add_header(response, "X-Request-Id", request->id) && add_timing(response, reply) &&
           (!request->traceparent || add_header(response, "traceparent", request->traceparent)) &&
           add_header(response, "X-Content-Type-Options", "nosniff") &&
           (!reply->content_type || add_header(response, "Content-Type", reply->content_type)) &&
           (!reply->allow || add_header(response, "Allow", reply->allow)) &&
           add_rare_headers(reply, response) &&
           (reply->inference_header == 0 ||
            add_header_printf(response, inference_header, "%zu", reply->inference_header)) &&
           (!reply->content_encoding ||
            add_header(response, "Content-Encoding", reply->content_encoding)) &&
           (!(reply->content_encoding || is_read(request)) ||
            add_header(response, "Vary", "Accept-Encoding")) &&
           (!reply->accept_encoding ||
            add_header(response, "Accept-Encoding", reply->accept_encoding)) &&
           (reply->retry_after == 0 ||
            add_header_printf(response, "Retry-After", "%d", reply->retry_after)) &&
           access_add_headers(request->http->settings.access, &request->visitor, reply->allow,
                              response) &&
           (!request->close || add_header(response, "Connection", "close"));
}

/* Of a reader of libmicrohttpd's: gives it the bytes of the answer from `at` on, as many as it has
 * room for. */
static ssize_t read_answer(void *context, uint64_t at, char *to, size_t room)
{
    const struct request *request = context;
    const struct buffer *body = &request->reply.body;
    const size_t rest = body->len - (size_t)at,
                 size = rest < room ? rest : room; /* it never asks beyond the end */
    memcpy(to, body->data + at, size);
    watch_progress(request->watched, at + size);
    return (ssize_t)size;
}

/* Sent from where the answer is, which lives until on_completed; that is called only when the last
   byte was sent or sending given up. A long one goes in pieces that are copied: libmicrohttpd would
   send it in one call, which goes on for as long as the client keeps reading (25 ms for 22 MB), and
   all the thread's other connections would wait. */
static struct MHD_Response *response_of(struct request *request)
{
    struct buffer *body = &request->reply.body;
    if (body->len > HTTP_SEND_PIECE)
        return MHD_create_response_from_callback(body->len, HTTP_SEND_PIECE, read_answer, request,
                                                 NULL);
    return MHD_create_response_from_buffer(body->len, body->data, MHD_RESPMEM_PERSISTENT);
}

/* The response for the reply, NULL where even that much memory is missing. */
static struct MHD_Response *make_response(struct request *request)
{
    struct reply *reply = &request->reply;
    request->close |= atomic_load(&request->http->draining);
    if (reply->body.failed)
        refuse(reply, 503, "there is no memory for the answer at the moment");
    struct MHD_Response *response = response_of(request);
    if (response && !add_headers(request, response)) {
        MHD_destroy_response(response);
        response = NULL;
    }
    return response;
}

/* Where there is no memory for a response, the one that was made for that case: it goes to a
 * connection that may stay. */
static enum MHD_Result answer_no_memory(struct request *request)
{
    if (request->close)
        return MHD_NO;
    reply_free(&request->reply);
    request->reply = (struct reply){.status = 503};
    request->state = REQUEST_ANSWERED;
    request->handed = clock_ns();
    return MHD_queue_response(request->connection, 503, request->http->no_memory);
}

/* Gives the reply to libmicrohttpd. MHD_NO, which closes the connection, where that cannot be. */
static enum MHD_Result answer(struct request *request)
{
    if (!watch_turn(request->watched, WATCH_ANSWER))
        return MHD_NO;
    struct MHD_Response *response = make_response(request);
    if (!response)
        return answer_no_memory(request);
    if (request->reply.body.len > HTTP_SEND_PIECE) /* shorter ones are not counted as they go */
        watch_holds(request->watched, request->reply.body.len, request->memory.reserved);
    request->state = REQUEST_ANSWERED;
    request->handed = clock_ns();
    enum MHD_Result result =
        MHD_queue_response(request->connection, (unsigned)request->reply.status, response);
    MHD_destroy_response(response); /* our reference; the connection has its own */
    return result;
}

/* Answers at the first call, with the body unread. libmicrohttpd closes the connection after it:
 * see lingering_close.h. */
static enum MHD_Result answer_early(struct request *request)
{
    request->unread = true;
    return answer(request);
}

/* The reply is known at the first call: answers now or when the body has been dropped, whichever
   leaves more of the connection intact. */
static enum MHD_Result settle(struct request *request)
{
    const struct framing *framing = &request->framing;
    bool body = framing->chunked || framing->length > 0;
    if (!body) {
        /* Not sent now, since whatever is answered at the first call costs the connection; the next
         * call comes at once. */
        request->state = REQUEST_READY;
        return MHD_YES;
    }
    /* A client that waits for "100 Continue" must be told before it sends the body. */
    if (framing->chunked || framing->expects_continue || framing->length > HTTP_DISCARD_BODY)
        return answer_early(request);
    request->state = REQUEST_DISCARDING;
    request->patience = framing->length;
    return MHD_YES;
}

/* ---- the body ---- */

static void free_body(struct request *request)
{
    pages_free(request->body, request->capacity + 1);
    allowance_give(&request->memory.allowance, request->body ? request->capacity + 1 : 0);
    request->body = NULL;
    request->len = request->capacity = 0;
}

/* Turns a request whose body is coming in into a refused one. */
static void give_up(struct request *request)
{
    free_body(request);
    reservation_trim(&request->memory);
    watch_holds(request->watched, 0, 0);
    request->state = REQUEST_DISCARDING;
    request->patience = request->http->settings.limits.max_body;
}

/* Gives the body so many bytes and one for a NUL; false where memory has run out. */
static bool size_body(struct request *request, size_t size)
{
    const size_t before = request->body ? request->capacity + 1 : 0, more = size + 1 - before;
    if (!allowance_take(&request->memory.allowance, more))
        return false;
    const struct framing *const framing = &request->framing;
    const size_t expected = framing->has_length ? (size_t)framing->length : size;
    char *body = pages_grow(request->body, before, size + 1, expected + 1);
    if (!body) {
        allowance_give(&request->memory.allowance, more);
        return false;
    }
    request->body = body;
    request->capacity = size;
    return true;
}

/* How much room a body is given that has to hold `wanted` bytes, which are within max_body. */
static size_t next_capacity(const struct request *request, size_t wanted)
{
    const struct framing *const framing = &request->framing;
    const size_t has = request->capacity, limit = request->http->settings.limits.max_body;
    const size_t most = framing->has_length ? (size_t)framing->length : limit;
    size_t next = has < HTTP_BODY_DOUBLES ? has * 2 : has + has / HTTP_BODY_SPARE;
    if (next > HTTP_BODY_DOUBLES) /* and one byte for a NUL */
        next = next / HTTP_BODY_DOUBLES * HTTP_BODY_DOUBLES + HTTP_BODY_DOUBLES - 1;
    if (next < HTTP_BODY_START)
        next = HTTP_BODY_START;
    if (next > most)
        next = most;
    return next > wanted ? next : wanted;
}

static void refuse_too_large(struct request *request)
{
    count_reject(request, REJECT_BODY_SIZE);
    refuse(&request->reply, 413,
           "the body is larger than %zu bytes, the limit that --max-body sets",
           request->http->settings.limits.max_body);
}

/* Refuses a request that will never find enough memory, or did not now. */
static void refuse_no_memory(struct request *request, const char *what)
{
    struct http *const http = request->http;
    count_reject(request, request->memory.never ? REJECT_MEMORY_NEVER : REJECT_MEMORY);
    if (request->memory.never)
        refuse(&request->reply, 413,
               "this needs more memory than the %zu bytes that --max-memory leaves to a request",
               budget_most(http->budget));
    else
        refuse(&request->reply, 503, "there is no memory for %s at the moment", what);
    if (!request->memory.never)
        budget_missed(http->budget);
}

/* Once the answer is known: keeps the memory for it, and gives back the rest. */
static void keep_answer(struct request *request)
{
    struct buffer *const body = &request->reply.body;
    const size_t piece =
        body->len > HTTP_SEND_PIECE ? HTTP_SEND_PIECE : 0; /* that libmicrohttpd copies */
    struct allowance *const allowance = &request->memory.allowance;
    if (request->kept)
        return;
    request->kept = true;
    const bool probe = request->route &&
                       request->route->side != ROUTE_MAIN; /* needed most when memory is used up */
    const size_t bytes =
        piece + (body->allowance || body->capacity <= HTTP_ANSWER_FREE ? 0 : body->capacity);
    if (!probe && bytes > 0 && !allowance_take(allowance, bytes))
        refuse_no_memory(request, "the answer");
    reservation_trim(&request->memory);
}

/* As watch_holds has it. */
static uint64_t body_length(const struct request *request)
{
    return request->framing.chunked ? WATCH_ANY_LENGTH : request->framing.length;
}

/* ---- how long a request may take ---- */

/* How long a request may take from when it is whole, in milliseconds; 0: any time. */
static int64_t timeout_of(const struct request *request)
{
    const int64_t ours = request->http->settings.limits.compute_timeout,
                  theirs = request->timeout_ms;
    return theirs > 0 && (ours == 0 || theirs < ours) ? theirs : ours;
}

/* The same, when its time is up (clock_ns); INT64_MAX for never. */
static int64_t deadline_of(const struct request *request)
{
    const int64_t limit_ms = timeout_of(request);
    return limit_ms > 0 ? request->whole + limit_ms * 1000000 : INT64_MAX;
}

/* Refuses a request whose time is up. Asking again makes sense unless computing took most of it. */
static void refuse_late(struct request *request)
{
    const int64_t limit_ms = timeout_of(request), waited_ms = request->waited / 1000000;
    const bool theirs = limit_ms != request->http->settings.limits.compute_timeout;
    count_reject(request, REJECT_COMPUTE_TIME);
    refuse(&request->reply, 503,
           "the answer was not ready within %.10g seconds, the limit that %s sets; the request "
           "waited for %.1f of them",
           (double)limit_ms / 1000, theirs ? timeout_header : "--compute-timeout",
           (double)waited_ms / 1000);
    request->reply.retry_after =
        2 * waited_ms < limit_ms ? 0 : executor_retry_after(request->http->settings.executor);
}

/* ---- waiting for memory ---- */

static bool hand_over(struct request *request);
static enum MHD_Result refuse_submitted(struct request *request);

/* Whether the client has left, or the server cannot wait for the end of the work. */
static bool is_given_up(const struct request *request)
{
    return allowance_cancelled(&request->memory.allowance);
}

/* Refuses a request for which nobody waits, or cannot: its client has left, or the server cannot
   wait for the end. */
static void refuse_gone(struct request *request)
{
    const bool ending = __atomic_load_n(&request->http->give_up, __ATOMIC_RELAXED);
    count_reject(request, ending ? REJECT_DRAINING : REJECT_GONE);
    refuse(&request->reply, ending ? 503 : reply_status(LOSS_CANCELLED),
           "the request was given up: %s",
           ending ? "the server is shutting down" : "the client has left");
    request->close = true;
}

/* What a request with a body of so many bytes, as long as one is known, is expected to need. */
static size_t expected_bytes(const struct request *request, size_t bytes)
{
    const size_t factor =
        request->transfer.content.coding == CODING_IDENTITY ? HTTP_BODY_FACTOR : HTTP_CODED_FACTOR;
    const size_t expected =
        HTTP_REQUEST_BYTES + bytes * factor; /* --max-body is far from overflowing */
    const size_t most = budget_most(request->http->budget);
    return expected < most ? expected : most;
}

/* Refuses a request that waited for memory. */
static void refuse_waiting(struct request *request)
{
    const bool whole = request->state == REQUEST_GATHERING;
    if (whole)
        request->waited = clock_ns() - request->whole;
    if (is_given_up(request))
        refuse_gone(request);
    else if (whole && clock_ns() >= deadline_of(request))
        refuse_late(request);
    else
        refuse_no_memory(request, "this request");
    if (whole)
        free_body(request);
    else
        watch_turn(request->watched, WATCH_BODY);
    request->state = whole ? REQUEST_READY : REQUEST_LATE;
    MHD_resume_connection(request->connection);
}

/* Memory was found for a request, or its time to wait for it is up. From any thread. */
static void on_memory(struct reservation *memory, bool granted)
{
    struct request *const request =
        (struct request *)(void *)((char *)memory - offsetof(struct request, memory));
    if (!granted) {
        refuse_waiting(request);
    } else if (request->state == REQUEST_GATHERING) {
        request->waited = clock_ns() - request->whole;
        if (hand_over(request))
            return;
        refuse_submitted(request);
        MHD_resume_connection(request->connection);
    } else {
        request->state = REQUEST_RECEIVING;
        watch_turn(request->watched, WATCH_BODY);
        watch_holds(request->watched, body_length(request), request->memory.reserved);
        MHD_resume_connection(request->connection);
    }
}

/* Leaves what is still to come of the body with the client until there is memory for what was last
 * asked for. */
static void wait_for_memory(struct request *request, enum request_state state)
{
    const int64_t deadline = state == REQUEST_GATHERING ? deadline_of(request) : INT64_MAX;
    request->state = state;
    request->memory.allowance.asked = NULL; /* this thread's, which does not work on it meanwhile */
    watch_turn(request->watched, WATCH_NOTHING);
    MHD_suspend_connection(request->connection);
    if (!reservation_wait(&request->memory,
                          deadline < INT64_MAX ? deadline / 1000000 + 1 : deadline, on_memory))
        refuse_waiting(request);
}

/* ---- storing the body ---- */

static void append_piece(struct request *request, const char *data, size_t size)
{
    memcpy(request->body + request->len, data, size);
    request->len += size;
    watch_holds(request->watched, body_length(request), request->memory.reserved);
}

/* Stores a piece of the body, or refuses the request. False if the piece has to wait for memory. */
static bool store(struct request *request, const char *data, size_t size)
{
    const size_t wanted = request->len + size, has = request->body ? request->capacity + 1 : 0;
    if (size > request->http->settings.limits.max_body -
                   request->len) { /* only a chunked body can be longer than was said */
        refuse_too_large(request);
        give_up(request);
        return true;
    }
    const size_t next =
        wanted > request->capacity ? next_capacity(request, wanted) : request->capacity;
    const bool room =
        reservation_room(&request->memory, next > request->capacity ? next + 1 - has : 0,
                         expected_bytes(request, next));
    if (!room && reservation_may_wait(&request->memory)) {
        wait_for_memory(request, REQUEST_WAITING);
        return false;
    }
    if (!room || (next > request->capacity && !size_body(request, next))) {
        refuse_no_memory(request, "the body");
        give_up(request);
    } else {
        append_piece(request, data, size);
    }
    return true;
}

static enum MHD_Result append_header(void *context, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
    (void)kind;
    buffer_printf(context, "%s: %s\r\n", name, value);
    return MHD_YES;
}

/* The TLS session of a connection, NULL where it has none. */
static gnutls_session_t session_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info ? info->tls_session : NULL;
}

/* Writes a text past libmicrohttpd; false if it does not go at once. */
static bool send_now(struct request *request, const struct buffer *text)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (request->arrival->entrance->secure)
        return tls_send(session_of(request->connection), text->data, text->len);
    return send(info->connect_fd, text->data, text->len, MSG_DONTWAIT | MSG_NOSIGNAL) ==
           (ssize_t)text->len;
}

/* Answers in the midst of a body and has the connection dropped, which libmicrohttpd cannot: it
   would wait for the end of a body that may have none. So the few hundred bytes go straight to the
   socket, where nothing of this request's answer has been sent yet, and what the client still sends
   is left to linger. */
static enum MHD_Result answer_and_drop(struct request *request)
{
    const struct buffer *body = &request->reply.body;
    struct buffer text = {.data = NULL};
    if (!watch_turn(request->watched, WATCH_ANSWER)) /* it was cut, and perhaps told why */
        return MHD_NO;
    request->close = true;
    struct MHD_Response *response = make_response(request);
    if (!response)
        goto cleanup;
    unsigned status = (unsigned)request->reply.status;
    buffer_printf(&text, "HTTP/1.1 %u %s\r\nContent-Length: %zu\r\n", status,
                  MHD_get_reason_phrase_for(status), body->len);
    MHD_get_response_headers(response, append_header, &text);
    buffer_text(&text, "\r\n");
    buffer_append(&text, body->data, body->len);
    if (!text.failed)
        request->dropped = send_now(request, &text);
cleanup:
    if (response)
        MHD_destroy_response(response);
    buffer_free(&text);
    return MHD_NO;
}

static enum reject reject_of(int status)
{
    switch (status) {
    case 413:
        return REJECT_BODY_SIZE;
    case 414:
        return REJECT_URL_SIZE;
    case 431:
        return REJECT_HEADER_SIZE;
    default:
        return REJECT_MALFORMED;
    }
}

/* Refuses a request that was read wrongly, and whatever follows it on the connection. */
static void refuse_unsound(struct request *request, const struct refusal *fault)
{
    free_body(request);
    if (request->reply.status == 0) { /* else it was refused before */
        count_reject(request, reject_of(fault->status));
        refuse(&request->reply, fault->status, "%s", fault->detail);
    }
    request->close = true;
    request->unread = true;
}

/* A piece of the body. MHD_NO, which drops the connection, where a refused client goes on and on,
   or where the chunks are not what they have to be. */
static enum MHD_Result take_piece(struct request *request, const char *data, size_t *size)
{
    const struct refusal fault = wire_early_fault(request->wire, request->number);
    if (fault.status != 0) {
        request->received += *size;
        refuse_unsound(request, &fault);
        return answer_and_drop(request);
    }
    const bool wanted = request->state == REQUEST_RECEIVING;
    if (wanted && !store(request, data, *size))
        return MHD_YES; /* it comes again */
    request->received += *size;
    watch_progress(request->watched, request->received);
    if (!wanted && request->state == REQUEST_DISCARDING) {
        if (*size > request->patience)
            return answer_and_drop(request);
        request->patience -= *size;
    }
    *size = 0;
    return MHD_YES;
}

/* ---- computing ---- */

/* Expands the body where it came compressed, as transfer_expand has it. */
static bool expand_body(struct request *request, size_t most)
{
    const int64_t started = clock_ns();
    struct transfer_body body = {&request->memory.allowance, request->body, request->len,
                                 request->capacity};
    const bool done =
        transfer_expand(&request->transfer, request->http->settings.limits.max_expanded, most,
                        &body, &request->reply);
    request->body = body.bytes;
    request->len = body.len;
    request->capacity = body.capacity;
    request->expand_ms += (double)(clock_ns() - started) / 1e6;
    if (request->reply.status == 503 && !is_given_up(request))
        refuse_no_memory(request, "the expanded body");
    else if (request->reply.status == 413)
        count_reject(request, REJECT_EXPANDED_SIZE);
    return done;
}

/* Asks for the answer. False, with everything as it was, if it is more than so much work (0: any).
 */
static bool compute(struct request *request, int threads, size_t most_now)
{
    request->call.body = request->body ? request->body : "";
    request->call.len = request->len;
    request->call.threads = threads;
    request->call.allowance = request->reply.body.allowance = &request->memory.allowance;
    request->call.work = (struct work_limits){most_now, request->http->settings.limits.max_work};
    request->route->answer(&request->call, &request->reply);
    request->call.body = NULL;
    if (request->reply.status == 0)
        return false;
    if (request->reply.status == 413) /* of routes, only for too much work */
        count_reject(request, REJECT_WORK);
    if (request->reply.status == 503 && !is_given_up(request))
        refuse_no_memory(request, "this request");
    if (request->reply.decode_ms > 0)
        request->reply.decode_ms += request->expand_ms;
    return true;
}

/* ---- the executor ---- */

/* By what a client is known when requests are counted and jobs are ordered: the name of its token,
   else its address. */
static uint64_t limit_key(const struct request *request)
{
    if (request->visitor.client[0] != '\0')
        return rates_key(request->visitor.client);
    const union MHD_ConnectionInfo *const info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info && info->client_addr ? peer_key(info->client_addr) : 0;
}

/* For how many nanoseconds the executor is expected to be at a request, roughly. */
static int64_t cost_of(const struct request *request)
{
    const struct reply *const reply = &request->reply;
    const double coding = (double)reply->body.len * HTTP_CODING_COST;
    const double computing = (double)reply->work + (double)request->len * HTTP_BODY_COST;
    const int threads = executor_threads(request->http->settings.executor);
    const double ns = (reply->status == 0 ? computing : coding) / threads;
    return ns < (double)SCHEDULE_COST_MOST_NS ? (int64_t)ns : SCHEDULE_COST_MOST_NS;
}

static void refuse_queue(struct request *request)
{
    count_reject(request, REJECT_QUEUE);
    refuse(&request->reply, 503, "too many requests are waiting to be computed");
    request->reply.retry_after = executor_retry_after(request->http->settings.executor);
}

/* A request may be queued more than once: to be computed, and to be compressed. */
static void end_waiting(struct request *request)
{
    const int64_t now = clock_ns(), ns = now - request->handed;
    request->waited += ns;
    request->ns[PHASE_QUEUE] = request->ns[PHASE_QUEUE] > 0 ? request->ns[PHASE_QUEUE] + ns : ns;
    request->handed = 0;
}

/* Computes the answer, on the executor's thread. False if that is so much work that shorter jobs
   are to come first. */
static bool compute_there(struct request *request, int threads)
{
    const bool planned = request->reply.work > 0;
    if (!expand_body(request, 0))
        return true;
    if (compute(request, threads, planned ? 0 : HTTP_INLINE_WORK + request->len * HTTP_BYTE_WORK))
        return true;
    request->job.entry.cost_ns = cost_of(request);
    request->handed = clock_ns();
    return false;
}

/* Tells the watchdog that the calling thread is at this request, and the request how to show it
 * that it progresses. */
static void show_watchdog(struct request *request)
{
    watchdog_request(request->id, request->path);
    request->memory.allowance.asked = watchdog_asked();
}

/* Fills the reply, on the executor's thread. False as compute_there has it. */
static bool fill_reply(struct request *request, int threads)
{
    if (request->reply.status == 0 && !compute_there(request, threads))
        return false;
    free_body(request); /* not needed while the answer is being sent, which may take long */
    watchdog_phase("compressing the answer");
    if (transfer_due(&request->transfer, &request->reply) && !is_given_up(request))
        transfer_compress(&request->transfer, threads, &request->reply);
    return true;
}

/* On the executor's thread: see the head of the file for who owns what. */
static bool run_job(struct job *job, int threads)
{
    struct request *request = (struct request *)job;
    end_waiting(request);
    watchdog_begin(WATCHDOG_EXECUTOR, "decoding, computing or encoding");
    show_watchdog(request);
    const bool filled = fill_reply(request, threads);
    watchdog_end();
    return filled;
}

/* The executor has done with a request, on any thread. */
static void on_job_done(struct job *job, enum job_end end)
{
    struct request *request = (struct request *)job;
    if (request->handed > 0)
        end_waiting(request);
    free_body(request);
    switch (end) {
    case JOB_DONE:
        break;
    case JOB_GONE:
        refuse_gone(request);
        break;
    case JOB_LATE:
        refuse_late(request);
        break;
    case JOB_PUSHED:
        refuse_queue(request);
        break;
    }
    keep_answer(request);
    request->state = REQUEST_READY;
    MHD_resume_connection(request->connection);
}

/* Hands a request to the executor; its connection is suspended. False if that takes no more jobs.
 * From any thread. */
static bool hand_over(struct request *request)
{
    const int64_t now = clock_ns();
    struct job *const job = &request->job;
    request->whole = request->whole > 0 ? request->whole : now;
    job->entry = (struct schedule_entry){.client = limit_key(request), .cost_ns = cost_of(request)};
    job->gone = request->watched ? watch_gone(request->watched) : &request->http->give_up;
    job->deadline = deadline_of(request);
    job->cancel = false;
    request->memory.allowance.cancel = &job->cancel;
    request->state = REQUEST_COMPUTING;
    request->handed = now;
    if (executor_submit(request->http->settings.executor, job))
        return true;
    request->handed = 0;
    request->state = REQUEST_READY;
    return false;
}

/* Leaves to the executor what is left to do until the request can be answered. False if it takes no
   more jobs; then nothing has changed. */
static bool submit(struct request *request)
{
    wire_hide_end(request->wire, true);
    MHD_suspend_connection(request->connection);
    if (hand_over(request))
        return true;
    MHD_resume_connection(request->connection);
    return false;
}

/* Refuses a request that the executor did not take. It is answered at the next call. */
static enum MHD_Result refuse_submitted(struct request *request)
{
    free_body(request);
    if (atomic_load(&request->http->ended)) {
        count_reject(request, REJECT_DRAINING);
        refuse(&request->reply, 503, "the server is shutting down");
    } else {
        refuse_queue(request);
    }
    return MHD_YES;
}

/* Has the answer compressed by the executor. If that takes no more jobs, the answer goes as it is,
   unless the client does not take that. */
static enum MHD_Result compress_there(struct request *request)
{
    if (submit(request))
        return MHD_YES;
    if (request->transfer.choice.required)
        return refuse_submitted(request);
    request->transfer.choice.coding = CODING_IDENTITY;
    return MHD_YES;
}

/* Whether compressing the answer takes so long that an I/O thread leaves it to the executor. */
static bool is_much_to_compress(const struct request *request)
{
    return request->reply.body.len > TRANSFER_LITTLE &&
           !(request->route && request->route->at_once);
}

/* The reply is known: answers, after it was compressed where it is to be. Where only the executor
   could do that, and it is busy, the answer goes as it is if the client takes that: no page of
   documentation waits for a job. */
static enum MHD_Result finish(struct request *request)
{
    struct transfer *const transfer = &request->transfer;
    const bool due = transfer_due(transfer, &request->reply);
    if (due && !is_much_to_compress(request))
        transfer_compress(transfer, 1, &request->reply);
    else if (due &&
             (transfer->choice.required || executor_is_idle(request->http->settings.executor)))
        return compress_there(request);
    keep_answer(request);
    return answer(request);
}

/* Fills the reply where that is little work, on the I/O thread. False if it is more. */
static bool compute_here(struct request *request)
{
    if (request->len >= HTTP_INLINE_BODY)
        return false;
    if (!expand_body(request, HTTP_INLINE_BODY - 1))
        return request->reply.status != 0;
    return compute(request, 1, HTTP_INLINE_WORK);
}

/* The whole body is in. */
static enum MHD_Result evaluate(struct request *request)
{
    if (!watch_turn(request->watched, WATCH_NOTHING))
        return MHD_NO;
    request->whole = clock_ns();
    wire_hide_end(request->wire, true);
    request->ns[PHASE_RECEIVE] = request->whole - request->started;
    if (request->body)
        request->body[request->len] = '\0';
    const bool filled = reservation_fill(&request->memory, expected_bytes(request, request->len));
    if (filled && compute_here(request)) {
        free_body(request);
        return finish(request);
    }
    if (filled)
        return submit(request) ? MHD_YES : refuse_submitted(request);
    if (reservation_may_wait(&request->memory)) {
        wait_for_memory(request, REQUEST_GATHERING);
        return MHD_YES;
    }
    free_body(request);
    refuse_no_memory(request, "this request");
    return finish(request);
}

/* ---- the first call ---- */

/* libmicrohttpd has cut the query into pieces, which on_unescape has left as they came: they are
 * put together again. */
static enum MHD_Result append_argument(void *context, enum MHD_ValueKind kind, const char *name,
                                       const char *value)
{
    struct buffer *const query = context;
    (void)kind;
    buffer_text(query, query->len > 0 ? "&" : "");
    buffer_text(query, name);
    if (value)
        buffer_text(query, "=");
    buffer_text(query, value ? value : "");
    return MHD_YES;
}

static const char *header(struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

static enum MHD_Result see_header(void *context, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    (void)kind;
    transfer_header(context, name, value);
    return MHD_YES;
}

static void fill_call(struct request *request, const struct route_match *match)
{
    const char *host = header(request, "Host");
    request->call =
        (struct call){.loss = match->loss,
                      .version = match->version,
                      .file = match->file,
                      .content_type = header(request, "Content-Type"),
                      .accept = header(request, "Accept"),
                      .if_none_match = header(request, "If-None-Match"),
                      .inference_header = header(request, inference_header),
                      .host = host && guard_is_host(host) ? host : request->http->settings.address,
                      .metrics = request->http->settings.metrics,
                      .limits = &request->http->settings.limits,
                      .draining = request->close};
    MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, append_argument,
                              &request->query);
    if (request->query.len > 0) {
        buffer_append(&request->query, "", 1);
        request->call.query = request->query.data;
    }
}

/* Reads how long the client waits for the answer. False if it cannot be read; then the request is
   refused. */
static bool read_timeout(struct request *request)
{
    char quote[JSON_QUOTE];
    uint64_t ms = 0;
    if (request->timeouts == 0)
        return true;
    if (request->timeouts > 1) {
        refuse(&request->reply, 400, "there are %u headers %s; there may be one", request->timeouts,
               timeout_header);
        return false;
    }
    if (!seconds_read(request->timeout, &ms) || ms == 0 || ms > HTTP_TIMEOUT_MOST_MS) {
        refuse(&request->reply, 400, "%s is '%s'; it takes seconds from 0.001 to %d, such as 2.5",
               timeout_header, json_quote(request->timeout, quote), HTTP_TIMEOUT_MOST_MS / 1000);
        return false;
    }
    request->timeout_ms = (int64_t)ms;
    return true;
}

/* Checks what can be checked of a request that brings a body. False if it was refused. */
static bool expect_body(struct request *request)
{
    const struct framing *framing = &request->framing;
    size_t limit = request->http->settings.limits.max_body;
    if (!read_timeout(request) || !transfer_content(&request->transfer, &request->reply))
        return false;
    if (!request->route->possible(&request->call, &request->reply))
        return false;
    if (!framing->chunked && !framing->has_length) {
        refuse(&request->reply, 411, "a body is needed, with its Content-Length or in chunks");
        return false;
    }
    if (framing->length > limit) {
        refuse_too_large(request);
        return false;
    }
    return true;
}

static void answer_options(struct request *request, const char *allow)
{
    request->reply = (struct reply){.status = 204, .allow = allow};
}

/* Which routes there are where the request came in. */
static enum route_side side_of(const struct request *request)
{
    if (request->arrival->entrance->admin)
        return ROUTE_ADMIN;
    return request->http->settings.has_admin ? ROUTE_MAIN : ROUTE_BOTH;
}

/* Whether the client has not made too many requests lately; else it is refused. */
static bool is_in_time(struct request *request)
{
    struct http *const http = request->http;
    const int64_t early_ns =
        http->rates ? rates_take(http->rates, limit_key(request), request->started) : 0;
    if (early_ns == 0)
        return true;
    count_reject(request, REJECT_RATE);
    refuse(&request->reply, 429, "there are more than %d requests a second from here",
           http->settings.limits.request_rate);
    request->reply.retry_after = (int)(early_ns / 1000000000) + 1;
    return false;
}

/* Finds out what is asked for. True if the body is to be received; else the reply is filled. */
static bool dispatch(struct request *request)
{
    if (strcmp(request->method, "OPTIONS") == 0 && strcmp(request->target, "*") == 0) {
        answer_options(request, routes_allow_any);
        return false;
    }
    enum guard_path path = guard_decode_path(request->target, request->path, sizeof request->path);
    if (path == GUARD_PATH_MALFORMED) {
        refuse(&request->reply, 400,
               "the path holds a control character, an encoded slash or a broken percent escape");
        return false;
    }
    if (path == GUARD_PATH_UNKNOWN) {
        refuse(&request->reply, 404, "there is no such path; GET / says which there are");
        return false;
    }
    request->reply.errors = route_errors(request->path);
    const enum route_side side = side_of(request);
    struct route_match match = route_find(side, request->method, request->path);
    const struct access_request access = {.connection = request->connection,
                                          .entrance = request->arrival->entrance,
                                          .session = session_of(request->connection),
                                          .peer = &request->arrival->peer,
                                          .method = request->method,
                                          .target = request->target,
                                          .open = match.route && match.route->open};
    const bool allowed =
        access_allow(request->http->settings.access, &access, &request->visitor, &request->reply);
    if (!access.open && !request->arrival->entrance->admin && !is_in_time(request))
        return false;
    if (!allowed) {
        count_reject(request, request->visitor.fault);
        return false;
    }
    if (!match.allow) {
        route_not_found(side, request->path, &request->reply);
        return false;
    }
    if (strcmp(request->method, "OPTIONS") == 0) {
        answer_options(request, match.allow);
        return false;
    }
    if (!match.route) {
        char method[JSON_QUOTE], quote[JSON_QUOTE_LONG];
        refuse(&request->reply, 405, "%s is not a method of '%s'; it has %s",
               json_quote(request->method, method), json_quote_long(request->path, quote),
               match.allow);
        request->reply.allow = match.allow;
        return false;
    }
    request->route = match.route;
    fill_call(request, &match);
    if (request->query.failed) {
        refuse(&request->reply, 503, "there is no memory for the query at the moment");
        return false;
    }
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, see_header, &request->transfer);
    if (!transfer_accept(&request->transfer, &request->reply))
        return false;
    if (!request->http->settings.compress && !request->transfer.choice.required)
        request->transfer.choice.coding = CODING_IDENTITY;
    if (match.route->possible)
        return expect_body(request);
    match.route->answer(&request->call, &request->reply);
    return false;
}

/* ---- admission ---- */

static enum MHD_Result admit(struct request *request)
{
    const struct framing *const framing = &request->framing;
    const size_t claim = expected_bytes(request, (size_t)framing->length);
    request->state = REQUEST_RECEIVING;
    if (reservation_ever(&request->memory, (size_t)framing->length + 1) &&
        reservation_begin(&request->memory, claim)) {
        watch_holds(request->watched, body_length(request), request->memory.reserved);
        return MHD_YES;
    }
    if (framing->has_length && reservation_may_wait(&request->memory)) {
        wait_for_memory(request, REQUEST_WAITING);
        return MHD_YES;
    }
    refuse_no_memory(request, "this request");
    return settle(request);
}

/* Headers that tell a request from others, and how long its answer may take. */
struct identity {
    const char *id, *traceparent;
    unsigned traceparents;
    const char *timeout;
    unsigned timeouts;
};

static enum MHD_Result see_identity(void *context, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    struct identity *const identity = context;
    (void)kind;
    if (value && strcasecmp(name, "X-Request-Id") == 0 && !identity->id) {
        identity->id = value;
    } else if (value && strcasecmp(name, "traceparent") == 0) {
        identity->traceparent = value;
        identity->traceparents++;
    } else if (value && strcasecmp(name, timeout_header) == 0) {
        identity->timeout = value;
        identity->timeouts++;
    }
    return MHD_YES;
}

static void identify(struct request *request)
{
    unsigned long long number = atomic_fetch_add(&request->http->served, 1);
    struct identity given = {.id = NULL};
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, see_identity, &given);
    if (given.id && guard_is_request_id(given.id))
        snprintf(request->id, sizeof request->id, "%s", given.id);
    else
        *put_digits(stpcpy(stpcpy(request->id, request->http->id_prefix), "-"), number, 16, 1) =
            '\0';
    if (given.traceparents == 1 && trace_is_parent(given.traceparent))
        request->traceparent = given.traceparent;
    request->timeout = given.timeout;
    request->timeouts = given.timeouts;
}

static struct wire *wire_of_connection(struct MHD_Connection *connection)
{
    return wire_of(
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
}

static struct request *begin(struct http *http, struct MHD_Connection *connection,
                             const char *target, const char *method)
{
    struct wire *const wire = wire_of_connection(connection);
    const unsigned number = wire_next(wire);
    struct request *request = calloc(1, sizeof *request);
    if (!request)
        return NULL;
    request->wire = wire;
    request->number = number;
    request->job.run = run_job;
    request->job.done = on_job_done;
    request->http = http;
    request->connection = connection;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    request->watched = info ? info->socket_context : NULL;
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    request->arrival = &http->arrival[info->connect_fd];
    request->started = clock_ns();
    for (size_t i = 0; i < PHASE_COUNT; i++)
        request->ns[i] = -1;
    request->method = method;
    request->target = target;
    reservation_init(&request->memory, http->budget);
    request->memory.allowance.cancel =
        request->watched ? watch_gone(request->watched) : &http->give_up;
    request->reply.errors = route_errors(target);
    request->close = atomic_load(&http->draining);
    identify(request);
    pthread_mutex_lock(&http->mutex);
    http->active++;
    pthread_mutex_unlock(&http->mutex);
    return request;
}

static enum MHD_Result first_call(struct request *request, const char *version)
{
    show_watchdog(request);
    if (!watch_turn(request->watched, WATCH_BODY))
        return MHD_NO;
    struct refusal fault = wire_head_fault(request->wire, request->number);
    if (fault.status == 0)
        fault = guard_request(request->connection, request->method, version, &request->framing);
    if (fault.status != 0) {
        const unsigned words = wire_words(request->wire, request->number);
        request->method = words > 0 ? request->method : "-";
        request->target = words > 1 ? request->target : "-";
        refuse_unsound(request, &fault);
        return answer(request);
    }
    if (!dispatch(request))
        return settle(request);
    return admit(request);
}

/* ---- libmicrohttpd's callbacks ---- */

/* As on_request has it. */
static enum MHD_Result go_on(struct http *http, struct MHD_Connection *connection,
                             const char *target, const char *method, const char *version,
                             const char *data, size_t *size, void **slot)
{
    struct request *request = *slot;
    if (request)
        show_watchdog(request);
    if (!request) {
        request = begin(http, connection, target, method);
        *slot = request;
        return request ? first_call(request, version)
                       : MHD_queue_response(connection, 503, http->no_memory);
    }
    if (request->state == REQUEST_LATE)
        return answer_and_drop(request);
    if (*size > 0)
        return take_piece(request, data, size);
    if (request->state == REQUEST_RECEIVING && request->received < request->framing.length)
        return MHD_YES; /* it was resumed, having waited for memory */
    const struct refusal fault = wire_fault(request->wire, request->number);
    if (fault.status != 0) {
        refuse_unsound(request, &fault);
        return answer(request);
    }
    switch (request->state) {
    case REQUEST_RECEIVING:
        return evaluate(request);
    case REQUEST_DISCARDING:
    case REQUEST_READY:
        return finish(request);
    case REQUEST_WAITING:   /* cannot be: the connection is suspended */
    case REQUEST_GATHERING: /* likewise */
    case REQUEST_LATE:      /* cannot be: it was dropped */
    case REQUEST_COMPUTING: /* cannot be: the connection is suspended */
    case REQUEST_ANSWERED:  /* cannot be: libmicrohttpd does not ask again */
        break;
    }
    return MHD_YES;
}

/* The kind of thread that has a connection. */
static enum watchdog_thread kind_of(const struct http *http, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *const info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info && http->arrival[info->connect_fd].entrance->admin ? WATCHDOG_ADMIN : WATCHDOG_IO;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *target, const char *method, const char *version,
                                  const char *data, size_t *size, void **slot)
{
    struct http *http = context;
    watchdog_begin(kind_of(http, connection), "receiving or answering");
    const enum MHD_Result result =
        go_on(http, connection, target, method, version, data, size, slot);
    watchdog_end();
    return result;
}

static void record_time(struct request *request, enum phase phase, double ms)
{
    if (request->reply.status == reply_status(LOSS_OK) && request->reply.decode_ms > 0)
        request->ns[phase] = ms > 0 ? (int64_t)(ms * 1e6) : 0;
}

/* Has it counted and logged. */
static void record(struct request *request, bool answered)
{
    const struct reply *reply = &request->reply;
    const bool body = answered && strcmp(request->method, "HEAD") != 0 && reply->status != 304;
    const int64_t now = clock_ns();
    const int cut = watch_status(request->watched);
    record_time(request, PHASE_DECODE, reply->decode_ms);
    record_time(request, PHASE_COMPUTE, reply->compute_ms);
    record_time(request, PHASE_ENCODE, reply->encode_ms);
    if (request->state == REQUEST_ANSWERED)
        request->ns[PHASE_SEND] = now - request->handed;
    const union MHD_ConnectionInfo *const address =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct record record = {.id = request->id,
                                  .method = request->method,
                                  .target = request->target,
                                  .client = request->visitor.client,
                                  .route = request->route,
                                  .loss = request->call.loss ? loss_find(request->call.loss) : NULL,
                                  .traceparent = request->traceparent,
                                  .address = address ? address->client_addr : NULL,
                                  .reason = request->reason ? request->reason
                                                            : watch_reason(request->watched),
                                  .status = answered  ? reply->status
                                            : cut > 0 ? cut
                                                      : RECORD_CLIENT_GONE,
                                  .bytes_in = request->received,
                                  .bytes_out = body ? reply->body.len : 0,
                                  .elements = reply->elements,
                                  .ns = request->ns,
                                  .duration_ns = now - request->started};
    metrics_count(request->http->settings.metrics, &record);
    log_request(&record);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode how)
{
    struct http *http = context;
    struct request *request = *slot;
    if (!request)
        return;
    *slot = NULL;
    watchdog_begin(kind_of(http, connection), "ending a request");
    watchdog_request(request->id, request->path);
    bool answered = request->dropped || (request->state == REQUEST_ANSWERED &&
                                         how == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    record(request, answered);
    if (answered && (request->unread || request->dropped)) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        if (info)
            linger_add(http->settings.linger, info->connect_fd);
    }
    watch_turn(request->watched, WATCH_HEADERS);
    wire_hide_end(request->wire, false);
    free_body(request);
    buffer_free(&request->query);
    reply_free(&request->reply);
    reservation_end(&request->memory);
    free(request);

    pthread_mutex_lock(&http->mutex);
    if (--http->active == 0)
        pthread_cond_signal(&http->idle);
    pthread_mutex_unlock(&http->mutex);
    watchdog_end();
}

static void on_connection(void *context, struct MHD_Connection *connection, void **slot,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http *http = context;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        if (info && http->arrival[info->connect_fd].entrance->secure)
            handshake_begin(info->connect_fd, connection);
        *slot = info ? watch_add(http->watch, info->connect_fd,
                                 !http->arrival[info->connect_fd].entrance->secure)
                     : NULL;
        return;
    }
    watch_remove(http->watch, *slot);
    *slot = NULL;
    if (!info)
        return;
    handshake_end(info->connect_fd);
    wire_end(info->connect_fd);
    prefix_end(info->connect_fd);
    connections_remove(http->connections, info->connect_fd);
}

/* Leaves paths and queries as they came: libmicrohttpd would turn %00 into the end of the string
   and %0d%0a into line breaks. guard_decode_path decodes them with care. */
static size_t on_unescape(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

__attribute__((format(printf, 2, 0))) static void on_log(void *context, const char *format,
                                                         va_list arguments)
{
    (void)context;
    char message[512];
    if (!log_enabled(LOG_LEVEL_DEBUG))
        return;
    vsnprintf(message, sizeof message, format, arguments);
    message[strcspn(message, "\n")] = '\0';
    log_message(LOG_LEVEL_DEBUG, "libmicrohttpd: %s", message);
}

/* ---- start and end ---- */

/* What libmicrohttpd has for a connection: so much that it is us who refuse headers that are too
   long. It reads into half of it, and when that is full of requests that came together, the other
   half has to do for what it takes besides. */
static size_t connection_memory(const struct limits *limits)
{
    const size_t besides = (size_t)WIRE_PARAMETERS * HTTP_PARAMETER_MEMORY +
                           (size_t)limits->max_header_count * HTTP_HEADER_MEMORY +
                           HTTP_ANSWER_MEMORY;
    const size_t sum = limits->max_url + limits->max_headers + besides,
                 needed = sum > 2 * besides ? sum : 2 * besides;
    return needed > HTTP_CONNECTION_MEMORY ? needed : HTTP_CONNECTION_MEMORY;
}

/* How many connections there are descriptors for, of so many that are wanted, having asked for
 * enough. */
static unsigned connection_limit(unsigned most, int io_threads)
{
    const rlim_t others = HTTP_SPARE_FILES + HTTP_ADMIN_CONNECTIONS + LINGER_MAX +
                          HTTP_THREAD_FILES * (rlim_t)io_threads;
    const rlim_t wanted = most + others;
    struct rlimit files = {0};
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return HTTP_CONNECTIONS_MIN;
    if (files.rlim_cur < wanted) {
        struct rlimit more = {.rlim_cur = files.rlim_max < wanted ? files.rlim_max : wanted,
                              .rlim_max = files.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            files = more;
    }
    if (files.rlim_cur >= wanted)
        return most;
    unsigned limit = files.rlim_cur > others + HTTP_CONNECTIONS_MIN
                         ? (unsigned)(files.rlim_cur - others)
                         : HTTP_CONNECTIONS_MIN;
    log_message(LOG_LEVEL_WARNING,
                "at most %u connections at a time, not %u: the limit on open files is %llu", limit,
                most, (unsigned long long)files.rlim_cur);
    return limit;
}

/* ---- metrics ---- */

static double read_connections(void *context, size_t index)
{
    const struct http *http = context;
    (void)index;
    return connections_count(http->connections);
}

static double read_connection_limit(void *context, size_t index)
{
    const struct http *http = context;
    (void)index;
    return connections_most(http->connections);
}

static double read_adopted(void *context, size_t index)
{
    const struct http *http = context;
    (void)index;
    return (double)atomic_load(&http->adopted);
}

static double read_active(void *context, size_t index)
{
    const struct http *http = context;
    (void)index;
    return (double)atomic_load(&http->active);
}

static double read_draining(void *context, size_t index)
{
    const struct http *http = context;
    (void)index;
    return atomic_load(&http->draining);
}

static double read_io_threads(void *context, size_t index)
{
    const struct http *http = context;
    (void)index;
    return http->settings.io_threads;
}

static const struct metric_source sources[] = {
    {"lossd_connections", METRIC_GAUGE, "Open connections.", NULL, read_connections},
    {"lossd_connections_limit", METRIC_GAUGE, "Connections that may be open at a time.", NULL,
     read_connection_limit},
    {"lossd_accepted_connections_total", METRIC_COUNTER, "Connections that were accepted.", NULL,
     read_adopted},
    {"lossd_requests_active", METRIC_GAUGE,
     "Requests between their headers and the end of their answer, this one included.", NULL,
     read_active},
    {"lossd_draining", METRIC_GAUGE, "1 once the server ends, else 0.", NULL, read_draining},
    {"lossd_io_threads", METRIC_GAUGE, "Threads that receive and send.", NULL, read_io_threads},
};

static struct MHD_Response *no_memory_response(void)
{
    static const char text[] =
        "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,"
        "\"detail\":\"there is no memory at the moment\"}\n";
    struct MHD_Response *response = MHD_create_response_from_buffer(
        sizeof text - 1, (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
    if (response && (!add_header(response, "Content-Type", "application/problem+json") ||
                     !add_header(response, "X-Content-Type-Options", "nosniff") ||
                     !add_header(response, "Retry-After", "1"))) {
        MHD_destroy_response(response);
        response = NULL;
    }
    return response;
}

/* After how long without a byte libmicrohttpd closes a connection, for those that are not watched
 * since memory had run out. */
static unsigned quiet_seconds(const struct limits *limits)
{
    const int64_t longest =
        limits->idle_timeout > limits->rate_window ? limits->idle_timeout : limits->rate_window;
    return (unsigned)(longest / 1000 + 2);
}

/* One with TLS or without, and with so many threads. */
static struct MHD_Daemon *start_daemon(struct http *http, bool secure, int threads)
{
    const unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                           MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG |
                           (secure ? MHD_USE_TLS : 0);
    /* A pool of one is an error to libmicrohttpd: one thread is what it has without a pool. */
    struct MHD_OptionItem pool[] = {
        {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, threads, NULL},
        {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem tls[] = {
        {secure ? MHD_OPTION_HTTPS_CERT_CALLBACK2 : MHD_OPTION_END, 0,
         (void *)(uintptr_t)tls_retrieve},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)tls_priorities},
        {MHD_OPTION_END, 0, NULL}};
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, http, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, http, MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, NULL,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_FILES * 64, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        connection_memory(&http->settings.limits), MHD_OPTION_CONNECTION_TIMEOUT,
        quiet_seconds(&http->settings.limits), MHD_OPTION_ARRAY, tls, MHD_OPTION_ARRAY, pool,
        MHD_OPTION_END);
}

/* False with one line in `message` where one of them cannot be. */
static bool start_daemons(struct http *http, char *message, size_t size)
{
    if (http->settings.has_secure && !handshake_start(HTTP_FILES, message, size))
        return false;
    errno = 0;
    const int threads = http->settings.io_threads;
    if ((!http->settings.has_plain || (http->daemon = start_daemon(http, false, threads))) &&
        (!http->settings.has_secure || (http->secure_daemon = start_daemon(http, true, threads))) &&
        (!http->settings.has_admin || (http->admin_daemon = start_daemon(http, false, 1))))
        return true;
    snprintf(message, size, "cannot start %d I/O threads: %s", http->settings.io_threads,
             errno ? strerror(errno) : "no memory");
    return false;
}

static void stop_daemons(struct http *http)
{
    handshake_stop();
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    if (http->secure_daemon)
        MHD_stop_daemon(http->secure_daemon);
    if (http->admin_daemon)
        MHD_stop_daemon(http->admin_daemon);
}

static size_t on_tick(void *context)
{
    const struct http *http = context;
    return budget_tick(http->budget);
}

/* Sets aside what connections take, of which there may be fewer where that is much, and leaves the
   rest to requests. False where memory has run out. */
static bool divide_memory(struct http *http)
{
    const struct limits *const limits = &http->settings.limits;
    const size_t secure = http->settings.has_secure ? HTTP_SECURE_BYTES : 0;
    const size_t each = connection_memory(limits) + HTTP_CONNECTION_BYTES + secure;
    const size_t room = limits->max_memory / HTTP_CONNECTIONS_SHARE / each;
    unsigned most = (unsigned)limits->max_connections;
    if (room < most) {
        log_message(
            LOG_LEVEL_WARNING,
            "at most %zu connections at a time, not %u: they may take a quarter of --max-memory",
            room, most);
        most = (unsigned)room;
    }
    most = connection_limit(most, http->settings.io_threads);
    http->settings.limits.max_connections = (int)most; /* as GET /v1/limits says it */
    http->connections = connections_new(most, (unsigned)limits->max_connections_per_address);
    http->budget = budget_new(limits->max_memory - (size_t)most * each,
                              (size_t)limits->memory_queue, limits->memory_wait);
    return http->connections && http->budget &&
           budget_add_metrics(http->budget, http->settings.metrics);
}

/* False where memory has run out. */
static bool limit_rates(struct http *http)
{
    const struct limits *const limits = &http->settings.limits;
    const int rate = limits->request_rate,
              burst = limits->request_burst > 0 ? limits->request_burst : rate;
    http->rates = rate > 0 ? rates_new((unsigned)rate, (unsigned)burst) : NULL;
    return rate == 0 || http->rates;
}

static void free_http(struct http *http)
{
    watch_stop(http->watch);
    connections_free(http->connections);
    budget_free(http->budget);
    rates_free(http->rates);
    if (http->no_memory)
        MHD_destroy_response(http->no_memory);
    prefix_close();
    wire_close();
    pthread_cond_destroy(&http->idle);
    pthread_mutex_destroy(&http->mutex);
    free(http);
}

struct http *http_start(const struct http_settings *settings, char *message, size_t size)
{
    struct http *http = calloc(1, sizeof *http);
    if (!http) {
        snprintf(message, size, "no memory for the HTTP server");
        return NULL;
    }
    http->settings = *settings;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&http->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&http->mutex, NULL);

    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (uint64_t)clock_ns(); /* ids need to differ, not to be secret */
    snprintf(http->id_prefix, sizeof http->id_prefix, "%016llx", (unsigned long long)random);

    if (!wire_open(HTTP_FILES, &http->settings.limits) || !prefix_open(HTTP_FILES)) {
        snprintf(message, size, "no memory to read connections with");
        goto failed;
    }
    http->no_memory = no_memory_response();
    if (!http->no_memory) {
        snprintf(message, size, "no memory for an answer that says so");
        goto failed;
    }
    if (!metrics_add_sources(settings->metrics, sources, sizeof sources / sizeof *sources, http)) {
        snprintf(message, size, "no memory for the metrics");
        goto failed;
    }
    if (!divide_memory(http) || !limit_rates(http)) {
        snprintf(message, size, "no memory to set limits with");
        goto failed;
    }
    const struct watch_tick tick = {on_tick, http};
    http->watch = watch_start(&http->settings.limits, metrics_rejects(settings->metrics), &tick,
                              message, size);
    if (!http->watch)
        goto failed;
    if (start_daemons(http, message, size))
        return http;
failed:
    stop_daemons(http);
    free_http(http);
    return NULL;
}

/* Of the connections that come in there. */
static struct MHD_Daemon *daemon_of(const struct http *http, const struct entrance *entrance)
{
    if (entrance->admin)
        return http->admin_daemon;
    return entrance->secure ? http->secure_daemon : http->daemon;
}

bool http_has_room(void *context, const struct entrance *entrance)
{
    struct http *http = context;
    return connections_room(http->connections, entrance->admin ? HTTP_ADMIN_CONNECTIONS : 0);
}

/* Answers a connection that is one too many of its address, before it says what it wants, and
 * closes it. */
static void turn_away(struct http *http, int fd, const struct entrance *entrance)
{
    static const char text[] =
        "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 124\r\nContent-Type: "
        "application/problem+json\r\n"
        "X-Content-Type-Options: nosniff\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
        "{\"type\":\"about:blank\",\"title\":\"Too Many Requests\",\"status\":429,"
        "\"detail\":\"there are too many connections from this address\"}\n";
    reject_count(metrics_rejects(http->settings.metrics), REJECT_CONNECTIONS_PER_ADDRESS);
    if (!entrance->secure && send(fd, text, sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
        shutdown(fd, SHUT_WR);
        linger_add(http->settings.linger, fd);
    }
    close(fd);
}

/* Has the kernel ask now and then whether a silent client is still there: its machine may have gone
   without a word. Sockets that are not TCP refuse this. Connections are not all asked in the same
   second: where ten thousand that came at once were, thousands of questions got lost on the way,
   three times in a row for some, and live clients were taken for gone. */
static void probe(int fd)
{
    const int on = 1, idle_s = 15 + fd % 16, every_s = 5, most = 6;
    if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) != 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof every_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &most, sizeof most);
}

void http_adopt(void *context, int fd, const struct sockaddr *peer, socklen_t len,
                const struct entrance *entrance)
{
    struct http *http = context;
    if (fd >= HTTP_FILES) {
        close(fd);
        return;
    }
    probe(fd);
    if (!connections_add(http->connections, fd, entrance->admin ? 0 : peer_key(peer))) {
        turn_away(http, fd, entrance);
        return;
    }
    http->arrival[fd] = (struct arrival){.entrance = entrance};
    atomic_fetch_add_explicit(&http->adopted, 1, memory_order_relaxed);
    wire_begin(fd, entrance->secure);
    if (MHD_add_connection(daemon_of(http, entrance), fd, peer, len) == MHD_YES)
        return;
    /* It has closed the socket. Nobody else can have got its number since: only this thread
     * accepts. */
    connections_remove(http->connections, fd);
    log_message(LOG_LEVEL_WARNING, "a connection was dropped: there is no memory for it");
}

/* Waits until no request is under way, but not longer than so many milliseconds; whether that is
 * so. */
static bool wait_idle(struct http *http, int64_t limit_ms)
{
    struct timespec until = {0};
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += limit_ms / 1000;
    until.tv_nsec += limit_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    int error = 0;
    pthread_mutex_lock(&http->mutex);
    while (http->active > 0 && error == 0)
        error = pthread_cond_timedwait(&http->idle, &http->mutex, &until);
    bool idle = http->active == 0;
    pthread_mutex_unlock(&http->mutex);
    return idle;
}

void http_announce_end(struct http *http)
{
    atomic_store(&http->draining, true);
}

static void give_up_all(struct http *http)
{
    __atomic_store_n(&http->give_up, true, __ATOMIC_RELAXED);
    watch_give_up(http->watch);
    budget_close(http->budget);
}

/* Waits until every client has closed its connection, at most for so many milliseconds. Returns
 * true if all have. */
static bool wait_closed(struct http *http, int64_t limit_ms)
{
    const int64_t end = clock_ms() + limit_ms;
    while (connections_count(http->connections) > 0) {
        if (clock_ms() >= end)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = HTTP_DRAIN_LOOK_MS * 1000000L}, NULL);
    }
    return true;
}

/* Waits until all requests are answered, at most for --drain-timeout. Then what is still being
   computed is given up, and those who wait for it have a moment to read that. */
static void wait_for_clients(struct http *http)
{
    const int64_t late = clock_ms() + http->settings.limits.drain_timeout,
                  end = late + HTTP_DRAIN_LAST_MS;
    while (clock_ms() < end) {
        unsigned long long served = atomic_load(&http->served);
        if (clock_ms() >= late)
            give_up_all(http);
        if (!wait_idle(http, HTTP_DRAIN_QUIET_MS))
            continue;
        /* A request can be on its way on a connection that was kept alive: give it the time to
         * arrive and be told. */
        if (wait_closed(http, HTTP_DRAIN_QUIET_MS))
            return;
        if (!watch_expects(http->watch) && atomic_load(&http->served) == served)
            return;
    }
    log_message(LOG_LEVEL_WARNING, "closing connections whose clients are too slow");
}

void http_drain(struct http *http)
{
    http_announce_end(http);
    wait_for_clients(http);
    atomic_store(&http->ended, true);
}

void http_stop(struct http *http)
{
    if (!http)
        return;
    budget_close(http->budget);
    stop_daemons(http);
    free_http(http);
}
