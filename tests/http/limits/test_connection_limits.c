/* Tests the limits on connections and on requests per second. */
#include "connection/client_key.h"
#include "suites.h"
#include "support/server_fixture.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* ---- Connections ---- */

START_TEST(connections_above_maximum_wait)
{
    struct http_client others[2];
    START_SERVER("--max-connections=2");
    ck_assert(is_answered(&client));
    for (int i = 0; i < 2; i++)
        ck_assert(http_client_connect(&others[i], "127.0.0.1", server.port));
    ck_assert(is_answered(&others[0]));
    ck_assert(
        http_client_send_text(&others[1], "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    wait_ms(200);
    char byte;
    ck_assert_int_lt(recv(others[1].fd, &byte, 1, MSG_DONTWAIT), 0);
    http_client_close(&others[0]);
    ck_assert(http_client_read(&others[1], &response, false));
    ck_assert_int_eq(response.status, 200);
    http_client_close(&others[1]);
}
END_TEST

/* An operator must be able to connect to a busy server. */
START_TEST(metrics_connections_do_not_wait)
{
    struct http_client others[2], admin;
    START_SERVER("--max-connections=2", "--max-connections-per-address=3",
                 "--admin-listen=127.0.0.1:0");
    ck_assert(is_answered(&client));
    for (int i = 0; i < 2; i++)
        ck_assert(http_client_connect(&others[i], "127.0.0.1", server.port));
    ck_assert(is_answered(&others[0]));
    for (int i = 0; i < 5; i++) {
        ck_assert(http_client_connect(&admin, "127.0.0.1", server_admin_port()));
        ck_assert(is_answered(&admin));
        http_client_close(&admin);
    }
    char byte;
    ck_assert_int_lt(recv(others[1].fd, &byte, 1, MSG_DONTWAIT), 0);
    http_client_close(&others[0]);
    ck_assert(is_answered(&others[1]));
    http_client_close(&others[1]);
}
END_TEST

/* Returns the key by which a client with this address is counted. */
static uint64_t key_of(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return client_key((const struct sockaddr *)&v4);
    ck_assert_int_eq(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return client_key((const struct sockaddr *)&v6);
}

/* A client with one address of an IPv6 network has 2^64. */
START_TEST(ipv6_networks_count_as_one_address)
{
    ck_assert_uint_eq(key_of("2001:db8:1:2::1"), key_of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    ck_assert_uint_ne(key_of("2001:db8:1:2::1"), key_of("2001:db8:1:3::1"));
    ck_assert_uint_ne(key_of("192.0.2.1"), key_of("192.0.2.2"));
    ck_assert_uint_eq(key_of("192.0.2.1"), key_of("::ffff:192.0.2.1"));
    ck_assert_uint_ne(key_of("::1"), 0); /* 0: no address */
}
END_TEST

START_TEST(connections_of_an_address_are_counted)
{
    struct http_client first, elsewhere;
    START_SERVER("--max-connections-per-address=2");
    ck_assert(is_answered(&client));
    first = client;
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
    ck_assert(is_answered(&client)); /* at the limit */
    for (int i = 0; i < 3; i++) {
        struct http_client second = client;
        ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
        http_client_send_text(&client, POST_MSE "Content-Length: 2\r\n\r\n{}");
        expect_problem_and_end(429, "too many connections from this address; the limit that "
                                    "--max-connections-per-address sets is ");
        ck_assert(http_response_header(&response, "Retry-After", (char[8]){0}, 8) != NULL);
        http_client_close(&client);
        client = second;
    }
    connect_from_elsewhere(&elsewhere);
    ck_assert(is_answered(&elsewhere));
    http_client_close(&elsewhere);
    ck_assert(is_answered(&first));
    http_client_close(&first);
    /* The server releases the connection after some time. */
    struct http_client again;
    bool answered = false;
    for (int i = 0; i < 100 && !answered; i++) {
        ck_assert(http_client_connect(&again, "127.0.0.1", server.port));
        answered = is_answered(&again);
        http_client_close(&again);
        wait_ms(20);
    }
    ck_assert(answered);
}
END_TEST

START_TEST(leaves_connections_above_its_limit_waiting)
{
    /* 64 descriptors are reserved for other purposes, 16 for health and metrics, 256 for lingering
     * connections, and 4 for each I/O thread: 20 connections remain. */
    enum { ROOM = 20 };
    static const struct {
        const char *io_threads;
        rlim_t files;
    } at[] = {{"--io-threads=2", 364}, {"--io-threads=16", 420}};
    const rlim_t files = at[_i].files;
    struct http_client clients[ROOM + 1];
    struct rlimit before;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_int_eq(
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_cur = files, .rlim_max = files}), 0);
    server_process_start(&server, ARGUMENTS(at[_i].io_threads));
    setrlimit(RLIMIT_NOFILE, &before); /* for later tests in this process, if permitted */
    for (int i = 0; i <= ROOM; i++) {
        connect_client(&clients[i]);
        if (i < ROOM)
            ck_assert(http_client_ask(&clients[i], "GET", "/healthz", NULL, NULL, 0, &response));
    }
    http_client_close(&clients[0]);
    ck_assert(http_client_ask(&clients[ROOM], "GET", "/healthz", NULL, NULL, 0, &response));
    for (int i = 1; i <= ROOM; i++)
        http_client_close(&clients[i]);
    connect_client(&client);
    expect_usable();
    http_client_close(&client);
    ck_assert_int_eq(server_process_stop(&server), 0);
    char *log = server_process_log(&server);
    ck_assert_ptr_nonnull(strstr(log, "limiting connections to 20 instead of"));
    free(log);
}
END_TEST

/* ---- Rate ---- */

START_TEST(requests_have_a_maximum_rate)
{
    struct http_client elsewhere;
    char after[16];
    START_SERVER("--request-rate=2", "--request-burst=3");
    for (int i = 0; i < 3; i++)
        expect_evaluated();
    ck_assert(
        http_client_ask(&client, "POST", mse_path, NULL, mse_body, strlen(mse_body), &response));
    expect_response(429, "more than 2 requests per second, the limit that --request-rate sets");
    ck_assert_ptr_nonnull(http_response_header(&response, "Retry-After", after, sizeof after));
    ck_assert_str_eq(after, "1");
    /* The rate limit affects neither other clients nor probes. */
    connect_from_elsewhere(&elsewhere);
    ck_assert(
        http_client_ask(&elsewhere, "POST", mse_path, NULL, mse_body, strlen(mse_body), &response));
    ck_assert_int_eq(response.status, 200);
    http_client_close(&elsewhere);
    for (int i = 0; i < 10; i++)
        ck_assert(is_answered(&client));
    wait_ms(1100);
    for (int i = 0; i < 2; i++)
        expect_evaluated();
    ck_assert(
        http_client_ask(&client, "POST", mse_path, NULL, mse_body, strlen(mse_body), &response));
    ck_assert(
        http_client_ask(&client, "POST", mse_path, NULL, mse_body, strlen(mse_body), &response));
    ck_assert_int_eq(response.status, 429);
}
END_TEST

/* ---- Suite ---- */

Suite *connection_limits_suite(void)
{
    Suite *suite = suite_create("connection_limits");
    TCase *const connections = suite_add_case(suite, "connection_limits", 300, NULL, end_server);
    CASE_ADD(connections, metrics_connections_do_not_wait, connections_of_an_address_are_counted,
             ipv6_networks_count_as_one_address);
    tcase_add_loop_test(connections, leaves_connections_above_its_limit_waiting, 0, 2);
    TCase *const slow = suite_add_case(suite, "connection_limits_slow", 300, NULL, end_server);
    tcase_set_tags(slow, TAG_SLOW);
    CASE_ADD(slow, connections_above_maximum_wait, requests_have_a_maximum_rate);
    return suite;
}
