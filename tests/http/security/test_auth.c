/*
 * Access to the server: addresses, Unix sockets and sockets from systemd, and what each serves;
 * tokens; host names and origins.
 */
#include "suites.h"
#include "support/body.h"
#include "support/folder.h"
#include "support/http_client.h"
#include "support/server_process.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { PATH = 96 };

static struct server_process server;
static struct http_client client;
static struct http_response response;

#define ARGUMENTS(...)                                                                             \
    (const char *const[])                                                                          \
    {                                                                                              \
        "--threads", "2", __VA_ARGS__, NULL                                                        \
    }

static const char mse[] = "{\"input\": [1, 2, 3], \"target\": [1, 2, 5]}";

/* ---- Helpers ---- */

static void setup(void)
{
    folder_make();
}

static void teardown(void)
{
    http_client_close(&client);
    http_response_free(&response);
    server_process_free(&server);
    folder_remove();
}

/* Returns an option that ends with the path of a file of this test, such as
   "--listen=127.0.0.1:0,unix:PATH". Valid until the third call after this one. */
static const char *option_path(const char *text, const char *name)
{
    static char options[3][PATH * 2];
    static int turn;
    char *option = options[turn++ % 3];
    ck_assert_int_lt(snprintf(option, sizeof options[0], "%s%s", text, folder_path(name)),
                     (int)sizeof options[0]);
    return option;
}

static void ask(const char *method, const char *path, const char *headers, const char *body)
{
    ck_assert_msg(
        http_client_ask(&client, method, path, headers, body, body ? strlen(body) : 0, &response),
        "no answer to %s %s", method, path);
}

static void connect_port(int port)
{
    http_client_close(&client);
    ck_assert(http_client_connect(&client, "127.0.0.1", port));
}

static void connect_path(const char *path)
{
    http_client_close(&client);
    ck_assert_msg(http_client_connect_path(&client, path), "no server listens on %s", path);
}

static void expect_status(const char *path, int status)
{
    ask("GET", path, NULL, NULL);
    ck_assert_msg(response.status == status, "expected status %d for %s, got: %s%s", status, path,
                  response.head, response.body);
}

static void expect_evaluated(void)
{
    ask("POST", "/v1/losses/mse", "Content-Type: application/json\r\n", mse);
    ck_assert_msg(response.status == 200, "%s%s", response.head, response.body);
    ck_assert_ptr_nonnull(strstr(response.body, "\"loss\":1.33333"));
}

static void expect_text(const char *text, const char *wanted)
{
    ck_assert_msg(strstr(text, wanted) != NULL, "\"%s\" is not in: %s", wanted, text);
}

/* Runs a server that must fail to start until it exits. */
static void expect_refused_start(const char *const arguments[], const char *wanted)
{
    char out[SERVER_TEXT], err[SERVER_TEXT];
    ck_assert_int_eq(server_process_run(arguments, out, err), 1);
    expect_text(err, wanted);
}

/* ---- Addresses ---- */

static const char admin_words[] = "for health and metrics on ";

START_TEST(auth_serves_a_unix_socket_and_removes_it)
{
    const char *path = folder_path("socket");
    struct stat file;
    server_process_start(&server, ARGUMENTS(option_path("--listen=unix:", "socket")));
    expect_text(server.line, path);
    connect_path(path);
    expect_evaluated();
    expect_evaluated(); /* on the same connection */
    ck_assert_int_eq(stat(path, &file), 0);
    ck_assert_uint_eq(file.st_mode & 07777, 0660);
    ck_assert_int_eq(server_process_stop(&server), 0);
    ck_assert_msg(access(path, F_OK) != 0, "the socket's file is still there");
}
END_TEST

START_TEST(auth_unix_socket_has_the_configured_permissions)
{
    struct stat file;
    server_process_start(&server,
                         ARGUMENTS(option_path("--listen=unix:", "socket"), "--socket-mode=606"));
    ck_assert_int_eq(stat(folder_path("socket"), &file), 0);
    ck_assert_uint_eq(file.st_mode & 07777, 0606);
}
END_TEST

START_TEST(auth_replaces_the_socket_of_a_killed_server)
{
    const char *const *arguments = ARGUMENTS(option_path("--listen=unix:", "socket"));
    server_process_start(&server, arguments);
    server_process_free(&server); /* by SIGKILL, so the file remains */
    ck_assert_int_eq(access(folder_path("socket"), F_OK), 0);
    server_process_start(&server, arguments);
    connect_path(folder_path("socket"));
    expect_evaluated();
}
END_TEST

START_TEST(auth_keeps_the_socket_of_a_running_server)
{
    const char *const *arguments = ARGUMENTS(option_path("--listen=unix:", "socket"));
    server_process_start(&server, arguments);
    expect_refused_start(arguments, "another server is listening on it");
    connect_path(folder_path("socket"));
    expect_evaluated();
}
END_TEST

START_TEST(auth_keeps_a_file_that_is_not_a_socket)
{
    FILE *file = fopen(folder_path("socket"), "w");
    ck_assert_ptr_nonnull(file);
    fclose(file);
    expect_refused_start(ARGUMENTS(option_path("--listen=unix:", "socket")),
                         "the path exists and is not a socket");
    ck_assert_int_eq(access(folder_path("socket"), F_OK), 0);
}
END_TEST

START_TEST(auth_does_not_remove_the_socket_of_a_successor)
{
    const char *path = folder_path("socket");
    server_process_start(&server, ARGUMENTS(option_path("--listen=unix:", "socket")));
    ck_assert_int_eq(unlink(path), 0);
    struct server_process successor;
    server_process_start(&successor, ARGUMENTS(option_path("--listen=unix:", "socket")));
    ck_assert_int_eq(server_process_stop(&server), 0);
    connect_path(path);
    expect_evaluated();
    server_process_free(&successor);
}
END_TEST

/* A response that rejects a body while the client sends it must not be lost: see
 * server/mhd_workarounds/lingering_close.h. */
START_TEST(auth_rejects_during_a_body_over_a_unix_socket)
{
    server_process_start(&server,
                         ARGUMENTS(option_path("--listen=unix:", "socket"), "--max-body=1M"));
    connect_path(folder_path("socket"));
    body_is_refused_as_it_comes(&client, &response, 1 << 16);
}
END_TEST

START_TEST(auth_serves_several_addresses)
{
    server_process_start(
        &server, ARGUMENTS(option_path("--listen=127.0.0.1:0, 127.0.0.2:0, unix:", "socket")));
    connect_port(server.port);
    expect_evaluated();
    http_client_close(&client);
    ck_assert(http_client_connect(&client, "127.0.0.2", server_process_port(&server, ", ")));
    expect_evaluated();
    connect_path(folder_path("socket"));
    expect_evaluated();
}
END_TEST

