/*
 * Cutting connections whose clients have gone or are too slow. The thread that does so also sees to
 * it that memory which was kept for large requests is given back.
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
    WATCH_IDLE_MS = 1000, /* so often at most connections are looked at that wait for a request */
    WATCH_BATCH = 256,    /* connections that are looked at before others may have the mutex */
    WATCH_PHASES = 8,     /* at least as many as there are */
    WATCH_CUTS = 64,      /* at most at a time for memory */
    WATCH_NEW_MS = 1000,  /* so long a connection is new */
    WATCH_PROBE_MS =
        1000,        /* between the first two bytes that are sent to a client that may have left */
    WATCH_GRACE = 8, /* an eighth of --slow-client-memory-timeout passes before it is judged how
                        long something will take */
    FIRST_TURN = WATCH_HEADERS,
};

struct watched {
    struct watched *next, **link; /* under the mutex */
    int fd;
    bool plain;
    bool tcp;
    int64_t added;             /* clock_ms */
    atomic_uint turn;          /* phase, plus WATCH_PHASES for every change that there was */
    _Atomic uint64_t progress; /* bytes, in this phase */
    _Atomic uint64_t bytes;    /* of watch_holds, in this phase; 0: no memory is held */
    atomic_size_t memory;      /* likewise */
    atomic_bool probing;       /* the thread is about to send on the connection */
    atomic_int status;
    bool gone;                    /* accessed atomically, and by others through a pointer */
    _Atomic(const char *) reason; /* of rejection_names; NULL unless it was cut for being slow */

    /* the thread's alone; of the turn in which it looked last */
    unsigned seen_turn;
    bool at_end; /* the client had closed when it looked */
    int64_t
        doubted; /* in WATCH_NOTHING, when it saw that the client may have closed; 0: it has not */
    int64_t probe_next; /* when the client is to be sent the next byte */
    int64_t since;      /* when it saw the turn first */
    int64_t begun;      /* when it saw that a request had begun; 0: it has not */
    int64_t look_again; /* not before then */
    uint64_t received;  /* bytes that had come, by the kernel's count, when it saw the turn first */
    int64_t window;     /* since when the rate is taken, and what the progress was then */
    int64_t window_progress;
};

struct watch {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t stop;
    const struct limits *limits;
    struct rejections *rejects;
    struct watch_tick tick;
    struct watched *first;
    struct watched *cursor; /* the next to be looked at */
    bool stopping;
};

/* ---- what the kernel knows ---- */

