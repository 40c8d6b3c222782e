/*
 * Cuts connections whose clients have disconnected or are too slow. The monitor thread also trims
 * the cache of memory blocks and runs the periodic callback.
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
    WATCH_PERIOD_MS = 250,
    WATCH_IDLE_MS = 1000,  /* longest interval between checks of an idle connection */
    WATCH_BATCH = 256,     /* connections checked before the mutex is released for a moment */
    WATCH_PHASES = 8,      /* at least the number of phases */
    WATCH_CUTS = 64,       /* maximum number of connections cut for memory per period */
    WATCH_NEW_MS = 1000,   /* age below which a connection is new */
    WATCH_PROBE_MS = 1000, /* between the first two probe bytes sent to a client */
    WATCH_GRACE = 8,       /* durations are estimated only after 1/8 of the memory timeout */
    FIRST_TURN = WATCH_HEADERS,
};

struct watched {
    struct watched *next, **link; /* under the mutex */
    int fd;
    bool plain;
    bool tcp;
    int64_t added;             /* clock_ms */
    atomic_uint turn;          /* phase + WATCH_PHASES * number of phase changes */
    _Atomic uint64_t progress; /* bytes transferred in this phase */
    _Atomic uint64_t bytes;    /* set by watch_holds for this phase; 0: uses no memory */
    atomic_size_t memory;      /* set by watch_holds */
    atomic_bool probing;       /* the thread is about to send on the connection */
    atomic_int status;
    bool gone;                    /* accessed atomically; watch_gone returns its address */
    _Atomic(const char *) reason; /* from rejection_names; NULL unless it was cut as too slow */

    /* Used only by the monitor thread. Times are clock_ms. */
    unsigned seen_turn; /* the turn at the last check; the members below refer to it */
    bool at_end;        /* the client had closed its side at the last check */
    int64_t doubted;    /* when the client appeared to have closed (WATCH_NOTHING); 0: it has not */
    int64_t probe_next; /* when to send the next probe byte */
    int64_t since;      /* when the turn was first seen */
    int64_t begun;      /* when the start of a request was first seen; 0: not yet */
    int64_t look_again; /* earliest time of the next check */
    uint64_t received;  /* the kernel's count of received bytes at `since` */
    int64_t window;     /* start of the interval over which the rate is measured */
    int64_t window_progress; /* progress at `window` */
};

struct watch {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t stop;
    const struct limits *limits;
    struct rejections *rejects;
    struct watch_tick tick;
    struct watched *first;
    struct watched *cursor; /* the next connection to check */
    bool stopping;
};

/* ---- Kernel state ---- */

/* Returns true if a socket is at its end: no unread data, and the peer has closed. */
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

/* ---- Cutting connections ---- */

static void tell(struct watched *watched, const char *detail)
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
    if (send(watched->fd, text, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL) == size)
        atomic_store(&watched->status, 408);
}

/* Shuts down a connection. Returns false and does nothing if its turn has changed since the check:
   its thread is then using it. `reason` is one of rejection_names or NULL. `detail` is sent to the
   client in a 408 response if it is not NULL. */
static bool cut(struct watched *watched, const char *reason, const char *detail)
{
    unsigned turn = watched->seen_turn;
    if (!atomic_compare_exchange_strong(&watched->turn, &turn, WATCH_CUT))
        return false;
    atomic_store(&watched->reason, reason);
    /* The connection's thread may have begun to wait for memory meanwhile. */
    __atomic_store_n(&watched->gone, true, __ATOMIC_RELAXED);
    if (detail && watched->plain)
        tell(watched, detail);
    shutdown(watched->fd, SHUT_RDWR);
    return true;
}

static void cut_slow(struct watch *watch, struct watched *watched, enum rejection reason,
                     const char *detail)
{
    if (cut(watched, rejection_names[reason], detail))
        rejections_add(watch->rejects, reason);
}

/* ---- Checking one connection ---- */

/* Returns true if the client has disconnected. libmicrohttpd may still be processing the last data,
   so this takes two checks in one turn, a period apart, that both find the socket at its end. */
