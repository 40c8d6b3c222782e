/*
 * What systemd and the service agree on: listening sockets that are open when the program starts
 * (sd_listen_fds(3)), and telling how things stand (sd_notify(3)). Both protocols are a few
 * environment variables, so that libsystemd is not needed; where nobody has set these, nothing
 * happens.
 */
#ifndef SERVER_CONNECTION_SYSTEMD_H
#define SERVER_CONNECTION_SYSTEMD_H

#include <stdbool.h>
#include <stddef.h>

#include "connection/listener.h"

/* Has the listener take over the sockets that LISTEN_FDS tells of, those that LISTEN_FDNAMES calls
   "admin" as the admin address, and forgets the variables. To be called before any thread is
   started, and before any descriptor is opened that is to stay. False with one line in `message` if
   one of them cannot be used. */
bool activation_inherit(struct listener *listener, char *message, size_t size);

/* Tells whoever started the server, where that is wanted. After activation_stopping the other two
   are no-ops. Any thread may call them. */
void activation_ready(void);
void activation_reloading(void); /* to be followed by activation_ready */
void activation_stopping(void);
/* Tells the service manager that all threads progress, if it asked for that (WatchdogSec=). To be
 * called every second. */
void activation_alive(void);

#endif
