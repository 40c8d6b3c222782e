/*
 * Noticing that a client has gone while the server waits for it. The thread that does so also sees to it that memory which was
 * kept for large requests is given back.
 */
#include "watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "pages.h"

enum { WATCH_PERIOD_MS = 250 };

struct watched {
    struct watched *next, **link; /* under the mutex */
    int fd;
    /* Even while the server waits, odd while it does not; moves on with every change. */
    atomic_uint phase;
    bool at_end; /* was so when last looked at, in `seen_phase`: the thread's alone */
    unsigned seen_phase;
};

struct watch {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t stop;
    struct watched *first;
    bool stopping;
};

/* Whether nothing is left to be read from a socket and nothing will come. */
static bool is_at_end(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* What was read last may still be on its way through libmicrohttpd: a connection is shut down only when a second look, one
   period later, finds it at its end and the server waiting as it was. */
static void look(struct watched *watched)
{
    unsigned phase = atomic_load(&watched->phase);
    bool at_end = phase % 2 == 0 && is_at_end(watched->fd);
    if (at_end && watched->at_end && watched->seen_phase == phase)
        shutdown(watched->fd, SHUT_RDWR);
    watched->at_end = at_end;
    watched->seen_phase = phase;
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
        /* The mutex keeps what is watched open meanwhile; ten thousand looks take a few milliseconds. */
        for (struct watched *watched = watch->first; watched; watched = watched->next)
            look(watched);
        pthread_mutex_unlock(&watch->mutex);
        pages_tidy();
        pthread_mutex_lock(&watch->mutex);
    }
    pthread_mutex_unlock(&watch->mutex);
    return NULL;
}

struct watch *watch_start(char *message, size_t size)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch) {
        snprintf(message, size, "no memory to watch connections with");
        return NULL;
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic); /* with these attributes none of the four can fail on Linux */
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->stop, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&watch->mutex, NULL);
    int error = pthread_create(&watch->thread, NULL, run, watch);
    if (error == 0)
        return watch;
    snprintf(message, size, "cannot start the thread that watches connections: %s", strerror(error));
    pthread_cond_destroy(&watch->stop);
    pthread_mutex_destroy(&watch->mutex);
    free(watch);
    return NULL;
}

struct watched *watch_add(struct watch *watch, int fd)
{
    struct watched *watched = calloc(1, sizeof *watched);
    if (!watched)
        return NULL;
    watched->fd = fd;
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
    *watched->link = watched->next;
    if (watched->next)
        watched->next->link = watched->link;
    pthread_mutex_unlock(&watch->mutex);
    free(watched);
}

void watch_waits(struct watched *watched, bool waits)
{
    if (watched && (atomic_load(&watched->phase) % 2 == 0) != waits)
        atomic_fetch_add(&watched->phase, 1); /* one thread changes it: the one that has the connection */
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
