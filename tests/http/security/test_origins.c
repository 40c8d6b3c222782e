/* Tests host names and origins: which requests of browsers the server accepts. */
#include "suites.h"
#include "support/folder.h"
#include "support/server_fixture.h"
#include "tokens.h"

#include <stdio.h>
#include <string.h>

static void teardown(void)
{
    kill_server();
    folder_remove();
}

static void ask_with(const char *method, const char *path, const char *host, const char *more)
{
    char text[1024];
    const char *body = strcmp(method, "POST") == 0 ? mse_body : "";
    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\n%s%s%s%sContent-Length: %zu\r\n\r\n%s", method,
             path, host ? "Host: " : "", host ? host : "", host ? "\r\n" : "", more, strlen(body),
             body);
    ck_assert(http_client_send_text(&client, text));
    ck_assert_msg(http_client_read(&client, &response, false), "no response to %s", text);
}

/* Returns the value of a header; "" if there is none. */
static const char *value_of(const char *name)
{
    static char value[512];
    return http_response_header(&response, name, value, sizeof value) ? value : "";
}

START_TEST(on_loopback_accepts_only_its_own_host_names)
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
    start_server(ARGUMENTS("--threads=2", "--listen=127.0.0.1:0"));
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
    expect_response(421, "{\"error\":\"'evil.example' is not a host name of this server");
}
END_TEST

START_TEST(reads_the_host_of_a_target_in_absolute_form)
{
    start_server(ARGUMENTS("--threads=2", "--listen=127.0.0.1:0"));
    ask_with("GET", "http://localhost:1/v1/losses/mse", "localhost", "");
    ck_assert_int_eq(response.status, 200);
    ask_with("GET", "http://evil.example/v1/losses/mse", "localhost", "");
    expect_response(421, "evil.example");
    ask_with("GET", "http://localhost/v1/losses/mse", "evil.example", "");
    expect_response(421, "evil.example");
}
END_TEST

START_TEST(accepts_configured_host_names)
{
    start_server(ARGUMENTS("--threads=2", "--listen=127.0.0.1:0",
                           "--allowed-hosts=loss.example, other.example"));
    ask_with("GET", "/v1/losses/mse", "LOSS.example:8443", "");
    ck_assert_int_eq(response.status, 200);
    ask_with("GET", "/v1/losses/mse", "other.example", "");
    ck_assert_int_eq(response.status, 200);
    ask_with("GET", "/v1/losses/mse", "a.loss.example", "");
    ck_assert_int_eq(response.status, 421);
    kill_server();
    start_server(ARGUMENTS("--threads=2", "--listen=127.0.0.1:0", "--allowed-hosts=*"));
    ask_with("GET", "/v1/losses/mse", "anything.example", "");
    ck_assert_int_eq(response.status, 200);
}
END_TEST

START_TEST(beyond_loopback_accepts_any_host_name_unless_listed)
{
    start_server(ARGUMENTS("--threads=2", "--listen=0.0.0.0:0", "--allow-unauthenticated"));
    ask_with("GET", "/v1/losses/mse", "anything.example", "");
    ck_assert_int_eq(response.status, 200);
    kill_server();
    start_server(ARGUMENTS("--threads=2", "--listen=0.0.0.0:0", "--allow-unauthenticated",
                           "--allowed-hosts=loss.example"));
    ask_with("GET", "/v1/losses/mse", "loss.example", "");
    ck_assert_int_eq(response.status, 200);
    ask_with("GET", "/v1/losses/mse", "anything.example", "");
    ck_assert_int_eq(response.status, 421);
    ask_with("GET", "/readyz", "10.0.0.7:8080", ""); /* as a probe does */
    ck_assert_int_eq(response.status, 200);
}
END_TEST

START_TEST(on_a_unix_socket_accepts_any_host_name)
{
    server_process_start(&server,
                         ARGUMENTS("--threads=2", folder_option("--listen=unix:", "socket"),
                                   "--allowed-hosts=loss.example"));
    connect_path(folder_path("socket"));
    ask_with("GET", "/v1/losses/mse", "upstream", "");
    ck_assert_int_eq(response.status, 200);
}
END_TEST

/* ---- Origins ---- */

