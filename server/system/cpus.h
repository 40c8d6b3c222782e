/*
 * The number of CPUs that this process may use. In a container, this is usually less than the
 * number of CPUs of the machine.
 */
#ifndef SERVER_SYSTEM_CPUS_H
#define SERVER_SYSTEM_CPUS_H

/* Returns the number of CPUs that the affinity mask and the cgroup v2 quota allow; at least 1. */
int cpus_allowed(void);

/* Returns the number of CPUs that a `cpu.max` file ("150000 100000", "max 100000") allows, rounded
   up; 0 if it sets no limit or is malformed. */
int cpus_of_quota(const char *text);

#endif
