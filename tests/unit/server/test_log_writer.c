/* Lines of a partly written batch: the written lines are not counted as dropped. */
#include "memory/buffer.h"
#include "observe/log_writer.h"
#include "suites.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    LINES = 8,     /* written together */
    LINE = 500,    /* bytes of each; a batch has eight */
    ROOM = 1250,   /* bytes that fit in the file: two and a half lines */
    LIMIT = 65536, /* the maximum file size */
};

/* Returns a file in which only ROOM bytes can be written. */
static FILE *nearly_full_file(void)
{
    const struct rlimit limit = {LIMIT, LIMIT};
    FILE *const file = tmpfile();
    ck_assert_ptr_nonnull(file);
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(lseek(fileno(file), LIMIT - ROOM, SEEK_SET), LIMIT - ROOM);
    return file;
}

static void put_lines(int count)
{
    char line[LINE];
    memset(line, 'x', sizeof line);
    line[LINE - 1] = '\n';
    for (int i = 0; i < count; i++)
        log_writer_put(line, sizeof line);
}

static double dropped_lines(void)
{
    static const char name[] = "\nlossd_log_dropped_lines_total ";
    struct metrics *const metrics = metrics_new(1, 0, NULL);
    struct buffer text = {.data = NULL};
    ck_assert(metrics && log_writer_add_metrics(metrics) && metrics_write(metrics, &text));
    buffer_append(&text, "", 1);
    const char *const found = strstr(text.data, name);
    ck_assert_ptr_nonnull(found);
    const double dropped = strtod(found + strlen(name), NULL);
    buffer_free(&text);
    metrics_free(metrics);
    return dropped;
}

/* The writer blocks on a pipe until all lines are queued. Their batch is written to the file. */
START_TEST(log_writer_counts_the_lines_that_were_not_written)
{
    char filling[4096] = "", message[256];
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
    while (write(ends[1], filling, sizeof filling) > 0)
        ;
    ck_assert_int_eq(fcntl(ends[1], F_SETFL, 0), 0);
    FILE *const file = nearly_full_file();
    const int before = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(ends[1], STDERR_FILENO), 0);
    ck_assert(log_writer_start(message, sizeof message));
    put_lines(1);
    usleep(100000); /* until it is being written */
    put_lines(LINES);
    ck_assert_int_ge(dup2(fileno(file), STDERR_FILENO), 0);
    while (read(ends[0], filling, sizeof filling) > 0)
        ;
    ck_assert(log_writer_flush(LOG_WRITER_FLUSH_MS));
    ck_assert_int_ge(dup2(before, STDERR_FILENO), 0);
    ck_assert_double_eq(dropped_lines(), LINES - ROOM / LINE);
    log_writer_stop(LOG_WRITER_EXIT_TIMEOUT_MS);
    fclose(file);
    close(before);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

Suite *log_writer_suite(void)
{
    Suite *suite = suite_create("log_writer");
    SUITE_ADD(suite, "log_writer", log_writer_counts_the_lines_that_were_not_written);
    return suite;
}
