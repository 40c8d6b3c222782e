/*
 * Who gets in, through the socket: addresses, Unix sockets, sockets from systemd, and what each of them serves.
 */
#include "http/http_client.h"
#include "http/server_process.h"
#include "suites.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH = 96 };

static struct server_process server;
static struct http_client client;
static struct http_response response;
static char directory[PATH];

#define ARGUMENTS(...)                                                                                                         \
    (const char *const[])                                                                                                      \
    {                                                                                                                          \
        "--threads", "2", __VA_ARGS__, NULL                                                                                    \
    }

static const char mse[] = "{\"input\": [1, 2, 3], \"target\": [1, 2, 5]}";

/* ---- helpers ------------------------------------------------------------------------------------------------------ */

static void setup(void)
{
    snprintf(directory, sizeof directory, "/tmp/lossd-access-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
}

static void teardown(void)
{
    char command[PATH + 16];
    http_client_close(&client);
    http_response_free(&response);
    server_process_free(&server);
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c): a directory of this test's own */
}

/* The path of a file of this test. Good until the third call after it. */
static const char *path_of(const char *name)
{
    static char paths[3][PATH];
    static int turn;
    char *path = paths[turn++ % 3];
    ck_assert_int_lt(snprintf(path, PATH, "%s/%s", directory, name), PATH);
    return path;
}

/* "--listen=127.0.0.1:0,unix:PATH" and the like: an option that ends with the path of a file of this test. Good until the third
   call after it. */
static const char *option_path(const char *text, const char *name)
{
    static char options[3][PATH * 2];
    static int turn;
    char *option = options[turn++ % 3];
    ck_assert_int_lt(snprintf(option, sizeof options[0], "%s%s", text, path_of(name)), (int)sizeof options[0]);
    return option;
}