static bool has_left(struct watched *watched)
{
    const bool before = watched->at_end;
    watched->at_end = is_at_end(watched->fd);
    return before && watched->at_end;
}

/* Returns true if a request has begun. The kernel's count includes bytes that are not part of a
   request, such as an incomplete TLS record, but misses bytes received before the turn was first
   seen; the data that was read covers those. */
static bool has_begun(const struct watched *watched)
{
    return wire_has_begun(wire_of(watched->fd)) || received(watched->fd) != watched->received;
}

static void look_at_headers(struct watch *watch, struct watched *watched, int64_t now)
{
    const struct limits *limits = watch->limits;
    const int64_t period = limits->header_timeout / 8;
    if (watched->begun == 0 && has_begun(watched))
        watched->begun = now;
    if (has_left(watched) || (watched->begun == 0 && now - watched->since >= limits->idle_timeout))
        cut(watched, NULL, NULL);
    else if (watched->begun > 0 && now - watched->begun >= limits->header_timeout)
        cut_slow(watch, watched, REJECTION_HEADER_TIME,
                 "the headers of the request did not arrive in time");
    watched->look_again = now + (period < WATCH_IDLE_MS ? period : WATCH_IDLE_MS);
}

/* Sends the next byte of the response to a client that may have disconnected, unless the
   connection's thread is about to respond. */
static void probe(struct watched *watched)
{
    atomic_store(&watched->probing, true);
    if (atomic_load(&watched->turn) == watched->seen_turn)
        prefix_send(watched->fd);
    atomic_store(&watched->probing, false);
}

/* Checks for a disconnect while the server computes. A client that has closed only its sending half
   still waits for the response. Over TCP, only sending data distinguishes this from a full close,
   which answers with a reset. The first probe byte is sent at once and the following ones at
   doubling intervals. A FIN may be queued after data that the server does not read yet, so clients
   with unread data are probed too. Unix sockets report a full close directly. With TLS, no byte can
   be sent between records, but clients do not close half of a connection. */
static void look_whether_gone(struct watched *watched, int64_t now)
{
    struct pollfd fd = {.fd = watched->fd, .events = POLLRDHUP};
    const bool events = poll(&fd, 1, 0) > 0, ended = fd.revents & POLLRDHUP;
    if (events && ((fd.revents & (POLLHUP | POLLERR)) || !watched->plain)) {
        __atomic_store_n(&watched->gone, true, __ATOMIC_RELAXED);
        return;
    }
    if (!watched->tcp || !watched->plain || !(ended || has_unread(watched->fd)))
        return;
    if (watched->doubted == 0) {
        watched->doubted = now;
        watched->probe_next = ended ? now : now + WATCH_PERIOD_MS;
    }
    if (now < watched->probe_next)
        return;
    const int64_t pause = now - watched->doubted;
    watched->probe_next = now + (pause > WATCH_PROBE_MS ? pause : WATCH_PROBE_MS);
    probe(watched);
}

/* Returns the bytes received of a body or acknowledged of a response. For responses it prefers the
   kernel's count, because short responses are sent without watch_progress. */
static int64_t progress(struct watched *watched, enum watch_phase phase)
{
    const int64_t handed = (int64_t)atomic_load(&watched->progress);
    if (phase != WATCH_ANSWER)
        return handed;
    const uint64_t taken = counts(watched->fd).tcpi_bytes_acked;
    return taken > 0 ? (int64_t)taken : handed - unread(watched->fd);
}

/* Returns true if the rate over the last window was below `rate`, in bytes per second. The
 * difference is negative only while the turn is changing. */
static bool is_slow(const struct watch *watch, struct watched *watched, enum watch_phase phase,
                    size_t rate, int64_t now)
{
    const int64_t elapsed = now - watched->window;
    if (rate == 0 || elapsed < watch->limits->min_rate_window)
        return false;
    const int64_t until_now = progress(watched, phase), made = until_now - watched->window_progress;
    watched->window = now;
    watched->window_progress = until_now;
    return made >= 0 && (double)made * 1000 < (double)rate * (double)elapsed;
}

