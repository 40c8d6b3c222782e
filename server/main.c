/*
 * lossd: starts what serves, waits for a signal, and ends it in order.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

#include "auth/auth.h"
#include "auth/tokens.h"
#include "compute/executor.h"
#include "config/options.h"
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
#include "json/scanner.h"

enum {
    EXIT_USAGE = 2,
    MESSAGE = 640,
    STOP_GRACE_MS = 5,
    STOP_GRACE_FAR_MS = 250,
    ANNOUNCE_MS = 1000, /* for which the line on stdout waits for its reader */
    ANNOUNCE_ADDRESS =
        ADDRESS_TEXT + 16,  /* bytes of the line for an address, with its scheme and a comma */
    ANNOUNCE_BESIDES = 192, /* bytes of the line for all else */
};

/* All that runs; NULL where it does not. */
struct server {
    struct listener *listener;
    struct tls *tls;
    struct auth *access;
    struct executor *executor;
    struct lingerer *linger;
    struct metrics *metrics;
    struct http *http;
    char address[ADDRESS_TEXT]; /* where it is found */
    bool has_admin;             /* there is an admin address */
};

/* Reads the files again, and tells systemd. */
static void reload(void *access)
{
    watchdog_begin(WATCHDOG_RELOAD, "reading tokens and certificates again");
    systemd_notify_reloading();
    auth_reload(access);
    systemd_notify_ready();
    watchdog_end();
}

static bool bind_all(struct listener *listener, const struct address_list *list, int mode,
                     bool admin, char *message)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!listener_bind(listener, &list->at[i], (unsigned)mode, admin, message, MESSAGE))
            return false;
    }
    return true;
}

/* How many addresses there are of a kind. */
static size_t count_entrances(const struct listener *listener, bool admin, bool secure)
{
    size_t count = 0;
    const struct entrance *entrance;
    for (size_t i = 0; (entrance = listener_entrance(listener, i)) != NULL; i++)
        count += entrance->admin == admin && entrance->secure == secure;
    return count;
}

/* Whether there are addresses of a kind; those of the admin's have no TLS. */
static bool has_entrances(const struct listener *listener, bool admin)
{
    return count_entrances(listener, admin, false) + count_entrances(listener, admin, true) > 0;
}

/* Reads the certificates, where there are to be any. */
static bool start_tls(struct server *server, const struct options *options, char *message)
{
    const struct tls_settings settings = {.certificate = options->tls_cert,
                                          .key = options->tls_key,
                                          .client_ca = options->tls_client_ca};
    if (!*options->tls_cert && !*options->tls_key && !*options->tls_client_ca)
        return true;
    if (!*options->tls_cert || !*options->tls_key) {
        snprintf(message, MESSAGE, "TLS needs both --tls-cert and --tls-key; %s is not given",
                 *options->tls_cert ? "--tls-key" : "--tls-cert");
        return false;
    }
    server->tls = tls_new(&settings, message, MESSAGE);
    return server->tls != NULL;
}

/* Binds what the options say, unless systemd has handed over sockets of that kind. */
static bool open_addresses(struct server *server, const struct options *options, char *message)
{
    server->listener = listener_new(server->tls != NULL, message, MESSAGE);
    if (!server->listener || !systemd_inherit(server->listener, message, MESSAGE))
        return false;
    const int mode = options->socket_mode;
    if (!has_entrances(server->listener, false) &&
        !bind_all(server->listener, &options->listen, mode, false, message))
        return false;
    if (!has_entrances(server->listener, true) &&
        !bind_all(server->listener, &options->admin_listen, mode, true, message))
        return false;
    server->has_admin = has_entrances(server->listener, true);
    return true;
}

/* Reads who is let in, and looks whether that is enough for where the server can be reached. */
static bool guard_addresses(struct server *server, const struct options *options, char *message)
{
    const struct auth_settings settings = {.tls = server->tls,
                                           .token_file = options->token_file,
                                           .allow_unauthenticated = options->allow_unauthenticated,
                                           .hosts = options->allowed_hosts,
                                           .origins = options->cors_origins};
    const struct entrance *entrance = NULL;
    bool safe = true;
    server->access = auth_new(&settings, message, MESSAGE);
    if (!server->access)
        return false;
    for (size_t i = 0; safe && (entrance = listener_entrance(server->listener, i)); i++)
        safe = auth_may_listen(server->access, entrance, message, MESSAGE);
    return safe;
}

/* For those that do not say where they found it: the first address; those of a Unix socket have no
 * name for it. */
static void name_address(struct server *server)
{
    const struct entrance *entrance = NULL;
    for (size_t i = 0; (entrance = listener_entrance(server->listener, i)) && entrance->admin; i++)
        ;
    if (entrance->address.is_unix)
        snprintf(server->address, sizeof server->address, "localhost");
    else
        address_text(&entrance->address, server->address);
}

