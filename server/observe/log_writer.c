/*
 * The thread that writes the log. A ring buffer of whole lines decouples the logging threads from
 * stderr.
 *
 * stderr may be a pipe or terminal whose reader has stopped, a file on a full disk or at its size
 * limit, or a socket of journald. Other processes often share its open file description, so it is
 * not set to non-blocking mode. Only this thread blocks in write(2).
 *
 * When the ring buffer is full, all lines are dropped until it is empty again. One line in their
 * place then reports how many were dropped.
 */
#include "observe/log_writer.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "observe/log_line.h"
#include "util/clock.h"

enum {
    LOG_WRITER_BATCH = 4096, /* maximum size of a write: PIPE_BUF, so that it is atomic on a pipe */
    LOG_WRITER_REPORT = 128, /* maximum length of the report of dropped lines */
};

/* Otherwise the line would stay in the ring buffer forever. */
_Static_assert((int)LOG_WRITER_REPORT + (int)LOG_LINE_SIZE <= (int)LOG_WRITER_BATCH,
               "a line fits in a batch after the report");

struct writer {
    pthread_mutex_t mutex; /* protects what is not atomic; not locked while writing */
    pthread_cond_t wanted; /* signals that there are lines to write or `stopping` is set */
    pthread_cond_t idle;   /* signals that all lines are written */
    pthread_t thread;
    atomic_bool running;
    bool stopping;
    bool writing;    /* a batch is being written */
    bool overflowed; /* a line has been dropped since the ring buffer was last empty */
    bool failed;     /* the last batch could not be written */
    bool partial; /* part of a line was written, so the next batch begins with a newline; used only
                  by the thread */
    uint64_t unreported; /* dropped lines not yet reported in the log */
    atomic_ullong dropped;
    /* Offset of the first line in the ring buffer, and total length of the lines. */
    size_t head, used;
    char ring[LOG_WRITER_BUFFER];
};

static struct writer writer = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                               .wanted = PTHREAD_COND_INITIALIZER};

/* The bytes to write next. */
struct batch {
    size_t len;
    size_t report_len; /* length of the report of dropped lines at the start */
    uint64_t reported; /* number of dropped lines in that report */
    char text[LOG_WRITER_BATCH];
};

/* ---- Ring buffer; the mutex is locked ---- */

static void copy_in(const char *line, size_t len)
{
    const size_t at = (writer.head + writer.used) % LOG_WRITER_BUFFER, end = LOG_WRITER_BUFFER - at;
    const size_t first = len < end ? len : end;
    memcpy(writer.ring + at, line, first);
    memcpy(writer.ring, line + first, len - first);
    writer.used += len;
}

static void copy_out(char *to, size_t len)
{
    const size_t end = LOG_WRITER_BUFFER - writer.head, first = len < end ? len : end;
    memcpy(to, writer.ring + writer.head, first);
    memcpy(to + first, writer.ring, len - first);
}

/* Counts dropped lines. */
static void drop(uint64_t lines)
{
    writer.unreported += lines;
    atomic_fetch_add_explicit(&writer.dropped, lines, memory_order_relaxed);
}

/* Begins a batch with a report of the dropped lines. */
static void take_report(struct batch *batch)
{
    struct log_line line;
    char text[64];
    log_line_begin(&line, LOG_LEVEL_WARNING);
    snprintf(text, sizeof text, "%llu lines dropped", (unsigned long long)writer.unreported);
    log_line_text(&line, line.format == LOG_FORMAT_JSON ? ",\"message\":\"" : " ");
    log_line_text(&line, text);
    log_line_text(&line, line.format == LOG_FORMAT_JSON ? "\"}\n" : "\n");
    memcpy(batch->text, line.text, line.len);
    batch->len = batch->report_len = line.len;
    batch->reported = writer.unreported;
}

/* Moves as many whole lines as fit from the ring buffer to the batch. */
static void take_lines(struct batch *batch)
{
    char *const to = batch->text + batch->len;
    const size_t room = sizeof batch->text - batch->len,
                 copied = writer.used < room ? writer.used : room;
    copy_out(to, copied);
    size_t len = copied;
    while (len > 0 && to[len - 1] != '\n')
        len--;
    batch->len += len;
    writer.head = (writer.head + len) % LOG_WRITER_BUFFER;
    writer.used -= len;
}

static bool has_work(void)
{
    return writer.used > 0 || writer.overflowed;
}

/* Fills the next batch. There must be work. */
static void take(struct batch *batch)
{
    *batch = (struct batch){.len = 0};
    if (writer.unreported > 0 && (writer.used == 0 || writer.failed))
        take_report(batch);
    if (writer.used == 0)
        writer.overflowed = false;
    take_lines(batch);
}

/* ---- Writing ---- */

/* Waits until stderr accepts a write of PIPE_BUF bytes, for at most `limit_ms` milliseconds (-1: no
   limit). Returns false on timeout. */
static bool wait_for_room(int limit_ms)
{
    struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
    int ready;
    do
        ready = poll(&room, 1, limit_ms);
    while (ready < 0 && errno == EINTR);
    return ready > 0;
}

