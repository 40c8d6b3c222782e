#include "thread.h"

#include <fenv.h>
#include <pthread.h>
#include <signal.h>

bool thread_start(void *(*run)(void *context), void *context)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    fenv_t environment;
    pthread_t thread;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    /* The new thread inherits both from this one. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    fegetenv(&environment);
    fesetenv(FE_DFL_ENV);
    const bool started = pthread_create(&thread, &attributes, run, context) == 0;
    fesetenv(&environment);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}
