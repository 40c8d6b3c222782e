/*
 * Writes the coverage counters of a server that does not end by exit(). Linked into lossd only with
 * MODE=coverage.
 *
 * DUMP_SIGNAL replaces SIGKILL, which no program can handle: a thread waits for it, writes the
 * counters, and kills the process. _exit() writes them first too (the linker's --wrap=_exit).
 */
#include "dump.h"

#include <gcov.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);

_Noreturn void __wrap__exit(int status)
{
    __gcov_dump();
    __real__exit(status);
}

static void *wait_for_kill(void *unused)
{
    sigset_t awaited;
    int received;
    sigemptyset(&awaited);
    sigaddset(&awaited, DUMP_SIGNAL);
    sigwait(&awaited, &received);
    __gcov_dump();
    raise(SIGKILL); /* by tgkill, which the seccomp filter allows */
    return unused;
}

/* Runs before main. The thread inherits a mask of all signals, so it receives none that the server
 * waits for. */
__attribute__((constructor)) static void start_waiting(void)
{
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    const int error = pthread_create(&thread, NULL, wait_for_kill, NULL);
    sigaddset(&before, DUMP_SIGNAL); /* in all other threads, so that only this one receives it */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        fprintf(stderr, "coverage: cannot start the thread that writes the counters\n");
        exit(EXIT_FAILURE);
    }
    pthread_detach(thread);
}
