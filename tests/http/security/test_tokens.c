/* Tests tokens: which requests need one, the token file, and how it is reloaded. */
#include "suites.h"
#include "support/folder.h"
#include "support/server_fixture.h"
#include "tokens.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void teardown(void)
{
    kill_server();
    folder_remove();
}

static void expect_unknown(const char *token)
{
    ask_with_token("/v1/losses/mse", token);
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

START_TEST(requires_a_token_if_tokens_are_configured)
{
    start_with_tokens(alice_line);
    expect_token_wanted("GET", "/v1/losses", NULL, NULL);
    expect_token_wanted("POST", "/v1/losses/mse", "Content-Type: application/json\r\n", mse_body);
    expect_text(response.body, "a token is required");
    expect_token_wanted("GET", "/v1/losses", "Authorization: Basic YWxpY2U6eA==\r\n", NULL);
    expect_token_wanted("GET", "/no/such/path", NULL,
                        NULL); /* paths that exist are not revealed either */
    expect_token_wanted("POST", "/v2/models/mse/infer", NULL, "{}");
    expect_text(response.body, "{\"error\":\"a token is required");
    ck_assert(strstr(response.head, "X-Request-Id") != NULL);
}
END_TEST

START_TEST(accepts_clients_with_a_token)
{
    char lines[512];
    snprintf(lines, sizeof lines, "# who may\n\n  %s\r\n%s", alice_line, bob_line);
    start_with_tokens(lines);
    expect_known(alice_token);
    expect_known(bob_token);
    server_process_expect_log(&server, "client=alice");
    server_process_expect_log(&server, "client=bob");
    ask("POST", "/v1/losses/mse",
        "Content-Type: application/json\r\nauthorization: bearer  "
        "alice-0123456789abcdefghijklmnopqrstuvwxyz_ \t\r\n",
        mse_body);
    ck_assert_int_eq(response.status, 200);
}
END_TEST

START_TEST(counts_requests_by_token)
{
    char lines[512];
    snprintf(lines, sizeof lines, "%s%s", alice_line, bob_line);
    folder_write("tokens", lines);
    server_process_start(&server, ARGUMENTS("--threads=2", "--listen=127.0.0.1:0",
                                            folder_option("--token-file=", "tokens"),
                                            "--request-rate=1", "--request-burst=2"));
    connect_port(server.port);
    expect_known(alice_token);
    expect_known(alice_token);
    ask_with_token("/v1/losses/mse", alice_token);
    ck_assert_int_eq(response.status, 429);
    expect_known(bob_token); /* from the same address */
    expect_known(bob_token);
    ask_with_token("/v1/losses/mse", bob_token);
    ck_assert_int_eq(response.status, 429);
}
END_TEST

START_TEST(rejects_wrong_tokens)
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
START_TEST(rejects_before_the_body)
{
    start_with_tokens(alice_line);
    ck_assert(http_client_send_text(
        &client, "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000000\r\n"
                 "Expect: 100-continue\r\n\r\n"));
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 401);
}
END_TEST

START_TEST(health_requires_no_token)
{
    static const char *const open[] = {"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready",
                                       "/"};
    start_with_tokens(alice_line);
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
        expect_get(open[i], 200, "");
    expect_token_wanted("POST", "/healthz", NULL, "x");
}
END_TEST

START_TEST(admin_address_requires_no_token)
{
    folder_write("tokens", alice_line);
    server_process_start(&server, ARGUMENTS("--threads=2", "--listen=127.0.0.1:0",
                                            "--admin-listen=127.0.0.1:0",
                                            folder_option("--token-file=", "tokens")));
    connect_port(server_admin_port());
    expect_get("/readyz", 200, "");
    expect_get("/v1/losses", 404, "");
    connect_port(server.port);
    expect_token_wanted("GET", "/v1/losses", NULL, NULL);
}
END_TEST

START_TEST(reloads_tokens_on_sighup)
{
    start_with_tokens(alice_line);
    expect_known(alice_token);
    expect_unknown(bob_token);
    folder_write("tokens", bob_line);
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server, "1 tokens read from");
    expect_known(bob_token);
    expect_unknown(alice_token); /* on a connection opened earlier */
}
END_TEST

