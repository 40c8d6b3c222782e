/* The server as a child process: $LOSSD, default build/lossd. It is killed if the test dies. */
#ifndef TESTS_SUPPORT_SERVER_PROCESS_H
#define TESTS_SUPPORT_SERVER_PROCESS_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

enum { SERVER_ARGUMENTS = 24, SERVER_TIMEOUT_MS = 60000 };

struct server_process {
    pid_t pid;      /* 0: not running */
    int port;       /* the first one of the start-up line; 0: none */
    char line[512]; /* the start-up line, without its newline */
    int out;        /* its stdout after that line */
    FILE *err;      /* its stderr */
};

/* Arguments for tests that need no others: two threads, and warnings only. */
extern const char *const server_process_defaults[];

/* Starts the server with the given arguments (NULL-terminated), by default with `--listen
   127.0.0.1:0`, and waits for the start-up line. Aborts the test if there is none. */
void server_process_start(struct server_process *server, const char *const arguments[]);
/* Like server_process_start(), but calls `prepare` in the child before exec. */
void server_process_start_with(struct server_process *server, const char *const arguments[],
                               void (*prepare)(void));

/* Returns the port of the first address after `text` in the start-up line, such as "for health and
   metrics on". Aborts the test if there is none. */
int server_process_port(const struct server_process *server, const char *text);

/* Starts a server that may exit without a start-up line. In that case returns false and sets *code
   as server_process_stop returns it. */
bool server_process_try(struct server_process *server, const char *const arguments[], int *code);

/* Sends SIGTERM and waits. Returns the exit code, or 128 plus the signal that killed it. Aborts the
   test if the server does not exit in time. Its log can still be read. */
int server_process_stop(struct server_process *server);
/* Like server_process_stop(), but sends no signal. */
int server_process_wait(struct server_process *server);

/* Returns everything written to stderr so far; the caller frees it. */
char *server_process_log(struct server_process *server);
/* Waits until the log contains a text. Aborts the test if it does not. */
void server_process_expect_log(struct server_process *server, const char *wanted);

/* Returns the content of /proc/PID/NAME; the caller frees it. Aborts the test on failure. */
char *server_process_file(const struct server_process *server, const char *name, size_t *len);
/* Returns the value of a line of /proc/PID/status, "VmRSS:" or "VmHWM:", in bytes. */
size_t server_process_memory(const struct server_process *server, const char *what);
/* Resets VmHWM, the peak of memory. */
void server_process_forget_peak(const struct server_process *server);

/* Starts the server with exactly these arguments, without waiting, for runs that exit by themselves
   (server_process_wait). */
void server_process_spawn(struct server_process *server, const char *const arguments[]);

/* Starts the server with stdout redirected by `prepare`; does not wait for a start-up line. */
void server_process_start_silently(struct server_process *server, const char *const arguments[],
                                   void (*prepare)(void));

/* Kills the server if it is running, and frees all resources. */
void server_process_free(struct server_process *server);

/* Stops the server and frees all resources. Fails the test, quoting the log, unless it exits with
   0. */
void server_process_end(struct server_process *server);

/* Runs the server until it exits. Returns the exit code and its output in buffers of SERVER_TEXT
 * bytes. */
enum { SERVER_TEXT = 8192 };
int server_process_run(const char *const arguments[], char *out, char *err);
/* Like server_process_run(), but calls `prepare` in the child before exec. */
int server_process_run_with(const char *const arguments[], void (*prepare)(void), char *out,
                            char *err);

#endif
