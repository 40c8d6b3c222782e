/*
 * Starts all parts of the server, waits for a signal, and shuts them down.
 */
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "auth/auth.h"
#include "compute/executor.h"
#include "connection/listener.h"
#include "connection/systemd.h"
#include "connection/tls.h"
#include "http/http.h"
#include "loss.h"
#include "mhd_workarounds/lingering_close.h"
#include "observe/log.h"
#include "observe/log_writer.h"
#include "observe/metrics.h"
#include "observe/process_metrics.h"
#include "routes/routes.h"
#include "system/sandbox.h"
#include "system/signals.h"
#include "system/systemd_notify.h"
#include "system/watchdog.h"
#include "util/fail.h"
#include "json/scanner.h"

enum {
    /* How long the shutdown waits for connections that are being established: local ones, or remote
       ones if --drain-delay is set. */
    ACCEPT_GRACE_MS = 5,
    ACCEPT_GRACE_REMOTE_MS = 250,
    STDOUT_TIMEOUT_MS = 1000,         /* how long to wait for the reader of stdout */
    ADDRESS_ITEM = ADDRESS_TEXT + 16, /* size of an address with its scheme and a comma */
    ANNOUNCEMENT_REST = 192,          /* size of the announcement without addresses */
};

/* Parts that are not running are NULL. */
struct server {
    struct listener *listener;
    struct tls *tls;
    struct auth *auth;
    struct executor *executor;
    struct lingerer *linger;
    struct metrics *metrics;
    struct http *http;
    char address[ADDRESS_TEXT]; /* host of requests without a Host header */
    bool has_admin;             /* there is an admin address */
};

/* ---- Addresses ---- */

static bool bind_all(struct listener *listener, const struct address_list *list, int mode,
                     bool admin, char *message)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!listener_bind(listener, &list->at[i], (unsigned)mode, admin, message, SERVER_MESSAGE))
            return false;
    }
    return true;
}

static size_t count_addresses(const struct listener *listener, bool admin, bool secure)
{
    size_t count = 0;
    const struct listen_address *listen_address;
    for (size_t i = 0; (listen_address = listener_address_at(listener, i)) != NULL; i++)
        count += listen_address->admin == admin && listen_address->secure == secure;
    return count;
}

static bool has_addresses(const struct listener *listener, bool admin)
{
    return count_addresses(listener, admin, false) + count_addresses(listener, admin, true) > 0;
}

/* Binds the addresses in the options. Sockets passed by systemd replace the addresses of --listen
   and, if they are named "admin", those of --admin-listen. */
static bool open_addresses(struct server *server, const struct options *options, char *message)
{
    server->listener = listener_new(server->tls != NULL, message, SERVER_MESSAGE);
    if (!server->listener || !systemd_inherit(server->listener, message, SERVER_MESSAGE))
        return false;
    const int mode = options->socket_mode;
    if (!has_addresses(server->listener, false) &&
        !bind_all(server->listener, &options->listen, mode, false, message))
        return false;
    if (!has_addresses(server->listener, true) &&
        !bind_all(server->listener, &options->admin_listen, mode, true, message))
        return false;
    server->has_admin = has_addresses(server->listener, true);
    return true;
}

/* Sets server->address to the first non-admin address, or to "localhost" for a Unix socket. */
static void name_address(struct server *server)
{
    const struct listen_address *listen_address = NULL;
    for (size_t i = 0;
         (listen_address = listener_address_at(server->listener, i)) && listen_address->admin; i++)
        ;
    if (listen_address->address.is_unix)
        snprintf(server->address, sizeof server->address, "localhost");
    else
        address_text(&listen_address->address, server->address);
}

/* ---- Announcement ---- */

/* The line for stdout. The buffer has room for all addresses, so printing needs no allocation. */
struct announcement {
    size_t len;
    char text[ANNOUNCEMENT_REST + LISTEN_MAX * ADDRESS_ITEM];
};

__attribute__((format(printf, 2, 3))) static void append(struct announcement *line,
                                                         const char *format, ...)
{
    const size_t room = sizeof line->text - line->len;
    va_list arguments;
    va_start(arguments, format);
    const int len = vsnprintf(line->text + line->len, room, format, arguments);
    va_end(arguments);
    if (len > 0)
        line->len += (size_t)len < room ? (size_t)len : room - 1;
}

static const char *scheme_of(const struct listen_address *listen_address)
{
    if (listen_address->address.is_unix)
        return "";
    return listen_address->secure ? "https://" : "http://";
}

