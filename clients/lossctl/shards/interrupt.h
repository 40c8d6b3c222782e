/* Signals that end an evaluation early: SIGINT (Ctrl-C) and SIGTERM. */
#ifndef LOSSCTL_SHARDS_INTERRUPT_H
#define LOSSCTL_SHARDS_INTERRUPT_H

#include <stdbool.h>

/* Catches both signals from now on, once: a second one ends the process. Returns a flag that one of
   them sets, for loss_control.cancel. */
const bool *interrupt_catch(void);
/* Sets the flag, because another rank has received a signal. */
void interrupt_raise(int number);
/* Returns the number of the signal that came; 0 if none has. */
int interrupt_signal(void);

#endif
