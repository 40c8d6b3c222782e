/*
 * What the server can be told.
 */
#include "config/options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "formats/roff.h"
#include "loss.h"
#include "system/cpus.h"
#include "system/memory.h"
#include "util/duration.h"

enum option_type {
    OPTION_ADDRESSES,
    OPTION_INTEGER,
    OPTION_MODE,
    OPTION_BYTES,
    OPTION_AMOUNT,
    OPTION_SECONDS,
    OPTION_CHOICE,
    OPTION_TEXT
};

struct option {
    const char *name; /* --name on the command line, `name = ` in a file */
    const char *env;
    enum option_type type;
    size_t offset; /* of its value in struct options */
    const char
        *fallback; /* the default; NULL: the CPUs that are allowed, of bytes half of the memory */
    const char *like;  /* an earlier option whose value is the default; else NULL */
    uint64_t min, max; /* of numbers; of seconds in milliseconds; of addresses how many there are */
    const char *const *names; /* of choices */
    const char *bare;  /* what the flag alone says: a value then needs its "="; NULL: the flag needs
                          a value */
    const char *value; /* what --help calls its value */
    const char *doc;
};

#ifdef __x86_64__
const char *const isa_names[] = {"auto", "x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4", NULL};
#else
const char *const isa_names[] = {"auto", "portable", NULL};
#endif

#define MAX_BODY_LIMIT (UINT64_C(1) << 46) /* far from where sums of sizes could overflow */

#define RATE_LIMIT (UINT64_C(1) << 40)

#define KILO 1000
#define KIBI 1024

#define WORK_LIMIT UINT64_C(1000000000000000000)

static const char *const on_off[] = {"on", "off", NULL};

