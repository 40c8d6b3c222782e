/*
 * The server's own system call filter and that of its systemd unit, each with a working server; and
 * the rating of the unit by systemd-analyze.
 */
#include "suites.h"
#include "support/certificates.h"
#include "support/folder.h"
#include "support/server_fixture.h"
#include "system/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATH = 96, LARGE = 200000 };

static const char unit[] = "deploy/lossd.service";
static const char token_line[] =
    "alice:dc5c3a900295ccecb6bbc567b71e916d43d6a890c4d4f0a7b53969b0ae9535a7\n";
static const char token[] = "Authorization: Bearer alice-0123456789abcdefghijklmnopqrstuvwxyz_\r\n";

/* ---- Helpers ---- */

static void setup(void)
{
    folder_make();
    folder_write_certificates();
    folder_write("tokens", token_line);
}

static void teardown(void)
{
    kill_server();
    folder_remove();
}

/* Starts a server with all features that need additional system calls. */
static void start(const char *seccomp, void (*prepare)(void))
{
    char listen[PATH + 32];
    snprintf(listen, sizeof listen, "127.0.0.1:0,unix:%s", folder_path("socket"));
    const char *const arguments[] = {"--threads=2",
                                     "--listen",
                                     listen,
                                     "--admin-listen=127.0.0.1:0",
                                     "--seccomp",
                                     seccomp,
                                     "--tls-cert",
                                     folder_path("cert"),
                                     "--tls-key",
                                     folder_path("key"),
                                     "--token-file",
                                     folder_path("tokens"),
                                     "--header-timeout=1",
                                     NULL};
    server_process_start_with(&server, arguments, prepare);
}

static void expect_status(const char *method, const char *path, const char *headers,
                          const char *body, int status)
{
    ck_assert_msg(
        http_client_ask(&client, method, path, headers, body, body ? strlen(body) : 0, &response),
        "no response to %s %s", method, path);
    ck_assert_msg(response.status == status, "expected status %d for %s, got: %s%.300s", status,
                  path, response.head, response.body);
}

/* Evaluates a batch on the executor. Its response is compressed on all threads. */
static void evaluate_large(void)
{
    char *body = malloc(LARGE * 10 + 100), *to = stpcpy(body, "{\"grad\":true,\"input\":[1"),
         headers[256];
    for (int i = 1; i < LARGE; i++)
        to = stpcpy(to, ",0.25");
    to = stpcpy(to, "],\"target\":[1");
    for (int i = 1; i < LARGE; i++)
        to = stpcpy(to, ",0.5");
    strcpy(to, "]}");
    snprintf(headers, sizeof headers, "%sAccept-Encoding: zstd\r\n", token);
    expect_status("POST", "/v1/losses/mse", headers, body, 200);
    expect_text(response.head, "Content-Encoding: zstd");
    snprintf(headers, sizeof headers, "%sAccept-Encoding: gzip\r\n", token);
    expect_status("POST", "/v1/losses/huber", headers, body, 200);
    free(body);
}

/* Uses all features of the running server, and stops it. */
static void expect_work(void)
{
    const struct http_client_tls tls = {.ca = folder_path("ca")};
    ck_assert(http_client_connect_tls(&client, server.port, &tls));
    evaluate_large();
    expect_status("GET", "/v1/losses", NULL, NULL, 401);
    http_client_close(&client);

    folder_write("tokens", token_line);
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server, "1 tokens read from");
    server_process_expect_log(&server, "certificates reloaded");
    ck_assert(http_client_connect_tls(&client, server.port, &tls));
    expect_status("GET", "/v1/losses", token, NULL, 200);
    http_client_close(&client);
    ck_assert(http_client_connect_tls(&client, server.port, &tls));
    ck_assert(http_client_send_text(&client, "GET /v1/los")); /* disconnected after its timeout */
    ck_assert(http_client_closed(&client));
    http_client_close(&client);

    ck_assert(http_client_connect_path(&client, folder_path("socket")));
    evaluate_large();
    http_client_close(&client);
    ck_assert(http_client_connect(&client, "127.0.0.1", server_admin_port()));
    expect_status("GET", "/metrics", NULL, NULL, 200);
    expect_text(response.body, "process_open_fds ");
    expect_text(response.body, "process_resident_memory_bytes ");
    http_client_close(&client);
    ck_assert_int_eq(server_process_stop(&server), 0);
    ck_assert_msg(access(folder_path("socket"), F_OK) != 0, "the socket's file is still there");
}

