/*
 * Notifies systemd of the state of the service, using the protocol of sd_notify(3). It consists of
 * a datagram to NOTIFY_SOCKET, so libsystemd is not required. All functions are no-ops if
 * NOTIFY_SOCKET is not set, and may be called from any thread.
 */
#ifndef SERVER_SYSTEM_SYSTEMD_NOTIFY_H
#define SERVER_SYSTEM_SYSTEMD_NOTIFY_H

/* Reports that the server accepts requests. */
void systemd_notify_ready(void);

/* Reports that a reload has begun. systemd_notify_ready ends it. */
void systemd_notify_reloading(void);

/* Reports that the server is shutting down. Afterwards, the functions above are no-ops. */
void systemd_notify_stopping(void);

/* Reports that all threads are making progress. No-op unless the service manager asked for it
   (WatchdogSec=). Call it every second. */
void systemd_notify_alive(void);

#endif
