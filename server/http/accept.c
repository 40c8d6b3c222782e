/*
 * Accepts or rejects connections, and registers them with the modules that keep state for each.
 */
#include "http/http_internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#include "connection/client_key.h"
#include "connection/connection_limits.h"
#include "connection/connection_monitor.h"
#include "mhd_workarounds/mhd_workarounds.h"
#include "observe/log.h"

/* Returns the daemon that serves the connections of a listen address. */
static struct MHD_Daemon *daemon_of(const struct http *http,
                                    const struct listen_address *listen_address)
{
    if (listen_address->admin)
        return http->admin_daemon;
    return listen_address->secure ? http->secure_daemon : http->daemon;
}

bool http_has_room(void *context, const struct listen_address *listen_address)
{
    struct http *http = context;
    return connections_room(http->connections, listen_address->admin ? HTTP_ADMIN_CONNECTIONS : 0);
}

/* Closes a connection because its address has too many. Unless it uses TLS, first sends a 429,
   without waiting for a request. */
static void reject_connection(struct http *http, int fd,
                              const struct listen_address *listen_address)
{
    char body[256], text[512];
    const int len =
        snprintf(body, sizeof body,
                 "{\"type\":\"about:blank\",\"title\":\"Too Many Requests\",\"status\":429,"
                 "\"detail\":\"too many connections from this address; the limit that "
                 "--max-connections-per-address sets is %d\"}\n",
                 http->settings.limits.max_connections_per_address);
    const int size =
        snprintf(text, sizeof text,
                 "HTTP/1.1 429 Too Many Requests\r\nContent-Length: %d\r\nContent-Type: "
                 "application/problem+json\r\n"
                 "X-Content-Type-Options: nosniff\r\nRetry-After: 1\r\nConnection: close\r\n\r\n%s",
                 len, body);
    rejections_add(metrics_rejections(http->settings.metrics), REJECTION_CONNECTIONS_PER_ADDRESS);
    if (!listen_address->secure && send(fd, text, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
        shutdown(fd, SHUT_WR);
        lingering_close_add(http->settings.linger, fd);
    }
    close(fd);
}

/* Enables TCP keepalive, which detects clients whose machine has disappeared. No-op for other
   sockets. The idle time depends on the descriptor, so that connections are not all probed in the
   same second. When 10 000 connections were probed at once, thousands of probes were lost, up to
   three in a row for one client, and connections of live clients were closed. */
static void probe(int fd)
{
    const int on = 1, idle_s = 15 + fd % 16, every_s = 5, max_probes = 6;
    if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) != 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof every_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &max_probes, sizeof max_probes);
}

void http_adopt(void *context, int fd, const struct sockaddr *peer, socklen_t len,
                const struct listen_address *listen_address)
{
    struct http *http = context;
    if (fd >= HTTP_FILES) {
        close(fd);
        return;
    }
    probe(fd);
    if (!connections_add(http->connections, fd, listen_address->admin ? 0 : client_key(peer))) {
        reject_connection(http, fd, listen_address);
        return;
    }
    http->connection_info[fd] = (struct connection_info){.listen_address = listen_address};
    atomic_fetch_add_explicit(&http->adopted, 1, memory_order_relaxed);
    strict_parser_begin(fd, listen_address->secure);
    if (MHD_add_connection(daemon_of(http, listen_address), fd, peer, len) == MHD_YES)
        return;
    /* libmicrohttpd has closed the socket. No other connection can have its descriptor yet, because
       only this thread accepts connections. */
    connections_remove(http->connections, fd);
    log_message(LOG_LEVEL_WARNING, "closed a new connection: insufficient memory");
}

void http_on_connection(void *context, struct MHD_Connection *connection, void **slot,
                        enum MHD_ConnectionNotificationCode what)
{
    struct http *http = context;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        if (info && http->connection_info[info->connect_fd].listen_address->secure)
            handshake_begin(info->connect_fd, connection);
        *slot = info ? monitor_add(http->monitor, info->connect_fd,
                                   !http->connection_info[info->connect_fd].listen_address->secure)
                     : NULL;
        return;
    }
    monitor_remove(http->monitor, *slot);
    *slot = NULL;
    if (!info)
        return;
    handshake_end(info->connect_fd);
    strict_parser_end(info->connect_fd);
    early_status_line_end(info->connect_fd);
    connections_remove(http->connections, info->connect_fd);
}