/* ---- The server's filter ---- */

START_TEST(sandbox_allows_all_features_of_the_server)
{
    start("on", NULL);
    expect_work();
}
END_TEST

/* Checks a line of the status of every thread. */
static void expect_every_thread(const char *line)
{
    char path[64];
    int threads = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)server.pid);
    DIR *tasks = opendir(path);
    ck_assert_ptr_nonnull(tasks);
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        size_t len;
        char name[300];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "task/%s/status", entry->d_name);
        char *status = server_process_file(&server, name, &len);
        expect_text(status, line);
        free(status);
        threads++;
    }
    closedir(tasks);
    ck_assert_int_gt(threads, 5);
}

START_TEST(sandbox_applies_to_every_thread)
{
    start("on", NULL);
    expect_every_thread("\nSeccomp:\t2\n");
    expect_every_thread("\nNoNewPrivs:\t1\n");
}
END_TEST

START_TEST(sandbox_is_off_by_default)
{
    char unchanged[64];
    FILE *file = fopen("/proc/self/status", "re"); /* a container may already have a filter */
    ck_assert_ptr_nonnull(file);
    char status[8192];
    status[fread(status, 1, sizeof status - 1, file)] = '\0';
    fclose(file);
    const char *line = strstr(status, "\nSeccomp_filters:");
    line = line ? line : strstr(status, "\nSeccomp:"); /* before Linux 5.9 */
    ck_assert_ptr_nonnull(line);
    snprintf(unchanged, sizeof unchanged, "%.*s\n", (int)strcspn(line + 1, "\n") + 1, line);
    start("off", NULL);
    expect_every_thread(unchanged);
}
END_TEST

/* In a child with the filter, tries what an attacker would use a compromised server for. Returns
 * the exit code: 0 if nothing succeeds, 100 if the filter cannot be set, else the number of what
 * succeeds. */
static int try_what_is_forbidden(void)
{
    char message[256];
    const long page = sysconf(_SC_PAGESIZE);
    if (!sandbox_enter(message, sizeof message))
        return 100;
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != ENOSYS)
        return 1;
    execl("/bin/true", "true", (char *)NULL);
    if (errno != ENOSYS)
        return 2;
    if (system("exit 0") == 0)
        return 3;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0)
        return 4;
    if (mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
             -1, 0) != MAP_FAILED)
        return 5;
    void *memory =
        mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, (size_t)page, PROT_READ | PROT_EXEC) == 0)
        return 6;
    if (chmod("/tmp", 0777) == 0 || kill(getppid(), 0) == 0 || setuid(1) == 0)
        return 7;
    const int local = socket(AF_UNIX, SOCK_DGRAM, 0);
    return local >= 0 && connect(local, NULL, 0) != 0 && errno == ENOSYS ? 0 : 8;
}

START_TEST(sandbox_forbids_everything_else)
{
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(try_what_is_forbidden());
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

/* ---- The systemd unit ---- */

enum { CALLS = 2048 };

/* The system calls that the unit allows, by number. */
static bool allowed[CALLS];

/* Allows a system call, or forbids it again; "@name" is a set of calls. */
static void set_calls(const char *name, bool allow)
{
    char command[128], line[256];
    if (name[0] != '@') {
        const int number = seccomp_syscall_resolve_name(name);
        if (number >= 0 && number < CALLS) /* otherwise this architecture does not have the call */
            allowed[number] = allow;
        return;
    }
    snprintf(command, sizeof command, "systemd-analyze syscall-filter '%s'", name);
    FILE *output = popen(command, "r"); /* NOLINT(cert-env33-c): a name from our own unit */
    ck_assert_ptr_nonnull(output);
    while (fgets(line, sizeof line, output)) {
        char *call = line + strspn(line, " ");
        call[strcspn(call, "\n")] = '\0';
        if (call != line && *call && *call != '#')
            set_calls(call, allow);
    }
    ck_assert_int_eq(pclose(output), 0);
}

/* Reads the unit's SystemCallFilter= lines in order, as systemd does. */
static void read_unit(void)
{
    char line[512];
    static const char key[] = "SystemCallFilter=";
    int lines = 0;
    FILE *file = fopen(unit, "re");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, key, sizeof key - 1) != 0)
            continue;
        char *value = line + sizeof key - 1;
        const bool allow = *value != '~';
        for (char *name = strtok(value + !allow, " \n"); name; name = strtok(NULL, " \n"))
            set_calls(name, allow);
        lines++;
    }
    fclose(file);
    ck_assert_int_gt(lines, 0);
    ck_assert(allowed[seccomp_syscall_resolve_name("execve")]);
    ck_assert(!allowed[seccomp_syscall_resolve_name("mount")]);
}

