/*
 * Detects threads that make no progress.
 */
#include "system/watchdog.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "observe/log.h"
#include "observe/log_writer.h"
#include "system/systemd_notify.h"
#include "util/clock.h"

enum {
    WATCHDOG_SLOTS = 1024,     /* more than the number of watched threads: --io-threads and four */
    WATCHDOG_ID = 129,         /* size of a request id, including the NUL */
    WATCHDOG_TARGET = 128,     /* size of a path in the log, including the NUL */
    WATCHDOG_PERIOD_MS = 1000, /* time between checks, unless a quarter of the timeout is shorter */
};

static const char *const thread_names[WATCHDOG_THREADS] = {"io", "admin", "executor", "accept",
                                                           "reload"};

/* The task of one thread. */
struct slot {
    pthread_mutex_t mutex; /* protects all members except `asked` */
    enum watchdog_thread thread;
    const char *phase; /* NULL: no task */
    int64_t since;     /* clock_ms when the task began */
    int64_t progress;  /* clock_ms of the last progress */
    bool stalled;      /* it was reported as stuck */
    char id[WATCHDOG_ID], target[WATCHDOG_TARGET];
    bool asked; /* set atomically by the watchdog, cleared by progress */
};

struct watchdog {
    struct watchdog_settings settings;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t stop;
    bool running, stopping;
    int64_t looked;      /* clock_ms of the last check */
    atomic_size_t slots; /* slots in use */
    atomic_ullong stalls[WATCHDOG_THREADS];
    struct slot slot[WATCHDOG_SLOTS];
};

static struct watchdog watchdog = {
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .slot = {[0 ... WATCHDOG_SLOTS - 1] = {.mutex = PTHREAD_MUTEX_INITIALIZER}}};

/* ---- Reports ---- */

static double seconds(int64_t ms)
{
    return (double)ms / 1000;
}

/* Logs that a thread is stuck or continues. The slot's mutex must be locked. */
static void report(const struct slot *slot, int64_t now, const char *what, int64_t ms)
{
    const bool request = slot->id[0] != '\0';
    log_message(LOG_LEVEL_ERROR, "thread %s %s %.1f s: %s for %.1f s%s%s%s%s",
                thread_names[slot->thread], what, seconds(ms), slot->phase,
                seconds(now - slot->since), request ? ", request " : "", slot->id,
                request ? ", " : "", slot->target);
}

/* ---- Watched threads ---- */

/* Returns the slot of the calling thread. Threads beyond the last slot share it. */
static struct slot *own_slot(void)
{
    static _Thread_local struct slot *slot;
    if (!slot) {
        const size_t place = atomic_fetch_add(&watchdog.slots, 1);
        slot = &watchdog.slot[place < WATCHDOG_SLOTS ? place : WATCHDOG_SLOTS - 1];
    }
    return slot;
}

void watchdog_begin(enum watchdog_thread thread, const char *phase)
{
    struct slot *const slot = own_slot();
    pthread_mutex_lock(&slot->mutex);
    slot->thread = thread;
    slot->phase = phase;
    slot->since = slot->progress = clock_ms();
    slot->stalled = false;
    slot->id[0] = slot->target[0] = '\0';
    __atomic_store_n(&slot->asked, false, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&slot->mutex);
}

void watchdog_request(const char *id, const char *target)
{
    struct slot *const slot = own_slot();
    pthread_mutex_lock(&slot->mutex);
    snprintf(slot->id, sizeof slot->id, "%s", id);
    snprintf(slot->target, sizeof slot->target, "%s", target);
    pthread_mutex_unlock(&slot->mutex);
}

void watchdog_phase(const char *phase)
{
    struct slot *const slot = own_slot();
    pthread_mutex_lock(&slot->mutex);
    slot->phase = phase;
    __atomic_store_n(&slot->asked, false, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&slot->mutex);
}

void watchdog_end(void)
{
    struct slot *const slot = own_slot();
    pthread_mutex_lock(&slot->mutex);
    if (slot->stalled)
        report(slot, clock_ms(), "continues after", clock_ms() - slot->progress);
    slot->stalled = false;
    slot->phase = NULL;
    pthread_mutex_unlock(&slot->mutex);
}

bool *watchdog_progress_flag(void)
{
    return &own_slot()->asked;
}

/* ---- The watchdog thread ---- */

/* Checks one thread. `skipped` milliseconds since the last check do not count. Returns true if the
   thread is stuck. */
