/*
 * Shuts down connections whose clients have disconnected or are too slow. The monitor thread also
 * trims the cache of memory blocks and runs the periodic callback.
 */
#include "connection/connection_monitor.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "memory/block_cache.h"
#include "mhd_workarounds/early_status_line.h"
#include "mhd_workarounds/strict_parser.h"
#include "util/clock.h"

enum {
    MONITOR_PERIOD_MS = 250,
    MONITOR_IDLE_MS = 1000, /* longest interval between checks of an idle connection */
    MONITOR_BATCH = 256,    /* connections checked before the mutex is released for a moment */
    MONITOR_PHASES = 8,     /* not less than the number of phases */
    MONITOR_MAX_DISCONNECTS = 64, /* connections disconnected per period to free memory */
    MONITOR_NEW_MS = 1000,        /* a connection younger than this is new */
    MONITOR_PROBE_MS = 1000,      /* time between the first two probe bytes sent to a client */
    MONITOR_GRACE = 8, /* durations are estimated after 1/8 of --slow-client-memory-timeout */
    FIRST_EPOCH = MONITOR_HEADERS,
};

struct connection_state {
    struct connection_state *next, **link; /* under the mutex */
    int fd;
    bool plain;
    bool tcp;
    int64_t added;             /* clock_ms */
    atomic_uint epoch;         /* phase + MONITOR_PHASES * number of phase changes */
    _Atomic uint64_t progress; /* bytes transferred in this phase */
    _Atomic uint64_t bytes;    /* set by monitor_set_memory for this phase; 0: uses no memory */
    atomic_size_t memory;      /* set by monitor_set_memory */
    atomic_bool probing;       /* the monitor thread is about to send on the connection */
    atomic_int status;
    bool gone; /* accessed atomically; monitor_gone_flag returns its address */
    _Atomic(const char *)
        reason; /* one of rejection_names; NULL unless it was disconnected for being too slow */

    /* Used only by the monitor thread. Times are clock_ms. */
    unsigned seen_epoch;  /* the epoch at the last check; the members below refer to it */
    bool at_end;          /* at the last check, the socket was at its end */
    int64_t closed_since; /* when the client first appeared to have closed, in MONITOR_COMPUTING; 0:
                        it has not */
    int64_t probe_next;   /* when to send the next probe byte */
    int64_t since;        /* when the epoch was first seen */
    int64_t begun;        /* when the start of a request was first seen; 0: not yet */
    int64_t next_check;   /* earliest time of the next check */
    uint64_t received;    /* bytes received by `since`, as counted by the kernel */
    int64_t window;       /* start of the interval over which the rate is measured */
    int64_t window_progress; /* progress at `window` */
};

struct monitor {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t stop;
    const struct limits *limits;
    struct rejections *rejects;
    struct monitor_tick tick;
    struct connection_state *first;
    struct connection_state *cursor; /* the next connection to check */
    bool stopping;
};

/* ---- Kernel state ---- */

