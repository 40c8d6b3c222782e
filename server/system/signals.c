/*
 * Signal handling.
 */
#include "system/signals.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "observe/log.h"
#include "observe/log_writer.h"
#include "util/clock.h"

enum { SIGNALS_STOP_MS = 1000 };

struct signals {
    sigset_t handled;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* one of the members below changed */
    int end;                /* the first SIGTERM or SIGINT; 0: none yet */
    bool reload_wanted, reloading;
    void (*reload)(void *context);
    void *context;
};

static struct signals signals = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* Exits, after giving the log writer a short time. */
_Noreturn static void exit_now(void)
{
    log_message(LOG_LEVEL_WARNING, "second signal: exiting immediately");
    log_writer_flush(LOG_WRITER_EXIT_TIMEOUT_MS);
    _exit(EXIT_FAILURE);
}

static void *await(void *argument)
{
    for (int received = 0;;) {
        if (sigwait(&signals.handled, &received) != 0)
            continue;
        pthread_mutex_lock(&signals.mutex);
        const bool second = signals.end != 0 && received != SIGHUP;
        if (received == SIGHUP)
            signals.reload_wanted = true;
        else
            signals.end = received;
        pthread_cond_broadcast(&signals.changed);
        pthread_mutex_unlock(&signals.mutex);
        if (second)
            exit_now();
    }
    return argument;
}

static void *reload_files(void *argument)
{
    pthread_mutex_lock(&signals.mutex);
    while (signals.end == 0) {
        if (!signals.reload_wanted || !signals.reload) {
            pthread_cond_wait(&signals.changed, &signals.mutex);
            continue;
        }
        signals.reload_wanted = false;
        signals.reloading = true;
        void (*const reload)(void *context) = signals.reload;
        pthread_mutex_unlock(&signals.mutex);
        reload(signals.context);
        pthread_mutex_lock(&signals.mutex);
        signals.reloading = false;
        pthread_cond_broadcast(&signals.changed);
    }
    pthread_mutex_unlock(&signals.mutex);
    return argument;
}

/* Ignores signals that would accidentally terminate or stop the process. */
static void ignore_signals(void)
{
    static const int ignored[] = {
        SIGPIPE,          /* a client or the reader of the log has closed; reported by EPIPE */
        SIGXFSZ,          /* the log file has reached its size limit; reported by EFBIG */
        SIGTTOU,          /* a background process writes to its terminal */
        SIGUSR1, SIGUSR2, /* on these signals, other servers reopen their logs */
    };
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
}

static int start_thread(void *(*function)(void *))
{
    pthread_t thread;
    const int error = pthread_create(&thread, NULL, function, NULL);
    if (error == 0)
        pthread_detach(thread);
    return error;
}

bool signals_start(char *message, size_t size)
{
    ignore_signals();
    sigemptyset(&signals.handled);
    sigaddset(&signals.handled, SIGTERM);
    sigaddset(&signals.handled, SIGINT);
    sigaddset(&signals.handled, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals.handled, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&signals.changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int error = start_thread(await);
    if (error == 0)
        error = start_thread(reload_files);
    if (error != 0)
        snprintf(message, size, "cannot start the signal threads: %s", strerror(error));
    return error == 0;
}

void signals_on_reload(void (*reload)(void *context), void *context)
{
    pthread_mutex_lock(&signals.mutex);
    signals.reload = reload;
    signals.context = context;
    pthread_cond_broadcast(&signals.changed);
    pthread_mutex_unlock(&signals.mutex);
}

int signals_wait(void)
{
    pthread_mutex_lock(&signals.mutex);
    while (signals.end == 0)
        pthread_cond_wait(&signals.changed, &signals.mutex);
    const int received = signals.end;
    pthread_mutex_unlock(&signals.mutex);
    return received;
}

bool signals_stop(void)
{
    const int64_t until_ns = clock_ns() + (int64_t)SIGNALS_STOP_MS * 1000000;
    const struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
    int error = 0;
    pthread_mutex_lock(&signals.mutex);
    signals.reload = NULL;
    while (signals.reloading && error == 0)
        error = pthread_cond_timedwait(&signals.changed, &signals.mutex, &until);
    const bool over = !signals.reloading;
    pthread_mutex_unlock(&signals.mutex);
    return over;
}
