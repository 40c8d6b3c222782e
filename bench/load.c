/*
 * A load generator that repeats a small request on kept-alive connections.
 *
 *     load PORT PATH BODY-FILE CONNECTIONS SECONDS RATE
 *
 * With RATE 0, each connection sends its next request when it has a response (a closed loop), which
 * measures throughput. Otherwise RATE requests per second are due at fixed times. Latencies count
 * from the time at which a request was due, so that a stall of the server counts for every request
 * that it delays. The first 0.2 seconds are not measured.
 *
 * Prints one line: {"requests": measured, "failed": responses other than 200, "seconds": ...,
 * "p50_ms": ..., "p99_ms": ..., "max_ms": ...}. With a RATE, "requests" includes those that had no
 * response at the end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "driver.h"

#define WARM_UP_NS 0.2e9
enum { MAX_CONNECTIONS = 1024, ANSWER_ROOM = 1 << 16, BODY_ROOM = 1 << 16 };

/* A connection, idle or waiting for a response. */
struct connection {
    int fd;
    bool waiting;
    double since; /* when the request was due */
    size_t len;   /* bytes of the response so far */
    char answer[ANSWER_ROOM];
};

static struct connection connections[MAX_CONNECTIONS];
static int connection_count;
static char request[BODY_ROOM + 1024];
static size_t request_len;

static double *latencies;
static size_t latency_count, latency_room, failed;

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void record(double ns)
{
    if (latency_count == latency_room) {
        latency_room = latency_room ? 2 * latency_room : 1 << 16;
        latencies = realloc(latencies, latency_room * sizeof *latencies);
        if (!latencies)
            die("memory");
    }
    latencies[latency_count++] = ns;
}

static void make_request(const char *path, const char *body_file)
{
    static char body[BODY_ROOM];
    FILE *file = fopen(body_file, "rb");
    if (!file)
        die(body_file);
    const size_t len = fread(body, 1, sizeof body, file);
    fclose(file);
    const int head = snprintf(request, 1024,
                              "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
                              "application/json\r\nContent-Length: %zu\r\n\r\n",
                              path, len);
    memcpy(request + head, body, len);
    request_len = (size_t)head + len;
}

static int connect_to(int port)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof to) != 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* Sends the request, which fits into any socket buffer. */
static void ask(struct connection *connection, double due)
{
    if (send(connection->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len)
        die("send");
    connection->waiting = true;
    connection->since = due;
    connection->len = 0;
}

/* Reads available bytes. Returns true when the response is complete. */
static bool answered(struct connection *connection)
{
    const ssize_t got = recv(connection->fd, connection->answer + connection->len,
                             sizeof connection->answer - 1 - connection->len, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got < 0)
        die("recv");
    if (got == 0) {
        fprintf(stderr, "load: the server closed the connection\n");
        exit(1);
    }
    connection->len += (size_t)got;
    connection->answer[connection->len] = '\0';
    const char *end = strstr(connection->answer, "\r\n\r\n");
    if (!end)
        return false;
    const char *length = strcasestr(connection->answer, "\r\nContent-Length:");
    if (!length || length > end) {
        fprintf(stderr, "load: a response without Content-Length\n");
        exit(1);
    }
    return connection->len >=
           (size_t)(end + 4 - connection->answer) + strtoul(length + 17, NULL, 10);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(double share)
{
    if (latency_count == 0)
        return 0;
    const size_t at = (size_t)(share * (double)latency_count);
    return latencies[at < latency_count ? at : latency_count - 1] / 1e6;
}

/* Sends due requests on idle connections. `next` is the time at which the first of the remaining
 * requests was due. */
static void ask_due(double *next, double interval)
{
    const double now = now_ns();
    for (int i = 0; i < connection_count && *next <= now; i++) {
        if (!connections[i].waiting) {
            ask(&connections[i], *next);
            *next += interval;
        }
    }
}

static double run(double seconds, double rate)
{
    const int poll = epoll_create1(EPOLL_CLOEXEC);
    if (poll < 0)
        die("epoll_create1");
    const double start = now_ns(), counted = start + WARM_UP_NS, end = counted + seconds * 1e9;
    const double interval = rate > 0 ? 1e9 / rate : 0;
    double next = start;
    for (int i = 0; i < connection_count; i++) {
        epoll_ctl(poll, EPOLL_CTL_ADD, connections[i].fd,
                  &(struct epoll_event){.events = EPOLLIN, .data.ptr = &connections[i]});
        if (rate <= 0)
            ask(&connections[i], now_ns());
    }
    int timer = -1;
    if (rate > 0) {
        const struct timespec tick = {(time_t)(interval / 1e9), (long)interval % 1000000000};
        timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
        if (timer < 0 || timerfd_settime(timer, 0, &(struct itimerspec){tick, tick}, NULL) != 0)
            die("timerfd");
        epoll_ctl(poll, EPOLL_CTL_ADD, timer,
                  &(struct epoll_event){.events = EPOLLIN, .data.ptr = NULL});
    }
    double now = start;
    while (now < end) {
        struct epoll_event events[64];
        const int count = epoll_wait(poll, events, 64, 100);
        now = now_ns();
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!connection) {
                uint64_t ticks;
                if (read(timer, &ticks, sizeof ticks) < 0)
                    die("read");
            } else if (answered(connection)) {
                const double done = now_ns();
                connection->waiting = false;
                if (strncmp(connection->answer, "HTTP/1.1 200", 12) != 0)
                    failed++;
                else if (connection->since >= counted && done < end)
                    record(done - connection->since);
                if (rate <= 0)
                    ask(connection, done);
            }
        }
        if (rate > 0)
            ask_due(&next, interval);
    }
    /* Requests without a response have waited at least until now. */
    for (int i = 0; rate > 0 && i < connection_count; i++) {
        if (connections[i].waiting && connections[i].since >= counted)
            record(now - connections[i].since);
    }
    for (; rate > 0 && next < now; next += interval)
        record(now - next);
    return (now - counted) / 1e9;
}

int main(int argc, char *argv[])
{
    if (argc != 7) {
        fprintf(stderr, "usage: load PORT PATH BODY-FILE CONNECTIONS SECONDS RATE\n");
        return 2;
    }
    make_request(argv[2], argv[3]);
    connection_count = atoi(argv[4]);
    if (connection_count < 1 || connection_count > MAX_CONNECTIONS) {
        fprintf(stderr, "load: CONNECTIONS is %s; it must be in [1, %d]\n", argv[4],
                MAX_CONNECTIONS);
        return 2;
    }
    for (int i = 0; i < connection_count; i++)
        connections[i].fd = connect_to(atoi(argv[1]));
    const double seconds = run(atof(argv[5]), atof(argv[6]));
    if (latency_count > 0)
        qsort(latencies, latency_count, sizeof *latencies, by_size);
    printf("{\"requests\": %zu, \"failed\": %zu, \"seconds\": %.3f, \"p50_ms\": %.4f, \"p99_ms\": "
           "%.4f, \"max_ms\": %.4f}\n",
           latency_count, failed, seconds, percentile_ms(0.5), percentile_ms(0.99),
           percentile_ms(1));
    free(latencies);
    return 0;
}