static bool check_slot(struct slot *slot, int64_t now, int64_t skipped)
{
    const int64_t timeout = watchdog.settings.timeout_ms;
    pthread_mutex_lock(&slot->mutex);
    bool stuck = false;
    if (slot->phase && timeout > 0) {
        const int64_t waited = now - slot->progress;
        const bool progressed = !__atomic_exchange_n(&slot->asked, true, __ATOMIC_RELAXED);
        if (slot->stalled && progressed)
            report(slot, now, "continues after", waited);
        slot->progress = progressed ? now : slot->progress + skipped;
        stuck = now - slot->progress > timeout;
        if (stuck && !slot->stalled) {
            atomic_fetch_add(&watchdog.stalls[slot->thread], 1);
            report(slot, now, "has made no progress for", now - slot->progress);
        }
        slot->stalled = stuck;
    }
    pthread_mutex_unlock(&slot->mutex);
    return stuck;
}

/* Checks all threads. Returns true if any of them is stuck. */
static bool check_all(int64_t period_ms)
{
    const int64_t now = clock_ms(), late = now - watchdog.looked - 2 * period_ms;
    const int64_t skipped = late > 0 ? late : 0; /* the process was suspended */
    const size_t taken = atomic_load(&watchdog.slots),
                 count = taken < WATCHDOG_SLOTS ? taken : WATCHDOG_SLOTS;
    bool stuck = false;
    for (size_t i = 0; i < count; i++)
        stuck |= check_slot(&watchdog.slot[i], now, skipped);
    watchdog.looked = now;
    return stuck;
}

static void *run(void *argument)
{
    const int64_t quarter = watchdog.settings.timeout_ms / 4;
    const int64_t period =
        quarter > 0 && quarter < WATCHDOG_PERIOD_MS ? quarter : WATCHDOG_PERIOD_MS;
    watchdog.looked = clock_ms();
    pthread_mutex_lock(&watchdog.mutex);
    while (!watchdog.stopping) {
        const int64_t until_ms = clock_ms() + period;
        const struct timespec until = {until_ms / 1000, until_ms % 1000 * 1000000};
        pthread_cond_timedwait(&watchdog.stop, &watchdog.mutex, &until);
        pthread_mutex_unlock(&watchdog.mutex);
        const bool stuck = check_all(period);
        if (stuck && watchdog.settings.exit) {
            log_message(LOG_LEVEL_ERROR, "exiting, because --watchdog-exit is on");
            log_writer_flush(LOG_WRITER_EXIT_TIMEOUT_MS);
            _exit(EXIT_FAILURE);
        }
        if (!stuck)
            systemd_notify_alive();
        pthread_mutex_lock(&watchdog.mutex);
    }
    pthread_mutex_unlock(&watchdog.mutex);
    return argument;
}

/* ---- Start and stop ---- */

static double read_stalls(void *context, size_t index)
{
    (void)context;
    return (double)atomic_load(&watchdog.stalls[index]);
}

#define STALLS(name)                                                                               \
    {                                                                                              \
        "lossd_watchdog_stalls_total", METRIC_COUNTER,                                             \
            "Times that a thread made no progress for --watchdog-timeout.", "thread=\"" name "\"", \
            read_stalls                                                                            \
    }

static const struct metric_source sources[WATCHDOG_THREADS] = {
    STALLS("io"), STALLS("admin"), STALLS("executor"), STALLS("accept"), STALLS("reload")};

bool watchdog_start(const struct watchdog_settings *settings, struct metrics *metrics,
                    char *message, size_t size)
{
    watchdog.settings = *settings;
    if (!metrics_add_sources(metrics, sources, sizeof sources / sizeof *sources, NULL)) {
        snprintf(message, size, "insufficient memory for the metrics");
        return false;
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&watchdog.stop, &monotonic);
    pthread_condattr_destroy(&monotonic);
    const int error = pthread_create(&watchdog.thread, NULL, run, NULL);
    if (error != 0)
        snprintf(message, size, "cannot start the watchdog: %s", strerror(error));
    watchdog.running = error == 0;
    return watchdog.running;
}

void watchdog_stop(void)
{
    if (!watchdog.running)
        return;
    pthread_mutex_lock(&watchdog.mutex);
    watchdog.stopping = true;
    pthread_cond_signal(&watchdog.stop);
    pthread_mutex_unlock(&watchdog.mutex);
    pthread_join(watchdog.thread, NULL);
    watchdog.running = false;
}