START_TEST(auth_does_not_start_if_one_address_is_in_use)
{
    char listen[64];
    server_process_start(&server, ARGUMENTS("--listen=127.0.0.1:0"));
    snprintf(listen, sizeof listen, "127.0.0.1:0,127.0.0.1:%d", server.port);
    expect_refused_start(ARGUMENTS("--listen", listen), "is another server running?");
}
END_TEST

/* ---- Admin addresses ---- */

START_TEST(auth_admin_address_serves_only_health_and_metrics)
{
    server_process_start(&server, ARGUMENTS("--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"));
    connect_port(server_process_port(&server, admin_words));
    expect_status("/healthz", 200);
    expect_status("/readyz", 200);
    expect_status("/v2/health/ready", 200);
    expect_status("/metrics", 200);
    expect_status("/v1/losses", 404);
    expect_text(response.body, "serves only health checks and metrics");
    expect_status("/", 404);
    ask("POST", "/v1/losses/mse", "Content-Type: application/json\r\n", mse);
    ck_assert_int_eq(response.status, 404);
    expect_status("/healtz", 404);
    expect_text(response.body, "did you mean '/healthz'?");

    connect_port(server.port);
    expect_status("/readyz", 200);
    expect_status("/metrics", 404);
    expect_evaluated();
}
END_TEST

START_TEST(auth_admin_address_may_be_a_unix_socket)
{
    server_process_start(
        &server, ARGUMENTS("--listen=127.0.0.1:0", option_path("--admin-listen=unix:", "admin")));
    connect_path(folder_path("admin"));
    expect_status("/readyz", 200);
    expect_status("/v1/losses", 404);
}
END_TEST

/* ---- systemd ---- */

/* Sockets passed to the server: descriptors that become 3 and 4, and their names. */
static int handed[2];
static const char *handed_names;
static int handed_pid_offset; /* not 0 if the variables are for another process */
static char notify_path[PATH];

static int listening_port(int *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)(void *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(fd, 16), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)(void *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static int unix_socket(const char *path, int type)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    memcpy(at.sun_path, path, strlen(path));
    ck_assert_int_eq(bind(fd, (struct sockaddr *)(void *)&at, sizeof at), 0);
    return fd;
}

/* Runs in the child, and does what systemd does before it executes a service. */
static void hand_over(void)
{
    char number[16];
    const int second = dup(handed[1]);
    dup2(handed[0], 3);
    dup2(second, 4);
    snprintf(number, sizeof number, "%d", (int)getpid() + handed_pid_offset);
    setenv("LISTEN_PID", number, 1);
    setenv("LISTEN_FDS", "2", 1);
    if (handed_names)
        setenv("LISTEN_FDNAMES", handed_names, 1);
}

static void ask_to_be_told(void)
{
    setenv("NOTIFY_SOCKET", notify_path, 1);
}

