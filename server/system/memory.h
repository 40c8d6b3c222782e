/*
 * The memory that this process may use: the memory of the machine, or less if the cgroup or
 * RLIMIT_AS limits it.
 */
#ifndef SERVER_SYSTEM_MEMORY_H
#define SERVER_SYSTEM_MEMORY_H

#include <stddef.h>

/* Returns the available memory in bytes. */
size_t memory_allowed(void);

#endif
