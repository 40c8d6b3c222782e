/* An event loop: epoll waits for the sockets and the timeout of libcurl, and for the time when the
   next request is due. */
#include "bench/load.h"
#include "cli/progress.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    GRACE_MS = 5000, /* how long to wait for responses after the end of the measurement */
    EVENTS = 64,     /* maximum number per epoll_wait() */
};

/* A connection, idle or with a request in flight. */
struct slot {
    CURL *curl;
    bool busy;
    double since; /* when its request was due */
    char why[CURL_ERROR_SIZE];
};

/* Times are nanoseconds of CLOCK_MONOTONIC. */
struct load {
    const struct load_settings *settings;
    struct load_result *result;
    CURLM *multi;
    struct curl_slist *headers;
    struct slot *slot;
    int busy;
    int epoll, timer;          /* descriptors */
    double deadline;           /* when to call libcurl; INFINITY: never */
    double measure_start, end; /* start and end of the measurement, after the warm-up */
    double next, step; /* when the next request is due, and the time between two requests; step 0:
                          a closed loop */
    struct histogram interval; /* latencies of the current interval */
};

static volatile sig_atomic_t interrupted;

bool load_interrupted(void)
{
    return interrupted != 0;
}

static void interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* ---- libcurl callbacks ---- */

static int on_socket(CURL *curl, curl_socket_t fd, int what, void *context, void *known)
{
    const struct load *const load = context;
    struct epoll_event event = {.data.fd = fd};
    (void)curl;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(load->epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);
    if (!known)
        curl_multi_assign(load->multi, fd, context);
    /* libcurl may reuse the number of a closed socket, so either operation can be the right one. */
    if (epoll_ctl(load->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) == 0)
        return 0;
    return epoll_ctl(load->epoll, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) == 0 ? 0 : -1;
}

static int set_deadline(CURLM *multi, long ms, void *context)
{
    struct load *const load = context;
    (void)multi;
    load->deadline = ms < 0 ? (double)INFINITY : now_ns() + (double)ms * 1e6;
    return 0;
}

/* ---- Requests ---- */

static size_t discard(char *bytes, size_t one, size_t len, void *context)
{
    (void)bytes;
    (void)context;
    return one * len;
}

static bool set_up_slot(const struct load *load, struct slot *slot,
                        const struct connection *connection, const char *url)
{
    const struct payload *const payload = load->settings->payload;
    slot->curl = curl_easy_init();
    if (!slot->curl)
        return false;
    connection_setup(connection, slot->curl);
    curl_easy_setopt(slot->curl, CURLOPT_URL, url);
    curl_easy_setopt(slot->curl, CURLOPT_HTTPHEADER, load->headers);
    curl_easy_setopt(slot->curl, CURLOPT_POSTFIELDS, payload->body.data);
    curl_easy_setopt(slot->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)payload->body.len);
    curl_easy_setopt(slot->curl, CURLOPT_WRITEFUNCTION, discard);
    curl_easy_setopt(slot->curl, CURLOPT_ERRORBUFFER, slot->why);
    curl_easy_setopt(slot->curl, CURLOPT_PRIVATE, slot);
    return true;
}

static void send_request(struct load *load, struct slot *slot, double since)
{
    slot->busy = true;
    slot->since = since;
    slot->why[0] = '\0';
    load->busy++;
    /* Fails only if memory runs out; then the slot stays busy, and the request counts as broken. */
    curl_multi_add_handle(load->multi, slot->curl);
}

/* Records the outcome of a request that was due during the measurement. Ignores others. */
static void record(struct load *load, const struct slot *slot, CURLcode code, double now)
{
    struct load_result *const result = load->result;
    long status = 0;
    if (slot->since < load->measure_start || slot->since >= load->end)
        return;
    curl_easy_getinfo(slot->curl, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK) {
        result->broken++;
        snprintf(result->why, sizeof result->why, "%s",
                 slot->why[0] ? slot->why : curl_easy_strerror(code));
    } else if (status != 200) {
        result->refused++;
        result->status = (int)status;
    } else {
        histogram_add(&result->latency, now - slot->since);
        histogram_add(&load->interval, now - slot->since);
        result->answered++;
    }
}

static void take_responses(struct load *load)
{
    const CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(load->multi, &left))) {
        struct slot *slot;
        if (message->msg != CURLMSG_DONE)
            continue;
        const CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&slot);
        record(load, slot, code, now_ns());
        curl_multi_remove_handle(load->multi, slot->curl);
        slot->busy = false;
        load->busy--;
    }
}

