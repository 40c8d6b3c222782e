/*
 * The server as a child process: $LOSSD, by default build/lossd. It dies with the test that started
 * it, whatever becomes of that.
 */
#ifndef TESTS_SUPPORT_SERVER_PROCESS_H
#define TESTS_SUPPORT_SERVER_PROCESS_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

enum { SERVER_ARGUMENTS = 24, SERVER_TIMEOUT_MS = 60000 };

struct server_process {
    pid_t pid;      /* 0 while there is none */
    int port;       /* the first of the start-up line; 0 if there is none */
    char line[512]; /* the start-up line, without its newline */
    int out;        /* what follows it */
    FILE *err;      /* what it writes on stderr */
};

/* Starts it with the given arguments (NULL-terminated) and, unless they say, `--listen
   127.0.0.1:0`; waits for the start-up line. Aborts the test if none comes. */
void server_process_start(struct server_process *server, const char *const arguments[]);
/* The same with a function that is called in the child, just before it becomes the server. */
void server_process_start_with(struct server_process *server, const char *const arguments[],
                               void (*prepare)(void));

/* The port of the first address behind `text` in the start-up line, such as "for health and metrics
   on"; aborts the test if there is none. */
int server_process_port(const struct server_process *server, const char *text);

/* The same, where it may also end without a start-up line: then false, with its exit code as
 * server_process_stop has it. */
bool server_process_try(struct server_process *server, const char *const arguments[], int *code);

/* Sends SIGTERM and waits for the end; returns the exit code, or 128 and the signal that killed it.
   Aborts the test if it does not end in time. What it logged can still be read. */
int server_process_stop(struct server_process *server);
/* Waits for the end alone. */
int server_process_wait(struct server_process *server);

/* All that it has written on stderr so far; to be freed. */
char *server_process_log(struct server_process *server);
/* Waits until that holds a text; aborts the test if it does not come. */
void server_process_expect_log(struct server_process *server, const char *wanted);

/* What /proc/PID/NAME holds, as text; to be freed. Aborts the test if there is no such thing. */
char *server_process_file(const struct server_process *server, const char *name, size_t *len);
/* A line of /proc/PID/status, "VmRSS:" or "VmHWM:", in bytes. */
size_t server_process_memory(const struct server_process *server, const char *what);
/* From now on VmHWM is the peak since now. */
void server_process_forget_peak(const struct server_process *server);

/* Starts it with exactly these arguments and waits for nothing: for programs that end by themselves
 * (server_process_wait). */
void server_process_spawn(struct server_process *server, const char *const arguments[]);

/* Starts it with its stdout elsewhere, as `prepare` has it, so that there is no start-up line to be
 * waited for. */
void server_process_start_silently(struct server_process *server, const char *const arguments[],
                                   void (*prepare)(void));

/* Frees what is left of it, killing it if it still runs. */
void server_process_free(struct server_process *server);

/* Runs it to its end; returns the exit code and what it wrote, in buffers of SERVER_TEXT bytes. */
enum { SERVER_TEXT = 8192 };
int server_process_run(const char *const arguments[], char *out, char *err);
/* The same with a function that is called in the child, just before it becomes the server. */
int server_process_run_with(const char *const arguments[], void (*prepare)(void), char *out,
                            char *err);

#endif