static const struct option table[] = {
    {.name = "listen",
     .env = "LOSSD_LISTEN",
     .type = OPTION_ADDRESSES,
     .offset = offsetof(struct options, listen),
     .fallback = "127.0.0.1:8080",
     .min = 1,
     .max = ADDRESS_MAX,
     .value = "ADDRESSES",
     .doc =
         "where to listen; port 0 for a free one. Sockets that systemd hands over take its place"},
    {.name = "admin-listen",
     .env = "LOSSD_ADMIN_LISTEN",
     .type = OPTION_ADDRESSES,
     .offset = offsetof(struct options, admin_listen),
     .fallback = "",
     .max = ADDRESS_MAX,
     .value = "ADDRESSES",
     .doc = "where health and metrics are served besides; metrics are then served nowhere else"},
    {.name = "socket-mode",
     .env = "LOSSD_SOCKET_MODE",
     .type = OPTION_MODE,
     .offset = offsetof(struct options, socket_mode),
     .fallback = "660",
     .max = 0777,
     .value = "MODE",
     .doc = "permissions of Unix sockets that are listened on"},
    {.name = "token-file",
     .env = "LOSSD_TOKEN_FILE",
     .type = OPTION_TEXT,
     .offset = offsetof(struct options, token_file),
     .fallback = "",
     .value = "FILE",
     .doc = "let in who has a token of this file, which --new-token makes; read again on SIGHUP"},
    {.name = "insecure-open",
     .env = "LOSSD_INSECURE_OPEN",
     .type = OPTION_CHOICE,
     .offset = offsetof(struct options, insecure_open),
     .fallback = "off",
     .names = on_off,
     .bare = "on",
     .value = "",
     .doc = "listen where other machines can connect though nobody needs a token"},
    {.name = "tls-cert",
     .env = "LOSSD_TLS_CERT",
     .type = OPTION_TEXT,
     .offset = offsetof(struct options, tls_cert),
     .fallback = "",
     .value = "FILE",
     .doc = "speak TLS with this certificate chain, in PEM; Unix sockets and --admin-listen stay "
            "without"},
    {.name = "tls-key",
     .env = "LOSSD_TLS_KEY",
     .type = OPTION_TEXT,
     .offset = offsetof(struct options, tls_key),
     .fallback = "",
     .value = "FILE",
     .doc = "its key, in PEM; both are read again on SIGHUP"},
    {.name = "tls-client-ca",
     .env = "LOSSD_TLS_CLIENT_CA",
     .type = OPTION_TEXT,
     .offset = offsetof(struct options, tls_client_ca),
     .fallback = "",
     .value = "FILE",
     .doc =
         "let in who has a certificate of one of these authorities, in PEM; read again on SIGHUP"},
    {.name = "allowed-hosts",
     .env = "LOSSD_ALLOWED_HOSTS",
     .type = OPTION_TEXT,
     .offset = offsetof(struct options, allowed_hosts),
     .fallback = "",
     .value = "NAMES",
     .doc = "further names of the server, separated by commas; * for any. On loopback it answers "
            "to no other"},
    {.name = "cors-origins",
     .env = "LOSSD_CORS_ORIGINS",
     .type = OPTION_TEXT,
     .offset = offsetof(struct options, cors_origins),
     .fallback = "",
     .value = "ORIGINS",
     .doc = "whose pages may use it from a browser, such as https://example.org, separated by "
            "commas; * for all"},
    {.name = "threads",
     .env = "LOSSD_THREADS",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct options, threads),
     .min = 1,
     .max = 1024,
     .value = "N",
     .doc = "threads that compute"},
    {.name = "io-threads",
     .env = "LOSSD_IO_THREADS",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct options, io_threads),
     .fallback = "2",
     .min = 1,
     .max = 64,
     .value = "N",
     .doc = "threads that receive, send, and answer small requests"},
    {.name = "max-body",
     .env = "LOSSD_MAX_BODY",
     .type = OPTION_BYTES,
     .offset = offsetof(struct options, limits.max_body),
     .fallback = "1G",
     .min = 1,
     .max = MAX_BODY_LIMIT,
     .value = "BYTES",
     .doc = "largest body that is taken; k, M, G are KiB, MiB, GiB"},
    {.name = "max-expanded",
     .env = "LOSSD_MAX_EXPANDED",
     .type = OPTION_BYTES,
     .offset = offsetof(struct options, limits.max_expanded),
     .fallback = "1G",
     .like = "max-body",
     .min = 1,
     .max = MAX_BODY_LIMIT,
     .value = "BYTES",
     .doc = "largest that a compressed body may become when it is expanded"},
    {.name = "max-memory",
     .env = "LOSSD_MAX_MEMORY",
     .type = OPTION_BYTES,
     .offset = offsetof(struct options, limits.max_memory),
     .min = 16 << 20,
     .max = MAX_BODY_LIMIT,
     .value = "BYTES",
     .doc = "memory for all requests and connections together; a request that finds none waits, "
            "then gets 503"},
    {.name = "memory-wait",
     .env = "LOSSD_MEMORY_WAIT",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct options, limits.memory_wait),
     .fallback = "5",
     .min = 0,
     .max = 3600000,
     .value = "SECONDS",
     .doc = "how long a request may wait to be admitted, its body unread"},
    {.name = "memory-queue",
     .env = "LOSSD_MEMORY_QUEUE",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct options, limits.memory_queue),
     .fallback = "256",
     .min = 0,
     .max = 60000,
     .value = "N",
     .doc = "requests that may wait for memory; further ones get 503 at once"},
    {.name = "memory-hold",
     .env = "LOSSD_MEMORY_HOLD",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct options, limits.memory_hold),
     .fallback = "30",
     .min = 0,
     .max = 86400000,
     .value = "SECONDS",
     .doc = "while others lack memory, those whose body or answer takes longer than this to be "
            "sent are cut; 0: none"},
    {.name = "max-queue",
     .env = "LOSSD_MAX_QUEUE",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct options, limits.max_queue),
     .fallback = "1024",
     .min = 1,
     .max = 1000000,
     .value = "N",
     .doc = "large requests that may wait to be computed; further ones get 503"},
    {.name = "max-work",
     .env = "LOSSD_MAX_WORK",
     .type = OPTION_AMOUNT,
     .offset = offsetof(struct options, limits.max_work),
     .fallback = "1000G",
     .min = 0,
     .max = WORK_LIMIT,
     .value = "N",
     .doc = "work that a request may ask for, in all of its losses, in nanoseconds of one core, "
            "else 413; 0 is no limit"},
    {.name = "compute-timeout",
     .env = "LOSSD_COMPUTE_TIMEOUT",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct options, limits.compute_timeout),
     .fallback = "60",
     .min = 0,
     .max = 86400000,
     .value = "SECONDS",
     .doc = "from the end of a request's body to its answer, waiting included, else 503; 0 is no "
            "limit"},
    {.name = "max-url",
     .env = "LOSSD_MAX_URL",
     .type = OPTION_BYTES,
     .offset = offsetof(struct options, limits.max_url),
     .fallback = "8k",
     .min = 64,
     .max = 1 << 20,
     .value = "BYTES",
     .doc = "longest target of a request, path and query, else 414"},
    {.name = "max-headers",
     .env = "LOSSD_MAX_HEADERS",
     .type = OPTION_BYTES,
     .offset = offsetof(struct options, limits.max_headers),
     .fallback = "16k",
     .min = 256,
     .max = 1 << 20,
     .value = "BYTES",
     .doc = "most bytes of names and values of a request's headers, else 431"},
    {.name = "max-header-count",
     .env = "LOSSD_MAX_HEADER_COUNT",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct options, limits.max_header_count),
     .fallback = "100",
     .min = 4,
     .max = 10000,
     .value = "N",
     .doc = "most headers of a request, else 431"},
    {.name = "max-json-depth",
     .env = "LOSSD_MAX_JSON_DEPTH",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct options, limits.max_json_depth),
     .fallback = "32",
     .min = 1,
     .max = 1000,
     .value = "N",
     .doc = "most arrays and objects in one another in a field of a JSON request, else 400; a "
            "tensor has 16 dimensions at most"},
    {.name = "request-rate",
     .env = "LOSSD_REQUEST_RATE",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct options, limits.request_rate),
     .fallback = "0",
     .min = 0,
     .max = 1000000,
     .value = "N",
     .doc = "requests a second of each token, or address without one, on average; further ones get "
            "429; 0 is no limit"},
    {.name = "request-burst",
     .env = "LOSSD_REQUEST_BURST",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct options, limits.request_burst),
     .fallback = "0",
     .min = 0,
     .max = 1000000,
     .value = "N",
     .doc = "requests that may come at once within request-rate; 0: as many as request-rate"},
    {.name = "max-connections",
     .env = "LOSSD_MAX_CONNECTIONS",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct options, limits.max_connections),
     .fallback = "10000",
     .min = 1,
     .max = 60000,
     .value = "N",
     .doc = "connections at a time; further clients wait until one is closed"},
    {.name = "max-connections-per-address",
     .env = "LOSSD_MAX_CONNECTIONS_PER_ADDRESS",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct options, limits.max_connections_per_address),
     .fallback = "1024",
     .min = 0,
     .max = 60000,
     .value = "N",
     .doc = "connections from one IPv4 address or IPv6 /64 at a time, further ones get 429; 0 is "
            "no limit"},
    {.name = "header-timeout",
     .env = "LOSSD_HEADER_TIMEOUT",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct options, limits.header_timeout),
     .fallback = "10",
     .min = 100,
     .max = 3600000,
     .value = "SECONDS",
     .doc = "from a request's first byte to the end of its headers; then 408 and the connection is "
            "closed"},
    {.name = "idle-timeout",
     .env = "LOSSD_IDLE_TIMEOUT",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct options, limits.idle_timeout),
     .fallback = "60",
     .min = 100,
     .max = 86400000,
     .value = "SECONDS",
     .doc = "how long a connection is kept open between requests"},
    {.name = "body-rate",
     .env = "LOSSD_BODY_RATE",
     .type = OPTION_BYTES,
     .offset = offsetof(struct options, limits.body_rate),
     .fallback = "10k",
     .min = 0,
     .max = RATE_LIMIT,
     .value = "BYTES",
     .doc = "bytes a second at which a body must come at least, else 408 and the connection is "
            "closed; 0 is no limit"},
    {.name = "answer-rate",
     .env = "LOSSD_ANSWER_RATE",
     .type = OPTION_BYTES,
     .offset = offsetof(struct options, limits.answer_rate),
     .fallback = "10k",
     .min = 0,
     .max = RATE_LIMIT,
     .value = "BYTES",
     .doc = "bytes a second at which an answer must be read at least, else the connection is "
            "closed; 0 is no limit"},
    {.name = "rate-window",
     .env = "LOSSD_RATE_WINDOW",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct options, limits.rate_window),
     .fallback = "20",
     .min = 500,
     .max = 3600000,
     .value = "SECONDS",
     .doc = "over which body-rate and answer-rate are averages"},
    {.name = "drain-delay",
     .env = "LOSSD_DRAIN_DELAY",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct options, drain_delay),
     .fallback = "0",
     .min = 0,
     .max = 3600000,
     .value = "SECONDS",
     .doc =
         "how long to go on serving after SIGTERM, with /readyz at 503, so that balancers notice"},
    {.name = "drain-timeout",
     .env = "LOSSD_DRAIN_TIMEOUT",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct options, limits.drain_timeout),
     .fallback = "30",
     .min = 0,
     .max = 86400000,
     .value = "SECONDS",
     .doc = "how long running requests may take after SIGTERM and drain-delay; then they get 503"},
    {.name = "watchdog-timeout",
     .env = "LOSSD_WATCHDOG_TIMEOUT",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct options, watchdog_timeout),
     .fallback = "30",
     .min = 0,
     .max = 86400000,
     .value = "SECONDS",
     .doc = "how long a thread may be at work without progress until that is logged and counted; 0 "
            "is for ever"},
    {.name = "watchdog-exit",
     .env = "LOSSD_WATCHDOG_EXIT",
     .type = OPTION_CHOICE,
     .offset = offsetof(struct options, watchdog_exit),
     .fallback = "off",
     .names = on_off,
     .value = "WHETHER",
     .doc = "whether the server ends then, with status 1, for others to start it again"},
    {.name = "compress",
     .env = "LOSSD_COMPRESS",
     .type = OPTION_CHOICE,
     .offset = offsetof(struct options, compress),
     .fallback = "on",
     .names = on_off,
     .value = "WHETHER",
     .doc = "whether answers are compressed for clients that take that"},
    {.name = "seccomp",
     .env = "LOSSD_SECCOMP",
     .type = OPTION_CHOICE,
     .offset = offsetof(struct options, seccomp),
     .fallback = "off",
     .names = on_off,
     .value = "WHETHER",
     .doc = "whether to do without all system calls but those that serving needs, once the server "
            "has started"},
    {.name = "log-level",
     .env = "LOSSD_LOG_LEVEL",
     .type = OPTION_CHOICE,
     .offset = offsetof(struct options, log_level),
     .fallback = "info",
     .names = log_level_names,
     .value = "LEVEL",
     .doc = "what to log on stderr"},
    {.name = "log-format",
     .env = "LOSSD_LOG_FORMAT",
     .type = OPTION_CHOICE,
     .offset = offsetof(struct options, log_format),
     .fallback = "text",
     .names = log_format_names,
     .value = "FORMAT",
     .doc = "how to log it"},
    {.name = "log-requests",
     .env = "LOSSD_LOG_REQUESTS",
     .type = OPTION_CHOICE,
     .offset = offsetof(struct options, log_requests),
     .fallback = "all",
     .names = log_requests_names,
     .value = "WHICH",
     .doc = "which requests to log; work leaves out health and metrics that are well"},
    {.name = "isa",
     .env = "LOSSD_ISA",
     .type = OPTION_CHOICE,
     .offset = offsetof(struct options, isa),
     .fallback = "auto",
     .names = isa_names,
     .value = "NAME",
     .doc = "instruction set to compute on; auto is the best that the machine has, and results are "
            "the same on all"},
};
enum { OPTION_COUNT = sizeof table / sizeof table[0] };
_Static_assert(sizeof table / sizeof table[0] <= OPTION_MOST, "struct options has too little room");