static void look_at_body(struct watch *watch, struct watched *watched, int64_t now)
{
    if (has_left(watched))
        cut(watched, NULL, NULL);
    else if (is_slow(watch, watched, WATCH_BODY, watch->limits->min_body_rate, now))
        cut_slow(watch, watched, REJECTION_BODY_RATE, "the body of the request arrived too slowly");
}

static void look_at_answer(struct watch *watch, struct watched *watched, int64_t now)
{
    if (is_slow(watch, watched, WATCH_ANSWER, watch->limits->min_response_rate, now))
        cut_slow(watch, watched, REJECTION_ANSWER_RATE, NULL);
}

/* ---- Cutting for memory ---- */

/* Returns the estimated total duration of a transfer in milliseconds at its current rate, or 0 if
   it cannot be estimated yet or no transfer is in progress. For a chunked body, returns the time
   elapsed. */
static double duration(const struct watch *watch, struct watched *watched, int64_t now)
{
    const unsigned turn = atomic_load(&watched->turn);
    const double elapsed = (double)(now - watched->since);
    const bool sends = turn % WATCH_PHASES == WATCH_BODY || turn % WATCH_PHASES == WATCH_ANSWER;
    if (!sends || turn != watched->seen_turn ||
        elapsed * WATCH_GRACE < (double)watch->limits->slow_client_memory_timeout)
        return 0;
    int64_t done = (int64_t)atomic_load(&watched->progress);
    /* Read after `progress`, because watch_turn resets them in the opposite order. */
    const uint64_t bytes = atomic_load(&watched->bytes);
    if (bytes > 0 && turn % WATCH_PHASES == WATCH_ANSWER)
        done -= unread(watched->fd);
    return elapsed *
           (bytes == WATCH_ANY_LENGTH ? 1 : (double)bytes / (double)(done > 1 ? done : 1));
}

struct holder {
    struct watched *watched;
    size_t memory;
    double cost; /* memory times duration */
};

/* Inserts a holder into the WATCH_CUTS most costly, in descending order of cost. Returns the new
 * count. */
static int insert(struct holder *holders, int count, struct holder holder)
{
    int at = count < WATCH_CUTS ? count++ : WATCH_CUTS;
    for (; at > 0 && holders[at - 1].cost < holder.cost; at--)
        if (at < WATCH_CUTS)
            holders[at] = holders[at - 1];
    if (at < WATCH_CUTS)
        holders[at] = holder;
    return count;
}

/* Finds the connections with the highest cost among those that take longer than
 * --slow-client-memory-timeout. Returns their number. */
static int find_holders(const struct watch *watch, struct holder holders[WATCH_CUTS])
{
    const int64_t now = clock_ms();
    int count = 0;
    for (struct watched *watched = watch->first; watched; watched = watched->next) {
        const double takes = duration(watch, watched, now);
        const size_t memory = atomic_load(&watched->memory);
        if (memory > 0 && takes > (double)watch->limits->slow_client_memory_timeout)
            count =
                insert(holders, count, (struct holder){watched, memory, takes * (double)memory});
    }
    return count;
}

/* Returns the number of holders, from the most costly on, whose memory adds up to `lacking`, or all
 * if it does not. `*freed` is their memory. */
static int count_needed(const struct holder *holders, int count, size_t lacking, size_t *freed)
{
    int needed = 0;
    for (*freed = 0; needed < count && *freed < lacking; needed++)
        *freed += holders[needed].memory;
    return needed;
}

/* Cuts the most costly holders to free `lacking` bytes, except those whose memory is not needed for
 * that. */
