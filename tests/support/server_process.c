/*
 * The server as a child process.
 */
#include "support/server_process.h"
#include "coverage/dump.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *program(void)
{
    const char *path = getenv("LOSSD");
    return path && *path ? path : "build/lossd";
}

/* Starts the program with stdout and stderr going to the descriptors; `prepare` may be NULL. */
static pid_t spawn(const char *const arguments[], int out, int err, void (*prepare)(void))
{
    pid_t parent = getpid();
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* the parent exited before prctl */
        _exit(126);
    const char *argv[SERVER_ARGUMENTS + 2] = {program()};
    for (int i = 0; i < SERVER_ARGUMENTS && arguments[i]; i++)
        argv[i + 1] = arguments[i];
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    if (prepare)
        prepare();
    execv(program(), (char **)(void *)argv);
    _exit(127);
}

/* Reads a line from the pipe. Returns false at its end or after the timeout. */
static bool read_line(int fd, char *line, size_t size)
{
    size_t len = 0;
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        char byte;
        if (poll(&wait, 1, SERVER_TIMEOUT_MS) <= 0 || read(fd, &byte, 1) != 1)
            return false;
        if (byte == '\n') {
            line[len] = '\0';
            return true;
        }
        if (len + 1 < size)
            line[len++] = byte;
    }
}

/* Returns the port of the first URL in a text, 0 if there is none. */
static int port_behind(const char *text)
{
    static const char mark[] = "://";
    const char *url = strstr(text, mark);
    const char *host = url ? url + sizeof mark - 1 : NULL;
    const char *colon = host ? strstr(host, host[0] == '[' ? "]:" : ":") : NULL;
    int port = 0;
    return colon && sscanf(strchr(colon, ':') + 1, "%d", &port) == 1 ? port : 0;
}

const char *const server_process_defaults[] = {"--log-level", "warning", "--threads", "2", NULL};

void server_process_start(struct server_process *server, const char *const arguments[])
{
    server_process_start_with(server, arguments, NULL);
}

/* Starts the server and waits for its start-up line. Returns false if it exits without one. */
static bool start(struct server_process *server, const char *const arguments[],
                  void (*prepare)(void))
{
    const char *all[SERVER_ARGUMENTS + 1] = {"--listen", "127.0.0.1:0"};
    for (int i = 0; arguments && arguments[i]; i++) {
        ck_assert_int_lt(i + 2, SERVER_ARGUMENTS);
        all[i + 2] = arguments[i]; /* a --listen among them overrides the default */
    }
    int out[2];
    *server = (struct server_process){.err = tmpfile()};
    ck_assert_ptr_nonnull(server->err);
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    server->pid = spawn(all, out[1], fileno(server->err), prepare);
    close(out[1]);
    server->out = out[0];
    if (!read_line(server->out, server->line, sizeof server->line))
        return false;
    server->port = port_behind(server->line);
    return true;
}

void server_process_start_with(struct server_process *server, const char *const arguments[],
                               void (*prepare)(void))
{
    if (start(server, arguments, prepare))
        return;
    char *log = server_process_log(server);
    server_process_free(server);
    ck_abort_msg("%s did not start; its log: %s", program(), log);
}

