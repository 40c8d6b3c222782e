/*
 * Tests how the server sends the files of web/, the page of the API and the OpenAPI document. Files
 * are unchanged, with their media type, an ETag, and headers that restrict pages to files of this
 * server.
 */
#include "suites.h"
#include "support/server_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE = 256, LARGEST = 4 << 20 };

static void setup(void)
{
    start_server(ARGUMENTS("--log-level=warning", "--threads=1"));
}

/* ---- Files ---- */

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
    ask("GET", path, NULL, NULL);
    ck_assert_msg(response.status == 200, "%s: %s", path, response.body);
    ck_assert_uint_eq(response.body_len, len);
    ck_assert_mem_eq(response.body, bytes, len);
    free(bytes);
    expect_header_contains("Content-Type", "/");
    expect_header_contains("Content-Security-Policy", "default-src 'self'");
    expect_header_contains("Content-Security-Policy", "frame-ancestors 'none'");
    expect_header_contains("X-Content-Type-Options", "nosniff");
    expect_header_contains("Referrer-Policy", "no-referrer");
    expect_header_contains("Cache-Control", "no-cache");
    expect_header_contains("Vary", "Accept-Encoding");
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

START_TEST(assets_are_not_sent_again_if_unchanged)
{
    char etag[VALUE], headers[VALUE + 64], length[VALUE];
    ask("GET", "/assets/icon.svg", NULL, NULL);
    ck_assert_ptr_nonnull(http_response_header(&response, "ETag", etag, sizeof etag));
    static const char *const before[] = {"", "W/\"other\", ", "\"\", W/"};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        /* A tag matches whether it is strong or weak. */
        snprintf(headers, sizeof headers, "If-None-Match: %s%s\r\n", before[i],
                 etag + (i == 2 ? 2 : 0));
        ask("GET", "/assets/icon.svg", headers, NULL);
        ck_assert_msg(response.status == 304, "%s: %d", headers, response.status);
        expect_header_contains("ETag", etag);
        expect_header_contains("Vary", "Accept-Encoding");
        expect_header_contains("Cache-Control", "no-cache");
    }
    ask("GET", "/assets/icon.svg", "If-None-Match: *\r\n", NULL);
    ck_assert_int_eq(response.status, 304);
    ask("GET", "/assets/icon.svg", "If-None-Match: \"other\"\r\n", NULL);
    ck_assert_int_eq(response.status, 200);
    ck_assert_ptr_nonnull(http_response_header(&response, "Content-Length", length, sizeof length));
    ck_assert_uint_eq(strtoul(length, NULL, 10), response.body_len);
}
END_TEST

START_TEST(assets_need_their_exact_name)
{
    static const char *const paths[] = {
        "/assets/",      "/assets/.",         "/assets/..",          "/assets/../assets",
        "/assets/icon",  "/assets/icon.svg/", "/assets/nowhere.js",  "/assets/%2e%2e",
        "/web/icon.svg", "/assets/ICON.SVG",  "/assets/web/icon.svg"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        ask("GET", paths[i], NULL, NULL);
        ck_assert_msg(response.status == 404, "%s: %d", paths[i], response.status);
        expect_header_contains("Content-Type", "application/problem+json");
    }
    ask("GET", "/assets/ikon.svg", NULL, NULL);
    ck_assert_msg(strstr(response.body, "did you mean '/assets/icon.svg'?") != NULL, "%s",
                  response.body);
    ask("POST", "/assets/icon.svg", NULL, "x");
    ck_assert_int_eq(response.status, 405);
    expect_header_contains("Allow", "GET, HEAD, OPTIONS");
    ask("HEAD", "/assets/icon.svg", NULL, NULL);
    ck_assert_int_eq(response.status, 200);
    expect_header_contains("Content-Type", "image/svg+xml");
}
END_TEST

/* ---- OpenAPI document ---- */

