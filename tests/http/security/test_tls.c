/* Tests TLS: which addresses use it, and that only TLS is ever written to a TLS connection. */
#include "suites.h"
#include "support/body.h"
#include "support/folder.h"
#include "support/server_fixture.h"
#include "tls_server.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { LARGE = 400000 };

/* Returns the CPU time of the server in hundredths of a second. */
static unsigned long long ticks(void)
{
    size_t len;
    unsigned long long user = 0, kernel = 0;
    char *stat = server_process_file(&server, "stat", &len), *end = strrchr(stat, ')');
    ck_assert_ptr_nonnull(end);
    ck_assert_int_eq(
        sscanf(end + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &kernel),
        2);
    free(stat);
    return user + kernel;
}

/* Checks that the server uses almost no CPU time after it has finished its work. */
static void expect_quiet(void)
{
    for (int tries = 0; tries < 40; tries++) {
        const unsigned long long before = ticks();
        wait_ms(500);
        if (ticks() - before <= 5)
            return;
    }
    ck_abort_msg("the server is busy although it has no work");
}

/* ---- Serving ---- */

START_TEST(tls_serves_requests)
{
    start_tls_server(NULL);
    expect_text(server.line, "listening on https://127.0.0.1:");
    connect_tls();
    expect_evaluated();
    expect_evaluated();
    ck_assert_int_eq(gnutls_protocol_get_version(client.session), GNUTLS_TLS1_3);
    ck_assert_int_eq(server_process_stop(&server), 0);
}
END_TEST

START_TEST(tls_requires_version_1_2)
{
    start_tls_server(NULL);
    const struct http_client_tls tls12 = {.ca = folder_path("ca"),
                                          .priorities = "NORMAL:-VERS-ALL:+VERS-TLS1.2"};
    ck_assert(http_client_connect_tls(&client, server.port, &tls12));
    expect_evaluated();
    http_client_close(&client);
    const struct http_client_tls tls11 = {
        .ca = folder_path("ca"), .priorities = "NORMAL:-VERS-ALL:+VERS-TLS1.1:+VERS-TLS1.0"};
    ck_assert(!http_client_connect_tls(&client, server.port, &tls11));
    const struct http_client_tls weak = {
        .ca = folder_path("ca"),
        .priorities = "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-CBC"};
    ck_assert(!http_client_connect_tls(&client, server.port, &weak));
}
END_TEST

START_TEST(tls_works_with_curl)
{
    char command[512], printed[64] = "";
    start_tls_server(NULL);
    snprintf(command, sizeof command,
             "curl -q -sS --noproxy '*' --cacert %s -o /dev/null -w '%%{http_code} "
             "%%{ssl_verify_result}' "
             "https://localhost:%d/readyz "
             "--connect-to localhost:%d:127.0.0.1:%d",
             folder_path("ca"), server.port, server.port, server.port);
    FILE *output = popen(command, "r"); /* NOLINT(cert-env33-c): a command of this file */
    ck_assert_ptr_nonnull(output);
    printed[fread(printed, 1, sizeof printed - 1, output)] = '\0';
    ck_assert_int_eq(pclose(output), 0);
    ck_assert_str_eq(printed, "200 0");
}
END_TEST

/* Larger than all buffers, in both directions, and computed by the executor. */
START_TEST(tls_carries_large_bodies)
{
    char *body = malloc(LARGE * 10 + 100);
    ck_assert_ptr_nonnull(body);
    char *to = stpcpy(body, "{\"grad\":true,\"input\":[1");
    for (int i = 1; i < LARGE; i++)
        to = stpcpy(to, ",0.25");
    to = stpcpy(to, "],\"target\":[1");
    for (int i = 1; i < LARGE; i++)
        to = stpcpy(to, ",0.5");
    strcpy(to, "]}");
    start_tls_server(NULL);
    connect_tls();
    for (int i = 0; i < 2; i++) {
        ask("POST", "/v1/losses/mse", NULL, body);
        ck_assert_int_eq(response.status, 200);
        ck_assert_uint_gt(response.body_len, 2000000);
        ck_assert_str_eq(response.body + response.body_len - 4, "]}}\n");
    }
    expect_evaluated();
    char request[160]; /* and once more with a client that reads slowly, so that the socket's
                          buffers fill up */
    snprintf(request, sizeof request,
             "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n",
             strlen(body));
    ck_assert(http_client_send_text(&client, request) && http_client_send_text(&client, body));
    expect_quiet();
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_str_eq(response.body + response.body_len - 4, "]}}\n");
    free(body);
}
END_TEST

/* Several requests in one record: data buffered by GnuTLS does not make the socket readable. */
START_TEST(tls_answers_requests_in_one_record)
{
    enum { TOGETHER = 20 };
    char text[TOGETHER * 200], *to = text;
    start_tls_server(NULL);
    connect_tls();
    for (int i = 0; i < TOGETHER; i++)
        to += sprintf(
            to, "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s",
            strlen(mse_body), mse_body);
    ck_assert(http_client_send_text(&client, text));
    for (int i = 0; i < TOGETHER; i++) {
        ck_assert(http_client_read(&client, &response, false));
        ck_assert_int_eq(response.status, 200);
    }
}
END_TEST

