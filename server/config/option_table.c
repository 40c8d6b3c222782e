/*
 * All options of lossd.
 */
#include "config/option_table.h"

#include <ctype.h>
#include <string.h>

#define BODY_LIMIT (UINT64_C(1) << 46) /* small enough that sums of sizes do not overflow */
#define RATE_LIMIT (UINT64_C(1) << 40)
#define WORK_LIMIT UINT64_C(1000000000000000000)

#ifdef __x86_64__
const char *const isa_names[] = {"auto", "x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4", NULL};
#else
const char *const isa_names[] = {"auto", "portable", NULL};
#endif

const struct option option_table[] = {
    {.name = "listen",
     .type = OPTION_ADDRESSES,
     .offset = offsetof(struct options, listen),
     .fallback = "127.0.0.1:8080",
     .min = 1,
     .max = ADDRESS_MAX,
     .value = "ADDRESSES",
     .doc = "Addresses to listen on. Port 0 picks a free port. Sockets passed by systemd replace "
            "them"},
    {.name = "admin-listen",
     .type = OPTION_ADDRESSES,
     .offset = offsetof(struct options, admin_listen),
     .fallback = "",
     .max = ADDRESS_MAX,
     .value = "ADDRESSES",
     .doc =
         "Additional addresses that serve only health checks and metrics. /metrics is then served "
         "only there"},
    {.name = "socket-mode",
     .type = OPTION_MODE,
     .offset = offsetof(struct options, socket_mode),
     .fallback = "660",
     .max = 0777,
     .value = "MODE",
     .doc = "Permissions of Unix sockets to listen on"},
    {.name = "token-file",
     .type = OPTION_TEXT,
     .offset = offsetof(struct options, token_file),
     .fallback = "",
     .value = "FILE",
     .doc = "Accept the bearer tokens listed in FILE (create one with --new-token). Read again on "
            "SIGHUP"},
    {.name = "allow-unauthenticated",
     .type = OPTION_SWITCH,
     .offset = offsetof(struct options, allow_unauthenticated),
     .fallback = "off",
     .bare = "on",
     .value = "",
     .doc = "Listen on non-loopback addresses even if clients need neither token nor certificate"},
    {.name = "tls-cert",
     .type = OPTION_TEXT,
     .offset = offsetof(struct options, tls_cert),
     .fallback = "",
     .value = "FILE",
     .doc = "Enable TLS with this certificate chain (PEM), except on Unix sockets and "
            "--admin-listen. Read again on SIGHUP"},
    {.name = "tls-key",
     .type = OPTION_TEXT,
     .offset = offsetof(struct options, tls_key),
     .fallback = "",
     .value = "FILE",
     .doc = "Private key of --tls-cert (PEM). Read again on SIGHUP"},
    {.name = "tls-client-ca",
     .type = OPTION_TEXT,
     .offset = offsetof(struct options, tls_client_ca),
     .fallback = "",
     .value = "FILE",
     .doc = "Over TLS, accept only clients that have a certificate of one of these authorities "
            "(PEM). Read again on SIGHUP"},
    {.name = "allowed-hosts",
     .type = OPTION_TEXT,
     .offset = offsetof(struct options, allowed_hosts),
     .fallback = "",
     .value = "NAMES",
     .doc = "Host names to accept, separated by commas; * accepts any. Loopback addresses accept "
            "only these names, localhost and loopback IP addresses"},
    {.name = "cors-origins",
     .type = OPTION_TEXT,
     .offset = offsetof(struct options, cors_origins),
     .fallback = "",
     .value = "ORIGINS",
     .doc = "Origins whose pages may use the server from a browser, such as https://example.org, "
            "separated by commas; * allows all"},
    {.name = "threads",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct options, threads),
     .min = 1,
     .max = 1024,
     .value = "N",
     .doc = "Compute threads"},
    {.name = "io-threads",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct options, io_threads),
     .fallback = "2",
     .min = 1,
     .max = 64,
     .value = "N",
     .doc = "Threads that receive requests, send responses and answer small requests"},
    {.name = "max-body",
     .type = OPTION_BYTES,
     .offset = offsetof(struct options, limits.max_body),
     .fallback = "1G",
     .min = 1,
     .max = BODY_LIMIT,
     .value = "BYTES",
     .doc = "Reject request bodies over BYTES (413). k, M and G mean KiB, MiB and GiB"},
    {.name = "max-decompressed-body",
     .type = OPTION_BYTES,
     .offset = offsetof(struct options, limits.max_decompressed_body),
     .fallback = "1G",
     .default_of = "max-body",
     .min = 1,
     .max = BODY_LIMIT,
     .value = "BYTES",
     .limits_member = "max_expanded",
     .doc = "Reject compressed bodies that decompress to more than BYTES (413)"},
    {.name = "max-memory",
     .type = OPTION_BYTES,
     .offset = offsetof(struct options, limits.max_memory),
     .min = 16 << 20,
     .max = BODY_LIMIT,
     .value = "BYTES",
     .doc = "Memory for all requests and connections together. Requests that exceed it wait, then "
            "get 503"},
    {.name = "memory-wait-timeout",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct options, limits.memory_wait_timeout),
     .fallback = "5",
     .max = 3600000,
     .value = "SECONDS",
     .limits_member = "memory_wait",
     .doc = "Maximum time that a request waits for memory before it is admitted; then it gets 503"},
    {.name = "max-memory-waiters",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct options, limits.max_memory_waiters),
     .fallback = "256",
     .max = 60000,
     .value = "N",
     .limits_member = "memory_queue",
     .doc = "Maximum number of requests waiting for memory; further ones get 503 immediately"},
    {.name = "slow-client-memory-timeout",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct options, limits.slow_client_memory_timeout),
     .fallback = "30",
     .max = 86400000,
     .value = "SECONDS",
     .limits_member = "memory_hold",
     .doc = "While other requests lack memory, disconnect clients that take longer than this to "
            "send a body or read a response. 0 disables this"},
    {.name = "max-queue",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct options, limits.max_queue),
     .fallback = "1024",
     .min = 1,
     .max = 1000000,
     .value = "N",
     .doc = "Maximum number of large requests waiting for the executor; further ones get 503"},
    {.name = "max-work",
     .type = OPTION_AMOUNT,
     .offset = offsetof(struct options, limits.max_work),
     .fallback = "1000G",
     .max = WORK_LIMIT,
     .value = "N",
     .doc = "Reject requests whose losses together need more than N nanoseconds of one core (413). "
            "0 means no limit"},
    {.name = "compute-timeout",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct options, limits.compute_timeout),
     .fallback = "60",
     .max = 86400000,
     .value = "SECONDS",
     .doc = "Maximum time from the end of a request's body to its response, including waiting; "
            "then the request gets 503. 0 means no limit"},
    {.name = "max-url",
     .type = OPTION_BYTES,
     .offset = offsetof(struct options, limits.max_url),
     .fallback = "8k",
     .min = 64,
     .max = 1 << 20,
     .value = "BYTES",
     .doc = "Reject request targets (path and query) over BYTES (414)"},
    {.name = "max-header-bytes",
     .type = OPTION_BYTES,
     .offset = offsetof(struct options, limits.max_header_bytes),
     .fallback = "16k",
     .min = 256,
     .max = 1 << 20,
     .value = "BYTES",
     .limits_member = "max_headers",
     .doc = "Reject requests whose header names and values exceed BYTES (431)"},
    {.name = "max-header-count",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct options, limits.max_header_count),
     .fallback = "100",
     .min = 4,
     .max = 10000,
     .value = "N",
     .doc = "Reject requests with more than N headers (431)"},
    {.name = "max-json-depth",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct options, limits.max_json_depth),
     .fallback = "32",
     .min = 1,
     .max = 1000,
     .value = "N",
     .doc = "Reject JSON requests with a field that nests arrays and objects deeper than N (400). "
            "A tensor has at most 16 dimensions"},
    {.name = "request-rate",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct options, limits.request_rate),
     .fallback = "0",
     .max = 1000000,
     .value = "N",
     .doc = "Average number of requests per second of each client, identified by its token, its "
            "certificate or else its address; further ones get 429. 0 means no limit"},
    {.name = "request-burst",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct options, limits.request_burst),
     .fallback = "0",
     .max = 1000000,
     .value = "N",
     .doc = "Requests that may arrive at once within --request-rate. 0 means the value of "
            "--request-rate"},
    {.name = "max-connections",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct options, limits.max_connections),
     .fallback = "10000",
     .min = 1,
     .max = 60000,
     .value = "N",
     .doc = "Maximum number of concurrent connections; further clients wait until one closes"},
    {.name = "max-connections-per-address",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct options, limits.max_connections_per_address),
     .fallback = "1024",
     .max = 60000,
     .value = "N",
     .doc = "Maximum number of concurrent connections from one IPv4 address or IPv6 /64; further "
            "ones get 429. 0 means no limit"},
    {.name = "header-timeout",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct options, limits.header_timeout),
     .fallback = "10",
     .min = 100,
     .max = 3600000,
     .value = "SECONDS",
     .doc = "Maximum time from a request's first byte to the end of its headers; then the request "
            "gets 408 and the connection is closed"},
    {.name = "idle-timeout",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct options, limits.idle_timeout),
     .fallback = "60",
     .min = 100,
     .max = 86400000,
     .value = "SECONDS",
     .doc = "Close connections on which no request begins for this long"},
    {.name = "min-body-rate",
     .type = OPTION_BYTES,
     .offset = offsetof(struct options, limits.min_body_rate),
     .fallback = "10k",
     .max = RATE_LIMIT,
     .value = "BYTES",
     .limits_member = "body_rate",
     .doc = "Disconnect clients that send a body more slowly than BYTES per second (408). 0 means "
            "no limit"},
    {.name = "min-response-rate",
     .type = OPTION_BYTES,
     .offset = offsetof(struct options, limits.min_response_rate),
     .fallback = "10k",
     .max = RATE_LIMIT,
     .value = "BYTES",
     .limits_member = "answer_rate",
     .doc = "Disconnect clients that read a response more slowly than BYTES per second. 0 means no "
            "limit"},
    {.name = "min-rate-window",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct options, limits.min_rate_window),
     .fallback = "20",
     .min = 500,
     .max = 3600000,
     .value = "SECONDS",
     .limits_member = "rate_window",
     .doc = "Time over which --min-body-rate and --min-response-rate are averaged"},
    {.name = "drain-delay",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct options, drain_delay),
     .fallback = "0",
     .max = 3600000,
     .value = "SECONDS",
     .doc = "Time to keep serving after SIGTERM, with /readyz returning 503, so that load "
            "balancers notice"},
    {.name = "drain-timeout",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct options, limits.drain_timeout),
     .fallback = "30",
     .max = 86400000,
     .value = "SECONDS",
     .doc = "Maximum time to complete running requests after SIGTERM and --drain-delay; then they "
            "get 503"},
    {.name = "watchdog-timeout",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct options, watchdog_timeout),
     .fallback = "30",
     .max = 86400000,
     .value = "SECONDS",
     .doc = "Log and count threads that make no progress for this long. 0 disables this"},
    {.name = "watchdog-exit",
     .type = OPTION_SWITCH,
     .offset = offsetof(struct options, watchdog_exit),
     .fallback = "off",
     .value = "on|off",
     .doc = "Exit with status 1 if a thread exceeds --watchdog-timeout, so that a supervisor "
            "restarts the server"},
    {.name = "compress",
     .type = OPTION_SWITCH,
     .offset = offsetof(struct options, compress),
     .fallback = "on",
     .value = "on|off",
     .doc = "Compress responses for clients that accept it"},
    {.name = "seccomp",
     .type = OPTION_SWITCH,
     .offset = offsetof(struct options, seccomp),
     .fallback = "off",
     .value = "on|off",
     .doc = "After startup, block the system calls that serving does not need"},
    {.name = "log-level",
     .type = OPTION_CHOICE,
     .offset = offsetof(struct options, log_level),
     .fallback = "info",
     .names = log_level_names,
     .value = "LEVEL",
     .doc = "Least severe level to log to stderr; info includes a line for each request"},
    {.name = "log-format",
     .type = OPTION_CHOICE,
     .offset = offsetof(struct options, log_format),
     .fallback = "text",
     .names = log_format_names,
     .value = "FORMAT",
     .doc = "Format of the log"},
    {.name = "access-log",
     .type = OPTION_CHOICE,
     .offset = offsetof(struct options, access_log),
     .fallback = "all",
     .names = access_log_names,
     .value = "WHICH",
     .doc = "Requests to log; work omits successful health and metrics requests"},
    {.name = "isa",
     .type = OPTION_CHOICE,
     .offset = offsetof(struct options, isa),
     .fallback = "auto",
     .names = isa_names,
     .value = "NAME",
     .doc = "Instruction set to compute with; auto selects the best that the CPU supports. Results "
            "do not depend on it"},
};
const size_t option_count = sizeof option_table / sizeof *option_table;
_Static_assert(sizeof option_table / sizeof *option_table <= OPTION_MAX, "OPTION_MAX is too small");

