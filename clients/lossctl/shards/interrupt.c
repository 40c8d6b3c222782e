#include "shards/interrupt.h"

#include <signal.h>

static bool came;
static volatile sig_atomic_t signal_number;

void interrupt_raise(int number)
{
    signal_number = number;
    __atomic_store_n(&came, true, __ATOMIC_RELAXED);
}

const bool *interrupt_catch(void)
{
    const struct sigaction action = {.sa_handler = interrupt_raise,
                                     .sa_flags = (int)(SA_RESETHAND | SA_RESTART)};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return &came;
}

int interrupt_signal(void)
{
    return signal_number;
}