START_TEST(auth_serves_sockets_from_systemd)
{
    int port;
    handed[0] = listening_port(&port);
    handed[1] = unix_socket(folder_path("socket"), SOCK_STREAM);
    ck_assert_int_eq(listen(handed[1], 16), 0);
    server_process_start_with(&server, ARGUMENTS("--listen=192.0.2.1:1"), hand_over);
    ck_assert_int_eq(server.port, port);
    connect_port(port);
    expect_evaluated();
    connect_path(folder_path("socket"));
    expect_evaluated();
    ck_assert_int_eq(server_process_stop(&server), 0);
    /* The sockets belong to systemd: the file remains, and the next instance accepts clients that
       have connected meanwhile.
     */
    ck_assert_int_eq(access(folder_path("socket"), F_OK), 0);
    connect_port(port);
    ck_assert(http_client_send_text(&client, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    server_process_free(&server);
    server_process_start_with(&server, ARGUMENTS("--listen=192.0.2.1:1"), hand_over);
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
}
END_TEST

START_TEST(auth_finds_the_admin_socket_by_name)
{
    int port, admin;
    handed[0] = listening_port(&admin);
    handed[1] = listening_port(&port);
    handed_names = "admin:lossd.socket";
    server_process_start_with(&server, ARGUMENTS("--log-level=info"), hand_over);
    ck_assert_int_eq(server.port, port);
    connect_port(admin);
    expect_status("/readyz", 200);
    expect_status("/v1/losses", 404);
    connect_port(port);
    expect_evaluated();
}
END_TEST

START_TEST(auth_ignores_sockets_for_another_process)
{
    int port;
    handed[0] = handed[1] = listening_port(&port);
    handed_pid_offset = 1;
    server_process_start_with(&server, ARGUMENTS("--listen=127.0.0.1:0"), hand_over);
    ck_assert_int_ne(server.port, port);
    connect_port(server.port);
    expect_evaluated();
}
END_TEST

/* Reads one sd_notify message. */
static void expect_told(int fd, const char *wanted)
{
    char text[256];
    const struct timeval limit = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const ssize_t len = recv(fd, text, sizeof text - 1, 0);
    ck_assert_msg(len > 0, "no message %s", wanted);
    text[len] = '\0';
    expect_text(text, wanted);
}

START_TEST(auth_notifies_systemd_of_ready_and_stopping)
{
    snprintf(notify_path, sizeof notify_path, "%s", folder_path("notify"));
    const int fd = unix_socket(notify_path, SOCK_DGRAM);
    server_process_start_with(&server, ARGUMENTS("--listen=127.0.0.1:0"), ask_to_be_told);
    expect_told(fd, "READY=1");
    ck_assert_int_eq(server_process_stop(&server), 0);
    expect_told(fd, "STOPPING=1");
    close(fd);
}
END_TEST

/* ---- Tokens ---- */

/* 43 characters, and their sha256sum. */
static const char alice[] = "alice-0123456789abcdefghijklmnopqrstuvwxyz_";
static const char alice_line[] =
    "alice:dc5c3a900295ccecb6bbc567b71e916d43d6a890c4d4f0a7b53969b0ae9535a7\n";
static const char bob[] = "bob+0123456789abcdefghijklmnopqrstuvwxyz/==";
static const char bob_line[] =
    "bob:62ada03e8eda4f3eaf2223215f79995eb87043ea355558a5b5a297adf475eab4\n";

static void ask_as(const char *path, const char *token)
{
    char headers[512];
    snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n", token);
    ask("GET", path, headers, NULL);
}

static void expect_known(const char *token)
{
    ask_as("/v1/losses/mse", token);
    ck_assert_msg(response.status == 200, "%s%s", response.head, response.body);
}

static void expect_unknown(const char *token)
{
    ask_as("/v1/losses/mse", token);
    ck_assert_msg(response.status == 403, "expected status 403 for \"%s\", got: %s%s", token,
                  response.head, response.body);
    expect_text(response.body, "unknown token");
}

static void expect_token_wanted(const char *method, const char *path, const char *headers,
                                const char *body)
{
    char challenge[64];
    ask(method, path, headers, body);
    ck_assert_msg(response.status == 401, "expected status 401 for %s %s, got: %s%s", method, path,
                  response.head, response.body);
    ck_assert_str_eq(
        http_response_header(&response, "WWW-Authenticate", challenge, sizeof challenge), "Bearer");
}

static void start_with_tokens(const char *lines)
{
    folder_write("tokens", lines);
    server_process_start(&server,
                         ARGUMENTS("--listen=127.0.0.1:0", option_path("--token-file=", "tokens")));
    connect_port(server.port);
}

START_TEST(auth_requires_a_token_if_tokens_are_configured)
{
    start_with_tokens(alice_line);
    expect_token_wanted("GET", "/v1/losses", NULL, NULL);
    expect_token_wanted("POST", "/v1/losses/mse", "Content-Type: application/json\r\n", mse);
    expect_text(response.body, "a token is required");
    expect_token_wanted("GET", "/v1/losses", "Authorization: Basic YWxpY2U6eA==\r\n", NULL);
    expect_token_wanted("GET", "/no/such/path", NULL,
                        NULL); /* paths that exist are not revealed either */
    expect_token_wanted("POST", "/v2/models/mse/infer", NULL, "{}");
    expect_text(response.body, "{\"error\":\"a token is required");
    ck_assert(strstr(response.head, "X-Request-Id") != NULL);
}
END_TEST

START_TEST(auth_accepts_clients_with_a_token)
{
    char lines[512];
    snprintf(lines, sizeof lines, "# who may\n\n  %s\r\n%s", alice_line, bob_line);
    start_with_tokens(lines);
    expect_known(alice);
    expect_known(bob);
    server_process_expect_log(&server, "client=alice");
    server_process_expect_log(&server, "client=bob");
    ask("POST", "/v1/losses/mse",
        "Content-Type: application/json\r\nauthorization: bearer  "
        "alice-0123456789abcdefghijklmnopqrstuvwxyz_ \t\r\n",
        mse);
    ck_assert_int_eq(response.status, 200);
}
END_TEST

START_TEST(auth_counts_requests_by_token)
{
    char lines[512];
    snprintf(lines, sizeof lines, "%s%s", alice_line, bob_line);
    folder_write("tokens", lines);
    server_process_start(&server,
                         ARGUMENTS("--listen=127.0.0.1:0", option_path("--token-file=", "tokens"),
                                   "--request-rate=1", "--request-burst=2"));
    connect_port(server.port);
    expect_known(alice);
    expect_known(alice);
    ask_as("/v1/losses/mse", alice);
    ck_assert_int_eq(response.status, 429);
    expect_known(bob); /* from the same address */
    expect_known(bob);
    ask_as("/v1/losses/mse", bob);
    ck_assert_int_eq(response.status, 429);
}
END_TEST

START_TEST(auth_rejects_wrong_tokens)
{
    static const char *const wrong[] = {
        "x",
        "ALICE-0123456789abcdefghijklmnopqrstuvwxyz_",
        "alice-0123456789abcdefghijklmnopqrstuvwxyz",
        "",
        "alice-0123456789abcdefghijklmnopqrstuvwxyz__",
        "alice-0123456789abcdefghijklmnopqrstuvwxyz_ x",
        "a\tb",
        "dc5c3a900295ccecb6bbc567b71e916d43d6a890c4d4f0a7b53969b0ae9535a7"};
    start_with_tokens(alice_line);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (*wrong[i])
            expect_unknown(wrong[i]);
    }
    expect_token_wanted("GET", "/v1/losses", "Authorization: Bearer\r\n", NULL);
    server_process_expect_log(&server, " reason=credentials ");
    char *log = server_process_log(&server);
    ck_assert_ptr_null(strstr(log, "client="));
    ck_assert_ptr_null(strstr(log, "abcdefghijklmnopqrstuvwxyz"));
    free(log);
}
END_TEST

/* A client that sends Expect: 100-continue gets the rejection before it sends the body. */
START_TEST(auth_rejects_before_the_body)
{
    start_with_tokens(alice_line);
    ck_assert(http_client_send_text(
        &client, "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000000\r\n"
                 "Expect: 100-continue\r\n\r\n"));
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 401);
}
END_TEST

START_TEST(auth_health_requires_no_token)
{
    static const char *const open[] = {"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready",
                                       "/"};
    start_with_tokens(alice_line);
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
        expect_status(open[i], 200);
    expect_token_wanted("POST", "/healthz", NULL, "x");
}
END_TEST

START_TEST(auth_admin_address_requires_no_token)
{
    folder_write("tokens", alice_line);
    server_process_start(&server, ARGUMENTS("--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0",
                                            option_path("--token-file=", "tokens")));
    connect_port(server_process_port(&server, admin_words));
    expect_status("/readyz", 200);
    expect_status("/v1/losses", 404);
    connect_port(server.port);
    expect_token_wanted("GET", "/v1/losses", NULL, NULL);
}
END_TEST

START_TEST(auth_reloads_tokens_on_sighup)
{
    start_with_tokens(alice_line);
    expect_known(alice);
    expect_unknown(bob);
    folder_write("tokens", bob_line);
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server, "1 tokens read from");
    expect_known(bob);
    expect_unknown(alice); /* on a connection opened earlier */
}
END_TEST

START_TEST(auth_keeps_its_tokens_if_the_new_file_is_invalid)
{
    static const struct {
        const char *text, *wanted;
    } broken[] = {{"alice:abc\n", "line 1: not of the form NAME:SHA256"},
                  {"# nobody\n", "has no tokens"},
                  {"al ice:dc5c3a900295ccecb6bbc567b71e916d43d6a890c4d4f0a7b53969b0ae9535a7\n",
                   "line 1: not of the form"}};
    start_with_tokens(alice_line);
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        folder_write("tokens", broken[i].text);
        kill(server.pid, SIGHUP);
        server_process_expect_log(&server, broken[i].wanted);
        expect_known(alice);
    }
    ck_assert_int_eq(unlink(folder_path("tokens")), 0);
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server, "No such file or directory");
    expect_known(alice);
    folder_write("tokens", bob_line);
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server, "1 tokens read from");
    expect_known(bob);
}
END_TEST

