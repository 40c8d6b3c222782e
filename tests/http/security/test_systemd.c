/* Tests the server as a service of systemd: passed sockets, notifications, and the watchdog. */
#include "suites.h"
#include "support/folder.h"
#include "support/server_fixture.h"
#include "tokens.h"

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATH = 96 };

static void teardown(void)
{
    kill_server();
    folder_remove();
}

/* ---- Passed sockets ---- */

/* Sockets passed to the server: descriptors that become 3 and 4, and their names. */
static int handed[2];

static const char *handed_names;

static int handed_pid_offset; /* not 0 if the variables are for another process */

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

START_TEST(serves_sockets_from_systemd)
{
    int port;
    handed[0] = listening_port(&port);
    handed[1] = unix_socket(folder_path("socket"), SOCK_STREAM);
    ck_assert_int_eq(listen(handed[1], 16), 0);
    server_process_start_with(&server, ARGUMENTS("--threads=2", "--listen=192.0.2.1:1"), hand_over);
    ck_assert_int_eq(server.port, port);
    connect_port(port);
    expect_evaluated();
    connect_path(folder_path("socket"));
    expect_evaluated();
    ck_assert_int_eq(server_process_stop(&server), 0);
    /* The sockets belong to systemd: the file remains, and the next instance accepts clients that
       have connected meanwhile. */
    ck_assert_int_eq(access(folder_path("socket"), F_OK), 0);
    connect_port(port);
    ck_assert(http_client_send_text(&client, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    server_process_free(&server);
    server_process_start_with(&server, ARGUMENTS("--threads=2", "--listen=192.0.2.1:1"), hand_over);
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
}
END_TEST

START_TEST(finds_the_admin_socket_by_name)
{
    int port, admin;
    handed[0] = listening_port(&admin);
    handed[1] = listening_port(&port);
    handed_names = "admin:lossd.socket";
    server_process_start_with(&server, ARGUMENTS("--threads=2", "--log-level=info"), hand_over);
    ck_assert_int_eq(server.port, port);
    connect_port(admin);
    expect_get("/readyz", 200, "");
    expect_get("/v1/losses", 404, "");
    connect_port(port);
    expect_evaluated();
}
END_TEST

START_TEST(ignores_sockets_for_another_process)
{
    int port;
    handed[0] = handed[1] = listening_port(&port);
    handed_pid_offset = 1;
    server_process_start_with(&server, ARGUMENTS("--threads=2", "--listen=127.0.0.1:0"), hand_over);
    ck_assert_int_ne(server.port, port);
    connect_port(server.port);
    expect_evaluated();
}
END_TEST

/* ---- Notifications ---- */

static char notify_path[PATH];

static void ask_to_be_told(void)
{
    setenv("NOTIFY_SOCKET", notify_path, 1);
}

/* Reads one sd_notify message, which must contain `wanted`. */
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

START_TEST(notifies_systemd_of_ready_and_stopping)
{
    snprintf(notify_path, sizeof notify_path, "%s", folder_path("notify"));
    const int fd = unix_socket(notify_path, SOCK_DGRAM);
    server_process_start_with(&server, ARGUMENTS("--threads=2", "--listen=127.0.0.1:0"),
                              ask_to_be_told);
    expect_told(fd, "READY=1");
    ck_assert_int_eq(server_process_stop(&server), 0);
    expect_told(fd, "STOPPING=1");
    close(fd);
}
END_TEST

START_TEST(notifies_systemd_of_reloads)
{
    snprintf(notify_path, sizeof notify_path, "%s", folder_path("notify"));
    const int fd = unix_socket(notify_path, SOCK_DGRAM);
    server_process_start_with(&server, ARGUMENTS("--threads=2", "--listen=127.0.0.1:0"),
                              ask_to_be_told);
    expect_told(fd, "READY=1");
    kill(server.pid, SIGHUP); /* the server reads no file */
    expect_told(fd, "RELOADING=1\nMONOTONIC_USEC=");
    expect_told(fd, "READY=1");
    ck_assert_int_eq(server_process_stop(&server), 0);
    close(fd);
}
END_TEST

/* A reload waits for its file until the server stops. */
START_TEST(does_not_notify_systemd_after_stopping)
{
    char text[64];
    snprintf(notify_path, sizeof notify_path, "%s", folder_path("notify"));
    const int fd = unix_socket(notify_path, SOCK_DGRAM);
    folder_write("tokens", alice_line);
    server_process_start_with(&server,
                              ARGUMENTS("--threads=2", "--listen=127.0.0.1:0",
                                        folder_option("--token-file=", "tokens"),
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

/* ---- Watchdog ---- */

/* Sets the environment of a unit with WatchdogSec=, for the server, or for another process if
   `handed_pid_offset` is not 0. */
static void ask_for_signs_of_life(void)
{
    char number[16];
    ask_to_be_told();
    setenv("WATCHDOG_USEC", "5000000", 1);
    snprintf(number, sizeof number, "%d", (int)getpid() + handed_pid_offset);
    setenv("WATCHDOG_PID", number, 1);
}

START_TEST(notifies_the_watchdog_of_systemd)
{
    snprintf(notify_path, sizeof notify_path, "%s", folder_path("notify"));
    const int fd = unix_socket(notify_path, SOCK_DGRAM);
    server_process_start_with(
        &server, ARGUMENTS("--threads=2", "--listen=127.0.0.1:0", "--watchdog-timeout=2"),
        ask_for_signs_of_life);
    expect_told(fd, "READY=1");
    for (int i = 0; i < 3; i++)
        expect_told(fd, "WATCHDOG=1");
    ck_assert_int_eq(server_process_stop(&server), 0);
    close(fd);
}
END_TEST

START_TEST(ignores_a_watchdog_for_another_process)
{
    struct pollfd wait = {.events = POLLIN};
    snprintf(notify_path, sizeof notify_path, "%s", folder_path("notify"));
    wait.fd = unix_socket(notify_path, SOCK_DGRAM);
    handed_pid_offset = 1;
    server_process_start_with(
        &server, ARGUMENTS("--threads=2", "--listen=127.0.0.1:0", "--watchdog-timeout=0.2"),
        ask_for_signs_of_life);
    expect_told(wait.fd, "READY=1");
    ck_assert_int_eq(poll(&wait, 1, 400), 0);
    ck_assert_int_eq(server_process_stop(&server), 0);
    close(wait.fd);
}
END_TEST

/* ---- Suite ---- */

Suite *systemd_suite(void)
{
    Suite *suite = suite_create("systemd");
    TCase *const tcase = suite_add_case(suite, "systemd", 60, folder_make, teardown);
    CASE_ADD(tcase, serves_sockets_from_systemd, finds_the_admin_socket_by_name,
             ignores_sockets_for_another_process, notifies_systemd_of_ready_and_stopping,
             does_not_notify_systemd_after_stopping, notifies_systemd_of_reloads);
    TCase *const slow = suite_add_case(suite, "systemd_slow", 60, folder_make, teardown);
    tcase_set_tags(slow, TAG_SLOW);
    CASE_ADD(slow, notifies_the_watchdog_of_systemd, ignores_a_watchdog_for_another_process);
    return suite;
}