static void cut_holders(struct watch *watch, size_t lacking)
{
    struct holder holders[WATCH_CUTS];
    size_t freed = 0;
    const int count = lacking > 0 ? find_holders(watch, holders) : 0,
              needed = count_needed(holders, count, lacking, &freed);
    for (int i = needed - 1; i >= 0; i--) {
        struct watched *const watched = holders[i].watched;
        const size_t memory = holders[i].memory;
        const bool body = watched->seen_turn % WATCH_PHASES == WATCH_BODY;
        if (freed >= lacking + memory)
            freed -= memory; /* not needed */
        else
            cut_slow(watch, watched, REJECTION_MEMORY_HOLD,
                     body ? "the body of the request arrived too slowly while other requests "
                            "lacked the memory that it uses"
                          : NULL);
    }
}

/* ---- The monitor thread ---- */

/* Resets the thread's state for a new turn. At the first turn of a connection, nothing can have
   been received before. */
static void see_turn(struct watched *watched, unsigned turn, int64_t now)
{
    const enum watch_phase phase = turn % WATCH_PHASES;
    watched->seen_turn = turn;
    watched->at_end = false;
    watched->doubted = watched->probe_next = 0;
    watched->since = watched->window = now;
    watched->begun = watched->look_again = 0;
    watched->received = phase == WATCH_HEADERS && turn != FIRST_TURN ? received(watched->fd) : 0;
    watched->window_progress = progress(watched, phase);
}

static void look(struct watch *watch, struct watched *watched, int64_t now)
{
    const unsigned turn = atomic_load(&watched->turn);
    if (turn != watched->seen_turn || watched->since == 0)
        see_turn(watched, turn, now);
    if (now < watched->look_again)
        return;
    switch (turn % WATCH_PHASES) {
    case WATCH_HEADERS:
        look_at_headers(watch, watched, now);
        break;
    case WATCH_BODY:
        look_at_body(watch, watched, now);
        break;
    case WATCH_ANSWER:
        look_at_answer(watch, watched, now);
        break;
    case WATCH_NOTHING:
        look_whether_gone(watched, now);
        break;
    default:
        break;
    }
}

/* Checks all connections. The mutex keeps their sockets open. It is released after each batch,
   because checking ten thousand connections takes tens of milliseconds. */
static void look_at_all(struct watch *watch)
{
    const int64_t now = clock_ms();
    watch->cursor = watch->first;
    for (unsigned looks = 1; watch->cursor; looks++) {
        struct watched *const watched = watch->cursor;
        watch->cursor = watched->next;
        look(watch, watched, now);
        if (looks % WATCH_BATCH == 0) {
            pthread_mutex_unlock(&watch->mutex);
            pthread_mutex_lock(&watch->mutex);
        }
    }
}

static struct timespec next_time(void)
{
    struct timespec next = {0};
    clock_gettime(CLOCK_MONOTONIC, &next);
    next.tv_nsec += WATCH_PERIOD_MS * 1000000L;
    if (next.tv_nsec >= 1000000000) {
        next.tv_sec++;
        next.tv_nsec -= 1000000000;
    }
    return next;
}

static void *run(void *argument)
{
    struct watch *watch = argument;
    pthread_mutex_lock(&watch->mutex);
    while (!watch->stopping) {
        struct timespec next = next_time();
        while (!watch->stopping && pthread_cond_timedwait(&watch->stop, &watch->mutex, &next) == 0)
            ;
        look_at_all(watch);
        pthread_mutex_unlock(&watch->mutex);
        block_cache_trim();
        const size_t lacking = watch->tick.tick(watch->tick.context);
        pthread_mutex_lock(&watch->mutex);
        if (watch->limits->slow_client_memory_timeout > 0)
            cut_holders(watch, lacking);
    }
    pthread_mutex_unlock(&watch->mutex);
    return NULL;
}

/* ---- Interface ---- */

struct watch *watch_start(const struct limits *limits, struct rejections *rejects,
                          const struct watch_tick *tick, char *message, size_t size)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch) {
        snprintf(message, size, "insufficient memory for the connection monitor");
        return NULL;
    }
    watch->limits = limits;
    watch->rejects = rejects;
    watch->tick = *tick;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic); /* on Linux, none of these calls can fail */
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->stop, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&watch->mutex, NULL);
    int error = pthread_create(&watch->thread, NULL, run, watch);
    if (error == 0)
        return watch;
    snprintf(message, size, "cannot start the connection monitor thread: %s", strerror(error));
    pthread_cond_destroy(&watch->stop);
    pthread_mutex_destroy(&watch->mutex);
    free(watch);
    return NULL;
}

