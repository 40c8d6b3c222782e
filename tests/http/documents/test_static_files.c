/*
 * Tests the files of web/ through the socket: each is served unchanged, with its media type, an
 * ETag, and headers that restrict pages to files of this server.
 */
#include "suites.h"
#include "support/http_client.h"
#include "support/server_process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE = 256, LARGEST = 4 << 20 };

static struct server_process server;
static struct http_client client;
static struct http_response response;

static void setup(void)
{
    server_process_start(&server,
                         (const char *const[]){"--log-level", "warning", "--threads", "1", NULL});
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}

static void teardown(void)
{
    http_client_close(&client);
    http_response_free(&response);
    server_process_end(&server);
}

static void get(const char *path, const char *headers)
{
    ck_assert(http_client_ask(&client, "GET", path, headers, NULL, 0, &response));
}

static void expect_header(const char *name, const char *text)
{
    char value[VALUE];
    ck_assert_msg(http_response_header(&response, name, value, sizeof value) != NULL, "no %s in %s",
                  name, response.head);
    ck_assert_msg(strstr(value, text) != NULL, "%s is %s, not %s", name, value, text);
}

/* Reads a file of web/. The caller frees the result. */
static char *read_file(const char *name, size_t *len)
{
    char path[VALUE + 8], *bytes = malloc(LARGEST);
    snprintf(path, sizeof path, "web/%s", name);
    FILE *const file = fopen(path, "rb");
    ck_assert_ptr_nonnull(bytes);
    ck_assert_ptr_nonnull(file);
    *len = fread(bytes, 1, LARGEST, file);
    ck_assert(feof(file));
    fclose(file);
    return bytes;
}

static void expect_file(const char *name)
{
    char path[VALUE + 16];
    size_t len = 0;
    char *const bytes = read_file(name, &len);
    snprintf(path, sizeof path, "/assets/%s", name);
    get(path, NULL);
    ck_assert_msg(response.status == 200, "%s: %s", path, response.body);
    ck_assert_uint_eq(response.body_len, len);
    ck_assert_mem_eq(response.body, bytes, len);
    free(bytes);
    expect_header("Content-Type", "/");
    expect_header("Content-Security-Policy", "default-src 'self'");
    expect_header("Content-Security-Policy", "frame-ancestors 'none'");
    expect_header("X-Content-Type-Options", "nosniff");
    expect_header("Referrer-Policy", "no-referrer");
    expect_header("Cache-Control", "no-cache");
    expect_header("Vary", "Accept-Encoding");
}

START_TEST(assets_are_the_files_of_web)
{
    int files = 0;
    DIR *const folder = opendir("web");
    ck_assert_ptr_nonnull(folder);
    for (const struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] != '.') {
            expect_file(entry->d_name);
            files++;
        }
    closedir(folder);
    ck_assert_int_gt(files, 0);
}
END_TEST

START_TEST(assets_are_not_sent_again_to_those_who_have_them)
{
    char etag[VALUE], headers[VALUE + 64], length[VALUE];
    get("/assets/icon.svg", NULL);
    ck_assert_ptr_nonnull(http_response_header(&response, "ETag", etag, sizeof etag));
    static const char *const before[] = {"", "W/\"other\", ", "\"\", W/"};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        /* A tag matches whether it is strong or weak. */
        snprintf(headers, sizeof headers, "If-None-Match: %s%s\r\n", before[i],
                 etag + (i == 2 ? 2 : 0));
        get("/assets/icon.svg", headers);
        ck_assert_msg(response.status == 304, "%s: %d", headers, response.status);
        expect_header("ETag", etag);
        expect_header("Vary", "Accept-Encoding");
        expect_header("Cache-Control", "no-cache");
    }
    get("/assets/icon.svg", "If-None-Match: *\r\n");
    ck_assert_int_eq(response.status, 304);
    get("/assets/icon.svg", "If-None-Match: \"other\"\r\n");
    ck_assert_int_eq(response.status, 200);
    ck_assert_ptr_nonnull(http_response_header(&response, "Content-Length", length, sizeof length));
    ck_assert_uint_eq(strtoul(length, NULL, 10), response.body_len);
}
END_TEST

START_TEST(assets_are_found_by_their_whole_name_alone)
{
    static const char *const paths[] = {
        "/assets/",      "/assets/.",         "/assets/..",          "/assets/../assets",
        "/assets/icon",  "/assets/icon.svg/", "/assets/nowhere.js",  "/assets/%2e%2e",
        "/web/icon.svg", "/assets/ICON.SVG",  "/assets/web/icon.svg"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        get(paths[i], NULL);
        ck_assert_msg(response.status == 404, "%s: %d", paths[i], response.status);
        expect_header("Content-Type", "application/problem+json");
    }
    get("/assets/ikon.svg", NULL);
    ck_assert_msg(strstr(response.body, "did you mean '/assets/icon.svg'?") != NULL, "%s",
                  response.body);
    ck_assert(http_client_ask(&client, "POST", "/assets/icon.svg", NULL, "x", 1, &response));
    ck_assert_int_eq(response.status, 405);
    expect_header("Allow", "GET, HEAD, OPTIONS");
    ck_assert(http_client_ask(&client, "HEAD", "/assets/icon.svg", NULL, NULL, 0, &response));
    ck_assert_int_eq(response.status, 200);
    expect_header("Content-Type", "image/svg+xml");
}
END_TEST

Suite *static_files_suite(void)
{
    Suite *suite = suite_create("static_files");
    TCase *tcase = tcase_create("static_files");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, assets_are_the_files_of_web);
    tcase_add_test(tcase, assets_are_not_sent_again_to_those_who_have_them);
    tcase_add_test(tcase, assets_are_found_by_their_whole_name_alone);
    suite_add_tcase(suite, tcase);
    return suite;
}