START_TEST(keeps_its_tokens_if_the_new_file_is_invalid)
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
        expect_known(alice_token);
    }
    ck_assert_int_eq(unlink(folder_path("tokens")), 0);
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server, "No such file or directory");
    expect_known(alice_token);
    folder_write("tokens", bob_line);
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server, "1 tokens read from");
    expect_known(bob_token);
}
END_TEST

/* If the server accepted a file that is truncated at the end of a line, it would reject the clients
   on the missing lines, and no error would be reported. */
START_TEST(rejects_a_truncated_token_file)
{
    char text[512];
    snprintf(text, sizeof text, "# lossd tokens: 2\n%s%s", alice_line, bob_line);
    start_with_tokens(text);
    expect_known(bob_token);
    snprintf(text, sizeof text, "# lossd tokens: 2\n%s", alice_line);
    folder_write("tokens", text);
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server, "its first line declares 2 tokens, but it has 1");
    expect_known(bob_token);
    char headers[128];
    snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n", bob_token);
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
    expect_unknown(bob_token);
    snprintf(text, sizeof text, "# lossd tokens: 1\n%s%s", alice_line,
             bob_line); /* a line was appended */
    folder_write("tokens", text);
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server, ": 1 added, 0 removed");
    expect_known(bob_token);
}
END_TEST

START_TEST(does_not_start_with_an_invalid_token_file)
{
    folder_write("tokens", "alice-0123456789abcdefghijklmnopqrstuvwxyz_\n");
    expect_refused_start(
        ARGUMENTS("--threads=2", "--listen=127.0.0.1:0", folder_option("--token-file=", "tokens")),
        "tokens, line 1: not of the form");
    char out[SERVER_TEXT], err[SERVER_TEXT];
    server_process_run(
        ARGUMENTS("--threads=2", "--listen=127.0.0.1:0", folder_option("--token-file=", "tokens")),
        out, err);
    ck_assert_ptr_null(strstr(err, "0123456789")); /* it may be a token, which must not be logged */
    expect_refused_start(
        ARGUMENTS("--threads=2", "--listen=127.0.0.1:0", folder_option("--token-file=", "none")),
        "No such file or directory");
}
END_TEST

START_TEST(warns_about_a_world_writable_token_file)
{
    folder_write("tokens", alice_line);
    ck_assert_int_eq(chmod(folder_path("tokens"), 0646), 0);
    server_process_start(&server, ARGUMENTS("--threads=2", "--listen=127.0.0.1:0",
                                            folder_option("--token-file=", "tokens")));
    server_process_expect_log(&server, "is world-writable: any local user can add a token");
}
END_TEST

START_TEST(listens_beyond_loopback_only_with_tokens_or_an_option)
{
    static const char *const open[] = {"0.0.0.0:0", "[::]:0", "127.0.0.1:0,0.0.0.0:0"};
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
        expect_refused_start(ARGUMENTS("--threads=2", "--listen", open[i]),
                             "can be reached from other machines");
    expect_refused_start(
        ARGUMENTS("--threads=2", "--listen=0.0.0.0:0", "--allow-unauthenticated=off"),
        "--allow-unauthenticated");

    server_process_start(&server,
                         ARGUMENTS("--threads=2", "--listen=0.0.0.0:0", "--allow-unauthenticated"));
    connect_port(server.port);
    expect_evaluated();
    server_process_free(&server);

    folder_write("tokens", alice_line);
    server_process_start(&server, ARGUMENTS("--threads=2", "--listen=0.0.0.0:0",
                                            folder_option("--token-file=", "tokens")));
    connect_port(server.port);
    expect_known(alice_token);
}
END_TEST

/* ---- Suite ---- */

Suite *tokens_suite(void)
{
    Suite *suite = suite_create("tokens");
    TCase *const tcase = suite_add_case(suite, "tokens", 60, folder_make, teardown);
    CASE_ADD(tcase, requires_a_token_if_tokens_are_configured, accepts_clients_with_a_token,
             counts_requests_by_token, rejects_wrong_tokens, rejects_before_the_body,
             health_requires_no_token, admin_address_requires_no_token, reloads_tokens_on_sighup,
             keeps_its_tokens_if_the_new_file_is_invalid, rejects_a_truncated_token_file,
             does_not_start_with_an_invalid_token_file, warns_about_a_world_writable_token_file,
             listens_beyond_loopback_only_with_tokens_or_an_option);
    return suite;
}
