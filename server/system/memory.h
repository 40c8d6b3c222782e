/*
 * How much memory this process may have: that of the machine, or less where a control group or a
 * limit of the process says so.
 */
#ifndef SERVER_SYSTEM_MEMORY_H
#define SERVER_SYSTEM_MEMORY_H

#include <stddef.h>

/* In bytes. */
size_t memory_allowed(void);

#endif