START_TEST(tls_is_not_used_on_unix_sockets_and_the_admin_address)
{
    char listen[256];
    snprintf(listen, sizeof listen, "127.0.0.1:0,unix:%s", folder_path("socket"));
    start_tls_server(ARGUMENTS("--listen", listen, "--admin-listen=127.0.0.1:0"));
    expect_text(server.line, "for health and metrics on http://");
    connect_tls();
    expect_evaluated();
    http_client_close(&client);
    ck_assert(http_client_connect_path(&client, folder_path("socket")));
    expect_evaluated();
    http_client_close(&client);
    ck_assert(http_client_connect(&client, "127.0.0.1", server_admin_port()));
    expect_get("/readyz", 200, "ready");
    ck_assert_int_eq(server_process_stop(&server), 0);
}
END_TEST

/* ---- TLS only ---- */

START_TEST(tls_sends_no_plain_text_to_clients_without_tls)
{
    char byte[256];
    start_tls_server(NULL);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
    ck_assert(http_client_send_text(&client, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    for (ssize_t got; (got = recv(client.fd, byte, sizeof byte, 0)) > 0;)
        ck_assert_msg(byte[0] == 21 || byte[0] == 3, "not an alert: %.*s", (int)got, byte);
    char *log = server_process_log(&server);
    ck_assert_ptr_null(strstr(log, "/readyz"));
    free(log);
}
END_TEST

/* A client that is disconnected for being slow gets no response: only its thread may write to its
 * session. */
START_TEST(tls_disconnects_slow_clients_without_a_response)
{
    start_tls_server(
        ARGUMENTS("--header-timeout=0.6", "--min-body-rate=1M", "--min-rate-window=0.5"));
    connect_tls();
    ck_assert(http_client_send_text(&client, "GET /readyz HTTP/1.1\r\n"));
    ck_assert_msg(http_client_closed(&client), "no timeout for the headers");
    connect_tls();
    ck_assert(http_client_send_text(
        &client,
        "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"));
    ck_assert_msg(http_client_closed(&client), "no timeout for the body");
    struct http_client silent; /* not even a handshake */
    ck_assert(http_client_connect(&silent, "127.0.0.1", server.port));
    ck_assert(http_client_send(&silent, "\x16\x03\x01", 3));
    ck_assert_msg(http_client_closed(&silent), "no timeout for the handshake");
    http_client_close(&silent);
}
END_TEST

/* See server/mhd_workarounds/tls_handshake.h. */
START_TEST(tls_uses_no_cpu_while_it_waits_for_a_handshake)
{
    static const char *const starts[] = {"\x16\x03\x01", "\x16\x03\x01\x02\x7f\x01\x20", "\x16"};
    struct http_client silent[3];
    start_tls_server(
        ARGUMENTS("--header-timeout=100",
                  "--min-body-rate=0")); /* otherwise they would be disconnected too early */
    for (int i = 0; i < 3; i++) {
        ck_assert(http_client_connect(&silent[i], "127.0.0.1", server.port));
        ck_assert(http_client_send_text(&silent[i], starts[i]));
    }
    expect_quiet();
    connect_tls(); /* others are served meanwhile */
    expect_evaluated();
    ck_assert_int_eq(server_process_stop(&server), 0); /* waiting clients do not delay the exit */
    for (int i = 0; i < 3; i++)
        http_client_close(&silent[i]);
}
END_TEST

START_TEST(tls_uses_no_cpu_while_it_waits_for_the_rest_of_a_record)
{
    static const char record[] = "\x17\x03\x03\x01\x10 the beginning of one";
    start_tls_server(ARGUMENTS("--header-timeout=100", "--min-body-rate=0"));
    connect_tls();
    expect_evaluated();
    ck_assert_int_eq(send(client.fd, record, sizeof record - 1, MSG_NOSIGNAL),
                     (int)sizeof record - 1);
    struct http_client second = {.fd = -1}; /* and one within a body */
    ck_assert(connects_tls(&second, NULL, NULL));
    ck_assert(http_client_send_text(
        &second, "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{"));
    ck_assert_int_eq(send(second.fd, record, 3, MSG_NOSIGNAL), 3);
    expect_quiet();
    http_client_close(&second);
}
END_TEST

/* Sends a part of a handshake byte by byte. */
static ssize_t push_slowly(gnutls_transport_ptr_t fd, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (send((int)(intptr_t)fd, (const char *)bytes + i, 1, MSG_NOSIGNAL) != 1)
            return -1;
        if (i % 32 == 0)
            wait_ms(1);
    }
    return (ssize_t)len;
}

START_TEST(tls_accepts_a_handshake_in_pieces)
{
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
    start_tls_server(NULL);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
    gnutls_certificate_allocate_credentials(&credentials);
    gnutls_init(&session, GNUTLS_CLIENT);
    gnutls_set_default_priority(session);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    gnutls_transport_set_int(session, client.fd);
    gnutls_transport_set_push_function(session, push_slowly);
    ck_assert_int_eq(gnutls_handshake(session), 0);
    client.session = session;
    client.credentials = credentials;
    expect_evaluated();
}
END_TEST

START_TEST(tls_rejects_connections_without_a_response)
{
    struct http_client second = {.fd = -1};
    start_tls_server(ARGUMENTS("--max-connections-per-address=1"));
    connect_tls();
    expect_evaluated();
    ck_assert(http_client_connect(&second, "127.0.0.1", server.port));
    ck_assert(http_client_closed(&second));
    http_client_close(&second);
    expect_evaluated();
}
END_TEST

/* Responses that libmicrohttpd cannot send bypass it, but use the TLS session. */
START_TEST(tls_rejects_during_a_body)
{
    static char piece[40000];
    char chunk[32];
    start_tls_server(ARGUMENTS("--max-body=50000"));
    connect_tls();
    ck_assert(http_client_send_text(
        &client,
        "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"));
    snprintf(chunk, sizeof chunk, "%zx\r\n", sizeof piece);
    memset(piece, ' ', sizeof piece);
    for (int i = 0; i < 6; i++) {
        if (!http_client_send_text(&client, chunk) ||
            !http_client_send(&client, piece, sizeof piece) ||
            !http_client_send_text(&client, "\r\n"))
            break;
    }
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 413);
    ck_assert(http_client_closed(&client));
}
END_TEST