/* Writes all bytes, without a time limit. Returns the number of bytes written before an error. */
static size_t write_all(const char *text, size_t len)
{
    size_t done = 0;
    while (done < len) {
        const ssize_t written = write(STDERR_FILENO, text + done, len - done);
        if (written > 0)
            done += (size_t)written;
        else if (written < 0 && errno == EAGAIN)
            wait_for_room(-1); /* another process has set stderr to non-blocking mode */
        else if (written == 0 || errno != EINTR)
            break;
    }
    return done;
}

void log_writer_write_now(const char *text, size_t len)
{
    const int64_t until = clock_ms() + LOG_WRITER_WRITE_TIMEOUT_MS;
    for (int64_t left; len > 0 && (left = until - clock_ms()) >= 0 && wait_for_room((int)left);) {
        const ssize_t written = write(STDERR_FILENO, text, len < PIPE_BUF ? len : PIPE_BUF);
        if (written < 0 && errno != EAGAIN && errno != EINTR)
            return;
        text += written > 0 ? written : 0;
        len -= written > 0 ? (size_t)written : 0;
    }
}

/* Writes a batch. Returns the number of bytes written before an error. */
static size_t write_batch(const struct batch *batch)
{
    if (writer.partial && write_all("\n", 1) == 0)
        return 0;
    const size_t done = write_all(batch->text, batch->len);
    writer.partial = done < batch->len && done > 0 && batch->text[done - 1] != '\n';
    return done;
}

/* Counts the dropped lines of a batch of which `done` bytes were written. A partially written line
   counts as dropped. The mutex must be locked. */
static void count_dropped(const struct batch *batch, size_t done)
{
    uint64_t dropped = 0;
    for (size_t i = done > batch->report_len ? done : batch->report_len; i < batch->len; i++)
        dropped += batch->text[i] == '\n';
    if (done >= batch->report_len)
        writer.unreported -= batch->reported;
    writer.failed = done < batch->len;
    drop(dropped);
}

static void *run(void *argument)
{
    struct batch batch;
    pthread_mutex_lock(&writer.mutex);
    for (;;) {
        while (!has_work() && !writer.stopping)
            pthread_cond_wait(&writer.wanted, &writer.mutex);
        if (!has_work())
            break;
        take(&batch);
        writer.writing = true;
        pthread_mutex_unlock(&writer.mutex);
        const size_t done = write_batch(&batch);
        pthread_mutex_lock(&writer.mutex);
        writer.writing = false;
        count_dropped(&batch, done);
        if (!has_work())
            pthread_cond_broadcast(&writer.idle);
    }
    pthread_mutex_unlock(&writer.mutex);
    return argument;
}

/* ---- Interface ---- */

bool log_writer_start(char *message, size_t size)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&writer.idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    const int error = pthread_create(&writer.thread, NULL, run, NULL);
    if (error != 0) {
        snprintf(message, size, "cannot start the log thread: %s", strerror(error));
        return false;
    }
    atomic_store(&writer.running, true);
    return true;
}

void log_writer_put(const char *line, size_t len)
{
    if (!atomic_load_explicit(&writer.running, memory_order_acquire)) {
        log_writer_write_now(line, len);
        return;
    }
    pthread_mutex_lock(&writer.mutex);
    const bool idle = !has_work() && !writer.writing;
    writer.overflowed |= writer.used + len > LOG_WRITER_BUFFER;
    if (writer.overflowed || writer.stopping)
        drop(1);
    else
        copy_in(line, len);
    if (idle)
        pthread_cond_signal(&writer.wanted);
    pthread_mutex_unlock(&writer.mutex);
}

/* Waits until all lines are written, for at most `limit_ms` milliseconds. Returns false on timeout.
   The mutex must be locked. */
static bool wait_written(int64_t limit_ms)
{
    const int64_t until_ns = clock_ns() + limit_ms * 1000000;
    const struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
    int error = 0;
    while ((has_work() || writer.writing) && error == 0)
        error = pthread_cond_timedwait(&writer.idle, &writer.mutex, &until);
    return !has_work() && !writer.writing;
}

bool log_writer_flush(int64_t limit_ms)
{
    if (!atomic_load(&writer.running))
        return true;
    pthread_mutex_lock(&writer.mutex);
    const bool written = wait_written(limit_ms);
    pthread_mutex_unlock(&writer.mutex);
    return written;
}

void log_writer_stop(int64_t limit_ms)
{
    if (!atomic_load(&writer.running))
        return;
    pthread_mutex_lock(&writer.mutex);
    writer.stopping = true;
    pthread_cond_signal(&writer.wanted);
    const bool written = wait_written(limit_ms);
    pthread_mutex_unlock(&writer.mutex);
    if (!written) {
        pthread_detach(writer.thread);
        return;
    }
    pthread_join(writer.thread, NULL);
    atomic_store(&writer.running, false);
    writer.stopping = false;
}

static double read_dropped(void *context, size_t index)
{
    (void)context;
    (void)index;
    return (double)atomic_load(&writer.dropped);
}

static const struct metric_source sources[] = {
    {"lossd_log_lines_dropped_total", METRIC_COUNTER,
     "Log lines that were dropped because they could not be written.", NULL, read_dropped},
};

bool log_writer_add_metrics(struct metrics *metrics)
{
    return metrics_add_sources(metrics, sources, sizeof sources / sizeof *sources, NULL);
}