/* Appends the addresses, such as "http://127.0.0.1:8080, unix:/run/lossd.sock". */
static void append_addresses(const struct listener *listener, bool admin, struct announcement *line)
{
    const char *separator = "";
    const struct listen_address *listen_address;
    for (size_t i = 0; (listen_address = listener_address_at(listener, i)) != NULL; i++) {
        char address[ADDRESS_TEXT];
        if (listen_address->admin != admin)
            continue;
        append(line, "%s%s%s", separator, scheme_of(listen_address),
               address_text(&listen_address->address, address));
        separator = ", ";
    }
}

/* Writes the line. Returns NULL on success, or the reason of the failure. */
static const char *write_stdout(const struct announcement *line)
{
    struct pollfd wait = {.fd = STDOUT_FILENO, .events = POLLOUT};
    const int ready = poll(&wait, 1, STDOUT_TIMEOUT_MS);
    if (ready == 0)
        return "its reader accepted nothing for one second";
    const ssize_t written = ready < 0 ? -1 : write(STDOUT_FILENO, line->text, line->len);
    if (written < 0)
        return strerror(errno);
    return written == (ssize_t)line->len ? NULL : "its reader accepted only a part of the line";
}

/* Announces on stdout and to systemd that the server accepts requests. */
static void announce(const struct server *server, const struct options *options)
{
    struct announcement line = {.len = 0};
    append(&line, "lossd " LOSS_VERSION " listening on ");
    append_addresses(server->listener, false, &line);
    if (server->has_admin) {
        append(&line, ", for health and metrics on ");
        append_addresses(server->listener, true, &line);
    }
    append(&line, " (threads %d, io-threads %d)\n", options->threads, options->io_threads);
    const char *const reason = write_stdout(&line);
    if (reason)
        log_message(LOG_LEVEL_WARNING, "cannot write the startup line to stdout: %s", reason);
    systemd_notify_ready();
}

/* ---- Startup ---- */

/* Starts the log and the signal threads. All other parts may need them. */
static bool start_log(const struct options *options, char *message)
{
    log_setup((enum log_level)options->log_level, (enum log_format)options->log_format);
    access_log_setup((enum access_log)options->access_log);
    options_log_deprecated(options);
    return signals_start(message, SERVER_MESSAGE) && log_writer_start(message, SERVER_MESSAGE);
}

/* Configures libloss and the JSON parser. Must be called before any loss is looked up. */
static bool configure_libraries(const struct options *options, char *message)
{
    json_limit_depth(options->limits.max_json_depth);
    return options->isa == 0 || loss_isa_choose(isa_names[options->isa]) ||
           fail(message, SERVER_MESSAGE,
                "isa: this machine does not support %s; the best that it supports is %s",
                isa_names[options->isa], loss_isa());
}

/* Reads the certificates if any are configured. */
static bool start_tls(struct server *server, const struct options *options, char *message)
{
    const struct tls_settings settings = {.certificate = options->tls_cert,
                                          .key = options->tls_key,
                                          .client_ca = options->tls_client_ca};
    if (!*options->tls_cert && !*options->tls_key && !*options->tls_client_ca)
        return true;
    if (!*options->tls_cert || !*options->tls_key)
        return fail(message, SERVER_MESSAGE,
                    "TLS needs both --tls-cert and --tls-key; %s is not given",
                    *options->tls_cert ? "--tls-key" : "--tls-cert");
    server->tls = tls_new(&settings, message, SERVER_MESSAGE);
    return server->tls != NULL;
}

/* Reads the token file. Checks that the server may listen on each address (auth_may_listen). */
static bool start_auth(struct server *server, const struct options *options, char *message)
{
    const struct auth_settings settings = {.tls = server->tls,
                                           .token_file = options->token_file,
                                           .allow_unauthenticated = options->allow_unauthenticated,
                                           .hosts = options->allowed_hosts,
                                           .origins = options->cors_origins};
    const struct listen_address *listen_address = NULL;
    bool safe = true;
    server->auth = auth_new(&settings, message, SERVER_MESSAGE);
    if (!server->auth)
        return false;
    for (size_t i = 0; safe && (listen_address = listener_address_at(server->listener, i)); i++)
        safe = auth_may_listen(server->auth, listen_address, message, SERVER_MESSAGE);
    return safe;
}

