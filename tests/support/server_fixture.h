/* A server, a client connected to it, and the last response: what most tests through the socket
   use. */
#ifndef TESTS_SERVER_FIXTURE_H
#define TESTS_SERVER_FIXTURE_H

#include <stdbool.h>

#include "support/http_client.h"
#include "support/server_process.h"
#include "support/wait.h"

extern struct server_process server;
extern struct http_client client;
extern struct http_response response;

/* A small request, whose loss is 4/3. */
extern const char mse_path[], mse_body[];

/* The first lines of a request to mse_path; other headers follow. */
#define POST_MSE "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\n"
/* A whole request. */
#define GET_HEALTH "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

/* ---- Server ---- */

#define ARGUMENTS(...)                                                                             \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

/* Starts the server and connects the client. */
void start_server(const char *const arguments[]);
/* Like start_server(), with two compute threads, one I/O thread and more arguments. */
#define START_SERVER(...) start_server(ARGUMENTS("--threads=2", "--io-threads=1", __VA_ARGS__))

/* Stops the server, which must exit with 0, if it is running, and frees all resources. */
void end_server(void);
/* Kills the server if it is running, and frees all resources. */
void kill_server(void);

/* Runs a server that must exit with 1 instead of starting; its stderr must contain `wanted`. */
void expect_refused_start(const char *const arguments[], const char *wanted);

/* ---- Connections ---- */

/* Connects another client. */
void connect_client(struct http_client *to);
/* Connects another client, which has the address 127.0.0.2. */
void connect_from_elsewhere(struct http_client *to);

/* Closes the connection of the client and connects it again. */
void reconnect(void);
/* Like reconnect(), to another port or to a Unix socket. */
void connect_port(int port);
void connect_path(const char *path);
/* Returns the port of --admin-listen. */
int server_admin_port(void);

/* ---- Requests ---- */

/* Sends a request and reads the response. Each header in `headers` ends in CRLF; `headers` and
   `body` may be NULL. Returns the status. */
int ask(const char *method, const char *path, const char *headers, const char *body);
/* Sends raw bytes and reads the response. Returns the status. */
int ask_raw(const char *text);
/* Returns true if a client gets 200 for /healthz. */
bool is_answered(struct http_client *by);

/* Sends the headers of a request for mse with a Content-Length. */
void announce(struct http_client *by, unsigned long long len, const char *headers);
/* Like announce(), on a new connection. */
void connect_and_announce(struct http_client *by, unsigned long long len, const char *headers);
/* Begins a request on a new connection. The server has received the headers, as
   "100 Continue" shows, but not the body. */
void begin_upload(struct http_client *upload, size_t len);

/* ---- Expectations ---- */

void expect_text(const char *text, const char *wanted);

/* Checks the last response: its status, and a text that its body contains. */
void expect_response(int status, const char *wanted);
/* Sends a GET, and checks the response like expect_response(). */
void expect_get(const char *path, int status, const char *wanted);
/* Checks the last response like expect_response(); it must be a problem document. */
void expect_problem(int status, const char *wanted);
/* Reads a response that is a problem, and after which the server closes the connection. */
void expect_problem_and_end(int status, const char *wanted);
/* Checks that the last response contains a loss. */
void expect_loss(void);

/* Checks a header of the last response: its value, or a text that it contains. */
void expect_header(const char *name, const char *value);
void expect_header_contains(const char *name, const char *wanted);
bool has_header(const char *name);
/* Checks that the last response has "Connection: close", and that the server then closes. */
void expect_closed(void);

/* Sends the small request on the connection of the client, and checks the response. */
void expect_evaluated(void);
/* Checks that the connection of the client can still be used. */
void expect_usable(void);

#endif
