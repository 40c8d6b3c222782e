#include "support/server_fixture.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

struct server_process server;
struct http_client client = {.fd = -1};
struct http_response response;

const char mse_path[] = "/v1/losses/mse";
const char mse_body[] = "{\"input\": [1, 2, 3], \"target\": [1, 2, 5]}";

/* ---- Server ---- */

void start_server(const char *const arguments[])
{
    server_process_start(&server, arguments);
    connect_client(&client);
}

void end_server(void)
{
    http_client_close(&client);
    http_response_free(&response);
    if (server.pid > 0)
        server_process_end(&server);
    else
        server_process_free(&server);
}

void kill_server(void)
{
    http_client_close(&client);
    http_response_free(&response);
    server_process_free(&server);
}

void expect_refused_start(const char *const arguments[], const char *wanted)
{
    char out[SERVER_TEXT], err[SERVER_TEXT];
    ck_assert_int_eq(server_process_run(arguments, out, err), 1);
    expect_text(err, wanted);
}

/* ---- Connections ---- */

void connect_client(struct http_client *to)
{
    ck_assert(http_client_connect(to, "127.0.0.1", server.port));
}

void connect_from_elsewhere(struct http_client *to)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    *to = (struct http_client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    inet_pton(AF_INET, "127.0.0.2", &address.sin_addr);
    ck_assert_int_eq(bind(to->fd, (struct sockaddr *)&address, sizeof address), 0);
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    address.sin_port = htons((uint16_t)server.port);
    ck_assert_int_eq(connect(to->fd, (struct sockaddr *)&address, sizeof address), 0);
}

void reconnect(void)
{
    http_client_close(&client);
    connect_client(&client);
}

void connect_port(int port)
{
    http_client_close(&client);
    ck_assert(http_client_connect(&client, "127.0.0.1", port));
}

void connect_path(const char *path)
{
    http_client_close(&client);
    ck_assert_msg(http_client_connect_path(&client, path), "no server listens on %s", path);
}

int server_admin_port(void)
{
    return server_process_port(&server, "for health and metrics on");
}

/* ---- Requests ---- */

int ask(const char *method, const char *path, const char *headers, const char *body)
{
    ck_assert_msg(
        http_client_ask(&client, method, path, headers, body, body ? strlen(body) : 0, &response),
        "no response to %s %s", method, path);
    return response.status;
}

int ask_raw(const char *text)
{
    ck_assert(http_client_send_text(&client, text));
    ck_assert_msg(http_client_read(&client, &response, false), "no response to %s", text);
    return response.status;
}

bool is_answered(struct http_client *by)
{
    return http_client_ask(by, "GET", "/healthz", NULL, NULL, 0, &response) &&
           response.status == 200;
}

void announce(struct http_client *by, unsigned long long len, const char *headers)
{
    char head[256];
    snprintf(head, sizeof head, POST_MSE "%sContent-Length: %llu\r\n\r\n", headers, len);
    ck_assert(http_client_send_text(by, head));
}

void connect_and_announce(struct http_client *by, unsigned long long len, const char *headers)
{
    ck_assert(http_client_connect(by, "127.0.0.1", server.port));
    announce(by, len, headers);
}

void begin_upload(struct http_client *upload, size_t len)
{
    char head[256];
    struct http_response interim = {.status = 0};
    connect_client(upload);
    snprintf(head, sizeof head,
             "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\nExpect: "
             "100-continue\r\n\r\n",
             mse_path, len);
    ck_assert(http_client_send_text(upload, head));
    ck_assert(http_client_read(upload, &interim, false));
    ck_assert_int_eq(interim.status, 100);
    http_response_free(&interim);
}

/* ---- Expectations ---- */

void expect_text(const char *text, const char *wanted)
{
    ck_assert_msg(strstr(text, wanted) != NULL, "\"%s\" is not in: %s", wanted, text);
}

void expect_response(int status, const char *wanted)
{
    ck_assert_msg(response.status == status, "expected %d, got %s%s", status, response.head,
                  response.body);
    expect_text(response.body, wanted);
}

void expect_get(const char *path, int status, const char *wanted)
{
    ask("GET", path, NULL, NULL);
    expect_response(status, wanted);
}

void expect_problem(int status, const char *wanted)
{
    expect_response(status, wanted);
    expect_header("Content-Type", "application/problem+json");
}

void expect_problem_and_end(int status, const char *wanted)
{
    ck_assert(http_client_read(&client, &response, false));
    expect_problem(status, wanted);
    ck_assert(http_client_closed(&client));
}

void expect_loss(void)
{
    ck_assert_msg(response.status == 200, "%s%s", response.head, response.body);
    ck_assert_ptr_nonnull(strstr(response.body, "\"loss\""));
}

void expect_header(const char *name, const char *value)
{
    char found[256];
    ck_assert_msg(http_response_header(&response, name, found, sizeof found) != NULL, "no %s in %s",
                  name, response.head);
    ck_assert_str_eq(found, value);
}

void expect_header_contains(const char *name, const char *wanted)
{
    char found[256];
    ck_assert_msg(http_response_header(&response, name, found, sizeof found) != NULL, "no %s in %s",
                  name, response.head);
    expect_text(found, wanted);
}

bool has_header(const char *name)
{
    char found[256];
    return http_response_header(&response, name, found, sizeof found) != NULL;
}

void expect_closed(void)
{
    expect_header("Connection", "close");
    ck_assert(http_client_closed(&client));
}

void expect_evaluated(void)
{
    ask("POST", mse_path, NULL, mse_body);
    expect_response(200, "\"loss\":1.33333");
}

void expect_usable(void)
{
    ask("GET", "/healthz", NULL, NULL);
    ck_assert_int_eq(response.status, 200);
}