/* Runs in the child, and sets the filter and MemoryDenyWriteExecute= as systemd does. Unlike the
 * server's own filter, they also apply while the server starts. */
static void enter_unit(void)
{
    const struct scmp_arg_cmp executable = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC);
    const struct scmp_arg_cmp both =
        SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC | PROT_WRITE);
    scmp_filter_ctx memory = seccomp_init(SCMP_ACT_ALLOW),
                    filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    bool right = memory && filter;
    right =
        right &&
        seccomp_rule_add(memory, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mprotect), 1, executable) == 0 &&
        seccomp_rule_add(memory, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mmap), 1, both) == 0 &&
        seccomp_load(memory) == 0;
    for (int call = 0; right && call < CALLS; call++)
        right = !allowed[call] || seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0) == 0;
    right = right && seccomp_load(filter) == 0;
    if (!right)
        _exit(125);
}

START_TEST(unit_filter_allows_all_features_of_the_server)
{
    read_unit();
    start("off", enter_unit);
    expect_work();
}
END_TEST

/* Runs a command. If it fails, fails with the end of its output. */
static void expect_success(const char *command)
{
    char text[2048], whole[1200];
    snprintf(whole, sizeof whole, "output=$(%s 2>&1) || { echo \"$output\" | tail -n 5; false; }",
             command);
    FILE *output = popen(whole, "r"); /* NOLINT(cert-env33-c): a command of this file */
    ck_assert_ptr_nonnull(output);
    text[fread(text, 1, sizeof text - 1, output)] = '\0';
    ck_assert_msg(pclose(output) == 0, "%s: %s", command, text);
}

START_TEST(unit_passes_systemd_analyze)
{
    const char *program = getenv("LOSSD");
    char command[1024];
    snprintf(command, sizeof command,
             "sed \"s|/usr/local/bin/lossd|$(readlink -f '%s')|\" %s >%s && cp deploy/lossd.socket "
             "%s/ && "
             "systemd-analyze verify --man=no %s/lossd.service %s/lossd.socket",
             program && *program ? program : "build/lossd", unit, folder_path("lossd.service"),
             folder_name(), folder_name(), folder_name());
    expect_success(command);
}
END_TEST

/* The threshold is in tenths, so 1.5. systemd rates values below 5.0 as OK. */
START_TEST(unit_exposure_is_low)
{
    char command[256];
    snprintf(command, sizeof command,
             "systemd-analyze security --offline=true --no-pager --threshold=15 %s", unit);
    expect_success(command);
}
END_TEST

static bool is_here(const char *command)
{
    return system(command) == 0; /* NOLINT(cert-env33-c): a command of this file */
}

/* Sanitizers use system calls that the filters forbid, such as ptrace at exit. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

Suite *sandbox_suite(void)
{
    Suite *suite = suite_create("sandbox");
    TCase *tcase = suite_add_case(suite, "sandbox", 120, setup, teardown);
    TCase *slow = suite_add_case(suite, "sandbox_slow", 120, setup, teardown);
    tcase_set_tags(slow, TAG_SLOW);
    const bool systemd = is_here("systemd-analyze --version >/dev/null 2>&1");
    if (!systemd)
        fprintf(stderr,
                "sandbox: deploy/lossd.service is not tested: systemd-analyze is not installed\n");
    if (!sanitized) {
        tcase_add_test(slow, sandbox_allows_all_features_of_the_server);
        tcase_add_test(tcase, sandbox_forbids_everything_else);
    }
    if (!sanitized && systemd)
        tcase_add_test(slow, unit_filter_allows_all_features_of_the_server);
    tcase_add_test(tcase, sandbox_applies_to_every_thread);
    tcase_add_test(tcase, sandbox_is_off_by_default);
    if (systemd) {
        tcase_add_test(tcase, unit_passes_systemd_analyze);
        tcase_add_test(tcase, unit_exposure_is_low);
    }
    return suite;
}
