/* Signals that end an evaluation early: SIGINT (Ctrl-C) and SIGTERM. */
#ifndef LOSSCTL_SHARDS_INTERRUPT_H
#define LOSSCTL_SHARDS_INTERRUPT_H

#include <stdbool.h>

/* Catches each of the two signals once from now on: if the same signal arrives again, it ends the
   process. Returns a flag in static memory that the first signal sets, for loss_control.cancel. */
const bool *interrupt_catch(void);
/* Records a signal and sets the flag. This is the handler of both signals; it is also called if
   another rank has received one. */
void interrupt_raise(int number);
/* Returns the number of the last signal, or 0 if there was none. */
int interrupt_signal(void);

#endif