/* A file truncated at the end of a line would silently reject some clients. */
START_TEST(auth_rejects_a_truncated_token_file)
{
    char text[512];
    snprintf(text, sizeof text, "# lossd tokens: 2\n%s%s", alice_line, bob_line);
    start_with_tokens(text);
    expect_known(bob);
    snprintf(text, sizeof text, "# lossd tokens: 2\n%s", alice_line);
    folder_write("tokens", text);
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server, "its first line declares 2 tokens, but it has 1");
    expect_known(bob);
    char headers[128];
    snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n", bob);
    ask("GET", "/metrics", headers, NULL);
    expect_text(response.body, "\nlossd_reload_failures_total{file=\"tokens\"} 1\n");
    snprintf(text, sizeof text, "# lossd tokens: many\n%s%s", alice_line, bob_line);
    folder_write("tokens", text);
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server, "line 1: not of the form # lossd tokens: NUMBER");
    snprintf(text, sizeof text, "# lossd tokens: 1\n%s", alice_line);
    folder_write("tokens", text);
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server, ": 0 added, 1 removed");
    expect_unknown(bob);
    snprintf(text, sizeof text, "# lossd tokens: 1\n%s%s", alice_line,
             bob_line); /* a line was appended */
    folder_write("tokens", text);
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server, ": 1 added, 0 removed");
    expect_known(bob);
}
END_TEST

enum { WRITERS = 12 };