/* What the command line can ask for besides. */
struct other {
    const char *name, *value, *doc;
    enum options_action action;
};
static const struct other others[] = {
    {"config", "FILE", "read options from a file of lines `name = value`; # starts a comment",
     OPTIONS_SERVE},
    {"print-config", "", "print the options as they stand, as a config file, and exit",
     OPTIONS_PRINT},
    {"new-token", "NAME",
     "make a token and print it on stderr; add its line to --token-file, or print it on stdout if "
     "there "
     "is none, and exit",
     OPTIONS_NEW_TOKEN},
    {"hash-token", "NAME", "read a token from stdin, print its line for --token-file, and exit",
     OPTIONS_HASH_TOKEN},
    {"version", "", "print the version and what it was built with, and exit", OPTIONS_VERSION},
    {"man", "", "print the manual page, lossd(8), for man(1) to show, and exit", OPTIONS_MAN},
    {"help", "", "print this, and exit", OPTIONS_HELP},
};
enum { OTHER_COUNT = sizeof others / sizeof others[0] };

static const char config_env[] = "LOSSD_CONFIG";
static const char default_origin[] = "default";

/* ---- texts ---- */

/* Fills the message and returns false, so that a function can `return wrong(...)`. */
__attribute__((format(printf, 2, 3))) static bool wrong(char *message, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, OPTION_MESSAGE, format, arguments);
    va_end(arguments);
    /* One line, whatever was quoted. */
    for (char *at = message; *at; at++) {
        if (iscntrl((unsigned char)*at))
            *at = '?';
    }
    return false;
}

