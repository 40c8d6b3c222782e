/*
 * Starts and stops libmicrohttpd's daemons and their I/O threads.
 */
#include "http/http_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "admission/memory_budget.h"
#include "admission/rate_limit.h"
#include "connection/connection_limits.h"
#include "connection/connection_monitor.h"
#include "connection/tls.h"
#include "mhd_workarounds/mhd_workarounds.h"
#include "observe/log.h"
#include "util/clock.h"

enum {
    HTTP_CONNECTIONS_MIN = 16,
    /* Size of libmicrohttpd's memory pool per connection, for the headers and, in one half, a piece
       of the body. Long headers need more: see connection_memory. libmicrohttpd clears the pool for
       each request. Clearing 128 KiB took a quarter of the time of a small request, and made no
       body faster. */
    HTTP_CONNECTION_MEMORY = 32 * 1024,
    HTTP_HEADER_MEMORY = 68,     /* bytes of the pool per header, besides its name and value */
    HTTP_PARAMETER_MEMORY = 64,  /* bytes of the pool per parameter of a query */
    HTTP_RESPONSE_MEMORY = 2048, /* bytes of the pool for the headers of the response */
    HTTP_RESERVED_FILES = 64,    /* descriptors for everything but connections and I/O threads */
    HTTP_THREAD_FILES = 4,       /* descriptors per I/O thread: two with TLS, two without */
    HTTP_CONNECTION_BYTES = 8 * 1024, /* bytes per connection outside the pool */
    HTTP_SECURE_BYTES = 40 * 1024,    /* bytes per connection for GnuTLS */
    HTTP_CONNECTIONS_SHARE = 4,       /* connections may use 1/4 of --max-memory */
};

/* ---- Callbacks ---- */

/* Leaves paths and queries encoded. libmicrohttpd would decode %00 to the end of the string and
   %0d%0a to line breaks; head_decode_path rejects these. */
