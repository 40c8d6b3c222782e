/*
 * lossd: reads the options, then starts the server or performs another action.
 */
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "auth/tokens.h"
#include "config/options.h"
#include "observe/log_writer.h"
#include "server.h"

enum { EXIT_USAGE = 2 };

_Static_assert((int)OPTION_MESSAGE <= (int)SERVER_MESSAGE, "print_error has room for both");

/* Prints a line to stderr. Drops it if the reader of stderr does not accept it in time. */
static void print_error(const char *message)
{
    char line[SERVER_MESSAGE + 16];
    const int len = snprintf(line, sizeof line, "lossd: %s\n", message);
    log_writer_write_now(line, (size_t)len);
}

/* Opens /dev/null for closed standard streams. Otherwise a socket could get the descriptor of
   stderr, and the log would be written to it. */
static void fill_standard_streams(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

/* Makes idle OpenMP threads sleep. By default libgomp's threads spin for milliseconds after each
   parallel region, which takes CPU time from the I/O threads. libgomp reads OMP_WAIT_POLICY before
   main, so the program sets the variable and executes itself again. On failure the threads spin,
   which is only slower. */
static void make_idle_threads_sleep(char *argv[])
{
    char program[PATH_MAX];
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT"))
        return;
    if (getauxval(AT_BASE) == 0) /* started as "ld.so lossd": /proc/self/exe is ld.so */
        return;
    const ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    if (len <= 0)
        return;
    program[len] = '\0';
    if (setenv("OMP_WAIT_POLICY", "passive", true) == 0)
        execv(program, argv);
}

/* Sets fixed malloc thresholds. By default the first large response raises them, and each arena
   then keeps that much memory permanently. */
static void fix_malloc_thresholds(void)
{
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 2 << 20);
}

/* Handles --new-token and --hash-token. */
static int write_token(const struct options *options, bool new)
{
    char message[SERVER_MESSAGE];
    bool done;
    if (new && * options->token_file)
        done =
            tokens_add(options->token_name, options->token_file, stderr, message, sizeof message);
    else if (new)
        done = tokens_make(options->token_name, stderr, stdout, message, sizeof message);
    else
        done = tokens_hash(options->token_name, stdin, stdout, message, sizeof message);
    if (!done)
        print_error(message);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char *argv[])
{
    make_idle_threads_sleep(argv);
    fix_malloc_thresholds();
    fill_standard_streams();
    struct options options;
    char message[SERVER_MESSAGE];
    const enum options_action action = options_read(&options, argc, argv, message);
    switch (action) {
    case OPTIONS_SERVE:
        if (server_run(&options, message))
            return EXIT_SUCCESS;
        print_error(message);
        return EXIT_FAILURE;
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
        print_error(message);
        return EXIT_USAGE;
    }
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