/* Concurrent runs that add tokens wait for each other. All tokens are added and counted. */
START_TEST(auth_adds_tokens_one_at_a_time)
{
    char text[SERVER_TEXT] = "", head[64], names[WRITERS][32];
    struct server_process writers[WRITERS];
    const char *const option = option_path("--token-file=", "tokens");
    folder_write("tokens", alice_line);
    for (int i = 0; i < WRITERS; i++) {
        snprintf(names[i], sizeof names[i], "--new-token=w%d", i);
        server_process_spawn(&writers[i], (const char *const[]){names[i], option, NULL});
    }
    for (int i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(server_process_wait(&writers[i]), 0);
        server_process_free(&writers[i]);
    }
    FILE *const file = fopen(folder_path("tokens"), "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, file), 0);
    fclose(file);
    snprintf(head, sizeof head, "# lossd tokens: %d\n", WRITERS + 1);
    ck_assert_msg(strncmp(text, head, strlen(head)) == 0, "not \"%s\": %s", head, text);
    size_t lines = 0;
    for (const char *at = text; *at; at++)
        lines += *at == '\n';
    ck_assert_uint_eq(lines, WRITERS + 2);
}
END_TEST

static void show_to_nobody(void)
{
    const int fd = open("/dev/full", O_WRONLY);
    dup2(fd, STDERR_FILENO);
}

START_TEST(auth_fails_if_a_token_cannot_be_printed)
{
    char out[SERVER_TEXT], err[SERVER_TEXT];
    ck_assert_int_eq(server_process_run_with((const char *const[]){"--new-token=carol", NULL},
                                             show_to_nobody, out, err),
                     1);
}
END_TEST

enum { OTHER_USER = 12345, OTHER_GROUP = 12346, TOKENS_MOST_IN_FILE = 10000 };

START_TEST(auth_adds_tokens_to_the_file)
{
    char out[SERVER_TEXT], err[SERVER_TEXT], text[512] = "", token[64] = "";
    const char *const option = option_path("--token-file=", "tokens");
    struct stat about;
    folder_write("tokens", alice_line);
    ck_assert_int_eq(chmod(folder_path("tokens"), 0640), 0);
    ck_assert(geteuid() != 0 ||
              chown(folder_path("tokens"), OTHER_USER, OTHER_GROUP) == 0); /* the server's */
    ck_assert_int_eq(
        server_process_run((const char *const[]){"--new-token=carol", option, NULL}, out, err), 0);
    ck_assert_str_eq(out, "");
    ck_assert_int_eq(sscanf(strrchr(err, ' '), " %63s", token), 1);
    ck_assert_int_eq(
        server_process_run((const char *const[]){"--new-token=dave", option, NULL}, out, err), 0);
    FILE *const file = fopen(folder_path("tokens"), "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, file), 0);
    ck_assert_int_eq(fstat(fileno(file), &about), 0);
    fclose(file);
    ck_assert_uint_eq(about.st_mode & 07777, 0640);
    ck_assert_uint_eq(about.st_uid, geteuid() == 0 ? OTHER_USER : geteuid());
    ck_assert(geteuid() != 0 || about.st_gid == OTHER_GROUP);
    ck_assert_int_eq(strncmp(text, "# lossd tokens: 3\nalice:", 24), 0);
    ck_assert_ptr_nonnull(strstr(text, "\ncarol:"));
    ck_assert_ptr_nonnull(strstr(text, "\ndave:"));
    start_with_tokens(text);
    expect_known(token);
    expect_known(alice);
    folder_write("tokens", "alice:abc\n");
    ck_assert_int_eq(
        server_process_run((const char *const[]){"--new-token=eve", option, NULL}, out, err), 1);
    expect_text(err, "line 1: not of the form NAME:SHA256");
}
END_TEST

/* A new file has the mode that the umask allows, and a link remains a link. */
START_TEST(auth_creates_a_token_file_or_follows_a_link)
{
    char out[SERVER_TEXT], err[SERVER_TEXT], option[2 * PATH];
    struct stat about;
    snprintf(option, sizeof option, "%s", option_path("--token-file=", "tokens"));
    const mode_t mask = umask(077);
    const int status =
        server_process_run((const char *const[]){"--new-token=carol", option, NULL}, out, err);
    umask(mask);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(stat(folder_path("tokens"), &about), 0);
    ck_assert_uint_eq(about.st_mode & 07777, 0600);
    ck_assert_int_eq(symlink("tokens", folder_path("link")), 0);
    snprintf(option, sizeof option, "%s", option_path("--token-file=", "link"));
    ck_assert_int_eq(
        server_process_run((const char *const[]){"--new-token=dave", option, NULL}, out, err), 0);
    ck_assert_int_eq(lstat(folder_path("link"), &about), 0);
    ck_assert(S_ISLNK(about.st_mode));
    ck_assert_int_eq(unlink(folder_path("tokens")), 0);
    ck_assert_int_eq(
        server_process_run((const char *const[]){"--new-token=eve", option, NULL}, out, err), 1);
    expect_text(err, "link: No such file or directory");
    ck_assert_int_eq(lstat(folder_path("link"), &about), 0);
    ck_assert(S_ISLNK(about.st_mode));
}
END_TEST

/* With one more token, the server would reject the file. */
START_TEST(auth_adds_no_token_to_a_full_file)
{
    char out[SERVER_TEXT], err[SERVER_TEXT];
    const char *const option = option_path("--token-file=", "tokens");
    FILE *const file = fopen(folder_path("tokens"), "w");
    ck_assert_ptr_nonnull(file);
    for (int i = 1; i < TOKENS_MOST_IN_FILE; i++)
        fputs(alice_line, file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(
        server_process_run((const char *const[]){"--new-token=last", option, NULL}, out, err), 0);
    ck_assert_int_eq(
        server_process_run((const char *const[]){"--new-token=more", option, NULL}, out, err), 1);
    expect_text(err, "tokens has 10000 tokens, the maximum");
    server_process_start(&server, ARGUMENTS("--listen=127.0.0.1:0", option));
    connect_port(server.port);
    expect_known(alice);
}
END_TEST

START_TEST(auth_notifies_systemd_of_reloads)
{
    snprintf(notify_path, sizeof notify_path, "%s", folder_path("notify"));
    const int fd = unix_socket(notify_path, SOCK_DGRAM);
    server_process_start_with(&server, ARGUMENTS("--listen=127.0.0.1:0"), ask_to_be_told);
    expect_told(fd, "READY=1");
    kill(server.pid, SIGHUP); /* the server reads no file */
    expect_told(fd, "RELOADING=1\nMONOTONIC_USEC=");
    expect_told(fd, "READY=1");
    ck_assert_int_eq(server_process_stop(&server), 0);
    close(fd);
}
END_TEST

/* A reload waits for its file until the server stops. */
START_TEST(auth_does_not_notify_systemd_after_stopping)
{
    char text[64];
    snprintf(notify_path, sizeof notify_path, "%s", folder_path("notify"));
    const int fd = unix_socket(notify_path, SOCK_DGRAM);
    folder_write("tokens", alice_line);
    server_process_start_with(&server,
                              ARGUMENTS("--listen=127.0.0.1:0",
                                        option_path("--token-file=", "tokens"),
                                        "--drain-delay=0.3"),
                              ask_to_be_told);
    expect_told(fd, "READY=1");
    unlink(folder_path("tokens"));
    ck_assert_int_eq(mkfifo(folder_path("tokens"), 0600), 0);
    kill(server.pid, SIGHUP);
    expect_told(fd, "RELOADING=1\nMONOTONIC_USEC=");
    kill(server.pid, SIGTERM);
    expect_told(fd, "STOPPING=1");
    folder_write("tokens", alice_line);
    ck_assert_int_eq(server_process_wait(&server), 0);
    server_process_expect_log(&server, "1 tokens");
    ck_assert_msg(recv(fd, text, sizeof text, MSG_DONTWAIT) < 0, "message after STOPPING=1: %.20s",
                  text);
    close(fd);
}
END_TEST

/* Sets the environment of a unit with WatchdogSec=, for this process or, by mistake, another one.
 */
static void ask_for_signs_of_life(void)
{
    char number[16];
    ask_to_be_told();
    setenv("WATCHDOG_USEC", "5000000", 1);
    snprintf(number, sizeof number, "%d", (int)getpid() + handed_pid_offset);
    setenv("WATCHDOG_PID", number, 1);
}

START_TEST(auth_notifies_the_watchdog_of_systemd)
{
    snprintf(notify_path, sizeof notify_path, "%s", folder_path("notify"));
    const int fd = unix_socket(notify_path, SOCK_DGRAM);
    server_process_start_with(&server, ARGUMENTS("--listen=127.0.0.1:0"), ask_for_signs_of_life);
    expect_told(fd, "READY=1");
    for (int i = 0; i < 3; i++)
        expect_told(fd, "WATCHDOG=1");
    ck_assert_int_eq(server_process_stop(&server), 0);
    close(fd);
}
END_TEST

START_TEST(auth_ignores_a_watchdog_for_another_process)
{
    struct pollfd wait = {.events = POLLIN};
    snprintf(notify_path, sizeof notify_path, "%s", folder_path("notify"));
    wait.fd = unix_socket(notify_path, SOCK_DGRAM);
    handed_pid_offset = 1;
    server_process_start_with(&server, ARGUMENTS("--listen=127.0.0.1:0", "--watchdog-timeout=0.2"),
                              ask_for_signs_of_life);
    expect_told(wait.fd, "READY=1");
    ck_assert_int_eq(poll(&wait, 1, 1000), 0);
    ck_assert_int_eq(server_process_stop(&server), 0);
    close(wait.fd);
}
END_TEST

START_TEST(auth_does_not_start_with_an_invalid_token_file)
{
    folder_write("tokens", "alice-0123456789abcdefghijklmnopqrstuvwxyz_\n");
    expect_refused_start(ARGUMENTS("--listen=127.0.0.1:0", option_path("--token-file=", "tokens")),
                         "tokens, line 1: not of the form");
    char out[SERVER_TEXT], err[SERVER_TEXT];
    server_process_run(ARGUMENTS("--listen=127.0.0.1:0", option_path("--token-file=", "tokens")),
                       out, err);
    ck_assert_ptr_null(strstr(err, "0123456789")); /* it may be a token, which must not be logged */
    expect_refused_start(ARGUMENTS("--listen=127.0.0.1:0", option_path("--token-file=", "none")),
                         "No such file or directory");
}
END_TEST

START_TEST(auth_warns_about_a_world_writable_token_file)
{
    folder_write("tokens", alice_line);
    ck_assert_int_eq(chmod(folder_path("tokens"), 0646), 0);
    server_process_start(&server,
                         ARGUMENTS("--listen=127.0.0.1:0", option_path("--token-file=", "tokens")));
    server_process_expect_log(&server, "any user of this machine can write to it");
}
END_TEST

START_TEST(auth_creates_tokens_that_are_accepted)
{
    char out[SERVER_TEXT], err[SERVER_TEXT], token[64] = "";
    ck_assert_int_eq(
        server_process_run((const char *const[]){"--new-token", "carol", NULL}, out, err), 0);
    ck_assert_int_eq(strncmp(out, "carol:", 6), 0);
    ck_assert_uint_eq(strlen(out), 6 + 64 + 1);
    const char *shown = strrchr(err, ' ');
    ck_assert_ptr_nonnull(shown);
    ck_assert_int_eq(sscanf(shown, " %63s", token), 1);
    ck_assert_uint_eq(strlen(token), 43);
    ck_assert_ptr_null(strstr(out, token));
    start_with_tokens(out);
    expect_known(token);
    char again[SERVER_TEXT];
    server_process_run((const char *const[]){"--new-token", "carol", NULL}, again, err);
    ck_assert_str_ne(out, again);
}
END_TEST

/* Makes a file of this test the stdin of the child. */
static const char *input;
static void redirect(void)
{
    if (!freopen(input, "r", stdin))
        _exit(126);
}

START_TEST(auth_hashes_given_tokens)
{
    folder_write("token", alice);
    input = folder_path("token");
    char out[SERVER_TEXT], err[SERVER_TEXT];
    ck_assert_int_eq(server_process_run_with((const char *const[]){"--hash-token=alice", NULL},
                                             redirect, out, err),
                     0);
    ck_assert_str_eq(out, alice_line);
    folder_write("token", "too-short\n");
    ck_assert_int_eq(server_process_run_with((const char *const[]){"--hash-token=alice", NULL},
                                             redirect, out, err),
                     1);
    expect_text(err, "32 to 256 letters");
    ck_assert_str_eq(out, "");
    ck_assert_int_eq(server_process_run_with((const char *const[]){"--hash-token=a:b", NULL},
                                             redirect, out, err),
                     1);
    expect_text(err, "\"a:b\" is not a valid token name");
}
END_TEST

START_TEST(auth_listens_beyond_loopback_only_with_tokens_or_an_option)
{
    static const char *const open[] = {"0.0.0.0:0", "[::]:0", "127.0.0.1:0,0.0.0.0:0"};
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
        expect_refused_start(ARGUMENTS("--listen", open[i]), "can be reached from other machines");
    expect_refused_start(ARGUMENTS("--listen=0.0.0.0:0", "--allow-unauthenticated=off"),
                         "--allow-unauthenticated");

    server_process_start(&server, ARGUMENTS("--listen=0.0.0.0:0", "--allow-unauthenticated"));
    connect_port(server.port);
    expect_evaluated();
    server_process_free(&server);

    folder_write("tokens", alice_line);
    server_process_start(&server,
                         ARGUMENTS("--listen=0.0.0.0:0", option_path("--token-file=", "tokens")));
    connect_port(server.port);
    expect_known(alice);
}
END_TEST

/* ---- Host names and origins ---- */

static void ask_with(const char *method, const char *path, const char *host, const char *more)
{
    char text[1024];
    const char *body = strcmp(method, "POST") == 0 ? mse : "";
    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\n%s%s%s%sContent-Length: %zu\r\n\r\n%s", method,
             path, host ? "Host: " : "", host ? host : "", host ? "\r\n" : "", more, strlen(body),
             body);
    ck_assert(http_client_send_text(&client, text));
    ck_assert_msg(http_client_read(&client, &response, false), "no answer to %s", text);
}

static void expect_answer(int status, const char *wanted)
{
    ck_assert_msg(response.status == status, "expected status %d, got: %s%s", status, response.head,
                  response.body);
    expect_text(response.body, wanted);
}

/* Returns the value of a header; "" if there is none. */
static const char *value_of(const char *name)
{
    static char value[512];
    return http_response_header(&response, name, value, sizeof value) ? value : "";
}

static void start(const char *const arguments[])
{
    server_process_start(&server, arguments);
    connect_port(server.port);
}

START_TEST(auth_on_loopback_accepts_only_its_own_host_names)
{
    static const char *const own[] = {"localhost",       "localhost:8080", "LocalHost", "127.0.0.1",
                                      "127.0.0.1:1",     "127.1.2.3:9",    "[::1]",     "[::1]:80",
                                      "lossd.localhost", "localhost.",     ""};
    static const char *const foreign[] = {"evil.example",
                                          "evil.example:8080",
                                          "127.0.0.1.evil.example",
                                          "localhost.evil.example",
                                          "notlocalhost",
                                          "192.168.1.1",
                                          "[::2]",
                                          "127.0.0.256",
                                          "127.0.0.1x",
                                          "[::1].evil.example",
                                          "0x7f.1",
                                          "localhost:80:evil.example",
                                          "localhost:evil.example",
                                          "localhost:80x",
                                          "evil.example#.localhost",
                                          "evil.example/.localhost",
                                          "evil.example:80/.localhost",
                                          "localhost@evil.example",
                                          "evil.example@localhost",
                                          "1127.0.0.1",
                                          "128.0.0.1"};
    start(ARGUMENTS("--listen=127.0.0.1:0"));
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        ask_with("GET", "/v1/losses/mse", own[i], "");
        ck_assert_msg(response.status == 200, "%s: %s%s", own[i], response.head, response.body);
    }
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        ask_with("POST", "/v1/losses/mse", foreign[i], "");
        ck_assert_msg(response.status == 421, "%s: %s%s", foreign[i], response.head, response.body);
        expect_text(response.body, "--allowed-hosts");
        ask_with("GET", "/", foreign[i], "");
        ck_assert_int_eq(response.status, 421);
    }
    ask_with("GET", "/v2/models/mse", "evil.example", "");
    expect_answer(421, "{\"error\":\"'evil.example' is not a host name of this server");
}
END_TEST