static size_t on_unescape(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

__attribute__((format(printf, 2, 0))) static void on_log(void *context, const char *format,
                                                         va_list arguments)
{
    (void)context;
    char message[512];
    if (!log_enabled(LOG_LEVEL_DEBUG))
        return;
    vsnprintf(message, sizeof message, format, arguments);
    message[strcspn(message, "\n")] = '\0';
    log_message(LOG_LEVEL_DEBUG, "libmicrohttpd: %s", message);
}

/* ---- Limits ---- */

/* Returns the size of libmicrohttpd's pool for a connection. It suffices for the longest headers
   that the limits allow, so that lossd itself rejects longer ones. libmicrohttpd reads into one
   half of the pool. If pipelined requests fill that half, everything else must fit into the
   other. */
static size_t connection_memory(const struct limits *limits)
{
    const size_t besides = (size_t)STRICT_PARSER_PARAMETERS * HTTP_PARAMETER_MEMORY +
                           (size_t)limits->max_header_count * HTTP_HEADER_MEMORY +
                           HTTP_RESPONSE_MEMORY;
    const size_t sum = limits->max_url + limits->max_header_bytes + besides,
                 needed = sum > 2 * besides ? sum : 2 * besides;
    return needed > HTTP_CONNECTION_MEMORY ? needed : HTTP_CONNECTION_MEMORY;
}

/* Raises the soft limit on open files for `max_connections` connections. Returns how many
   connections it allows, at most `max_connections`. */
static unsigned connection_limit(unsigned max_connections, int io_threads)
{
    const rlim_t others = HTTP_RESERVED_FILES + HTTP_ADMIN_CONNECTIONS + LINGER_MAX +
                          HTTP_THREAD_FILES * (rlim_t)io_threads;
    const rlim_t wanted = max_connections + others;
    struct rlimit files = {0};
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return HTTP_CONNECTIONS_MIN;
    if (files.rlim_cur < wanted) {
        struct rlimit more = {.rlim_cur = files.rlim_max < wanted ? files.rlim_max : wanted,
                              .rlim_max = files.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            files = more;
    }
    if (files.rlim_cur >= wanted)
        return max_connections;
    unsigned limit = files.rlim_cur > others + HTTP_CONNECTIONS_MIN
                         ? (unsigned)(files.rlim_cur - others)
                         : HTTP_CONNECTIONS_MIN;
    log_message(LOG_LEVEL_WARNING,
                "limiting connections to %u instead of %u: the limit on open files is %llu", limit,
                max_connections, (unsigned long long)files.rlim_cur);
    return limit;
}

static size_t on_tick(void *context)
{
    const struct http *http = context;
    return memory_budget_tick(http->budget);
}

/* Divides --max-memory between connections and requests. Lowers the maximum number of connections
   if they would need more than their share. Returns false if memory is insufficient. */
static bool divide_memory(struct http *http)
{
    const struct limits *const limits = &http->settings.limits;
    const size_t secure = http->settings.has_secure ? HTTP_SECURE_BYTES : 0;
    const size_t each = connection_memory(limits) + HTTP_CONNECTION_BYTES + secure;
    const size_t room = limits->max_memory / HTTP_CONNECTIONS_SHARE / each;
    unsigned max_connections = (unsigned)limits->max_connections;
    if (room < max_connections) {
        log_message(
            LOG_LEVEL_WARNING,
            "limiting connections to %zu instead of %u: they may use a quarter of --max-memory",
            room, max_connections);
        max_connections = (unsigned)room;
    }
    max_connections = connection_limit(max_connections, http->settings.io_threads);
    http->settings.limits.max_connections = (int)max_connections; /* shown by GET /v1/limits */
    http->connections =
        connections_new(max_connections, (unsigned)limits->max_connections_per_address);
    http->budget =
        memory_budget_new(limits->max_memory - (size_t)max_connections * each,
                          (size_t)limits->max_memory_waiters, limits->memory_wait_timeout);
    return http->connections && http->budget &&
           memory_budget_add_metrics(http->budget, http->settings.metrics);
}

/* Creates the rate limit, if --request-rate is set. Returns false if memory is insufficient. */
static bool limit_rates(struct http *http)
{
    const struct limits *const limits = &http->settings.limits;
    const int rate = limits->request_rate,
              burst = limits->request_burst > 0 ? limits->request_burst : rate;
    http->rates = rate > 0 ? rate_limit_new((unsigned)rate, (unsigned)burst) : NULL;
    return rate == 0 || http->rates;
}

/* ---- Daemons ---- */

/* Returns after how many seconds without traffic libmicrohttpd closes a connection. This matters
   only if memory was insufficient to monitor the connection. */
static unsigned idle_timeout_seconds(const struct limits *limits)
{
    const int64_t longest = limits->idle_timeout > limits->min_rate_window
                                ? limits->idle_timeout
                                : limits->min_rate_window;
    return (unsigned)(longest / 1000 + 2);
}

/* Starts a daemon with `threads` I/O threads. Returns NULL on failure. */
static struct MHD_Daemon *start_daemon(struct http *http, bool secure, int threads)
{
    const unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                           MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG |
                           (secure ? MHD_USE_TLS : 0);
    /* libmicrohttpd rejects a pool of one thread. Without a pool it uses one thread. */
    struct MHD_OptionItem pool[] = {
        {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, threads, NULL},
        {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem tls[] = {
        {secure ? MHD_OPTION_HTTPS_CERT_CALLBACK2 : MHD_OPTION_END, 0,
         (void *)(uintptr_t)tls_retrieve},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)tls_priorities},
        {MHD_OPTION_END, 0, NULL}};
    return MHD_start_daemon(
        flags, 0, NULL, NULL, http_on_request, http, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, http, MHD_OPTION_NOTIFY_CONNECTION,
        http_on_connection, http, MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, NULL,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_FILES * 64, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        connection_memory(&http->settings.limits), MHD_OPTION_CONNECTION_TIMEOUT,
        idle_timeout_seconds(&http->settings.limits), MHD_OPTION_ARRAY, tls, MHD_OPTION_ARRAY, pool,
        MHD_OPTION_END);
}

/* Starts all daemons. On failure, returns false and writes a one-line reason to `message`. */
static bool start_daemons(struct http *http, char *message, size_t size)
{
    if (http->settings.has_secure && !handshake_start(HTTP_FILES, message, size))
        return false;
    errno = 0;
    const int threads = http->settings.io_threads;
    if ((!http->settings.has_plain || (http->daemon = start_daemon(http, false, threads))) &&
        (!http->settings.has_secure || (http->secure_daemon = start_daemon(http, true, threads))) &&
        (!http->settings.has_admin || (http->admin_daemon = start_daemon(http, false, 1))))
        return true;
    snprintf(message, size, "cannot start %d I/O threads: %s", http->settings.io_threads,
             errno ? strerror(errno) : "insufficient memory");
    return false;
}

static void stop_daemons(struct http *http)
{
    handshake_stop();
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    if (http->secure_daemon)
        MHD_stop_daemon(http->secure_daemon);
    if (http->admin_daemon)
        MHD_stop_daemon(http->admin_daemon);
}

/* ---- Start and stop ---- */

static void free_http(struct http *http)
{
    monitor_stop(http->monitor);
    connections_free(http->connections);
    memory_budget_free(http->budget);
    rate_limit_free(http->rates);
    if (http->no_memory)
        MHD_destroy_response(http->no_memory);
    early_status_line_close();
    strict_parser_close();
    pthread_cond_destroy(&http->idle);
    pthread_mutex_destroy(&http->mutex);
    free(http);
}

struct http *http_start(const struct http_settings *settings, char *message, size_t size)
{
    struct http *http = calloc(1, sizeof *http);
    if (!http) {
        snprintf(message, size, "insufficient memory for the HTTP server");
        return NULL;
    }
    http->settings = *settings;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&http->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&http->mutex, NULL);

    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (uint64_t)clock_ns(); /* ids must differ, but need not be secret */
    snprintf(http->id_prefix, sizeof http->id_prefix, "%016llx", (unsigned long long)random);

    if (!strict_parser_open(HTTP_FILES, &http->settings.limits) ||
        !early_status_line_open(HTTP_FILES)) {
        snprintf(message, size, "insufficient memory for the request parsers");
        goto failed;
    }
    http->no_memory = http_no_memory_response();
    if (!http->no_memory) {
        snprintf(message, size, "insufficient memory for the out-of-memory response");
        goto failed;
    }
    if (!http_add_metrics(http)) {
        snprintf(message, size, "insufficient memory for the metrics");
        goto failed;
    }
    if (!divide_memory(http) || !limit_rates(http)) {
        snprintf(message, size, "insufficient memory for the connection and rate limits");
        goto failed;
    }
    const struct monitor_tick tick = {on_tick, http};
    http->monitor = monitor_start(&http->settings.limits, metrics_rejections(settings->metrics),
                                  &tick, message, size);
    if (!http->monitor)
        goto failed;
    if (start_daemons(http, message, size))
        return http;
failed:
    stop_daemons(http);
    free_http(http);
    return NULL;
}

void http_stop(struct http *http)
{
    if (!http)
        return;
    memory_budget_close(http->budget);
    stop_daemons(http);
    free_http(http);
}