START_TEST(document_is_served_like_other_paths)
{
    static const char path[] = "/openapi.json",
                      json_header[] = "Content-Type: application/json\r\n";
    char length[32];
    ask("GET", path, NULL, NULL);
    snprintf(length, sizeof length, "%zu", response.body_len);
    expect_header_contains("Content-Type", "application/json");
    ask("HEAD", path, NULL, NULL);
    ck_assert_int_eq(response.status, 200);
    expect_header_contains("Content-Length", length);
    ask("POST", path, json_header, "{}");
    ck_assert_int_eq(response.status, 405);
    expect_header_contains("Allow", "GET, HEAD, OPTIONS");
    ask("GET", path, "Accept: text/html\r\n", NULL);
    ck_assert_int_eq(response.status, 406);
    static const char *const codings[] = {"gzip", "deflate", "zstd"};
    for (size_t i = 0; i < sizeof codings / sizeof *codings; i++) {
        char header[VALUE];
        snprintf(header, sizeof header, "Accept-Encoding: %s\r\n", codings[i]);
        ask("GET", path, header, NULL);
        ck_assert_int_eq(response.status, 200);
        expect_header_contains("Content-Encoding", codings[i]);
        ck_assert_uint_lt(response.body_len, strtoul(length, NULL, 10) / 4);
    }
    ask("GET", "/openapi.jsn", NULL, NULL);
    ck_assert_ptr_nonnull(strstr(response.body, "did you mean '/openapi.json'?"));
}
END_TEST

/* ---- Page of the API ---- */

/* Every URL in this attribute of a page must be served. */
static void expect_served(const char *page, const char *attribute)
{
    char *const text = strdup(page);
    ck_assert_ptr_nonnull(text);
    int found = 0;
    for (char *at_name = text; (at_name = strstr(at_name, attribute)); found++) {
        char *const path = at_name + strlen(attribute);
        path[strcspn(path, "\"")] = '\0';
        at_name = path + strlen(path) + 1;
        if (*path == '#')
            continue;
        char target[VALUE];
        snprintf(target, sizeof target, "/%s",
                 strcmp(path, "./") == 0 ? "" : path); /* as seen from /docs */
        ask("GET", target, NULL, NULL);
        ck_assert_msg(response.status == 200, "%s: %d", target, response.status);
        if (strstr(path, ".svg")) /* contains the URL of its XML namespace */
            continue;
        ck_assert_msg(!strstr(path, "docs.") || !strstr(response.body, "://"),
                      "%s contains a URL of another server", path);
        ck_assert_msg(!strstr(path, "docs.") || !strstr(response.body, "innerHTML"),
                      "%s sets text as HTML", path);
    }
    ck_assert_int_gt(found, 0);
    free(text);
}

START_TEST(page_of_the_api_needs_no_other_server)
{
    ask("GET", "/docs", "Accept: text/html\r\n", NULL);
    ck_assert_int_eq(response.status, 200);
    expect_header_contains("Content-Type", "text/html");
    expect_header_contains("Content-Security-Policy", "default-src 'self'");
    expect_header_contains("Content-Security-Policy", "frame-ancestors 'none'");
    char *const page = strdup(response.body);
    expect_served(page, "href=\"");
    expect_served(page, "src=\"");
    ck_assert_ptr_null(strstr(page, " style="));
    ck_assert_ptr_null(strstr(page, "<script>"));
    free(page);
    ask("HEAD", "/docs", NULL, NULL);
    ck_assert_int_eq(response.status, 200);
    ask("GET", "/docs", "If-None-Match: *\r\n", NULL);
    ck_assert_int_eq(response.status, 304);
    ask("PUT", "/docs", NULL, "x");
    ck_assert_int_eq(response.status, 405);
    ask("GET", "/dosc", NULL, NULL);
    ck_assert_ptr_nonnull(strstr(response.body, "did you mean '/docs'?"));
}
END_TEST

Suite *static_files_suite(void)
{
    Suite *suite = suite_create("static_files");
    TCase *const files = suite_add_case(suite, "static_files", 60, setup, end_server);
    CASE_ADD(files, assets_are_the_files_of_web, assets_are_not_sent_again_if_unchanged,
             assets_need_their_exact_name);
    TCase *const api = suite_add_case(suite, "openapi_files", 60, setup, end_server);
    CASE_ADD(api, document_is_served_like_other_paths, page_of_the_api_needs_no_other_server);
    return suite;
}