static void *value_of(struct options *options, const struct option *option)
{
    return (char *)options + option->offset;
}

/* A number in the largest of the units k, M and G, powers of `step`, of which it is a whole
 * multiple. */
static const char *in_units(uint64_t number, uint64_t step, char *text, size_t size)
{
    static const char *const units[] = {"", "k", "M", "G"};
    size_t unit = 0;
    for (; number != 0 && number % step == 0 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        number /= step;
    snprintf(text, size, "%llu%s", (unsigned long long)number, units[unit]);
    return text;
}

/* What an option takes, for --help and for messages. */
static const char *range_text(const struct option *option, char *text, size_t size)
{
    char least[32], most[32];
    switch (option->type) {
    case OPTION_ADDRESSES:
        snprintf(text, size,
                 "ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080, or unix:/PATH; up to %d, "
                 "separated by commas",
                 (int)option->max);
        break;
    case OPTION_INTEGER:
        snprintf(text, size, "a whole number from %llu to %llu", (unsigned long long)option->min,
                 (unsigned long long)option->max);
        break;
    case OPTION_MODE:
        snprintf(text, size, "permissions in octal digits, such as 660, at most %llo",
                 (unsigned long long)option->max);
        break;
    case OPTION_BYTES:
        snprintf(text, size, "a number of bytes such as 1048576, 512k, 16M or 1G, from %s to %s",
                 in_units(option->min, 1024, least, sizeof least),
                 in_units(option->max, 1024, most, sizeof most));
        break;
    case OPTION_AMOUNT:
        snprintf(text, size, "a whole number such as 1000000, 50M or 2G, from %s to %s",
                 in_units(option->min, 1000, least, sizeof least),
                 in_units(option->max, 1000, most, sizeof most));
        break;
    case OPTION_SECONDS:
        snprintf(text, size, "a number of seconds such as 5 or 0.25, from %g to %g",
                 (double)option->min / 1000, (double)option->max / 1000);
        break;
    case OPTION_CHOICE:
        text[0] = '\0';
        for (size_t i = 0, len = 0; option->names[i] && len < size; i++)
            len += (size_t)snprintf(text + len, size - len, "%s%s",
                                    i == 0                 ? ""
                                    : option->names[i + 1] ? ", "
                                                           : " or ",
                                    option->names[i]);
        break;
    case OPTION_TEXT:
        snprintf(text, size, "at most %d bytes", OPTION_PATH - 1);
        break;
    }
    return text;
}

static size_t half_of_memory(const struct option *option)
{
    const size_t half = memory_allowed() / 2;
    return half < option->min   ? (size_t)option->min
           : half > option->max ? (size_t)option->max
                                : half;
}

static const char *fallback_text(const struct option *option, char *text, size_t size)
{
    if (option->fallback)
        snprintf(text, size, "%s", option->fallback);
    else if (option->type == OPTION_BYTES)
        snprintf(text, size, "%zu", half_of_memory(option));
    else
        snprintf(text, size, "%d",
                 cpus_allowed() < (int)option->max ? cpus_allowed() : (int)option->max);
    return text;
}

/* ---- values ---- */

/* Reads digits and, unless `kilo` is 0, a suffix for powers of it; false if there is anything else
   or it does not fit. */
static bool read_number(const char *text, uint64_t kilo, uint64_t *number)
{
    static const char suffixes[] = "kmg";
    if (!isdigit((unsigned char)*text))
        return false;
    char *end;
    errno = 0;
    unsigned long long digits = strtoull(text, &end, 10);
    if (errno != 0)
        return false;
    *number = digits;
    const char *suffix = kilo > 0 && *end ? strchr(suffixes, tolower((unsigned char)*end)) : NULL;
    if (suffix) {
        for (const char *power = suffixes; power <= suffix; power++)
            if (__builtin_mul_overflow(*number, kilo, number))
                return false;
        end++;
        if (kilo == KIBI && strcmp(end, "iB") == 0)
            end += 2;
    }
    return *end == '\0';
}

/* Reads permissions as chmod has them. */
static bool read_mode(const struct option *option, const char *text, int *mode)
{
    const size_t digits = strspn(text, "01234567");
    const unsigned long number =
        digits > 0 && digits <= 4 && text[digits] == '\0' ? strtoul(text, NULL, 8) : ULONG_MAX;
    if (number > option->max)
        return false;
    *mode = (int)number;
    return true;
}

static bool read_addresses(const struct option *option, const char *text, struct address_list *list)
{
    return address_list_parse(text, list) && list->count >= option->min;
}

static bool read_choice(const struct option *option, const char *text, int *choice)
{
    for (int i = 0; option->names[i]; i++) {
        if (strcmp(option->names[i], text) == 0) {
            *choice = i;
            return true;
        }
    }
    return false;
}

static bool read_value(struct options *options, const struct option *option, const char *text)
{
    void *value = value_of(options, option);
    uint64_t number = 0;
    switch (option->type) {
    case OPTION_ADDRESSES:
        return read_addresses(option, text, value);
    case OPTION_MODE:
        return read_mode(option, text, value);
    case OPTION_CHOICE:
        return read_choice(option, text, value);
    case OPTION_TEXT:
        return snprintf(value, OPTION_PATH, "%s", text) < OPTION_PATH;
    case OPTION_INTEGER:
        if (!read_number(text, 0, &number) || number < option->min || number > option->max)
            return false;
        *(int *)value = (int)number;
        return true;
    case OPTION_BYTES:
    case OPTION_AMOUNT:
        if (!read_number(text, option->type == OPTION_BYTES ? KIBI : KILO, &number) ||
            number < option->min || number > option->max)
            return false;
        *(size_t *)value = (size_t)number;
        return true;
    case OPTION_SECONDS:
        if (!seconds_read(text, &number) || number < option->min || number > option->max)
            return false;
        *(int64_t *)value = (int64_t)number;
        return true;
    }
    return false;
}

/* Sets an option; `where` says in messages and in --print-config where the text came from. */
static bool set(struct options *options, const struct option *option, const char *text,
                const char *where, char *message)
{
    char range[160];
    if (!read_value(options, option, text))
        return wrong(message, "%s: \"%.80s\" is not %s%s", where, text,
                     option->type == OPTION_CHOICE ? "one of " : "",
                     range_text(option, range, sizeof range));
    snprintf(options->origin[option - table], OPTION_ORIGIN, "%s", where);
    return true;
}

static const struct option *find(const char *name, size_t len)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0)
            return &table[i];
    }
    return NULL;
}

