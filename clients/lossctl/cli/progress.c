/* A separate thread draws, so the operation only updates numbers. */
#include "cli/progress.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
    FIRST_MS = 1000, /* until a bar appears, since the first operation began; until a line appears,
                        since the current one began */
    FLASH_MS = 150,  /* an operation shorter than this shows no bar */
    BAR_MS = 100,    /* between two updates of the bar */
    LINE_MS = 5000,  /* between two plain lines */
    BAR_WIDTH = 24,
    DESCRIPTION = 160,
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool disabled, running, ending, drawn;
    char description[DESCRIPTION];
    double done, total;
    struct timespec first, begin; /* start of the first operation, and of this one */
} progress = {.lock = PTHREAD_MUTEX_INITIALIZER};

void progress_disable(void)
{
    progress.disabled = true;
}

bool progress_is_disabled(void)
{
    return progress.disabled;
}

static struct timespec later(struct timespec time, long ms)
{
    time.tv_sec += ms / 1000;
    time.tv_nsec += ms % 1000 * 1000000;
    if (time.tv_nsec >= 1000000000) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000;
    }
    return time;
}

static struct timespec now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time;
}

static void draw(bool terminal)
{
    const struct timespec time = now();
    const double seconds = floor((double)(time.tv_sec - progress.begin.tv_sec) +
                                 1e-9 * (double)(time.tv_nsec - progress.begin.tv_nsec));
    const double share = progress.total > 0 ? progress.done / progress.total : 0;
    if (!terminal) {
        if (progress.total > 0)
            fprintf(stderr, "lossctl: %s: %.0f %%, %.0f s\n", progress.description, 100 * share,
                    seconds);
        else
            fprintf(stderr, "lossctl: %s: %.0f s\n", progress.description, seconds);
        return;
    }
    char bar[BAR_WIDTH + 1];
    for (int i = 0; i < BAR_WIDTH; i++)
        bar[i] = share * BAR_WIDTH > i ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    if (progress.total > 0)
        fprintf(stderr, "\r\033[K[%s] %3.0f %%  %s", bar, 100 * share, progress.description);
    else
        fprintf(stderr, "\r\033[K%s: %.0f s", progress.description, seconds);
    progress.drawn = true;
}

static bool is_before(struct timespec a, struct timespec b)
{
    return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

static void *show(void *context)
{
    const bool terminal = isatty(STDERR_FILENO);
    const struct timespec soonest = later(progress.begin, FLASH_MS);
    struct timespec next = later(terminal ? progress.first : progress.begin, FIRST_MS);
    if (is_before(next, soonest))
        next = soonest;
    (void)context;
    pthread_mutex_lock(&progress.lock);
    while (!progress.ending) {
        if (pthread_cond_timedwait(&progress.changed, &progress.lock, &next) == ETIMEDOUT) {
            draw(terminal);
            next = later(now(), terminal ? BAR_MS : LINE_MS);
        }
    }
    pthread_mutex_unlock(&progress.lock);
    return NULL;
}

static void set_description(const char *format, va_list args)
{
    pthread_mutex_lock(&progress.lock);
    vsnprintf(progress.description, DESCRIPTION, format, args);
    pthread_mutex_unlock(&progress.lock);
}

void progress_begin(const char *format, ...)
{
    pthread_condattr_t attributes;
    va_list args;
    progress_end();
    if (progress.disabled)
        return;
    va_start(args, format);
    set_description(format, args);
    va_end(args);
    progress.begin = now();
    if (progress.first.tv_sec == 0)
        progress.first = progress.begin;
    progress.done = progress.total = 0;
    progress.ending = progress.drawn = false;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&progress.changed, &attributes);
    pthread_condattr_destroy(&attributes);
    /* Without a thread, no progress is shown. */
    progress.running = pthread_create(&progress.thread, NULL, show, NULL) == 0;
}

void progress_describe(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_description(format, args);
    va_end(args);
}

void progress_set(double done, double total)
{
    pthread_mutex_lock(&progress.lock);
    progress.done = done;
    progress.total = total;
    pthread_mutex_unlock(&progress.lock);
}

void progress_end(void)
{
    if (!progress.running)
        return;
    pthread_mutex_lock(&progress.lock);
    progress.ending = true;
    pthread_cond_signal(&progress.changed);
    pthread_mutex_unlock(&progress.lock);
    pthread_join(progress.thread, NULL);
    progress.running = false;
    if (progress.drawn)
        fputs("\r\033[K", stderr);
}
