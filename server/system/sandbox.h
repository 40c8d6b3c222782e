/*
 * A system call filter by libseccomp, for use without systemd's, such as in a container.
 *
 * It is installed after startup, for all threads and for good. So calls that only startup needs
 * (bind, exec, raising limits) are blocked. Two of the allowed calls are restricted:
 *  - sockets must be Unix sockets, for notifications to systemd, since the server connects to
 *    nothing else;
 *  - memory may be writable or executable, not both.
 * Blocked calls fail with ENOSYS. Killing the process would turn a harmless call of a library into
 * an outage. The C library takes ENOSYS for an older kernel and falls back to an older call; with
 * EPERM it would not.
 */
#ifndef SERVER_SYSTEM_SANDBOX_H
#define SERVER_SYSTEM_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

/* Installs the filter for all threads. On failure, returns false and writes a one-line reason to
   `message`. */
bool sandbox_enter(char *message, size_t size);

#endif
