/* Tests the addresses of the server: Unix sockets, several addresses, and the admin address. */
#include "suites.h"
#include "support/body.h"
#include "support/folder.h"
#include "support/server_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void teardown(void)
{
    kill_server();
    folder_remove();
}

/* ---- Addresses ---- */

START_TEST(serves_a_unix_socket_and_removes_it)
{
    const char *path = folder_path("socket");
    struct stat file;
    server_process_start(&server,
                         ARGUMENTS("--threads=2", folder_option("--listen=unix:", "socket")));
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

START_TEST(unix_socket_has_the_configured_permissions)
{
    struct stat file;
    server_process_start(
        &server,
        ARGUMENTS("--threads=2", folder_option("--listen=unix:", "socket"), "--socket-mode=606"));
    ck_assert_int_eq(stat(folder_path("socket"), &file), 0);
    ck_assert_uint_eq(file.st_mode & 07777, 0606);
}
END_TEST

START_TEST(replaces_the_socket_of_a_killed_server)
{
    const char *const *arguments =
        ARGUMENTS("--threads=2", folder_option("--listen=unix:", "socket"));
    server_process_start(&server, arguments);
    server_process_free(&server); /* by SIGKILL, so the file remains */
    ck_assert_int_eq(access(folder_path("socket"), F_OK), 0);
    server_process_start(&server, arguments);
    connect_path(folder_path("socket"));
    expect_evaluated();
}
END_TEST

START_TEST(keeps_the_socket_of_a_running_server)
{
    const char *const *arguments =
        ARGUMENTS("--threads=2", folder_option("--listen=unix:", "socket"));
    server_process_start(&server, arguments);
    expect_refused_start(arguments, "another server is listening on it");
    connect_path(folder_path("socket"));
    expect_evaluated();
}
END_TEST

START_TEST(keeps_a_file_that_is_not_a_socket)
{
    FILE *file = fopen(folder_path("socket"), "w");
    ck_assert_ptr_nonnull(file);
    fclose(file);
    expect_refused_start(ARGUMENTS("--threads=2", folder_option("--listen=unix:", "socket")),
                         "the path exists and is not a socket");
    ck_assert_int_eq(access(folder_path("socket"), F_OK), 0);
}
END_TEST

START_TEST(keeps_a_datagram_socket)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    strcpy(at.sun_path, folder_path("socket"));
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)(const void *)&at, sizeof at), 0);
    expect_refused_start(ARGUMENTS("--threads=2", folder_option("--listen=unix:", "socket")),
                         strerror(EPROTOTYPE));
    ck_assert_int_eq(access(folder_path("socket"), F_OK), 0);
    close(fd);
}
END_TEST

START_TEST(does_not_remove_the_socket_of_a_successor)
{
    const char *path = folder_path("socket");
    server_process_start(&server,
                         ARGUMENTS("--threads=2", folder_option("--listen=unix:", "socket")));
    ck_assert_int_eq(unlink(path), 0);
    struct server_process successor;
    server_process_start(&successor,
                         ARGUMENTS("--threads=2", folder_option("--listen=unix:", "socket")));
    ck_assert_int_eq(server_process_stop(&server), 0);
    connect_path(path);
    expect_evaluated();
    server_process_free(&successor);
}
END_TEST

/* A response that rejects a body while the client sends it must not be lost: see
 * server/mhd_workarounds/lingering_close.h. */
START_TEST(rejects_during_a_body_over_a_unix_socket)
{
    server_process_start(
        &server,
        ARGUMENTS("--threads=2", folder_option("--listen=unix:", "socket"), "--max-body=1M"));
    connect_path(folder_path("socket"));
    body_is_refused_as_it_comes(&client, &response, 1 << 16);
}
END_TEST

START_TEST(serves_several_addresses)
{
    server_process_start(
        &server, ARGUMENTS("--threads=2",
                           folder_option("--listen=127.0.0.1:0, 127.0.0.2:0, unix:", "socket")));
    connect_port(server.port);
    expect_evaluated();
    http_client_close(&client);
    ck_assert(http_client_connect(&client, "127.0.0.2", server_process_port(&server, ", ")));
    expect_evaluated();
    connect_path(folder_path("socket"));
    expect_evaluated();
}
END_TEST

START_TEST(does_not_start_if_one_address_is_in_use)
{
    char listen[64];
    server_process_start(&server, ARGUMENTS("--threads=2", "--listen=127.0.0.1:0"));
    snprintf(listen, sizeof listen, "127.0.0.1:0,127.0.0.1:%d", server.port);
    expect_refused_start(ARGUMENTS("--threads=2", "--listen", listen),
                         "is another server running?");
}
END_TEST

/* ---- Admin addresses ---- */

START_TEST(admin_address_serves_only_health_and_metrics)
{
    server_process_start(
        &server, ARGUMENTS("--threads=2", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"));
    connect_port(server_admin_port());
    expect_get("/healthz", 200, "");
    expect_get("/readyz", 200, "");
    expect_get("/v2/health/ready", 200, "");
    expect_get("/metrics", 200, "");
    expect_get("/v1/losses", 404, "");
    expect_text(response.body, "serves only health checks and metrics");
    expect_get("/", 404, "");
    ask("POST", "/v1/losses/mse", "Content-Type: application/json\r\n", mse_body);
    ck_assert_int_eq(response.status, 404);
    expect_get("/healtz", 404, "");
    expect_text(response.body, "did you mean '/healthz'?");

    connect_port(server.port);
    expect_get("/readyz", 200, "");
    expect_get("/metrics", 404, "");
    expect_evaluated();
}
END_TEST

START_TEST(admin_address_may_be_a_unix_socket)
{
    server_process_start(&server, ARGUMENTS("--threads=2", "--listen=127.0.0.1:0",
                                            folder_option("--admin-listen=unix:", "admin")));
    connect_path(folder_path("admin"));
    expect_get("/readyz", 200, "");
    expect_get("/v1/losses", 404, "");
}
END_TEST

/* ---- Suite ---- */

Suite *addresses_suite(void)
{
    Suite *suite = suite_create("addresses");
    TCase *const tcase = suite_add_case(suite, "addresses", 60, folder_make, teardown);
    CASE_ADD(tcase, serves_a_unix_socket_and_removes_it, unix_socket_has_the_configured_permissions,
             replaces_the_socket_of_a_killed_server, keeps_the_socket_of_a_running_server,
             keeps_a_file_that_is_not_a_socket, keeps_a_datagram_socket,
             does_not_remove_the_socket_of_a_successor, rejects_during_a_body_over_a_unix_socket,
             serves_several_addresses, does_not_start_if_one_address_is_in_use,
             admin_address_serves_only_health_and_metrics, admin_address_may_be_a_unix_socket);
    return suite;
}