/* Whether nothing is left to be read from a socket and nothing will come. */
static bool is_at_end(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* What is counted of a connection; all 0 where nothing is: on Unix sockets. */
static struct tcp_info counts(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        info = (struct tcp_info){0};
    return info;
}

/* Whether it is a TCP socket, and not a Unix socket. */
static bool is_tcp(int fd)
{
    int protocol = 0;
    socklen_t len = sizeof protocol;
    return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 && protocol == IPPROTO_TCP;
}

/* Bytes that a client has sent on a connection, read or not. */
static uint64_t received(int fd)
{
    return counts(fd).tcpi_bytes_received;
}

/* Whether something has come that nobody has read yet; the end of a connection is not counted. */
static bool has_unread(int fd)
{
    int bytes = 0;
    return ioctl(fd, FIONREAD, &bytes) == 0 && bytes > 0;
}

/* Bytes that were sent and that the client's side has not taken yet. */
static int64_t unread(int fd)
{
    int bytes = 0;
    return ioctl(fd, SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

/* ---- cutting ---- */

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

/* Shuts a connection down, unless it has gone on to another turn meanwhile: then its thread is at
   it, and false is returned. `reason` is that of rejection_names, NULL where there is none.
   `detail` is told to a client whose request did not come in time; NULL: nothing is. */
static bool cut(struct watched *watched, const char *reason, const char *detail)
{
    unsigned turn = watched->seen_turn;
    if (!atomic_compare_exchange_strong(&watched->turn, &turn, WATCH_CUT))
        return false;
    atomic_store(&watched->reason, reason);
    __atomic_store_n(&watched->gone, true,
                     __ATOMIC_RELAXED); /* its thread may have begun to wait for memory meanwhile */
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

/* ---- looking ---- */

/* What was read last may still be on its way through libmicrohttpd: a client has left only when a
   second look, one period later, finds the connection at its end and the server waiting as it was.
 */
static bool has_left(struct watched *watched)
{
    const bool before = watched->at_end;
    watched->at_end = is_at_end(watched->fd);
    return before && watched->at_end;
}

/* By what was read, and by the kernel's count: that goes up with what is never part of a request as
   well, such as half a record of TLS, but cannot tell of what had come before the turn was seen. */
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
                 "the headers of the request did not come in time");
    watched->look_again = now + (period < WATCH_IDLE_MS ? period : WATCH_IDLE_MS);
}

/* Sends the next byte of the answer to a client that may have left, unless its thread is about to
   answer. */
static void probe(struct watched *watched)
{
    atomic_store(&watched->probing, true);
    if (atomic_load(&watched->turn) == watched->seen_turn)
        prefix_send(watched->fd);
    atomic_store(&watched->probing, false);
}

/* While the server is at work. A client that has only closed its sending half still waits for the
   answer. Over TCP a reset tells that one does not, but only once it is sent something: at once,
   and again each time that it has been twice as long. The FIN may be stuck behind bytes that the
   server does not read at the moment, so their sender is asked, too. Unix sockets tell the two
   apart. With TLS nothing can be sent between two records, and clients do not close half of a
   connection. */
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

/* What a client has sent of a body, or its side has taken of an answer: by the kernel's count where
   there is one, since short answers are handed over without being counted. */
static int64_t progress(struct watched *watched, enum watch_phase phase)
{
    const int64_t handed = (int64_t)atomic_load(&watched->progress);
    if (phase != WATCH_ANSWER)
        return handed;
    const uint64_t taken = counts(watched->fd).tcpi_bytes_acked;
    return taken > 0 ? (int64_t)taken : handed - unread(watched->fd);
}

/* Whether less than `rate` was made of the last window. Less than nothing is made only while the
 * turn is being changed. */
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
        cut_slow(watch, watched, REJECTION_BODY_RATE, "the body of the request came too slowly");
}

static void look_at_answer(struct watch *watch, struct watched *watched, int64_t now)
{
    if (is_slow(watch, watched, WATCH_ANSWER, watch->limits->min_response_rate, now))
        cut_slow(watch, watched, REJECTION_ANSWER_RATE, NULL);
}

/* ---- those who hold memory ---- */

/* In how many milliseconds all will have been sent, if it goes on as it did; 0 where that cannot be
   told yet, or does not matter. Of a body in chunks: for how long it has been coming. */
static double duration(const struct watch *watch, struct watched *watched, int64_t now)
{
    const unsigned turn = atomic_load(&watched->turn);
    const double elapsed = (double)(now - watched->since);
    const bool sends = turn % WATCH_PHASES == WATCH_BODY || turn % WATCH_PHASES == WATCH_ANSWER;
    if (!sends || turn != watched->seen_turn ||
        elapsed * WATCH_GRACE < (double)watch->limits->slow_client_memory_timeout)
        return 0;
    int64_t done = (int64_t)atomic_load(&watched->progress);
    const uint64_t bytes =
        atomic_load(&watched->bytes); /* after it: watch_turn changes them the other way about */
    if (bytes > 0 && turn % WATCH_PHASES == WATCH_ANSWER)
        done -= unread(watched->fd);
    return elapsed *
           (bytes == WATCH_ANY_LENGTH ? 1 : (double)bytes / (double)(done > 1 ? done : 1));
}

struct holder {
    struct watched *watched;
    size_t memory;
    double cost; /* memory by time */
};

/* Keeps the dearest, in order; returns how many there are now. */
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

/* Of those who take longer than --slow-client-memory-timeout, those who hold the most for the
 * longest. */
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

/* How many of them have to go until as much is free as others lack, if no fewer do. */
static int count_needed(const struct holder *holders, int count, size_t lacking, size_t *freed)
{
    int needed = 0;
    for (*freed = 0; needed < count && *freed < lacking; needed++)
        *freed += holders[needed].memory;
    return needed;
}

/* Cuts them, but for those without whom enough becomes free as well. */
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
            freed -= memory; /* it is spared */
        else
            cut_slow(watch, watched, REJECTION_MEMORY_HOLD,
                     body ? "the body of the request came too slowly while others lacked the "
                            "memory that it holds"
                          : NULL);
    }
}

/* ---- looking at all ---- */

/* Before the first turn of all nothing can have come. */
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

/* Looks at all. The mutex keeps what is watched open meanwhile, and is lent out every now and then:
   ten thousand looks take tens of milliseconds. */
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

/* ---- the interface ---- */

struct watch *watch_start(const struct limits *limits, struct rejections *rejects,
                          const struct watch_tick *tick, char *message, size_t size)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch) {
        snprintf(message, size, "no memory to watch connections with");
        return NULL;
    }
    watch->limits = limits;
    watch->rejects = rejects;
    watch->tick = *tick;
    pthread_condattr_t monotonic;
    pthread_condattr_init(
        &monotonic); /* with these attributes none of the four can fail on Linux */
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->stop, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&watch->mutex, NULL);
    int error = pthread_create(&watch->thread, NULL, run, watch);
    if (error == 0)
        return watch;
    snprintf(message, size, "cannot start the thread that watches connections: %s",
             strerror(error));
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
    while (atomic_load(&watched->probing))                    /* for one call that does not wait */
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