void server_process_spawn(struct server_process *server, const char *const arguments[])
{
    *server = (struct server_process){.err = tmpfile()};
    ck_assert_ptr_nonnull(server->err);
    server->out = open("/dev/null", O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(server->out, 0);
    server->pid = spawn(arguments, server->out, fileno(server->err), NULL);
}

void server_process_start_silently(struct server_process *server, const char *const arguments[],
                                   void (*prepare)(void))
{
    ck_assert(!start(server, arguments, prepare));
}

bool server_process_try(struct server_process *server, const char *const arguments[], int *code)
{
    if (start(server, arguments, NULL))
        return true;
    *code = server_process_wait(server);
    return false;
}

int server_process_port(const struct server_process *server, const char *text)
{
    const char *found = strstr(server->line, text);
    const int port = found ? port_behind(found) : 0;
    ck_assert_msg(port > 0, "no port after \"%s\" in the start-up line: %s", text, server->line);
    return port;
}

int server_process_wait(struct server_process *server)
{
    int status = 0;
    for (int waited = 0; waitpid(server->pid, &status, WNOHANG) == 0; waited++) {
        if (waited >= SERVER_TIMEOUT_MS) {
            char *const log = server->err ? server_process_log(server) : NULL;
            server_process_free(server);
            ck_abort_msg("%s does not exit; its log: %.2000s", program(), log ? log : "(unknown)");
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    server->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int server_process_stop(struct server_process *server)
{
    ck_assert_int_gt(server->pid, 0);
    kill(server->pid, SIGTERM);
    return server_process_wait(server);
}

/* Returns the content of a file from its start; the caller frees it. Uses pread, since the child
 * shares the file position. */
static char *contents(FILE *file)
{
    size_t len = 0, room = 4096;
    char *text = malloc(room);
    ck_assert_ptr_nonnull(text);
    for (ssize_t got; (got = pread(fileno(file), text + len, room - len - 1, (off_t)len)) > 0;) {
        len += (size_t)got;
        if (len == room - 1) {
            text = realloc(text, room *= 2);
            ck_assert_ptr_nonnull(text);
        }
    }
    text[len] = '\0';
    return text;
}

char *server_process_log(struct server_process *server)
{
    return contents(server->err);
}

void server_process_expect_log(struct server_process *server, const char *wanted)
{
    enum { LOG_WAIT_MS = 5 };
    for (int waited = 0;; waited += LOG_WAIT_MS) {
        char *const log = server_process_log(server);
        const bool found = strstr(log, wanted) != NULL;
        ck_assert_msg(found || waited < SERVER_TIMEOUT_MS, "\"%s\" is not logged: %.3000s", wanted,
                      log);
        free(log);
        if (found)
            return;
        nanosleep(&(struct timespec){.tv_nsec = LOG_WAIT_MS * 1000000L}, NULL);
    }
}

char *server_process_file(const struct server_process *server, const char *name, size_t *len)
{
    enum { ROOM = 1 << 16 };
    char path[64], *text = calloc(1, ROOM);
    ck_assert_ptr_nonnull(text);
    snprintf(path, sizeof path, "/proc/%d/%s", (int)server->pid, name);
    FILE *file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    *len = fread(text, 1, ROOM - 1, file);
    fclose(file);
    return text;
}

size_t server_process_memory(const struct server_process *server, const char *what)
{
    size_t len;
    char *status = server_process_file(server, "status", &len), *line = strstr(status, what);
    ck_assert_ptr_nonnull(line);
    const size_t kib = strtoul(line + strlen(what), NULL, 10);
    free(status);
    return kib * 1024;
}

void server_process_forget_peak(const struct server_process *server)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/clear_refs", (int)server->pid);
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    fputs("5", file);
    fclose(file);
}

/* Kills the server. A coverage build is sent DUMP_SIGNAL instead of SIGKILL, to write its counters
 * first (tests/coverage/dump.c); if it does not exit in time, it is killed without them. */
static void kill_and_wait(pid_t pid)
{
#ifdef COVERAGE
    enum { DUMP_MS = 5000 };
    kill(pid, DUMP_SIGNAL);
    for (int waited = 0; waited < DUMP_MS; waited += 5) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
#endif
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

void server_process_free(struct server_process *server)
{
    if (server->pid > 0)
        kill_and_wait(server->pid);
    if (server->err) {
        fclose(server->err);
        close(server->out);
    }
    *server = (struct server_process){.pid = 0};
}

void server_process_end(struct server_process *server)
{
    const int code = server_process_stop(server);
    char *log = server_process_log(server);
    ck_assert_msg(code == 0, "the server exited with %d; its log: %.2000s", code, log);
    free(log);
    server_process_free(server);
}

int server_process_run(const char *const arguments[], char *out, char *err)
{
    return server_process_run_with(arguments, NULL, out, err);
}

int server_process_run_with(const char *const arguments[], void (*prepare)(void), char *out,
                            char *err)
{
    FILE *files[2] = {tmpfile(), tmpfile()};
    ck_assert(files[0] && files[1]);
    struct server_process run = {.pid =
                                     spawn(arguments, fileno(files[0]), fileno(files[1]), prepare)};
    int code = server_process_wait(&run);
    char *texts[2] = {contents(files[0]), contents(files[1])};
    snprintf(out, SERVER_TEXT, "%s", texts[0]);
    snprintf(err, SERVER_TEXT, "%s", texts[1]);
    for (int i = 0; i < 2; i++) {
        free(texts[i]);
        fclose(files[i]);
    }
    return code;
}