/* ---- the sources ---- */

static bool set_defaults(struct options *options, char *message)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char text[64];
        if (!set(options, &table[i], fallback_text(&table[i], text, sizeof text), default_origin,
                 message))
            return false;
    }
    return true;
}

/* Gives options of which nobody has spoken the values of those that they follow. */
static void follow(struct options *options)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *const leader =
            table[i].like ? find(table[i].like, strlen(table[i].like)) : NULL;
        if (leader && strcmp(options->origin[i], default_origin) == 0)
            *(size_t *)value_of(options, &table[i]) = *(const size_t *)value_of(options, leader);
    }
}

static bool read_environment(struct options *options, char *message)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const char *text = getenv(table[i].env);
        if (text && *text && !set(options, &table[i], text, table[i].env, message))
            return false;
    }
    return true;
}

static char *trim(char *text)
{
    text += strspn(text, " \t\r\n");
    size_t len = strlen(text);
    while (len > 0 && isspace((unsigned char)text[len - 1]))
        len--;
    text[len] = '\0';
    return text;
}

/* Cuts off a comment: a # at the start or after a blank, so that a value may hold one. */
static void cut_comment(char *line)
{
    for (char *at = line; (at = strchr(at, '#')); at++) {
        if (at == line || isspace((unsigned char)at[-1])) {
            *at = '\0';
            return;
        }
    }
}

