/*
 * How many CPUs this process may use. What the machine has is of no interest: in a container it is
 * usually more.
 */
#ifndef SERVER_SYSTEM_CPUS_H
#define SERVER_SYSTEM_CPUS_H

/* CPUs that the affinity mask and the cgroup v2 quota allow; at least 1. */
int cpus_allowed(void);

/* What the text of a `cpu.max` file ("150000 100000", "max 100000") allows, rounded up; 0 if it
   sets no limit or makes no sense. */
int cpus_of_quota(const char *text);

#endif