START_TEST(auth_reads_the_host_of_a_target_in_absolute_form)
{
    start(ARGUMENTS("--listen=127.0.0.1:0"));
    ask_with("GET", "http://localhost:1/v1/losses/mse", "localhost", "");
    ck_assert_int_eq(response.status, 200);
    ask_with("GET", "http://evil.example/v1/losses/mse", "localhost", "");
    expect_answer(421, "evil.example");
    ask_with("GET", "http://localhost/v1/losses/mse", "evil.example", "");
    expect_answer(421, "evil.example");
}
END_TEST

START_TEST(auth_accepts_configured_host_names)
{
    start(ARGUMENTS("--listen=127.0.0.1:0", "--allowed-hosts=loss.example, other.example"));
    ask_with("GET", "/v1/losses/mse", "LOSS.example:8443", "");
    ck_assert_int_eq(response.status, 200);
    ask_with("GET", "/v1/losses/mse", "other.example", "");
    ck_assert_int_eq(response.status, 200);
    ask_with("GET", "/v1/losses/mse", "a.loss.example", "");
    ck_assert_int_eq(response.status, 421);
    server_process_free(&server);
    start(ARGUMENTS("--listen=127.0.0.1:0", "--allowed-hosts=*"));
    ask_with("GET", "/v1/losses/mse", "anything.example", "");
    ck_assert_int_eq(response.status, 200);
}
END_TEST