static void ask(const char *method, const char *path, const char *headers, const char *body)
{
    ck_assert_msg(http_client_ask(&client, method, path, headers, body, body ? strlen(body) : 0, &response),
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
    ck_assert_msg(http_client_connect_path(&client, path), "nobody listens on %s", path);
}

static void expect_status(const char *path, int status)
{
    ask("GET", path, NULL, NULL);
    ck_assert_msg(response.status == status, "%d expected for %s, not: %s%s", status, path, response.head, response.body);
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

/* Runs the server, which is not to start, to its end. */
static void expect_refused_start(const char *const arguments[], const char *wanted)
{
    char out[SERVER_TEXT], err[SERVER_TEXT];
    ck_assert_int_eq(server_process_run(arguments, out, err), 1);
    expect_text(err, wanted);
}

/* ---- addresses ---------------------------------------------------------------------------------------------------- */

static const char admin_words[] = "for health and metrics on ";

START_TEST(access_serves_a_unix_socket_and_removes_it)
{
    const char *path = path_of("socket");
    struct stat file;
    server_process_start(&server, ARGUMENTS(option_path("--listen=unix:", "socket")));
    expect_text(server.line, path);
    connect_path(path);
    expect_evaluated();
    expect_evaluated(); /* on a connection that was kept */
    ck_assert_int_eq(stat(path, &file), 0);
    ck_assert_uint_eq(file.st_mode & 07777, 0660);
    ck_assert_int_eq(server_process_stop(&server), 0);
    ck_assert_msg(access(path, F_OK) != 0, "the socket's file is still there");
}
END_TEST

START_TEST(access_unix_socket_has_the_permissions_that_are_asked_for)
{
    struct stat file;
    server_process_start(&server, ARGUMENTS(option_path("--listen=unix:", "socket"), "--socket-mode=606"));
    ck_assert_int_eq(stat(path_of("socket"), &file), 0);
    ck_assert_uint_eq(file.st_mode & 07777, 0606);
}
END_TEST

START_TEST(access_takes_the_place_of_a_server_that_was_killed)
{
    const char *const *arguments = ARGUMENTS(option_path("--listen=unix:", "socket"));
    server_process_start(&server, arguments);
    server_process_free(&server); /* by SIGKILL: the file stays */
    ck_assert_int_eq(access(path_of("socket"), F_OK), 0);
    server_process_start(&server, arguments);
    connect_path(path_of("socket"));
    expect_evaluated();
}
END_TEST

START_TEST(access_leaves_the_socket_of_a_running_server_alone)
{
    const char *const *arguments = ARGUMENTS(option_path("--listen=unix:", "socket"));
    server_process_start(&server, arguments);
    expect_refused_start(arguments, "another server is running there");
    connect_path(path_of("socket"));
    expect_evaluated();
}
END_TEST

START_TEST(access_leaves_a_file_that_is_no_socket_alone)
{
    FILE *file = fopen(path_of("socket"), "w");
    ck_assert_ptr_nonnull(file);
    fclose(file);
    expect_refused_start(ARGUMENTS(option_path("--listen=unix:", "socket")), "there is a file there that is not a socket");
    ck_assert_int_eq(access(path_of("socket"), F_OK), 0);
}
END_TEST

START_TEST(access_does_not_remove_the_socket_of_a_successor)
{
    const char *path = path_of("socket");
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

/* A body that is refused while it is being sent must not cost the answer: see server/linger.h. */
START_TEST(access_refuses_in_the_midst_of_a_body_over_a_unix_socket)
{
    enum { PIECE = 1 << 16, PIECES = 64 };
    static char piece[PIECE];
    char head[128];
    server_process_start(&server, ARGUMENTS(option_path("--listen=unix:", "socket"), "--max-body=1M"));
    connect_path(path_of("socket"));
    snprintf(head, sizeof head, "POST /v1/losses/mse HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", PIECE * PIECES);
    ck_assert(http_client_send_text(&client, head));
    for (int i = 0; i < PIECES; i++)
        ck_assert_msg(http_client_send(&client, piece, PIECE), "the connection was cut at piece %d", i);
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 413);
    ck_assert(http_client_closed(&client));
}
END_TEST

START_TEST(access_serves_several_addresses)
{
    server_process_start(&server, ARGUMENTS(option_path("--listen=127.0.0.1:0, 127.0.0.2:0, unix:", "socket")));
    connect_port(server.port);
    expect_evaluated();
    http_client_close(&client);
    ck_assert(http_client_connect(&client, "127.0.0.2", server_process_port(&server, ", ")));
    expect_evaluated();
    connect_path(path_of("socket"));
    expect_evaluated();
}
END_TEST

START_TEST(access_refuses_to_start_where_one_address_of_several_is_taken)
{
    char listen[64];
    server_process_start(&server, ARGUMENTS("--listen=127.0.0.1:0"));
    snprintf(listen, sizeof listen, "127.0.0.1:0,127.0.0.1:%d", server.port);
    expect_refused_start(ARGUMENTS("--listen", listen), "is another server running there?");
}
END_TEST

/* ---- the admin address -------------------------------------------------------------------------------------------- */

START_TEST(access_admin_address_serves_health_and_metrics_alone)
{
    server_process_start(&server, ARGUMENTS("--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"));
    connect_port(server_process_port(&server, admin_words));
    expect_status("/healthz", 200);
    expect_status("/readyz", 200);
    expect_status("/v2/health/ready", 200);
    expect_status("/metrics", 200);
    expect_status("/v1/losses", 404);
    expect_text(response.body, "for health and metrics alone");
    expect_status("/", 404);
    ask("POST", "/v1/losses/mse", "Content-Type: application/json\r\n", mse);
    ck_assert_int_eq(response.status, 404);
    expect_status("/healtz", 404);
    expect_text(response.body, "did you mean /healthz?");

    connect_port(server.port);
    expect_status("/readyz", 200);
    expect_status("/metrics", 404);
    expect_evaluated();
}
END_TEST

START_TEST(access_admin_address_may_be_a_unix_socket)
{
    server_process_start(&server, ARGUMENTS("--listen=127.0.0.1:0", option_path("--admin-listen=unix:", "admin")));
    connect_path(path_of("admin"));
    expect_status("/readyz", 200);
    expect_status("/v1/losses", 404);
}
END_TEST

/* ---- systemd ------------------------------------------------------------------------------------------------------ */

/* What is handed over: descriptors that become 3 and 4, and their names. */
static int handed[2];
static const char *handed_names;
static int handed_pid_offset; /* 0, or the variables are meant for another process */
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

/* In the child, as systemd does it before it executes a service. */
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

START_TEST(access_serves_sockets_that_systemd_hands_over)
{
    int port;
    handed[0] = listening_port(&port);
    handed[1] = unix_socket(path_of("socket"), SOCK_STREAM);
    ck_assert_int_eq(listen(handed[1], 16), 0);
    server_process_start_with(&server, ARGUMENTS("--listen=192.0.2.1:1"), hand_over);
    ck_assert_int_eq(server.port, port);
    connect_port(port);
    expect_evaluated();
    connect_path(path_of("socket"));
    expect_evaluated();
    ck_assert_int_eq(server_process_stop(&server), 0);
    /* They are systemd's: the file stays, and the next instance finds who has connected meanwhile. */
    ck_assert_int_eq(access(path_of("socket"), F_OK), 0);
    connect_port(port);
    ck_assert(http_client_send_text(&client, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    server_process_free(&server);
    server_process_start_with(&server, ARGUMENTS("--listen=192.0.2.1:1"), hand_over);
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
}
END_TEST

START_TEST(access_takes_the_admin_socket_by_its_name)
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

START_TEST(access_lets_sockets_be_that_are_meant_for_another_process)
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

/* Reads one message of sd_notify. */
static void expect_told(int fd, const char *wanted)
{
    char text[256];
    const struct timeval limit = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const ssize_t len = recv(fd, text, sizeof text - 1, 0);
    ck_assert_msg(len > 0, "nobody said %s", wanted);
    text[len] = '\0';
    expect_text(text, wanted);
}

START_TEST(access_tells_systemd_when_it_is_ready_and_when_it_stops)
{
    snprintf(notify_path, sizeof notify_path, "%s", path_of("notify"));
    const int fd = unix_socket(notify_path, SOCK_DGRAM);
    server_process_start_with(&server, ARGUMENTS("--listen=127.0.0.1:0"), ask_to_be_told);
    expect_told(fd, "READY=1");
    ck_assert_int_eq(server_process_stop(&server), 0);
    expect_told(fd, "STOPPING=1");
    close(fd);
}
END_TEST

/* ---- the suite ---------------------------------------------------------------------------------------------------- */

static TCase *add(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    suite_add_tcase(suite, tcase);
    return tcase;
}

Suite *access_suite(void)
{
    Suite *suite = suite_create("access");
    TCase *addresses = add(suite, "access_addresses");
    tcase_add_test(addresses, access_serves_a_unix_socket_and_removes_it);
    tcase_add_test(addresses, access_unix_socket_has_the_permissions_that_are_asked_for);
    tcase_add_test(addresses, access_takes_the_place_of_a_server_that_was_killed);
    tcase_add_test(addresses, access_leaves_the_socket_of_a_running_server_alone);
    tcase_add_test(addresses, access_leaves_a_file_that_is_no_socket_alone);
    tcase_add_test(addresses, access_does_not_remove_the_socket_of_a_successor);
    tcase_add_test(addresses, access_refuses_in_the_midst_of_a_body_over_a_unix_socket);
    tcase_add_test(addresses, access_serves_several_addresses);
    tcase_add_test(addresses, access_refuses_to_start_where_one_address_of_several_is_taken);
    tcase_add_test(addresses, access_admin_address_serves_health_and_metrics_alone);
    tcase_add_test(addresses, access_admin_address_may_be_a_unix_socket);

    TCase *systemd = add(suite, "access_systemd");
    tcase_add_test(systemd, access_serves_sockets_that_systemd_hands_over);
    tcase_add_test(systemd, access_takes_the_admin_socket_by_its_name);
    tcase_add_test(systemd, access_lets_sockets_be_that_are_meant_for_another_process);
    tcase_add_test(systemd, access_tells_systemd_when_it_is_ready_and_when_it_stops);
    return suite;
}