/* Uses idle connections to send the requests that are due. In a closed loop, one is always due. */
static void send_due(struct load *load)
{
    const double now = now_ns();
    for (int i = 0; i < load->settings->connections && now < load->end; i++) {
        if (load->slot[i].busy)
            continue;
        if (load->step > 0 && load->next > now)
            return;
        send_request(load, &load->slot[i], load->step > 0 ? load->next : now);
        load->next += load->step;
    }
}

/* ---- Event loop ---- */

/* Waits at most 0.1 s for sockets, libcurl's deadline, the next request or `until`, whichever comes
   first. Then runs libcurl, and records the responses that have arrived. */
static void run_once(struct load *load, double until)
{
    struct epoll_event events[EVENTS];
    int running;
    double wake = until < load->deadline ? until : load->deadline;
    if (load->step > 0 && load->next < wake && load->busy < load->settings->connections)
        wake = load->next;
    const double now = now_ns();
    /* The caller updates the progress and checks for signals. */
    wake = wake > now + 1e8 ? now + 1e8 : wake;
    const double at = wake > now ? wake : now + 1;
    const struct itimerspec when = {.it_value = {(time_t)(at / 1e9), (long)fmod(at, 1e9)}};
    timerfd_settime(load->timer, TFD_TIMER_ABSTIME, &when, NULL);
    const int count = epoll_wait(load->epoll, events, EVENTS, 200);
    if (now_ns() >= load->deadline) {
        load->deadline = INFINITY;
        curl_multi_socket_action(load->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    for (int i = 0; i < count; i++) {
        const uint32_t got = events[i].events;
        if (events[i].data.fd != load->timer)
            curl_multi_socket_action(load->multi, events[i].data.fd,
                                     (got & EPOLLIN ? CURL_CSELECT_IN : 0) |
                                         (got & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                                         (got & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0),
                                     &running);
    }
    take_responses(load);
}

/* Stores the intervals that have ended. */
static void close_intervals(struct load *load, double now)
{
    struct load_result *const result = load->result;
    while (result->intervals < LOAD_INTERVALS &&
           result->intervals < (int)(load->settings->duration / result->interval + 0.5) &&
           now >= load->measure_start + (result->intervals + 1) * result->interval * 1e9) {
        result->series[result->intervals++] = (struct load_interval){
            load->interval.count, histogram_percentile(&load->interval, 0.5),
            histogram_percentile(&load->interval, 0.99), (double)load->interval.max / 1e6};
        memset(&load->interval, 0, sizeof load->interval);
    }
}

static void show(const struct load *load, double start, double now)
{
    const struct load_result *const result = load->result;
    const double seconds = (now - load->measure_start) / 1e9;
    if (progress_is_disabled())
        return;
    if (seconds <= 0)
        progress_describe("%s: warming up", load->settings->label);
    else
        progress_describe("%s: %.0f requests/s, p50 %.3g ms, p99 %.3g ms%s", load->settings->label,
                          (double)result->answered / seconds,
                          histogram_percentile(&result->latency, 0.5),
                          histogram_percentile(&result->latency, 0.99),
                          load_errors(result) > 0 ? ", with errors" : "");
    progress_set(now - start, load->end - start);
}

/* Counts the requests due from `next` to the end, for which no connection was free. Their latency
   is the time that they waited until the end. */
static void count_unsent(struct load *load, double next)
{
    if (load->step <= 0)
        return;
    const double first = next > load->measure_start
                             ? next
                             : next + ceil((load->measure_start - next) / load->step) * load->step;
    const size_t unsent = first < load->end ? (size_t)ceil((load->end - first) / load->step) : 0;
    for (size_t i = 0; i < unsent; i++)
        histogram_add(&load->result->latency, load->end - (first + (double)i * load->step));
    load->result->unsent = unsent;
}

static void run(struct load *load)
{
    const double start = now_ns();
    double now = start, shown = start;
    load->measure_start = start + load->settings->warm_up * 1e9;
    load->end = load->measure_start + load->settings->duration * 1e9;
    load->next = start;
    progress_begin("%s", load->settings->label);
    while (now < load->end && !interrupted) {
        send_due(load);
        run_once(load, load->end);
        close_intervals(load, now);
        if (now - shown >= 1e8) {
            show(load, start, now);
            shown = now;
        }
        now = now_ns();
    }
    load->end = now < load->end ? now : load->end; /* interrupted */
    load->result->seconds =
        load->end > load->measure_start ? (load->end - load->measure_start) / 1e9 : 0;
    const double next = load->next;
    load->next = INFINITY;
    const double grace = now + GRACE_MS * 1e6;
    while (load->busy > 0 && now < grace) {
        run_once(load, grace);
        now = now_ns();
    }
    close_intervals(load, now);
    progress_end();
    for (int i = 0; i < load->settings->connections; i++)
        if (load->slot[i].busy && load->slot[i].since >= load->measure_start) {
            load->result->broken++;
            snprintf(load->result->why, sizeof load->result->why,
                     "no response within %d s of the end of the run", GRACE_MS / 1000);
        }
    count_unsent(load, next);
}

/* ---- Setup ---- */

/* Adds a header line. An empty value suppresses the header that libcurl would send. */
static bool add_header(struct load *load, const char *name, const char *value)
{
    char line[160];
    snprintf(line, sizeof line, "%s:%s%s", name, *value ? " " : "", value);
    struct curl_slist *const longer = curl_slist_append(load->headers, line);
    load->headers = longer ? longer : load->headers;
    return longer != NULL;
}

static bool add_headers(struct load *load, const struct connection *connection)
{
    char length[32];
    const struct payload *const payload = load->settings->payload;
    snprintf(length, sizeof length, "%zu", payload->header_length);
    if (connection->authorization &&
        !(load->headers = curl_slist_append(NULL, connection->authorization)))
        return false;
    /* Without an Accept header, the response has the format of the request. Without Expect, libcurl
       does not wait a round trip for 100 Continue. */
    return add_header(load, "Content-Type", payload->content_type) &&
           add_header(load, "Accept", "") && add_header(load, "Expect", "") &&
           (payload->header_length == 0 ||
            add_header(load, "Inference-Header-Content-Length", length));
}

static bool set_up(struct load *load, const struct connection *connection)
{
    char url[2 * CONNECTION_URL];
    const struct payload *const payload = load->settings->payload;
    const int connections = load->settings->connections;
    snprintf(url, sizeof url, "%s%s", connection->url, payload->path);
    load->multi = curl_multi_init();
    load->slot = calloc((size_t)connections, sizeof *load->slot);
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    load->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = load->timer};
    if (!load->multi || !load->slot || load->epoll < 0 || load->timer < 0 ||
        epoll_ctl(load->epoll, EPOLL_CTL_ADD, load->timer, &event) != 0)
        return false;
    curl_multi_setopt(load->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(load->multi, CURLMOPT_SOCKETDATA, load);
    curl_multi_setopt(load->multi, CURLMOPT_TIMERFUNCTION, set_deadline);
    curl_multi_setopt(load->multi, CURLMOPT_TIMERDATA, load);
    curl_multi_setopt(load->multi, CURLMOPT_MAXCONNECTS, (long)connections);
    if (!add_headers(load, connection))
        return false;
    for (int i = 0; i < connections; i++)
        if (!set_up_slot(load, &load->slot[i], connection, url))
            return false;
    return true;
}

static void tear_down(struct load *load)
{
    for (int i = 0; load->slot && i < load->settings->connections; i++) {
        if (load->slot[i].busy)
            curl_multi_remove_handle(load->multi, load->slot[i].curl);
        curl_easy_cleanup(load->slot[i].curl);
    }
    curl_multi_cleanup(load->multi);
    curl_slist_free_all(load->headers);
    free(load->slot);
    if (load->epoll >= 0)
        close(load->epoll);
    if (load->timer >= 0)
        close(load->timer);
}

enum exit_code load_run(const struct connection *connection, const struct load_settings *settings,
                        struct load_result *result)
{
    enum exit_code code = EXIT_OK;
    struct load *const load = calloc(1, sizeof *load);
    if (!load)
        return fail_memory();
    memset(result, 0, sizeof *result);
    load->settings = settings;
    load->result = result;
    load->deadline = INFINITY;
    load->step = settings->rate > 0 ? 1e9 / settings->rate : 0;
    result->interval = ceil(settings->duration / LOAD_INTERVALS * 10) / 10;
    const struct sigaction action = {.sa_handler =
                                         interrupt}; /* no SA_RESTART: interrupts waiting */
    struct sigaction before;
    sigaction(SIGINT, &action, &before);
    if (set_up(load, connection))
        run(load);
    else
        code = fail(EXIT_FAILED, "cannot start the load generator: %s",
                    strerror(errno ? errno : ENOMEM));
    sigaction(SIGINT, &before, NULL);
    tear_down(load);
    free(load);
    return code;
}

uint64_t load_errors(const struct load_result *result)
{
    return result->refused + result->broken;
}

double load_throughput(const struct load_result *result)
{
    return result->seconds > 0 ? (double)result->answered / result->seconds : 0;
}
