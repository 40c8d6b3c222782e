/*
 * A filter of system calls, by libseccomp, for where systemd does not set one: in a container, say.
 *
 * It is set once everything runs, so that what starting needs (binding, executing, raising limits)
 * is not in it, and holds for all threads and for good. Of the calls that serving needs it lets
 * through:
 *  - sockets only of the Unix kind, to tell systemd how things stand: the server never connects to
 * anything else;
 *  - memory that can be written or executed, not both.
 * Whatever else is called fails with ENOSYS. Killing the process would turn a harmless call of some
 * library into an outage, and ENOSYS is what the C library takes for an older kernel, so that it
 * calls something older in place of it; EPERM it would not.
 */
#ifndef SERVER_SYSTEM_SANDBOX_H
#define SERVER_SYSTEM_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

/* Sets the filter, for all threads. False with one line in `message` if the kernel takes none. */
bool sandbox_enter(char *message, size_t size);

#endif