struct watched *watch_add(struct watch *watch, int fd, bool plain)
{
    struct watched *watched = calloc(1, sizeof *watched);
    if (!watched)
        return NULL;
    watched->fd = fd;
    watched->plain = plain;
    watched->tcp = is_tcp(fd);
    watched->added = clock_ms();
    atomic_store(&watched->turn, FIRST_TURN);
    pthread_mutex_lock(&watch->mutex);
    watched->next = watch->first;
    watched->link = &watch->first;
    if (watched->next)
        watched->next->link = &watched->next;
    watch->first = watched;
    pthread_mutex_unlock(&watch->mutex);
    return watched;
}

void watch_remove(struct watch *watch, struct watched *watched)
{
    if (!watched)
        return;
    pthread_mutex_lock(&watch->mutex);
    if (watch->cursor == watched)
        watch->cursor = watched->next;
    *watched->link = watched->next;
    if (watched->next)
        watched->next->link = watched->link;
    pthread_mutex_unlock(&watch->mutex);
    free(watched);
}

bool watch_turn(struct watched *watched, enum watch_phase phase)
{
    if (!watched)
        return true;
    unsigned turn = atomic_load(&watched->turn);
    if (turn % WATCH_PHASES == (unsigned)phase)
        return true;
    const unsigned next = turn / WATCH_PHASES * WATCH_PHASES + WATCH_PHASES + (unsigned)phase;
    if (turn == WATCH_CUT)
        return false;
    atomic_store(&watched->bytes, 0);
    atomic_store(&watched->progress, 0);
    const bool turned = atomic_compare_exchange_strong(&watched->turn, &turn,
                                                       next); /* unless it has just been cut */
    while (atomic_load(&watched->probing))                    /* lasts for one non-blocking call */
        sched_yield();
    return turned;
}

void watch_holds(struct watched *watched, uint64_t bytes, size_t memory)
{
    if (!watched)
        return;
    atomic_store(&watched->memory, memory);
    atomic_store(&watched->bytes, bytes);
}

const bool *watch_gone(const struct watched *watched)
{
    return watched ? &watched->gone : NULL;
}

void watch_give_up(struct watch *watch)
{
    pthread_mutex_lock(&watch->mutex);
    for (struct watched *watched = watch->first; watched; watched = watched->next)
        if (atomic_load(&watched->turn) % WATCH_PHASES == WATCH_NOTHING)
            __atomic_store_n(&watched->gone, true, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&watch->mutex);
}

bool watch_expects(struct watch *watch)
{
    const int64_t now = clock_ms();
    bool expects = false;
    pthread_mutex_lock(&watch->mutex);
    for (const struct watched *watched = watch->first; watched && !expects; watched = watched->next)
        expects = has_unread(watched->fd) || (atomic_load(&watched->turn) == FIRST_TURN &&
                                              now - watched->added < WATCH_NEW_MS);
    pthread_mutex_unlock(&watch->mutex);
    return expects;
}

void watch_progress(struct watched *watched, uint64_t bytes)
{
    if (watched)
        atomic_store_explicit(&watched->progress, bytes, memory_order_relaxed);
}

int watch_status(struct watched *watched)
{
    return watched ? atomic_load(&watched->status) : 0;
}

const char *watch_reason(struct watched *watched)
{
    return watched ? atomic_load(&watched->reason) : NULL;
}

void watch_stop(struct watch *watch)
{
    if (!watch)
        return;
    pthread_mutex_lock(&watch->mutex);
    watch->stopping = true;
    pthread_cond_signal(&watch->stop);
    pthread_mutex_unlock(&watch->mutex);
    pthread_join(watch->thread, NULL);
    pthread_cond_destroy(&watch->stop);
    pthread_mutex_destroy(&watch->mutex);
    free(watch);
}