START_TEST(auth_beyond_loopback_accepts_any_host_name_unless_listed)
{
    start(ARGUMENTS("--listen=0.0.0.0:0", "--allow-unauthenticated"));
    ask_with("GET", "/v1/losses/mse", "anything.example", "");
    ck_assert_int_eq(response.status, 200);
    server_process_free(&server);
    start(
        ARGUMENTS("--listen=0.0.0.0:0", "--allow-unauthenticated", "--allowed-hosts=loss.example"));
    ask_with("GET", "/v1/losses/mse", "loss.example", "");
    ck_assert_int_eq(response.status, 200);
    ask_with("GET", "/v1/losses/mse", "anything.example", "");
    ck_assert_int_eq(response.status, 421);
    ask_with("GET", "/readyz", "10.0.0.7:8080", ""); /* as a probe does */
    ck_assert_int_eq(response.status, 200);
}
END_TEST

START_TEST(auth_on_a_unix_socket_accepts_any_host_name)
{
    server_process_start(&server, ARGUMENTS(option_path("--listen=unix:", "socket"),
                                            "--allowed-hosts=loss.example"));
    connect_path(folder_path("socket"));
    ask_with("GET", "/v1/losses/mse", "upstream", "");
    ck_assert_int_eq(response.status, 200);
}
END_TEST

START_TEST(auth_rejects_requests_of_foreign_origins)
{
    start(ARGUMENTS("--listen=127.0.0.1:0"));
    static const char *const foreign[] = {
        "Origin: https://evil.example\r\n", "Origin: null\r\n", "Origin: http://localhost:1\r\n",
        "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n",
        "Origin: http://localhost:1\r\nSec-Fetch-Site: same-site\r\n"};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        ask_with("POST", "/v1/losses/mse", "localhost", foreign[i]);
        expect_answer(403, "--cors-origins");
        ck_assert_str_eq(value_of("Access-Control-Allow-Origin"), "");
    }
    ask_with("GET", "/v1/losses/mse", "localhost",
             foreign[0]); /* the browser hides the response from the page */
    ck_assert_int_eq(response.status, 200);
    ck_assert_str_eq(value_of("Access-Control-Allow-Origin"), "");
    ask_with("OPTIONS", "/v1/losses/mse", "localhost",
             "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n");
    expect_answer(403, "origin 'https://evil.example' is not allowed");
    ck_assert_str_eq(value_of("Access-Control-Allow-Origin"), "");
    ask_with("OPTIONS", "/v1/losses/mse", "localhost", "");
    ck_assert_int_eq(response.status, 204);
    ck_assert_str_eq(value_of("Vary"), "");
}
END_TEST

START_TEST(auth_accepts_requests_of_its_own_origin)
{
    char own[128];
    start(ARGUMENTS("--listen=127.0.0.1:0", "--allowed-hosts=loss.example"));
    ask_with("POST", "/v1/losses/mse", "loss.example",
             "Origin: https://loss.example\r\n"); /* a proxy terminates TLS */
    ck_assert_int_eq(response.status, 200);
    ask_with("POST", "/v1/losses/mse", "loss.example:80", "Origin: http://loss.example\r\n");
    ck_assert_int_eq(response.status, 200);
    snprintf(own, sizeof own, "127.0.0.1:%d", server.port);
    ask_with("POST", "/v1/losses/mse", "127.0.0.1",
             "Origin: https://loss.example\r\nSec-Fetch-Site: same-origin\r\n");
    ck_assert_int_eq(response.status, 200); /* and changes Host */
    char origin[256];
    snprintf(origin, sizeof origin, "Origin: http://%s\r\nSec-Fetch-Site: same-origin\r\n", own);
    ask_with("POST", "/v1/losses/mse", own, origin);
    ck_assert_int_eq(response.status, 200);
}
END_TEST

static const char page[] = "Origin: https://app.example\r\n";
static const char preflight[] =
    "Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n"
    "Access-Control-Request-Headers: authorization,content-type\r\n";

START_TEST(auth_accepts_listed_origins)
{
    start(ARGUMENTS("--listen=127.0.0.1:0",
                    "--cors-origins=http://localhost:3000,https://app.example"));
    ask_with("OPTIONS", "/v1/losses/mse", "localhost", preflight);
    ck_assert_int_eq(response.status, 204);
    ck_assert_str_eq(value_of("Access-Control-Allow-Origin"), "https://app.example");
    ck_assert_str_eq(value_of("Access-Control-Allow-Methods"), "GET, HEAD, POST, OPTIONS");
    expect_text(value_of("Access-Control-Allow-Headers"), "Content-Type");
    expect_text(value_of("Access-Control-Allow-Headers"), "Authorization");
    ck_assert_str_eq(value_of("Access-Control-Max-Age"), "7200");
    ck_assert_str_eq(value_of("Access-Control-Allow-Credentials"), "");
    expect_text(value_of("Vary"), "Origin");

    ask_with("POST", "/v1/losses/mse", "localhost", page);
    ck_assert_int_eq(response.status, 200);
    ck_assert_str_eq(value_of("Access-Control-Allow-Origin"), "https://app.example");
    expect_text(value_of("Access-Control-Expose-Headers"), "Retry-After");
    expect_text(response.head, "Vary: Origin");

    ask_with("POST", "/v1/losses/none", "localhost", page); /* a page must be able to read errors */
    ck_assert_int_eq(response.status, 404);
    ck_assert_str_eq(value_of("Access-Control-Allow-Origin"), "https://app.example");

    ask_with("GET", "/v1/losses/mse", "localhost",
             ""); /* otherwise a cache could return a response without the headers */
    expect_text(response.head, "Vary: Origin");
    ck_assert_str_eq(value_of("Access-Control-Allow-Origin"), "");

    ask_with("POST", "/v1/losses/mse", "localhost", "Origin: https://app.example.evil.example\r\n");
    ck_assert_int_eq(response.status, 403);
    ask_with("POST", "/v1/losses/mse", "localhost", "Origin: http://app.example\r\n");
    ck_assert_int_eq(response.status, 403);
}
END_TEST

START_TEST(auth_accepts_all_origins_if_configured)
{
    start(ARGUMENTS("--listen=127.0.0.1:0", "--cors-origins=*"));
    ask_with("POST", "/v1/losses/mse", "localhost", "Origin: null\r\n");
    ck_assert_int_eq(response.status, 200);
    ck_assert_str_eq(value_of("Access-Control-Allow-Origin"), "null");
}
END_TEST