static bool read_line(struct options *options, char *line, const char *where, char *message)
{
    char meant[LOSS_MEANT_TEXT];
    cut_comment(line);
    line = trim(line);
    if (*line == '\0')
        return true;
    char *equals = strchr(line, '=');
    if (!equals)
        return wrong(message, "%s: \"%.80s\" is not of the form `name = value`", where, line);
    *equals = '\0';
    const char *name = trim(line), *text = trim(equals + 1);
    const struct option *option = find(name, strlen(name));
    if (option)
        return set(options, option, text, where, message);
    struct loss_nearest search = {.name = name};
    for (size_t i = 0; i < OPTION_COUNT; i++)
        loss_nearest_try(&search, table[i].name);
    return wrong(message, "%s: there is no option \"%.80s\"%s", where, name,
                 loss_nearest_text(&search, "\"", "\"", NULL, meant));
}

static bool read_file(struct options *options, const char *path, char *message)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return wrong(message, "cannot read the config file %.200s: %s", path, strerror(errno));
    char *line = NULL;
    size_t capacity = 0;
    bool right = true;
    ssize_t len = 0;
    for (unsigned number = 1; right && (errno = 0, len = getline(&line, &capacity, file)) >= 0;
         number++) {
        char where[OPTION_ORIGIN];
        snprintf(where, sizeof where, "%.150s, line %u", path, number);
        if (strlen(line) != (size_t)len)
            right = wrong(message, "%s: there is a NUL byte in it", where);
        else
            right = read_line(options, line, where, message);
    }
    if (right && len < 0 && !feof(file))
        right = wrong(message, "cannot read the config file %.200s: %s", path, strerror(errno));
    free(line);
    fclose(file);
    return right;
}

/* ---- the command line ---- */

/* What the command line says, before anything is set: the file and the environment, which are
 * weaker, come first. */
struct command {
    const char *text[OPTION_COUNT]; /* NULL where it does not say */
    const char *config, *token_name;
    enum options_action action;
};

static bool unknown_flag(const char *name, size_t len, char *message)
{
    char copy[80];
    snprintf(copy, sizeof copy, "%.*s", (int)(len < sizeof copy ? len : sizeof copy - 1), name);
    char meant[LOSS_MEANT_TEXT];
    struct loss_nearest search = {.name = copy};
    for (size_t i = 0; i < OPTION_COUNT; i++)
        loss_nearest_try(&search, table[i].name);
    for (size_t i = 0; i < OTHER_COUNT; i++)
        loss_nearest_try(&search, others[i].name);
    return wrong(message, "there is no option --%s%s", copy,
                 loss_nearest_text(&search, "--", "", "--help lists them all", meant));
}

static const struct other *find_other(const char *flag, size_t len)
{
    for (size_t i = 0; i < OTHER_COUNT; i++) {
        if (strlen(others[i].name) == len && memcmp(others[i].name, flag, len) == 0)
            return &others[i];
    }
    return NULL;
}