START_TEST(tls_rejects_before_a_body_without_losing_the_response)
{
    start_tls_server(ARGUMENTS("--max-body=1M"));
    connect_tls();
    body_is_refused_as_it_comes(&client, &response, 1 << 14);
}
END_TEST

/* server/mhd_workarounds/strict_parser.h parses the decrypted bytes. */
START_TEST(tls_rejects_smuggled_requests)
{
    static const char *const wrong[] = {
        "GET /healthz HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
        "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
        "chunked\r\n\r\n2;a\n\r\n{}\r\n0\r\n\r\n",
        "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
        "2\r\nTransfer-Encoding: "
        "chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2x\r\n\r\n{}",
        "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
        "chunked\r\n\r\nzz\r\n",
        "GET\r\n\r\n"};
    start_tls_server(NULL);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        connect_tls();
        ck_assert(http_client_send_text(&client, wrong[i]));
        ck_assert(http_client_read(&client, &response, false));
        ck_assert_msg(response.status == 400, "%s: %s%s", wrong[i], response.head, response.body);
        expect_text(response.body, "\"detail\":");
        ck_assert(http_client_closed(&client));
    }
}
END_TEST

/* ---- Disconnected clients ---- */

/* Returns true if the executor is busy. Uses a separate connection. */
static bool is_busy(void)
{
    struct http_client asking = {.fd = -1};
    ck_assert(connects_tls(&asking, NULL, NULL));
    ck_assert(http_client_ask(&asking, "GET", "/metrics", NULL, NULL, 0, &response));
    http_client_close(&asking);
    return strstr(response.body, "\nlossd_executor_busy 1\n") != NULL;
}

START_TEST(tls_work_is_cancelled_when_its_client_closes)
{
    enum { ROWS = 65536, TRIES = 500 };
    int tries = 0;
    start_tls_server(ARGUMENTS("--compute-timeout=0"));
    connect_tls();
    ck_assert(rows_ask(&client, ROWS, ""));
    while (!is_busy())
        ck_assert_int_lt(tries++, TRIES);
    http_client_close(&client);
    for (tries = 0; is_busy(); tries++) {
        ck_assert_int_lt(tries, TRIES);
        wait_ms(20);
    }
}
END_TEST

/* ---- Suite ---- */

Suite *tls_suite(void)
{
    Suite *suite = suite_create("tls");
    TCase *const tcase = suite_add_case(suite, "tls", 60, tls_setup, tls_teardown);
    CASE_ADD(tcase, tls_serves_requests, tls_requires_version_1_2, tls_works_with_curl,
             tls_carries_large_bodies, tls_answers_requests_in_one_record,
             tls_is_not_used_on_unix_sockets_and_the_admin_address,
             tls_sends_no_plain_text_to_clients_without_tls,
             tls_uses_no_cpu_while_it_waits_for_the_rest_of_a_record,
             tls_accepts_a_handshake_in_pieces, tls_rejects_connections_without_a_response,
             tls_rejects_during_a_body, tls_rejects_before_a_body_without_losing_the_response,
             tls_work_is_cancelled_when_its_client_closes);
    TCase *const slow = suite_add_case(suite, "tls_slow", 60, tls_setup, tls_teardown);
    tcase_set_tags(slow, TAG_SLOW);
    CASE_ADD(slow, tls_disconnects_slow_clients_without_a_response,
             tls_uses_no_cpu_while_it_waits_for_a_handshake, tls_rejects_smuggled_requests);
    return suite;
}