/* Returns true if a socket is at its end: it has no unread data, and the peer has closed. */
static bool is_at_end(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* Returns the kernel's counters for a connection; all zero on Unix sockets, which have none. */
static struct tcp_info counts(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        info = (struct tcp_info){0};
    return info;
}

/* Returns true for a TCP socket, false for a Unix socket. */
static bool is_tcp(int fd)
{
    int protocol = 0;
    socklen_t len = sizeof protocol;
    return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 && protocol == IPPROTO_TCP;
}

/* Returns the number of bytes received on a connection, read or not. */
static uint64_t received(int fd)
{
    return counts(fd).tcpi_bytes_received;
}

/* Returns true if a socket has unread data. The end of a connection does not count as data. */
static bool has_unread(int fd)
{
    int bytes = 0;
    return ioctl(fd, FIONREAD, &bytes) == 0 && bytes > 0;
}

/* Returns the number of bytes sent that the peer has not acknowledged yet. */
static int64_t unread(int fd)
{
    int bytes = 0;
    return ioctl(fd, SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

/* ---- Disconnecting ---- */

static void send_timeout(struct connection_state *monitored, const char *detail)
{
    char body[256], text[512];
    const int len = snprintf(body, sizeof body,
                             "{\"type\":\"about:blank\",\"title\":\"Request "
                             "Timeout\",\"status\":408,\"detail\":\"%s\"}\n",
                             detail);
    const int size = snprintf(text, sizeof text,
                              "HTTP/1.1 408 Request Timeout\r\nContent-Length: %d\r\nContent-Type: "
                              "application/problem+json\r\n"
                              "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n%s",
                              len, body);
    if (send(monitored->fd, text, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL) == size)
        atomic_store(&monitored->status, 408);
}

/* Shuts down a connection. If its epoch has changed since the check, its I/O thread is using it:
   returns false and does nothing. `reason` is one of rejection_names or NULL. `detail`, unless
   NULL, is sent to the client in a 408 response if the connection does not use TLS. */
static bool disconnect(struct connection_state *monitored, const char *reason, const char *detail)
{
    unsigned epoch = monitored->seen_epoch;
    if (!atomic_compare_exchange_strong(&monitored->epoch, &epoch, MONITOR_DISCONNECTED))
        return false;
    atomic_store(&monitored->reason, reason);
    /* The connection's thread may meanwhile have begun to wait for memory; this ends the wait. */
    __atomic_store_n(&monitored->gone, true, __ATOMIC_RELAXED);
    if (detail && monitored->plain)
        send_timeout(monitored, detail);
    shutdown(monitored->fd, SHUT_RDWR);
    return true;
}

static void disconnect_slow(struct monitor *monitor, struct connection_state *monitored,
                            enum rejection reason, const char *detail)
{
    if (disconnect(monitored, rejection_names[reason], detail))
        rejections_add(monitor->rejects, reason);
}

/* ---- Checking one connection ---- */

/* Returns true if the client has disconnected. libmicrohttpd may still be processing the last data,
   so the socket must be at its end in two consecutive checks of the same epoch. */
static bool has_disconnected(struct connection_state *monitored)
{
    const bool before = monitored->at_end;
    monitored->at_end = is_at_end(monitored->fd);
    return before && monitored->at_end;
}

/* Returns true if a request has begun. The kernel's count includes bytes that are not part of a
   request, such as an incomplete TLS record, but excludes bytes received before the epoch was first
   seen. The parser detects those. */
static bool has_begun(const struct connection_state *monitored)
{
    return strict_parser_has_begun(strict_parser_of(monitored->fd)) ||
           received(monitored->fd) != monitored->received;
}

static void check_headers(struct monitor *monitor, struct connection_state *monitored, int64_t now)
{
    const struct limits *limits = monitor->limits;
    const int64_t period = limits->header_timeout / 8;
    if (monitored->begun == 0 && has_begun(monitored))
        monitored->begun = now;
    if (has_disconnected(monitored) ||
        (monitored->begun == 0 && now - monitored->since >= limits->idle_timeout))
        disconnect(monitored, NULL, NULL);
    else if (monitored->begun > 0 && now - monitored->begun >= limits->header_timeout)
        disconnect_slow(monitor, monitored, REJECTION_HEADER_TIME,
                        "the headers of the request did not arrive within the time that "
                        "--header-timeout allows");
    monitored->next_check = now + (period < MONITOR_IDLE_MS ? period : MONITOR_IDLE_MS);
}

/* Sends the next byte of the response to a client that may have disconnected. No-op if the
   connection's thread is about to respond. */
static void probe(struct connection_state *monitored)
{
    atomic_store(&monitored->probing, true);
    if (atomic_load(&monitored->epoch) == monitored->seen_epoch)
        early_status_line_send(monitored->fd);
    atomic_store(&monitored->probing, false);
}

/* Checks for a disconnect while the server computes. A client that has closed only its sending half
   still waits for the response. Over TCP, only sending data distinguishes this from a full close,
   to which the client's kernel responds with a reset. The first probe byte is sent at once and the
   following ones at doubling intervals. A FIN may be queued after data that the server does not
   read yet, so clients with unread data are probed too. Unix sockets report a full close directly.
   With TLS, no byte can be sent between records, but clients do not close half of a connection. */
static void check_disconnect(struct connection_state *monitored, int64_t now)
{
    struct pollfd fd = {.fd = monitored->fd, .events = POLLRDHUP};
    const bool events = poll(&fd, 1, 0) > 0, ended = fd.revents & POLLRDHUP;
    if (events && ((fd.revents & (POLLHUP | POLLERR)) || !monitored->plain)) {
        __atomic_store_n(&monitored->gone, true, __ATOMIC_RELAXED);
        return;
    }
    if (!monitored->tcp || !monitored->plain || !(ended || has_unread(monitored->fd)))
        return;
    if (monitored->closed_since == 0) {
        monitored->closed_since = now;
        monitored->probe_next = ended ? now : now + MONITOR_PERIOD_MS;
    }
    if (now < monitored->probe_next)
        return;
    const int64_t pause = now - monitored->closed_since;
    monitored->probe_next = now + (pause > MONITOR_PROBE_MS ? pause : MONITOR_PROBE_MS);
    probe(monitored);
}

/* Returns the bytes received of a body or acknowledged of a response. For responses it prefers the
   kernel's count, because short responses are sent without monitor_progress. */
static int64_t progress(struct connection_state *monitored, enum monitor_phase phase)
{
    const int64_t handed = (int64_t)atomic_load(&monitored->progress);
    if (phase != MONITOR_RESPONSE)
        return handed;
    const uint64_t taken = counts(monitored->fd).tcpi_bytes_acked;
    return taken > 0 ? (int64_t)taken : handed - unread(monitored->fd);
}

/* At the end of a window, starts the next one, and returns true if the rate over the window was
   below `rate`, in bytes per second. Returns false while the window lasts, or if `rate` is 0. */
static bool is_slow(const struct monitor *monitor, struct connection_state *monitored,
                    enum monitor_phase phase, size_t rate, int64_t now)
{
    const int64_t elapsed = now - monitored->window;
    if (rate == 0 || elapsed < monitor->limits->min_rate_window)
        return false;
    const int64_t total = progress(monitored, phase), made = total - monitored->window_progress;
    monitored->window = now;
    monitored->window_progress = total;
    /* `made` is negative only while the epoch is changing. */
    return made >= 0 && (double)made * 1000 < (double)rate * (double)elapsed;
}

static void check_body(struct monitor *monitor, struct connection_state *monitored, int64_t now)
{
    if (has_disconnected(monitored))
        disconnect(monitored, NULL, NULL);
    else if (is_slow(monitor, monitored, MONITOR_BODY, monitor->limits->min_body_rate, now))
        disconnect_slow(monitor, monitored, REJECTION_BODY_RATE,
                        "the body of the request arrived more slowly than --min-body-rate allows");
}

static void check_response(struct monitor *monitor, struct connection_state *monitored, int64_t now)
{
    if (is_slow(monitor, monitored, MONITOR_RESPONSE, monitor->limits->min_response_rate, now))
        disconnect_slow(monitor, monitored, REJECTION_RESPONSE_RATE, NULL);
}

/* ---- Disconnecting to free memory ---- */

/* Returns the estimated total duration of a transfer in milliseconds at its current rate, or 0 if
   it cannot be estimated yet or no transfer is in progress. For a chunked body, returns the time
   elapsed. */
static double duration(const struct monitor *monitor, struct connection_state *monitored,
                       int64_t now)
{
    const unsigned epoch = atomic_load(&monitored->epoch);
    const double elapsed = (double)(now - monitored->since);
    const bool sends =
        epoch % MONITOR_PHASES == MONITOR_BODY || epoch % MONITOR_PHASES == MONITOR_RESPONSE;
    if (!sends || epoch != monitored->seen_epoch ||
        elapsed * MONITOR_GRACE < (double)monitor->limits->slow_client_memory_timeout)
        return 0;
    int64_t done = (int64_t)atomic_load(&monitored->progress);
    /* Read after `progress`, because monitor_set_phase resets them in the opposite order. */
    const uint64_t bytes = atomic_load(&monitored->bytes);
    if (bytes > 0 && epoch % MONITOR_PHASES == MONITOR_RESPONSE)
        done -= unread(monitored->fd);
    return elapsed *
           (bytes == MONITOR_ANY_LENGTH ? 1 : (double)bytes / (double)(done > 1 ? done : 1));
}

struct holder {
    struct connection_state *monitored;
    size_t memory;
    double cost; /* memory * duration */
};

/* Inserts a holder into the list of the MONITOR_MAX_DISCONNECTS most costly ones, in descending
   order of cost. Returns the new length of the list. */
static int insert(struct holder *holders, int count, struct holder holder)
{
    int at = count < MONITOR_MAX_DISCONNECTS ? count++ : MONITOR_MAX_DISCONNECTS;
    for (; at > 0 && holders[at - 1].cost < holder.cost; at--)
        if (at < MONITOR_MAX_DISCONNECTS)
            holders[at] = holders[at - 1];
    if (at < MONITOR_MAX_DISCONNECTS)
        holders[at] = holder;
    return count;
}

/* Finds the connections with the highest cost among those whose transfer takes longer than
   --slow-client-memory-timeout. Returns their number. */
static int find_holders(const struct monitor *monitor,
                        struct holder holders[MONITOR_MAX_DISCONNECTS])
{
    const int64_t now = clock_ms();
    int count = 0;
    for (struct connection_state *monitored = monitor->first; monitored;
         monitored = monitored->next) {
        const double takes = duration(monitor, monitored, now);
        const size_t memory = atomic_load(&monitored->memory);
        if (memory > 0 && takes > (double)monitor->limits->slow_client_memory_timeout)
            count =
                insert(holders, count, (struct holder){monitored, memory, takes * (double)memory});
    }
    return count;
}

/* Returns how many holders, starting with the most costly, must be disconnected to free `lacking`
   bytes; all of them if that is not enough. Sets *freed to their total memory. */
static int count_needed(const struct holder *holders, int count, size_t lacking, size_t *freed)
{
    int needed = 0;
    for (*freed = 0; needed < count && *freed < lacking; needed++)
        *freed += holders[needed].memory;
    return needed;
}

/* Disconnects the most costly holders to free `lacking` bytes. Keeps those whose memory is not
   needed for that. */
static void disconnect_holders(struct monitor *monitor, size_t lacking)
{
    struct holder holders[MONITOR_MAX_DISCONNECTS];
    size_t freed = 0;
    const int count = lacking > 0 ? find_holders(monitor, holders) : 0,
              needed = count_needed(holders, count, lacking, &freed);
    for (int i = needed - 1; i >= 0; i--) {
        struct connection_state *const monitored = holders[i].monitored;
        const size_t memory = holders[i].memory;
        const bool body = monitored->seen_epoch % MONITOR_PHASES == MONITOR_BODY;
        if (freed >= lacking + memory)
            freed -= memory; /* not needed */
        else
            disconnect_slow(monitor, monitored, REJECTION_MEMORY_HOLD,
                            body ? "the body of the request arrived too slowly for "
                                   "--slow-client-memory-timeout while other requests lacked the "
                                   "memory that it uses"
                                 : NULL);
    }
}

/* ---- The monitor thread ---- */

/* Resets the monitor thread's state for a new epoch. In the first epoch of a connection, all
   received bytes count. */
static void begin_epoch(struct connection_state *monitored, unsigned epoch, int64_t now)
{
    const enum monitor_phase phase = epoch % MONITOR_PHASES;
    monitored->seen_epoch = epoch;
    monitored->at_end = false;
    monitored->closed_since = monitored->probe_next = 0;
    monitored->since = monitored->window = now;
    monitored->begun = monitored->next_check = 0;
    monitored->received =
        phase == MONITOR_HEADERS && epoch != FIRST_EPOCH ? received(monitored->fd) : 0;
    monitored->window_progress = progress(monitored, phase);
}

static void check(struct monitor *monitor, struct connection_state *monitored, int64_t now)
{
    const unsigned epoch = atomic_load(&monitored->epoch);
    if (epoch != monitored->seen_epoch || monitored->since == 0)
        begin_epoch(monitored, epoch, now);
    if (now < monitored->next_check)
        return;
    switch (epoch % MONITOR_PHASES) {
    case MONITOR_HEADERS:
        check_headers(monitor, monitored, now);
        break;
    case MONITOR_BODY:
        check_body(monitor, monitored, now);
        break;
    case MONITOR_RESPONSE:
        check_response(monitor, monitored, now);
        break;
    case MONITOR_COMPUTING:
        check_disconnect(monitored, now);
        break;
    default:
        break;
    }
}

/* Checks all connections. The mutex keeps their sockets open. It is released after each batch,
   because checking ten thousand connections takes tens of milliseconds. */
static void check_all(struct monitor *monitor)
{
    const int64_t now = clock_ms();
    monitor->cursor = monitor->first;
    for (unsigned checks = 1; monitor->cursor; checks++) {
        struct connection_state *const monitored = monitor->cursor;
        monitor->cursor = monitored->next;
        check(monitor, monitored, now);
        if (checks % MONITOR_BATCH == 0) {
            pthread_mutex_unlock(&monitor->mutex);
            pthread_mutex_lock(&monitor->mutex);
        }
    }
}

static struct timespec next_time(void)
{
    struct timespec next = {0};
    clock_gettime(CLOCK_MONOTONIC, &next);
    next.tv_nsec += MONITOR_PERIOD_MS * 1000000L;
    if (next.tv_nsec >= 1000000000) {
        next.tv_sec++;
        next.tv_nsec -= 1000000000;
    }
    return next;
}

static void *run(void *argument)
{
    struct monitor *monitor = argument;
    pthread_mutex_lock(&monitor->mutex);
    while (!monitor->stopping) {
        struct timespec next = next_time();
        while (!monitor->stopping &&
               pthread_cond_timedwait(&monitor->stop, &monitor->mutex, &next) == 0)
            ;
        check_all(monitor);
        pthread_mutex_unlock(&monitor->mutex);
        block_cache_trim();
        const size_t lacking = monitor->tick.tick(monitor->tick.context);
        pthread_mutex_lock(&monitor->mutex);
        if (monitor->limits->slow_client_memory_timeout > 0)
            disconnect_holders(monitor, lacking);
    }
    pthread_mutex_unlock(&monitor->mutex);
    return NULL;
}

/* ---- Interface ---- */

struct monitor *monitor_start(const struct limits *limits, struct rejections *rejects,
                              const struct monitor_tick *tick, char *message, size_t size)
{
    struct monitor *monitor = calloc(1, sizeof *monitor);
    if (!monitor) {
        snprintf(message, size, "insufficient memory for the connection monitor");
        return NULL;
    }
    monitor->limits = limits;
    monitor->rejects = rejects;
    monitor->tick = *tick;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic); /* on Linux, none of these calls can fail */
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&monitor->stop, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&monitor->mutex, NULL);
    int error = pthread_create(&monitor->thread, NULL, run, monitor);
    if (error == 0)
        return monitor;
    snprintf(message, size, "cannot start the connection monitor thread: %s", strerror(error));
    pthread_cond_destroy(&monitor->stop);
    pthread_mutex_destroy(&monitor->mutex);
    free(monitor);
    return NULL;
}

struct connection_state *monitor_add(struct monitor *monitor, int fd, bool plain)
{
    struct connection_state *monitored = calloc(1, sizeof *monitored);
    if (!monitored)
        return NULL;
    monitored->fd = fd;
    monitored->plain = plain;
    monitored->tcp = is_tcp(fd);
    monitored->added = clock_ms();
    atomic_store(&monitored->epoch, FIRST_EPOCH);
    pthread_mutex_lock(&monitor->mutex);
    monitored->next = monitor->first;
    monitored->link = &monitor->first;
    if (monitored->next)
        monitored->next->link = &monitored->next;
    monitor->first = monitored;
    pthread_mutex_unlock(&monitor->mutex);
    return monitored;
}

void monitor_remove(struct monitor *monitor, struct connection_state *monitored)
{
    if (!monitored)
        return;
    pthread_mutex_lock(&monitor->mutex);
    if (monitor->cursor == monitored)
        monitor->cursor = monitored->next;
    *monitored->link = monitored->next;
    if (monitored->next)
        monitored->next->link = monitored->link;
    pthread_mutex_unlock(&monitor->mutex);
    free(monitored);
}

bool monitor_set_phase(struct connection_state *monitored, enum monitor_phase phase)
{
    if (!monitored)
        return true;
    unsigned epoch = atomic_load(&monitored->epoch);
    if (epoch % MONITOR_PHASES == (unsigned)phase)
        return true;
    const unsigned next =
        epoch / MONITOR_PHASES * MONITOR_PHASES + MONITOR_PHASES + (unsigned)phase;
    if (epoch == MONITOR_DISCONNECTED)
        return false;
    atomic_store(&monitored->bytes, 0);
    atomic_store(&monitored->progress, 0);
    /* Fails if it has just been disconnected. */
    const bool changed = atomic_compare_exchange_strong(&monitored->epoch, &epoch, next);
    while (atomic_load(&monitored->probing)) /* at most one non-blocking call */
        sched_yield();
    return changed;
}

void monitor_set_memory(struct connection_state *monitored, uint64_t bytes, size_t memory)
{
    if (!monitored)
        return;
    atomic_store(&monitored->memory, memory);
    atomic_store(&monitored->bytes, bytes);
}

const bool *monitor_gone_flag(const struct connection_state *monitored)
{
    return monitored ? &monitored->gone : NULL;
}

void monitor_cancel_requests(struct monitor *monitor)
{
    pthread_mutex_lock(&monitor->mutex);
    for (struct connection_state *monitored = monitor->first; monitored;
         monitored = monitored->next)
        if (atomic_load(&monitored->epoch) % MONITOR_PHASES == MONITOR_COMPUTING)
            __atomic_store_n(&monitored->gone, true, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&monitor->mutex);
}

bool monitor_expects_request(struct monitor *monitor)
{
    const int64_t now = clock_ms();
    bool expects = false;
    pthread_mutex_lock(&monitor->mutex);
    for (const struct connection_state *monitored = monitor->first; monitored && !expects;
         monitored = monitored->next)
        expects = has_unread(monitored->fd) || (atomic_load(&monitored->epoch) == FIRST_EPOCH &&
                                                now - monitored->added < MONITOR_NEW_MS);
    pthread_mutex_unlock(&monitor->mutex);
    return expects;
}

void monitor_progress(struct connection_state *monitored, uint64_t bytes)
{
    if (monitored)
        atomic_store_explicit(&monitored->progress, bytes, memory_order_relaxed);
}

int monitor_status(struct connection_state *monitored)
{
    return monitored ? atomic_load(&monitored->status) : 0;
}

const char *monitor_reason(struct connection_state *monitored)
{
    return monitored ? atomic_load(&monitored->reason) : NULL;
}

void monitor_stop(struct monitor *monitor)
{
    if (!monitor)
        return;
    pthread_mutex_lock(&monitor->mutex);
    monitor->stopping = true;
    pthread_cond_signal(&monitor->stop);
    pthread_mutex_unlock(&monitor->mutex);
    pthread_join(monitor->thread, NULL);
    pthread_cond_destroy(&monitor->stop);
    pthread_mutex_destroy(&monitor->mutex);
    free(monitor);
}
