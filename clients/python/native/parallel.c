/*
 * Replaces core/parallel.c in the library of the Python package: the library has threads of its own
 * instead of those of OpenMP, because
 * - in the child of a fork, libgomp hangs on a thread that has used its team before; these threads
 *   are created again;
 * - threads of libgomp wait for all others of their team. In a Python process, other threads, such
 *   as those of PyTorch or of data loaders, often occupy the CPUs; here a thread that the system
 *   does not run in time is not waited for;
 * - a wheel needs no libgomp.
 */
#include "parallel.h"
#include "thread.h"

#include <pthread.h>
#include <stdatomic.h>

/* A loop that is running. Its thread works on it, and helpers join. */
struct region {
    size_t n;
    void (*body)(void *context, size_t i, int thread);
    void *context;
    atomic_size_t next;  /* the first index that no thread has taken */
    int places;          /* how many helpers can still join */
    int joined, running; /* how many have joined, and how many of them have not finished */
    struct region *following;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below, and of all regions */
static pthread_cond_t work = PTHREAD_COND_INITIALIZER, finished = PTHREAD_COND_INITIALIZER;
static struct region *regions;
static int helpers; /* how many exist */

/* The child of a fork has no helpers, nor the threads of the regions. */
static void reset_in_child(void)
{
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&work, NULL);
    pthread_cond_init(&finished, NULL);
    regions = NULL;
    helpers = 0;
}

static void init(void)
{
    pthread_atfork(NULL, NULL, reset_in_child);
}

/* Calls the body for indices that no thread has taken, until there are none. */
static void take(struct region *region, int thread)
{
    size_t i;
    while ((i = atomic_fetch_add(&region->next, 1)) < region->n)
        region->body(region->context, i, thread);
}

/* Returns a region that a helper can join; NULL if there is none. */
static struct region *find_open(void)
{
    struct region *region = regions;
    while (region && (region->places == 0 || atomic_load(&region->next) >= region->n))
        region = region->following;
    return region;
}

static void *help(void *context)
{
    (void)context;
    pthread_mutex_lock(&lock);
    for (;;) {
        struct region *const region = find_open();
        if (!region) {
            pthread_cond_wait(&work, &lock);
            continue;
        }
        const int thread = ++region->joined;
        region->places--;
        region->running++;
        pthread_mutex_unlock(&lock);
        take(region, thread);
        pthread_mutex_lock(&lock);
        if (--region->running == 0)
            pthread_cond_broadcast(&finished);
    }
    return NULL;
}

/* Lets helpers join a region. With fewer than it has places for, it only takes longer. */
static void open_region(struct region *region)
{
    pthread_mutex_lock(&lock);
    region->following = regions;
    regions = region;
    while (helpers < region->places && thread_start(help, NULL))
        helpers++;
    pthread_cond_broadcast(&work);
    pthread_mutex_unlock(&lock);
}

/* Lets no more helpers join, and waits for those that have. */
static void close_region(struct region *region)
{
    pthread_mutex_lock(&lock);
    struct region **place = &regions;
    while (*place != region)
        place = &(*place)->following;
    *place = region->following;
    while (region->running > 0)
        pthread_cond_wait(&finished, &lock);
    pthread_mutex_unlock(&lock);
}

void parallel_for(size_t n, int threads, void (*body)(void *context, size_t i, int thread),
                  void *context)
{
    struct region region = {.n = n, .body = body, .context = context};
    if (threads <= 1 || n <= 1) {
        take(&region, 0);
        return;
    }
    region.places = (size_t)threads < n ? threads - 1 : (int)(n - 1);
    pthread_once(&once, init);
    open_region(&region);
    take(&region, 0);
    close_region(&region);
}
