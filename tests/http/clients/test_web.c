/*
 * Tests the pages "/" and "/docs" in Chromium (tests/web), and that "/" sends HTML only to clients
 * that accept it. If node, npm or Chromium is missing, the tests in Chromium are skipped with a
 * note on stderr. With LOSSD_WEB=all, which `make check-web` sets after it has installed them, they
 * fail instead.
 */
#include "suites.h"
#include "support/command.h"
#include "support/http_client.h"
#include "support/server_process.h"

#include <stdlib.h>
#include <string.h>

static struct server_process server;

static void setup(void)
{
    server_process_start(&server, server_process_defaults);
}

static void teardown(void)
{
    server_process_end(&server);
}

static bool required(void)
{
    const char *which = getenv("LOSSD_WEB");
    return which && strcmp(which, "all") == 0;
}

START_TEST(page_passes_in_chromium)
{
    static char printed[1 << 18];
    if (!npm_packages_are_there("tests/web")) {
        ck_assert_msg(!required(),
                      "npm is not installed, or cannot fetch the packages of tests/web");
        fprintf(stderr,
                "web: the pages are not tested: npm is not installed or cannot fetch the packages "
                "of tests/web\n");
        return;
    }
    const int status = command_run(
        printed, sizeof printed,
        "cd tests/web && LOSSD_URL=http://127.0.0.1:%d npm --silent test 2>&1", server.port);
    if (status != 0)
        fputs(printed, stderr);
    ck_assert_msg(status == 0, "node exited with %d; its output is above", status);
}
END_TEST

static void expect_type(struct http_response *response, const char *type)
{
    char value[128];
    ck_assert_int_eq(response->status, 200);
    ck_assert_ptr_nonnull(http_response_header(response, "Content-Type", value, sizeof value));
    ck_assert_str_eq(value, type);
    ck_assert_ptr_nonnull(http_response_header(response, "Vary", value, sizeof value));
    ck_assert_str_eq(value, "Accept");
}

START_TEST(page_is_sent_to_clients_that_accept_html)
{
    static const char *const browsers[] = {
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n",
        "Accept: TEXT/HTML\r\n",
        "Accept: */*, text/html;q=0.1\r\n",
    };
    static const char *const others[] = {
        NULL,
        "Accept: */*\r\n",
        "Accept: text/*\r\n",
        "Accept: text/html;q=0, */*\r\n",
        "Accept: text/plain\r\n",
        "Accept: application/json\r\n",
    };
    struct http_client client;
    struct http_response response = {0};
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
    for (size_t i = 0; i < sizeof browsers / sizeof *browsers; i++) {
        ck_assert(http_client_ask(&client, "GET", "/", browsers[i], NULL, 0, &response));
        expect_type(&response, "text/html; charset=utf-8");
        ck_assert_ptr_nonnull(strstr(response.body, "<title>lossd</title>"));
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        ck_assert(http_client_ask(&client, "GET", "/", others[i], NULL, 0, &response));
        expect_type(&response, "text/plain; charset=utf-8");
        ck_assert_ptr_nonnull(strstr(response.body, "curl -s http://"));
    }
    http_client_close(&client);
    http_response_free(&response);
}
END_TEST

Suite *web_suite(void)
{
    Suite *suite = suite_create("web");
    TCase *negotiation = tcase_create("web_negotiation"), *page = tcase_create("web_page");
    tcase_set_timeout(page, 600);
    tcase_set_tags(page, TAG_SLOW);
    tcase_add_checked_fixture(negotiation, setup, teardown);
    tcase_add_checked_fixture(page, setup, teardown);
    tcase_add_test(negotiation, page_is_sent_to_clients_that_accept_html);
    if (required() || browser_is_there())
        tcase_add_test(page, page_passes_in_chromium);
    else
        fprintf(stderr,
                "web: the pages are not tested: node or Chromium is not installed; make check-web "
                "installs them\n");
    suite_add_tcase(suite, negotiation);
    suite_add_tcase(suite, page);
    return suite;
}