/* Remove a row one release after the release that deprecates the name. */
const struct option_rename option_renames[] = {
    {"max-expanded", "max-decompressed-body"},     {"max-headers", "max-header-bytes"},
    {"memory-wait", "memory-wait-timeout"},        {"memory-queue", "max-memory-waiters"},
    {"memory-hold", "slow-client-memory-timeout"}, {"body-rate", "min-body-rate"},
    {"answer-rate", "min-response-rate"},          {"rate-window", "min-rate-window"},
    {"insecure-open", "allow-unauthenticated"},    {"log-requests", "access-log"},
};
const size_t option_rename_count = sizeof option_renames / sizeof *option_renames;
_Static_assert(sizeof option_renames / sizeof *option_renames <= OPTION_RENAME_MAX,
               "OPTION_RENAME_MAX is too small");

const struct option_command option_commands[] = {
    {"config", "FILE", "Read options from FILE: lines `name = value`; # starts a comment",
     OPTIONS_SERVE},
    {"print-config", "", "Print the options in effect as a config file and exit", OPTIONS_PRINT},
    {"new-token", "NAME",
     "Create a token, print it to stderr and exit. Its line is added to --token-file or, without "
     "that option, printed to stdout",
     OPTIONS_NEW_TOKEN},
    {"hash-token", "NAME", "Read a token from stdin, print its line for --token-file and exit",
     OPTIONS_HASH_TOKEN},
    {"version", "", "Print the version and build information and exit", OPTIONS_VERSION},
    {"man", "", "Print the manual page lossd(8) as roff and exit", OPTIONS_MAN},
    {"help", "", "Print this help and exit", OPTIONS_HELP},
};
const size_t option_command_count = sizeof option_commands / sizeof *option_commands;

static bool is_name(const char *name, const char *text, size_t len)
{
    return strlen(name) == len && memcmp(name, text, len) == 0;
}

bool option_find(const char *name, size_t len, struct option_match *match)
{
    *match = (struct option_match){NULL, NULL};
    for (size_t i = 0; i < option_rename_count; i++) {
        if (is_name(option_renames[i].old_name, name, len)) {
            match->rename = &option_renames[i];
            name = match->rename->name;
            len = strlen(name);
        }
    }
    for (size_t i = 0; i < option_count; i++) {
        if (is_name(option_table[i].name, name, len))
            match->option = &option_table[i];
    }
    return match->option != NULL;
}

const struct option_command *option_find_command(const char *name, size_t len)
{
    for (size_t i = 0; i < option_command_count; i++) {
        if (is_name(option_commands[i].name, name, len))
            return &option_commands[i];
    }
    return NULL;
}

const char *option_env(const char *name, char env[OPTION_ENV])
{
    static const char prefix[] = "LOSSD_";
    size_t len = strlen(strcpy(env, prefix));
    for (; *name && len + 1 < OPTION_ENV; name++)
        env[len++] = *name == '-' ? '_' : (char)toupper((unsigned char)*name);
    env[len] = '\0';
    return env;
}
