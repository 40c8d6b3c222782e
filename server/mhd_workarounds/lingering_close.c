/*
 * Lingering close.
 */
#include "mhd_workarounds/lingering_close.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/clock.h"

enum {
    LINGER_IDLE_MS = 5000,   /* a client that sends nothing for this long is considered done */
    LINGER_TOTAL_MS = 30000, /* maximum time that a connection lingers */
    LINGER_STOP_MS = 2000,   /* maximum time that lingering_close_stop waits */
    LINGER_READ = 1 << 16,   /* bytes discarded per call */
};

struct lingering {
    int fd;
    int64_t idle_until, until;
};

struct lingerer {
    pthread_t thread;
    char scratch[LINGER_READ]; /* buffer for discarded bytes; used only by the thread */
    int wake;                  /* eventfd: the list has grown, or `stopping` is set */
    pthread_mutex_t mutex;
    struct lingering list[LINGER_MAX]; /* only the thread shortens it */
    size_t count;
    bool stopping;
    int64_t stop_at;
};

/* Returns a free entry. If there is none, closes the oldest connection and returns its entry. The
   mutex must be locked. */
static struct lingering *make_room(struct lingerer *linger)
{
    if (linger->count < LINGER_MAX)
        return &linger->list[linger->count++];
    struct lingering *oldest = &linger->list[0];
    for (size_t i = 1; i < linger->count; i++)
        if (linger->list[i].until < oldest->until)
            oldest = &linger->list[i];
    close(oldest->fd);
    return oldest;
}

void lingering_close_add(struct lingerer *linger, int fd)
{
    int64_t now = clock_ms();
    pthread_mutex_lock(&linger->mutex);
    int copy = linger->stopping ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy >= 0) {
        *make_room(linger) = (struct lingering){
            .fd = copy, .idle_until = now + LINGER_IDLE_MS, .until = now + LINGER_TOTAL_MS};
        eventfd_write(linger->wake, 1);
    }
    pthread_mutex_unlock(&linger->mutex);
}

/* Discards received bytes. Returns false if the connection must be closed. */
static bool discard(struct lingering *entry, char *scratch, int64_t now)
{
    /* With MSG_TRUNC, a TCP socket discards bytes without copying them (tcp(7)); a Unix socket
       copies them. */
    ssize_t got = recv(entry->fd, scratch, LINGER_READ, MSG_TRUNC | MSG_DONTWAIT);
    if (got > 0)
        entry->idle_until = now + LINGER_IDLE_MS;
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        return false;
    return now < entry->idle_until && now < entry->until;
}

/* Fills the list of descriptors to poll. Returns their number, or 0 if the thread must end. */
static size_t fill(struct lingerer *linger, struct pollfd *wait)
{
    wait[0] = (struct pollfd){.fd = linger->wake, .events = POLLIN};
    pthread_mutex_lock(&linger->mutex);
    size_t count = linger->count;
    for (size_t i = 0; i < count; i++)
        wait[i + 1] = (struct pollfd){.fd = linger->list[i].fd, .events = POLLIN};
    bool over = linger->stopping && (count == 0 || clock_ms() >= linger->stop_at);
    pthread_mutex_unlock(&linger->mutex);
    return over ? 0 : count + 1;
}

static void sweep(struct lingerer *linger)
{
    int64_t now = clock_ms();
    pthread_mutex_lock(&linger->mutex);
    for (size_t i = 0; i < linger->count;) {
        if (discard(&linger->list[i], linger->scratch, now)) {
            i++;
        } else {
            close(linger->list[i].fd);
            linger->list[i] = linger->list[--linger->count];
        }
    }
    pthread_mutex_unlock(&linger->mutex);
}

static void *run(void *argument)
{
    struct lingerer *linger = argument;
    struct pollfd wait[LINGER_MAX + 1];
    for (size_t count; (count = fill(linger, wait)) > 0;) {
        /* A precision of one second suffices for the deadlines. */
        if (poll(wait, count, count > 1 ? 1000 : -1) > 0 && (wait[0].revents & POLLIN)) {
            eventfd_t ignored;
            eventfd_read(linger->wake, &ignored);
        }
        sweep(linger);
    }
    for (size_t i = 0; i < linger->count; i++)
        close(linger->list[i].fd);
    return NULL;
}

struct lingerer *lingering_close_start(char *message, size_t size)
{
    struct lingerer *linger = calloc(1, sizeof *linger);
    if (!linger) {
        snprintf(message, size, "insufficient memory for lingering connections");
        return NULL;
    }
    linger->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&linger->mutex, NULL);
    int error = linger->wake < 0 ? errno : pthread_create(&linger->thread, NULL, run, linger);
    if (error == 0)
        return linger;
    snprintf(message, size, "cannot start the lingering close thread: %s", strerror(error));
    if (linger->wake >= 0)
        close(linger->wake);
    pthread_mutex_destroy(&linger->mutex);
    free(linger);
    return NULL;
}

void lingering_close_stop(struct lingerer *linger)
{
    if (!linger)
        return;
    pthread_mutex_lock(&linger->mutex);
    linger->stopping = true;
    linger->stop_at = clock_ms() + LINGER_STOP_MS;
    pthread_mutex_unlock(&linger->mutex);
    eventfd_write(linger->wake, 1);
    pthread_join(linger->thread, NULL);
    close(linger->wake);
    pthread_mutex_destroy(&linger->mutex);
    free(linger);
}