static const char *scheme_of(const struct entrance *entrance)
{
    if (entrance->address.is_unix)
        return "";
    return entrance->secure ? "https://" : "http://";
}

/* The line on stdout. It has room for all addresses, so that it needs no memory: a server that is
   not announced is taken for one that does not start. */
struct announcement {
    size_t len;
    char text[ANNOUNCE_BESIDES + LISTEN_MAX * ANNOUNCE_ADDRESS];
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

/* Appends "http://127.0.0.1:8080, unix:/run/lossd.sock". */
static void append_entrances(const struct listener *listener, bool admin, struct announcement *line)
{
    const char *between = "";
    const struct entrance *entrance;
    for (size_t i = 0; (entrance = listener_entrance(listener, i)) != NULL; i++) {
        char address[ADDRESS_TEXT];
        if (entrance->admin != admin)
            continue;
        append(line, "%s%s%s", between, scheme_of(entrance),
               address_text(&entrance->address, address));
        between = ", ";
    }
}

/* Writes the line to stdout unless its reader keeps that from being possible. */
static bool write_stdout(const struct announcement *line)
{
    struct pollfd wait = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&wait, 1, ANNOUNCE_MS) == 1 && (wait.revents & POLLOUT) != 0 &&
           write(STDOUT_FILENO, line->text, line->len) == (ssize_t)line->len;
}

/* The one line on stdout: it takes requests now. */
static void announce(const struct server *server, const struct options *options)
{
    struct announcement line = {.len = 0};
    append(&line, "lossd " LOSS_VERSION " listening on ");
    append_entrances(server->listener, false, &line);
    if (server->has_admin) {
        append(&line, ", for health and metrics on ");
        append_entrances(server->listener, true, &line);
    }
    append(&line, " (threads %d, io-threads %d)\n", options->threads, options->io_threads);
    if (!write_stdout(&line))
        log_message(LOG_LEVEL_WARNING, "cannot announce on stdout that requests are taken");
    systemd_notify_ready();
}

/* Starts all, in an order in which nobody can connect before everything is ready. False with one
 * line in `message`. */
static bool start(struct server *server, const struct options *options, char *message)
{
    if (!start_tls(server, options, message) || !open_addresses(server, options, message) ||
        !guard_addresses(server, options, message))
        return false;
    name_address(server);
    server->executor =
        executor_start(options->threads, (size_t)options->limits.max_queue, message, MESSAGE);
    if (!server->executor)
        return false;
    server->linger = linger_start(message, MESSAGE);
    if (!server->linger)
        return false;
    server->metrics = metrics_new(options->io_threads, route_count(), route_label);
    if (!server->metrics || !executor_add_metrics(server->executor, server->metrics) ||
        !process_metrics_add(server->metrics) || !log_writer_add_metrics(server->metrics) ||
        !auth_add_metrics(server->access, server->metrics)) {
        snprintf(message, MESSAGE, "no memory for the metrics");
        return false;
    }
    const struct watchdog_settings watchdog = {.timeout_ms = options->watchdog_timeout,
                                               .exit = options->watchdog_exit};
    if (!watchdog_start(&watchdog, server->metrics, message, MESSAGE))
        return false;
    const struct http_settings settings = {
        .address = server->address,
        .has_admin = server->has_admin,
        .has_plain = count_entrances(server->listener, false, false) > 0,
        .has_secure = count_entrances(server->listener, false, true) > 0,
        .access = server->access,
        .io_threads = options->io_threads,
        .limits = options->limits,
        .compress = options->compress,
        .executor = server->executor,
        .linger = server->linger,
        .metrics = server->metrics};
    server->http = http_start(&settings, message, MESSAGE);
    const struct listener_taker taker = {
        .has_room = http_has_room, .adopt = http_adopt, .context = server->http};
    return server->http && listener_start(server->listener, &taker, message, MESSAGE);
}

/* Before any loss is looked up. */
static bool choose_isa(const struct options *options, char *message)
{
    if (options->isa == 0 || loss_isa_choose(isa_names[options->isa]))
        return true;
    snprintf(message, MESSAGE, "isa: this machine does not have %s; the best that it has is %s",
             isa_names[options->isa], loss_isa());
    return false;
}

/* Goes on serving for a while, so that whoever balances between servers can notice. */
static void announce_end(const struct server *server, int64_t delay_ms)
{
    if (delay_ms == 0)
        return;
    log_message(LOG_LEVEL_INFO, "serving for another %g seconds, with /readyz at 503",
                (double)delay_ms / 1000);
    http_announce_end(server->http);
    nanosleep(&(struct timespec){delay_ms / 1000, delay_ms % 1000 * 1000000}, NULL);
}