START_TEST(rejects_requests_of_foreign_origins)
{
    start_server(ARGUMENTS("--threads=2", "--listen=127.0.0.1:0"));
    static const char *const foreign[] = {
        "Origin: https://evil.example\r\n", "Origin: null\r\n", "Origin: http://localhost:1\r\n",
        "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n",
        "Origin: http://localhost:1\r\nSec-Fetch-Site: same-site\r\n"};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        ask_with("POST", "/v1/losses/mse", "localhost", foreign[i]);
        expect_response(403, "--cors-origins");
        ck_assert_str_eq(value_of("Access-Control-Allow-Origin"), "");
    }
    /* allowed: without Access-Control-Allow-Origin, the browser hides the response from the page */
    ask_with("GET", "/v1/losses/mse", "localhost", foreign[0]);
    ck_assert_int_eq(response.status, 200);
    ck_assert_str_eq(value_of("Access-Control-Allow-Origin"), "");
    ask_with("OPTIONS", "/v1/losses/mse", "localhost",
             "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n");
    expect_response(403, "origin 'https://evil.example' is not allowed");
    ck_assert_str_eq(value_of("Access-Control-Allow-Origin"), "");
    ask_with("OPTIONS", "/v1/losses/mse", "localhost", "");
    ck_assert_int_eq(response.status, 204);
    ck_assert_str_eq(value_of("Vary"), "");
}
END_TEST

START_TEST(accepts_requests_of_its_own_origin)
{
    char own[128];
    start_server(ARGUMENTS("--threads=2", "--listen=127.0.0.1:0", "--allowed-hosts=loss.example"));
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

START_TEST(accepts_listed_origins)
{
    start_server(ARGUMENTS("--threads=2", "--listen=127.0.0.1:0",
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

START_TEST(accepts_all_origins_if_configured)
{
    start_server(ARGUMENTS("--threads=2", "--listen=127.0.0.1:0", "--cors-origins=*"));
    ask_with("POST", "/v1/losses/mse", "localhost", "Origin: null\r\n");
    ck_assert_int_eq(response.status, 200);
    ck_assert_str_eq(value_of("Access-Control-Allow-Origin"), "null");
}
END_TEST

START_TEST(preflight_requires_no_token)
{
    char headers[256];
    folder_write("tokens", alice_line);
    start_server(ARGUMENTS("--threads=2", "--listen=127.0.0.1:0",
                           "--cors-origins=https://app.example",
                           folder_option("--token-file=", "tokens")));
    ask_with("OPTIONS", "/v1/losses/mse", "localhost", preflight);
    ck_assert_int_eq(response.status, 204);
    ask_with("POST", "/v1/losses/mse", "localhost", page);
    ck_assert_int_eq(response.status, 401);
    ck_assert_str_eq(value_of("Access-Control-Allow-Origin"), "https://app.example");
    snprintf(headers, sizeof headers, "%sAuthorization: Bearer %s\r\n", page, alice_token);
    ask_with("POST", "/v1/losses/mse", "localhost", headers);
    ck_assert_int_eq(response.status, 200);
    ask_with("OPTIONS", "/v1/losses/mse", "localhost", "");
    ck_assert_int_eq(response.status, 401);
}
END_TEST

START_TEST(rejects_invalid_lists)
{
    static const char *const origins[] = {
        "https://app.example/", "app.example",       "https://app.example:443",
        "http://a:80",          "ftp://app.example", "https://",
        "http://a:x",           "http://a,b"};
    static const char *const hosts[] = {"loss.example:8080", "https://loss.example", "*.example",
                                        "a b/c"};
    for (size_t i = 0; i < sizeof origins / sizeof origins[0]; i++)
        expect_refused_start(
            ARGUMENTS("--threads=2", "--listen=127.0.0.1:0", "--cors-origins", origins[i]),
            "is not an origin; expected http://host[:port] or https://host[:port]");
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        expect_refused_start(
            ARGUMENTS("--threads=2", "--listen=127.0.0.1:0", "--allowed-hosts", hosts[i]),
            "is not a host name");
}
END_TEST

/* ---- Suite ---- */

Suite *origins_suite(void)
{
    Suite *suite = suite_create("origins");
    TCase *const tcase = suite_add_case(suite, "origins", 60, folder_make, teardown);
    CASE_ADD(tcase, on_loopback_accepts_only_its_own_host_names,
             reads_the_host_of_a_target_in_absolute_form, accepts_configured_host_names,
             beyond_loopback_accepts_any_host_name_unless_listed,
             on_a_unix_socket_accepts_any_host_name, rejects_requests_of_foreign_origins,
             accepts_requests_of_its_own_origin, accepts_listed_origins,
             accepts_all_origins_if_configured, preflight_requires_no_token, rejects_invalid_lists);
    return suite;
}