/* Takes note of a flag that is no option. */
static void take_other(struct command *command, const struct other *other, const char *text)
{
    if (other->action == OPTIONS_SERVE)
        command->config = text;
    else if (command->action == OPTIONS_SERVE ||
             other->action == OPTIONS_HELP) /* who asks for help needs nothing else */
        command->action = other->action;
    if (other->action == OPTIONS_NEW_TOKEN || other->action == OPTIONS_HASH_TOKEN)
        command->token_name = text;
}

/* Reads the argument at *at, and its value behind it; moves *at to the last that was read. */
static bool read_flag(struct command *command, char *const argv[], int *at, char *message)
{
    const char *flag = argv[*at];
    if (strcmp(flag, "-h") == 0)
        flag = "--help";
    if (strncmp(flag, "--", 2) != 0 || flag[2] == '\0')
        return wrong(message, "\"%.80s\" is not an option; --help lists them all", flag);
    flag += 2;
    size_t len = strcspn(flag, "=");
    const char *text = flag[len] == '=' ? flag + len + 1 : NULL;
    const struct other *other = find_other(flag, len);
    const struct option *option = find(flag, len);
    if (!option && !other)
        return unknown_flag(flag, len, message);
    const bool bare = other ? *other->value == '\0' : option->bare != NULL;
    if (other && bare && text)
        return wrong(message, "--%.*s takes no value", (int)len, flag);
    if (!text && !bare && !argv[*at + 1])
        return wrong(message, "--%.*s needs a value", (int)len, flag);
    if (!text && !bare)
        text = argv[++*at];
    if (other)
        take_other(command, other, text);
    else
        command->text[option - table] = text ? text : option->bare;
    return true;
}

static bool set_flags(struct options *options, const struct command *command, char *message)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char where[64];
        snprintf(where, sizeof where, "--%s", table[i].name);
        if (command->text[i] && !set(options, &table[i], command->text[i], where, message))
            return false;
    }
    return true;
}

enum options_action options_read(struct options *options, int argc, char *const argv[],
                                 char message[OPTION_MESSAGE])
{
    struct command command = {.action = OPTIONS_SERVE};
    memset(options, 0, sizeof *options);
    for (int at = 1; at < argc; at++) {
        if (!read_flag(&command, argv, &at, message))
            return OPTIONS_WRONG;
    }
    options->token_name = command.token_name;
    if (command.action ==
        OPTIONS_NEW_TOKEN) /* of all else it takes --token-file, if that was said here and now */
        return set_defaults(options, message) && set_flags(options, &command, message)
                   ? command.action
                   : OPTIONS_WRONG;
    if (command.action != OPTIONS_SERVE && command.action != OPTIONS_PRINT)
        return command.action;
    const char *config = command.config ? command.config : getenv(config_env);
    bool right = set_defaults(options, message) &&
                 (!config || !*config || read_file(options, config, message)) &&
                 read_environment(options, message) && set_flags(options, &command, message);
    follow(options);
    return right ? command.action : OPTIONS_WRONG;
}

/* ---- what is printed ---- */

/* What --help says of the default. */
static void print_default(FILE *out, const struct option *option)
{
    char fallback[64];
    if (option->like)
        fprintf(out, "that of --%s\n", option->like);
    else if (option->fallback && *option->fallback == '\0')
        fprintf(out, "none\n");
    else
        fprintf(out, "%s%s\n", fallback_text(option, fallback, sizeof fallback),
                option->fallback               ? ""
                : option->type == OPTION_BYTES ? ", half of the memory that is allowed here"
                                               : ", the CPUs that are allowed here");
}

static void print_flag(FILE *out, const char *name, const char *value, const char *doc)
{
    char flag[64];
    snprintf(flag, sizeof flag, "--%s%s%s", name, *value ? " " : "", value);
    fprintf(out, "  %-26s %s\n", flag, doc);
}

void options_help(FILE *out)
{
    fprintf(out, "lossd " LOSS_VERSION ": loss functions and their gradients over HTTP and JSON\n\n"
                 "usage: lossd [--option value]...\n\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char range[160];
        print_flag(out, table[i].name, table[i].value, table[i].doc);
        if (table[i].type != OPTION_TEXT)
            fprintf(out, "  %-26s %s\n", "", range_text(&table[i], range, sizeof range));
        fprintf(out, "  %-26s %s; default ", "", table[i].env);
        print_default(out, &table[i]);
    }
    for (size_t i = 0; i < OTHER_COUNT; i++)
        print_flag(out, others[i].name, others[i].value, others[i].doc);
    fprintf(
        out,
        "\nEach option can also be given by the environment variable named with it, and by a line "
        "`name = value` in\n"
        "the file that --config or %s names. A flag beats the environment, which beats the file.\n",
        config_env);
}

/* An option in a manual page: what it does, what it takes, how else it can be given, its default.
 */