/* Ends all, in this order: no new connections, no requests under way, no jobs, no connections.
   Where the draining had to give up on a slow client, its request may still come to the stopped
   executor, which refuses it. */
static void stop(struct server *server, int64_t grace_ms)
{
    if (server->listener)
        listener_stop(server->listener, grace_ms);
    if (server->http)
        http_drain(server->http);
    executor_stop(server->executor);
    http_stop(server->http);
    executor_free(server->executor);
    linger_stop(server->linger);
    watchdog_stop();
    metrics_free(server->metrics);
    listener_close(server->listener);
    if (!signals_stop())
        return; /* the files are being read again, and do not come: they are left to the end of the
                   process */
    auth_free(server->access);
    tls_free(server->tls);
}

/* Starts what all else may need: the log and the signals. */
static bool prepare(const struct options *options, char *message)
{
    log_setup((enum log_level)options->log_level, (enum log_format)options->log_format);
    access_log_setup((enum access_log)options->access_log);
    json_limit_depth(options->limits.max_json_depth);
    options_log_deprecated(options);
    return signals_start(message, MESSAGE) && log_writer_start(message, MESSAGE);
}

/* Says on stderr why the program fails, if its reader does not keep that from being possible. */
static void complain(const char *message)
{
    char line[MESSAGE + 16];
    const int len = snprintf(line, sizeof line, "lossd: %s\n", message);
    log_writer_write_now(line, (size_t)len);
}

static int serve(const struct options *options)
{
    struct server server = {.listener = NULL};
    char message[MESSAGE];
    const bool started = prepare(options, message) && choose_isa(options, message) &&
                         start(&server, options, message) &&
                         (!options->seccomp || sandbox_enter(message, sizeof message));
    if (started) {
        signals_on_reload(reload, server.access);
        announce(&server, options);
        const int received = signals_wait();
        systemd_notify_stopping();
        log_message(LOG_LEVEL_INFO, "%s: ending", received == SIGTERM ? "SIGTERM" : "SIGINT");
        announce_end(&server, options->drain_delay);
        log_message(LOG_LEVEL_INFO, "finishing the requests under way");
    } else {
        log_writer_flush(LOG_WRITER_FLUSH_MS);
        complain(message);
    }
    /* Who has begun to connect is on this machine, and has done so in a moment; or is as far away
     * as whoever set the delay. */
    stop(&server, options->drain_delay > 0 ? STOP_GRACE_FAR_MS : STOP_GRACE_MS);
    log_writer_stop(LOG_WRITER_FLUSH_MS);
    return started ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* A closed standard stream would lend its number to the next socket, and logs would be written
 * there. */
static void fill_standard_streams(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

/* libgomp's threads spin for milliseconds after each parallel region unless told otherwise, and it
   listens before main: here that would take the cores away from the threads that receive and send.
   Hence once more from the beginning; where that cannot be, they spin, and nothing else is amiss.
 */
static void let_idle_threads_sleep(char *argv[])
{
    char program[PATH_MAX];
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT"))
        return;
    if (getauxval(AT_BASE) == 0) /* run as "ld.so lossd": the program is ld.so */
        return;
    const ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    if (len <= 0)
        return;
    program[len] = '\0';
    if (setenv("OMP_WAIT_POLICY", "passive", true) == 0)
        execv(program, argv);
}

/* Left to itself, malloc learns from the first large answer to keep as much for good, in each
 * thread's arena. */
static void bound_malloc(void)
{
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 2 << 20);
}

/* --new-token and --hash-token. */
static int write_token(const struct options *options, bool new)
{
    char message[MESSAGE];
    bool done;
    if (new && * options->token_file)
        done =
            tokens_add(options->token_name, options->token_file, stderr, message, sizeof message);
    else if (new)
        done = tokens_make(options->token_name, stderr, stdout, message, sizeof message);
    else
        done = tokens_hash(options->token_name, stdin, stdout, message, sizeof message);
    if (!done)
        complain(message);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char *argv[])
{
    let_idle_threads_sleep(argv);
    bound_malloc();
    fill_standard_streams();
    struct options options;
    char message[OPTION_MESSAGE];
    const enum options_action action = options_read(&options, argc, argv, message);
    switch (action) {
    case OPTIONS_SERVE:
        return serve(&options);
    case OPTIONS_HELP:
        options_help(stdout);
        break;
    case OPTIONS_MAN:
        options_man(stdout);
        break;
    case OPTIONS_VERSION:
        options_version(stdout);
        break;
    case OPTIONS_PRINT:
        options_print(stdout, &options);
        break;
    case OPTIONS_NEW_TOKEN:
    case OPTIONS_HASH_TOKEN:
        return write_token(&options, action == OPTIONS_NEW_TOKEN);
    case OPTIONS_INVALID:
        complain(message);
        return EXIT_USAGE;
    }
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