START_TEST(auth_preflight_requires_no_token)
{
    char headers[256];
    folder_write("tokens", alice_line);
    start(ARGUMENTS("--listen=127.0.0.1:0", "--cors-origins=https://app.example",
                    option_path("--token-file=", "tokens")));
    ask_with("OPTIONS", "/v1/losses/mse", "localhost", preflight);
    ck_assert_int_eq(response.status, 204);
    ask_with("POST", "/v1/losses/mse", "localhost", page);
    ck_assert_int_eq(response.status, 401);
    ck_assert_str_eq(value_of("Access-Control-Allow-Origin"), "https://app.example");
    snprintf(headers, sizeof headers, "%sAuthorization: Bearer %s\r\n", page, alice);
    ask_with("POST", "/v1/losses/mse", "localhost", headers);
    ck_assert_int_eq(response.status, 200);
    ask_with("OPTIONS", "/v1/losses/mse", "localhost", "");
    ck_assert_int_eq(response.status, 401);
}
END_TEST

START_TEST(auth_rejects_invalid_lists)
{
    static const char *const origins[] = {
        "https://app.example/", "app.example",       "https://app.example:443",
        "http://a:80",          "ftp://app.example", "https://",
        "http://a:x",           "http://a,b"};
    static const char *const hosts[] = {"loss.example:8080", "https://loss.example", "*.example",
                                        "a b/c"};
    for (size_t i = 0; i < sizeof origins / sizeof origins[0]; i++)
        expect_refused_start(ARGUMENTS("--listen=127.0.0.1:0", "--cors-origins", origins[i]),
                             "is not an origin; expected scheme://host[:port]");
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        expect_refused_start(ARGUMENTS("--listen=127.0.0.1:0", "--allowed-hosts", hosts[i]),
                             "is not a host name");
}
END_TEST

/* ---- Suite ---- */

Suite *auth_suite(void)
{
    Suite *suite = suite_create("auth");
    TCase *addresses = suite_add_case(suite, "auth_addresses", 60, setup, teardown);
    tcase_add_test(addresses, auth_serves_a_unix_socket_and_removes_it);
    tcase_add_test(addresses, auth_unix_socket_has_the_configured_permissions);
    tcase_add_test(addresses, auth_replaces_the_socket_of_a_killed_server);
    tcase_add_test(addresses, auth_keeps_the_socket_of_a_running_server);
    tcase_add_test(addresses, auth_keeps_a_file_that_is_not_a_socket);
    tcase_add_test(addresses, auth_does_not_remove_the_socket_of_a_successor);
    tcase_add_test(addresses, auth_rejects_during_a_body_over_a_unix_socket);
    tcase_add_test(addresses, auth_serves_several_addresses);
    tcase_add_test(addresses, auth_does_not_start_if_one_address_is_in_use);
    tcase_add_test(addresses, auth_admin_address_serves_only_health_and_metrics);
    tcase_add_test(addresses, auth_admin_address_may_be_a_unix_socket);

    TCase *systemd = suite_add_case(suite, "auth_systemd", 60, setup, teardown);
    tcase_add_test(systemd, auth_serves_sockets_from_systemd);
    tcase_add_test(systemd, auth_finds_the_admin_socket_by_name);
    tcase_add_test(systemd, auth_ignores_sockets_for_another_process);
    tcase_add_test(systemd, auth_notifies_systemd_of_ready_and_stopping);

    TCase *tokens = suite_add_case(suite, "auth_tokens", 60, setup, teardown);
    TCase *slow = suite_add_case(suite, "auth_slow", 60, setup, teardown);
    tcase_set_tags(slow, TAG_SLOW);
    tcase_add_test(tokens, auth_requires_a_token_if_tokens_are_configured);
    tcase_add_test(tokens, auth_accepts_clients_with_a_token);
    tcase_add_test(tokens, auth_counts_requests_by_token);
    tcase_add_test(tokens, auth_rejects_wrong_tokens);
    tcase_add_test(tokens, auth_rejects_before_the_body);
    tcase_add_test(tokens, auth_health_requires_no_token);
    tcase_add_test(tokens, auth_admin_address_requires_no_token);
    tcase_add_test(tokens, auth_reloads_tokens_on_sighup);
    tcase_add_test(tokens, auth_rejects_a_truncated_token_file);
    tcase_add_test(tokens, auth_adds_tokens_to_the_file);
    tcase_add_test(tokens, auth_adds_tokens_one_at_a_time);
    tcase_add_test(tokens, auth_fails_if_a_token_cannot_be_printed);
    tcase_add_test(tokens, auth_does_not_notify_systemd_after_stopping);
    tcase_add_test(tokens, auth_creates_a_token_file_or_follows_a_link);
    tcase_add_test(tokens, auth_adds_no_token_to_a_full_file);
    tcase_add_test(tokens, auth_keeps_its_tokens_if_the_new_file_is_invalid);
    tcase_add_test(tokens, auth_notifies_systemd_of_reloads);
    tcase_add_test(slow, auth_notifies_the_watchdog_of_systemd);
    tcase_add_test(slow, auth_ignores_a_watchdog_for_another_process);
    tcase_add_test(tokens, auth_does_not_start_with_an_invalid_token_file);
    tcase_add_test(tokens, auth_warns_about_a_world_writable_token_file);
    tcase_add_test(tokens, auth_creates_tokens_that_are_accepted);
    tcase_add_test(tokens, auth_hashes_given_tokens);
    tcase_add_test(tokens, auth_listens_beyond_loopback_only_with_tokens_or_an_option);

    TCase *origins = suite_add_case(suite, "auth_origins", 60, setup, teardown);
    tcase_add_test(origins, auth_on_loopback_accepts_only_its_own_host_names);
    tcase_add_test(origins, auth_reads_the_host_of_a_target_in_absolute_form);
    tcase_add_test(origins, auth_accepts_configured_host_names);
    tcase_add_test(origins, auth_beyond_loopback_accepts_any_host_name_unless_listed);
    tcase_add_test(origins, auth_on_a_unix_socket_accepts_any_host_name);
    tcase_add_test(origins, auth_rejects_requests_of_foreign_origins);
    tcase_add_test(origins, auth_accepts_requests_of_its_own_origin);
    tcase_add_test(origins, auth_accepts_listed_origins);
    tcase_add_test(origins, auth_accepts_all_origins_if_configured);
    tcase_add_test(origins, auth_preflight_requires_no_token);
    tcase_add_test(origins, auth_rejects_invalid_lists);
    return suite;
}