static void man_option(FILE *out, const struct option *option)
{
    char range[160], fallback[64], text[900];
    const bool bounded = option->type != OPTION_TEXT;
    /* Not the CPUs of the machine on which the page was made. */
    const char *const value = option->like        ? option->like
                              : !option->fallback ? "the CPUs that are allowed"
                              : *fallback_text(option, fallback, sizeof fallback) ? fallback
                                                                                  : "none";
    snprintf(text, sizeof text, "%s%s%s. Default: %s%s. Environment: %s.", option->doc,
             bounded ? ": " : "", bounded ? range_text(option, range, sizeof range) : "",
             option->like ? "that of --" : "", value, option->env);
    roff_option(out, option->name, option->value, text);
}

void options_man(FILE *out)
{
    roff_head(out, "LOSSD", 8, "lossd " LOSS_VERSION,
              "loss functions and their gradients over HTTP");
    fprintf(out,
            ".SH SYNOPSIS\n.B lossd\n[\\fB\\-\\-option\\fR \\fIvalue\\fR] ...\n.SH DESCRIPTION\n");
    roff_text(out, "A server that evaluates loss functions and their gradients over large batches, "
                   "as PyTorch computes them, in "
                   "JSON or as "
                   "binary tensors. GET /v1/losses says which losses there are, lossctl(1) asks it "
                   "from the shell.\n"
                   "SIGTERM and SIGINT let it finish the requests under way and end; a second one "
                   "ends it at once. SIGHUP has files "
                   "that options name read again.");
    fprintf(out, ".SH OPTIONS\n");
    roff_text(
        out, "Each can also be given by the environment variable named with it, and by a line "
             "`name = value` in the file that "
             "--config or LOSSD_CONFIG names. A flag beats the environment, which beats the file.");
    for (size_t i = 0; i < OPTION_COUNT; i++)
        man_option(out, &table[i]);
    for (size_t i = 0; i < OTHER_COUNT; i++)
        roff_option(out, others[i].name, others[i].value, others[i].doc);
    fprintf(out, ".SH \"EXIT STATUS\"\n");
    roff_text(out, "0 after it was told to end, 1 where it could not start or serve, 2 where an "
                   "option is wrong.");
    fprintf(out, ".SH \"SEE ALSO\"\n.BR lossctl (1)\n");
}

void options_version(FILE *out)
{
    fprintf(out,
            "lossd " LOSS_VERSION "\nbuilt with gcc " __VERSION__
            ", OpenMP %d, libmicrohttpd %s\ncomputes on %s\n",
            _OPENMP, MHD_get_version(), loss_isa());
}

static void print_addresses(FILE *out, const struct address_list *list)
{
    char text[ADDRESS_TEXT];
    for (size_t i = 0; i < list->count; i++)
        fprintf(out, "%s%s", i > 0 ? ", " : "", address_text(&list->at[i], text));
}

/* Writes a value as its option reads it. */
static void print_value(FILE *out, const struct option *option, struct options *options)
{
    const void *value = value_of(options, option);
    switch (option->type) {
    case OPTION_ADDRESSES:
        print_addresses(out, value);
        break;
    case OPTION_MODE:
        fprintf(out, "%o", (unsigned)*(const int *)value);
        break;
    case OPTION_INTEGER:
        fprintf(out, "%d", *(const int *)value);
        break;
    case OPTION_BYTES:
    case OPTION_AMOUNT:
        fprintf(out, "%zu", *(const size_t *)value);
        break;
    case OPTION_SECONDS:
        fprintf(out, "%.10g", (double)*(const int64_t *)value / 1000);
        break;
    case OPTION_CHOICE:
        fprintf(out, "%s", option->names[*(const int *)value]);
        break;
    case OPTION_TEXT:
        fprintf(out, "%s", (const char *)value);
        break;
    }
}

bool options_write_limits(const struct limits *limits, struct buffer *out)
{
    struct options options = {.limits = *limits};
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (!file)
        return false;
    fputc('{', file);
    for (size_t i = 0, written = 0; i < OPTION_COUNT; i++) {
        const size_t at = table[i].offset, first = offsetof(struct options, limits);
        if (at < first || at >= first + sizeof *limits)
            continue;
        fputs(written++ > 0 ? ",\"" : "\"", file);
        for (const char *name = table[i].name; *name; name++)
            fputc(*name == '-' ? '_' : *name, file);
        fputs("\":", file);
        print_value(file, &table[i], &options);
    }
    fputs("}\n", file);
    const bool whole = !ferror(file), closed = fclose(file) == 0;
    if (whole && closed)
        buffer_append(out, text, size);
    free(text);
    return whole && closed && !out->failed;
}

void options_print(FILE *out, const struct options *options)
{
    struct options copy = *options;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        fprintf(out, "%s = ", table[i].name);
        print_value(out, &table[i], &copy);
        fprintf(out, "    # %s\n", options->origin[i]);
    }
}
