/*
 * A system call filter, for use without systemd's own filter, such as in a container. Uses
 * libseccomp.
 *
 * It is installed after startup, permanently and for all threads. So it also blocks calls that only
 * startup needs (bind, exec, raising limits). Some of the allowed calls are restricted:
 *  - new sockets must be Unix sockets, which notifications to systemd need; the server connects to
 *    nothing else;
 *  - memory may be writable or executable, but not both.
 *
 * Blocked calls fail with ENOSYS. Killing the process would turn a harmless call by a library into
 * an outage. On ENOSYS, the C library assumes an older kernel and falls back to an older call; on
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