static bool start_metrics(struct server *server, const struct options *options, char *message)
{
    const struct watchdog_settings watchdog = {.timeout_ms = options->watchdog_timeout,
                                               .exit = options->watchdog_exit};
    server->metrics = metrics_new(options->io_threads, route_count(), route_label);
    if (!server->metrics || !executor_add_metrics(server->executor, server->metrics) ||
        !process_metrics_add(server->metrics) || !log_writer_add_metrics(server->metrics) ||
        !auth_add_metrics(server->auth, server->metrics))
        return fail(message, SERVER_MESSAGE, "insufficient memory for the metrics");
    return watchdog_start(&watchdog, server->metrics, message, SERVER_MESSAGE);
}

static bool start_http(struct server *server, const struct options *options, char *message)
{
    const struct http_settings settings = {
        .address = server->address,
        .has_admin = server->has_admin,
        .has_plain = count_addresses(server->listener, false, false) > 0,
        .has_secure = count_addresses(server->listener, false, true) > 0,
        .auth = server->auth,
        .io_threads = options->io_threads,
        .limits = options->limits,
        .compress = options->compress,
        .executor = server->executor,
        .linger = server->linger,
        .metrics = server->metrics};
    server->http = http_start(&settings, message, SERVER_MESSAGE);
    return server->http != NULL;
}

/* Starts all parts, the listener last, then enters the sandbox if --seccomp is on. */
static bool start(struct server *server, const struct options *options, char *message)
{
    if (!start_log(options, message) || !configure_libraries(options, message) ||
        !start_tls(server, options, message) || !open_addresses(server, options, message) ||
        !start_auth(server, options, message))
        return false;
    name_address(server);
    server->executor = executor_start(options->threads, (size_t)options->limits.max_queue, message,
                                      SERVER_MESSAGE);
    if (!server->executor)
        return false;
    server->linger = lingering_close_start(message, SERVER_MESSAGE);
    if (!server->linger || !start_metrics(server, options, message) ||
        !start_http(server, options, message))
        return false;
    const struct listener_callbacks callbacks = {
        .has_room = http_has_room, .adopt = http_adopt, .context = server->http};
    return listener_start(server->listener, &callbacks, message, SERVER_MESSAGE) &&
           (!options->seccomp || sandbox_enter(message, SERVER_MESSAGE));
}

/* Reads the token file and the certificates again. */
static void reload(void *auth)
{
    watchdog_begin(WATCHDOG_RELOAD, "reloading tokens and certificates");
    systemd_notify_reloading();
    auth_reload(auth);
    systemd_notify_ready();
    watchdog_end();
}

/* ---- Shutdown ---- */

/* Stops and frees all parts that are running. The order matters: the executor first finishes its
   jobs, because the I/O threads must still send their responses. Later jobs are rejected. */
static void stop(struct server *server)
{
    executor_stop(server->executor);
    http_stop(server->http);
    executor_free(server->executor);
    lingering_close_stop(server->linger);
    watchdog_stop();
    metrics_free(server->metrics);
    listener_close(server->listener);
    if (signals_stop()) { /* otherwise a reload is still using them */
        auth_free(server->auth);
        tls_free(server->tls);
    }
    log_writer_stop(LOG_WRITER_FLUSH_MS);
}

/* Shuts down after SIGTERM or SIGINT. On a second signal, signals.c exits immediately. */
static void shut_down(struct server *server, int signal_number, int64_t drain_delay)
{
    systemd_notify_stopping();
    log_message(LOG_LEVEL_INFO, "%s: shutting down",
                signal_number == SIGTERM ? "SIGTERM" : "SIGINT");
    if (drain_delay > 0) {
        /* Load balancers see that /readyz returns 503, and stop sending requests. */
        log_message(LOG_LEVEL_INFO, "serving for another %g seconds; /readyz returns 503",
                    (double)drain_delay / 1000);
        http_set_draining(server->http);
        nanosleep(&(struct timespec){drain_delay / 1000, drain_delay % 1000 * 1000000}, NULL);
    }
    log_message(LOG_LEVEL_INFO, "finishing running requests");
    listener_stop(server->listener, drain_delay > 0 ? ACCEPT_GRACE_REMOTE_MS : ACCEPT_GRACE_MS);
    http_drain(server->http); /* waits for running requests, at most --drain-timeout */
    stop(server);
}

bool server_run(const struct options *options, char message[SERVER_MESSAGE])
{
    struct server server = {.listener = NULL};
    if (!start(&server, options, message)) {
        stop(&server);
        return false;
    }
    signals_on_reload(reload, server.auth);
    announce(&server, options);
    shut_down(&server, signals_wait(), options->drain_delay);
    return true;
}
