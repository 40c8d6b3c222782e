/*
 * Notifies systemd of the state of the service, by the protocol of sd_notify(3). It needs only
 * NOTIFY_SOCKET and a datagram, so libsystemd is not required. All functions are no-ops if
 * NOTIFY_SOCKET is not set, and may be called from any thread.
 */
#ifndef SERVER_SYSTEM_SYSTEMD_NOTIFY_H
#define SERVER_SYSTEM_SYSTEMD_NOTIFY_H

/* The server accepts requests. */
void systemd_notify_ready(void);

/* A reload has begun; systemd_notify_ready ends it. */
void systemd_notify_reloading(void);

/* The server is shutting down. Afterwards the other two are no-ops. */
void systemd_notify_stopping(void);

/* All threads make progress. Sent only if the service manager asked for it (WatchdogSec=). Call it
   every second. */
void systemd_notify_alive(void);

#endif
