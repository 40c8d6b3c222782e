/*
 * Sends, through a raw socket, requests whose end two parties could interpret differently. Each is
 * followed by a second request with an id. If the server rejects the first, it must not answer the
 * second; if it accepts the first, the next response must be that of the second.
 */
#include "support/http_client.h"
#include "support/server_process.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mhd_workarounds/strict_parser.h"
#include "suites.h"

enum { ANSWERS = 4, CHUNKS = 100000 };

enum outcome {
    TAKEN,      /* answered with the statuses, then the second request is answered */
    REFUSED,    /* answered with the statuses, the last with a problem or 200; then closed */
    UNFINISHED, /* incomplete: no response; closed when the client has closed its sending side */
};

struct shape {
    enum outcome outcome;
    int status[ANSWERS];
    const char *says; /* text in the last of these responses */
    const char *text;
    size_t len; /* of `text`, which may contain NUL bytes */
};

#define STATUSES(...)                                                                              \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define SHAPE(outcome, statuses, says, text)                                                       \
    {                                                                                              \
        outcome, statuses, says, text, sizeof(text) - 1                                            \
    }
#define TAKES(statuses, text)       SHAPE(TAKEN, STATUSES statuses, "", text)
#define REFUSES(status, says, text) SHAPE(REFUSED, STATUSES(status), says, text)
#define WAITS(text)                 SHAPE(UNFINISHED, STATUSES(0), "", text)

#define HOST    "Host: localhost\r\n"
#define POST    "POST /v1/losses/mse HTTP/1.1\r\n" HOST
#define GET     "GET /healthz HTTP/1.1\r\n" HOST
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define BODY    "{\"input\":[1],\"target\":[3]}" /* 26 bytes, 1a in chunks */
#define SECOND  "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: second\r\n\r\n"

static const struct shape shapes[] = {
    /* ---- Lengths ---- */
    TAKES((200), POST "Content-Length: 26\r\n\r\n" BODY),
    TAKES((200), POST "content-LENGTH:26\r\n\r\n" BODY),
    TAKES((200), POST "Content-Length: \t 26\r\n\r\n" BODY),
    TAKES((200), POST "Content-Length: 0000000000000000026\r\n\r\n" BODY),
    TAKES((400), POST "Content-Length: 0\r\n\r\n"),
    TAKES((400), POST "Content-Length: 5\r\n\r\nx\r\n\r\n"),
    TAKES((411), POST "\r\n"),
    REFUSES(400, "more than one Content-Length",
            POST "Content-Length: 26\r\nContent-Length: 26\r\n\r\n" BODY),
    REFUSES(400, "more than one Content-Length",
            POST "Content-Length: 0\r\ncontent-length: 26\r\n\r\n" BODY),
    REFUSES(400, "more than one Content-Length",
            POST "Content-Length: 26\r\nX: y\r\nContent-Length: 0\r\n\r\n" BODY),
    REFUSES(400, "more than one Inference-Header-Content-Length",
            POST "Inference-Header-Content-Length: 26\r\nInference-Header-Content-Length: "
                 "26\r\nContent-Length: 26\r\n\r\n" BODY),
    REFUSES(400, "more than 19 digits", POST "Content-Length: 00000000000000000026\r\n\r\n" BODY),
    REFUSES(413, "--max-body", POST "Content-Length: 9223372036854775807\r\n\r\n" BODY),
    REFUSES(413, "--max-body", POST "Content-Length: 9999999999999999999\r\n\r\n" BODY),
    REFUSES(413, "--max-body", POST "Content-Length: 18446744073709551642\r\n\r\n" BODY),
    REFUSES(413, "--max-body", POST "Content-Length: 99999999999999999999999999\r\n\r\n" BODY),
    REFUSES(400, "only digits", POST "Content-Length: 26, 26\r\n\r\n" BODY),
    REFUSES(400, "only digits", POST "Content-Length: 26 \r\n\r\n" BODY),
    REFUSES(400, "only digits", POST "Content-Length: 26;\r\n\r\n" BODY),
    REFUSES(400, "only digits", POST "Content-Length: +26\r\n\r\n" BODY),
    REFUSES(400, "only digits", POST "Content-Length: -26\r\n\r\n" BODY),
    REFUSES(400, "only digits", POST "Content-Length: 0x1a\r\n\r\n" BODY),
    REFUSES(400, "only digits", POST "Content-Length: 2 6\r\n\r\n" BODY),
    REFUSES(400, "only digits", POST "Content-Length: 26.0\r\n\r\n" BODY),
    REFUSES(400, "only digits", POST "Content-Length: \"26\"\r\n\r\n" BODY),
    REFUSES(400, "only digits", POST "Content-Length:\r\n\r\n" BODY),
    REFUSES(400, "no colon", POST "Content-Length\r\n\r\n" BODY),
    REFUSES(400, "NUL", POST "Content-Length\0: 26\r\n\r\n" BODY),
    REFUSES(400, "bare LF", POST "Content-Length\n26\r\n\r\n" BODY),
    REFUSES(400, "NUL", POST "Content-Length: 26\0\r\n\r\n" BODY),
    REFUSES(400, "NUL", POST "Content-Length: 2\0006\r\n\r\n" BODY),
    /* ---- Transfer codings ---- */
    TAKES((200), CHUNKED "1a\r\n" BODY "\r\n0\r\n\r\n"),
    TAKES((200), POST "transfer-encoding:CHUNKED\r\n\r\n1A\r\n" BODY "\r\n0\r\n\r\n"),
    TAKES((200), POST "Transfer-Encoding: \tchunked\r\n\r\n1A\r\n" BODY "\r\n0\r\n\r\n"),
    REFUSES(400, "both Content-Length and Transfer-Encoding",
            POST "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"),
    REFUSES(400, "both Content-Length and Transfer-Encoding",
            POST "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG"),
    REFUSES(400, "both Content-Length and Transfer-Encoding",
            POST "Transfer-Encoding: identity\r\nContent-Length: 26\r\n\r\n" BODY),
    REFUSES(400, "more than one Transfer-Encoding",
            POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    REFUSES(501, "Transfer-Encoding", POST "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    REFUSES(501, "Transfer-Encoding", POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    REFUSES(501, "Transfer-Encoding", POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    REFUSES(501, "Transfer-Encoding", POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    REFUSES(501, "Transfer-Encoding", POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    REFUSES(501, "Transfer-Encoding", POST "Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n"),
    REFUSES(501, "Transfer-Encoding", POST "Transfer-Encoding: chunked \r\n\r\n0\r\n\r\n"),
    REFUSES(501, "Transfer-Encoding", POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    REFUSES(501, "Transfer-Encoding", POST "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"),
    REFUSES(400, "header value", POST "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n"),
    REFUSES(501, "Transfer-Encoding", POST "Transfer-Encoding:\r\n\r\n0\r\n\r\n"),
    REFUSES(400, "no colon", POST "Transfer-Encoding\r\n\r\n0\r\n\r\n"),
    REFUSES(400, "NUL", POST "Transfer-Encoding: chunked\0x\r\n\r\n0\r\n\r\n"),
    REFUSES(400, "NUL", POST "X: y\0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    REFUSES(400, "HTTP/1.0",
            "POST /v1/losses/mse HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    /* ---- Chunks ---- */
    TAKES((200), CHUNKED "01a\r\n" BODY "\r\n0\r\n\r\n"),
    TAKES((200), CHUNKED "000000000000001a\r\n" BODY "\r\n0000\r\n\r\n"),
    TAKES((200), CHUNKED "1a;a=b;c=\"d;e\"\r\n" BODY "\r\n0;last\r\n\r\n"),
    TAKES((200), CHUNKED "1a;\r\n" BODY "\r\n0\r\n\r\n"),
    REFUSES(400, "1 to 16", CHUNKED "0000000000000001a\r\n" BODY "\r\n0\r\n\r\n"),
    REFUSES(400, "bare LF", CHUNKED "1a\n" BODY "\r\n0\r\n\r\n"),
    REFUSES(400, "bare LF", CHUNKED "1a\r\n" BODY "\n0\r\n\r\n"),
    REFUSES(400, "bare LF", CHUNKED "1a\r\n" BODY "\r\n0\n\r\n"),
    REFUSES(400, "bare LF", CHUNKED "1a\r\n" BODY "\r\n0\r\n\n"),
    REFUSES(400, "bare LF", CHUNKED "1a;\nxx\r\n" BODY "\r\n0\r\n\r\n"),
    REFUSES(400, "bare LF", CHUNKED "1a\r\n" BODY "\r\n0;\n\r\n"),
    REFUSES(400, "bare CR", CHUNKED "1a;a\rb\r\n" BODY "\r\n0\r\n\r\n"),
    REFUSES(400, "control character", CHUNKED "1a;\x01\r\n" BODY "\r\n0\r\n\r\n"),
    REFUSES(400, "NUL", CHUNKED "1a;\0\r\n" BODY "\r\n0\r\n\r\n"),
    REFUSES(400, "1 to 16", CHUNKED "\r\n" BODY "\r\n0\r\n\r\n"),
    REFUSES(400, "1 to 16", CHUNKED "xyz\r\n" BODY "\r\n0\r\n\r\n"),
    REFUSES(400, "1 to 16", CHUNKED "0x1a\r\n" BODY "\r\n0\r\n\r\n"),
    REFUSES(400, "1 to 16", CHUNKED "-1\r\n" BODY "\r\n0\r\n\r\n"),
    REFUSES(400, "1 to 16", CHUNKED "+1a\r\n" BODY "\r\n0\r\n\r\n"),
    REFUSES(400, "1 to 16", CHUNKED " 1a\r\n" BODY "\r\n0\r\n\r\n"),
    REFUSES(400, "1 to 16", CHUNKED "1a \r\n" BODY "\r\n0\r\n\r\n"),
    REFUSES(400, "1 to 16", CHUNKED "1a ;a\r\n" BODY "\r\n0\r\n\r\n"),
    REFUSES(400, "1 to 16", CHUNKED "1g\r\n" BODY "\r\n0\r\n\r\n"),
    REFUSES(400, "1 to 16", CHUNKED ";a\r\n" BODY "\r\n0\r\n\r\n"),
    REFUSES(400, "1 to 16", CHUNKED "1000000000000001a\r\n" BODY "\r\n0\r\n\r\n"),
    WAITS(CHUNKED "7fffffffffffffff\r\n" BODY "\r\n0\r\n\r\n"),
    WAITS(CHUNKED "ffffffffffffffff\r\n" BODY "\r\n0\r\n\r\n"),
    REFUSES(400, "longer than its declared size", CHUNKED "19\r\n" BODY "\r\n0\r\n\r\n"),
    REFUSES(400, "longer than its declared size", CHUNKED "1a\r\n" BODY "0\r\n\r\n"),
    REFUSES(400, "longer than its declared size", CHUNKED "1a\r\n" BODY "XX0\r\n\r\n"),
    /* ---- Trailers ---- */
    TAKES((200), CHUNKED "1a\r\n" BODY "\r\n0\r\nX-Trailer: 1\r\n\r\n"),
    TAKES((200),
          CHUNKED "1a\r\n" BODY
                  "\r\n0\r\nContent-Length: 500\r\nTransfer-Encoding: chunked\r\nHost: y\r\n\r\n"),
    REFUSES(400, "bare LF", CHUNKED "1a\r\n" BODY "\r\n0\r\nX: a\n\r\n"),
    REFUSES(400, "bare LF",
            CHUNKED "1a\r\n" BODY
                    "\r\n0\r\nX: a\n\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    REFUSES(400, "NUL", CHUNKED "1a\r\n" BODY "\r\n0\r\nX: a\0\r\n\r\n"),
    REFUSES(400, "NUL", CHUNKED "1a\r\n" BODY "\r\n0\r\n\0GET / HTTP/1.1\r\n\r\n"),
    REFUSES(400, "second line", CHUNKED "1a\r\n" BODY "\r\n0\r\nX: a\r\n b\r\n\r\n"),
    REFUSES(400, "no colon", CHUNKED "1a\r\n" BODY "\r\n0\r\nno colon\r\n\r\n"),
    /* ---- Header names and values ---- */
    TAKES((200), GET "X-Empty:\r\nX-High: \x80\xff\r\nX-Tab: a\tb\r\n\r\n"),
    REFUSES(400, "header name", POST "Content-Length : 26\r\n\r\n" BODY),
    REFUSES(400, "header name", POST "Content-Length\t: 26\r\n\r\n" BODY),
    REFUSES(400, "header name", POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    REFUSES(400, "header name", POST "X Y: 1\r\nContent-Length: 26\r\n\r\n" BODY),
    REFUSES(400, "header name", POST "X\x01Y: 1\r\nContent-Length: 26\r\n\r\n" BODY),
    REFUSES(400, "header name", POST "X\x80Y: 1\r\nContent-Length: 26\r\n\r\n" BODY),
    REFUSES(400, "no name", POST ": 1\r\nContent-Length: 26\r\n\r\n" BODY),
    REFUSES(400, "header value", POST "X: a\x01\r\nContent-Length: 26\r\n\r\n" BODY),
    REFUSES(400, "header value", POST "X: a\x7f\r\nContent-Length: 26\r\n\r\n" BODY),
    REFUSES(400, "bare CR", POST "X: a\rContent-Length: 26\r\n\r\n"),
    REFUSES(400, "bare CR", POST "X: a\r\r\nContent-Length: 26\r\n\r\n" BODY),
    REFUSES(400, "NUL", POST "X: a\0b\r\nContent-Length: 26\r\n\r\n" BODY),
    REFUSES(400, "NUL", POST "X\0: a\r\nContent-Length: 26\r\n\r\n" BODY),
    REFUSES(400, "NUL", POST "Content-Length: 26\r\n\0X: a\r\n\r\n" BODY),
    REFUSES(400, "NUL", GET "\0X: a\r\nContent-Length: 26\r\n\r\n" BODY),
    REFUSES(400, "bare LF", POST "X: a\nContent-Length: 26\r\n\r\n" BODY),
    REFUSES(400, "bare LF", POST "Content-Length: 26\n\r\n" BODY),
    REFUSES(400, "bare LF", POST "Content-Length: 26\r\n\n" BODY),
    REFUSES(400, "bare LF", POST "Content-Length: 26\n\n" BODY),
    REFUSES(400, "bare LF", GET "X: a\n\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    REFUSES(400, "second line",
            POST "X: a\r\n Content-Length: 0\r\nContent-Length: 26\r\n\r\n" BODY),
    REFUSES(400, "only digits", POST "Content-Length:\r\n 26\r\n\r\n" BODY),
    REFUSES(400, "second line", POST "Transfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n"),
    REFUSES(400, "second line", "GET /healthz HTTP/1.1\r\n Host: localhost\r\n\r\n"),
    REFUSES(400, "no colon", POST "no colon in this\r\n\r\n" BODY),
    /* ---- Hosts ---- */
    REFUSES(400, "no Host", "GET /healthz HTTP/1.1\r\n\r\n"),
    REFUSES(400, "more than one Host", GET HOST "\r\n"),
    REFUSES(400, "more than one Host", GET "hOST: y\r\n\r\n"),
    /* ---- Request line ---- */
    TAKES((200), "\r\n" GET "\r\n"),
    TAKES((200), "\r\n\r\n" POST "Content-Length: 26\r\n\r\n" BODY "\r\n"),
    TAKES((200), "GET http://localhost/healthz HTTP/1.1\r\n" HOST "\r\n"),
    TAKES((200), "GET HTTPS://localhost:99/healthz?a=b HTTP/1.1\r\n" HOST "\r\n"),
    TAKES((400), "GET ftp://x/healthz HTTP/1.1\r\n" HOST "\r\n"),
    TAKES((400), "GET healthz HTTP/1.1\r\n" HOST "\r\n"),
    TAKES((400), "CONNECT x:80 HTTP/1.1\r\n" HOST "\r\n"),
    TAKES((204), "OPTIONS * HTTP/1.1\r\n" HOST "\r\n"),
    TAKES((204), "OPTIONS /healthz HTTP/1.1\r\n" HOST "\r\n"),
    TAKES((400), "GET * HTTP/1.1\r\n" HOST "\r\n"),
    TAKES((405), "TRACE /healthz HTTP/1.1\r\n" HOST "\r\n"),
    TAKES((405), "PRI /healthz HTTP/1.1\r\n" HOST "\r\n"),
    TAKES((405), "get /healthz HTTP/1.1\r\n" HOST "\r\n"),
    TAKES((405), "DELETE /healthz HTTP/1.1\r\n" HOST "Content-Length: 26\r\n\r\n" BODY),
    TAKES((400), "GET /a%2fb HTTP/1.1\r\n" HOST "\r\n"),
    TAKES((400), "GET /a%00b HTTP/1.1\r\n" HOST "\r\n"),
    TAKES((400), "GET /a%0d%0aX:%20y HTTP/1.1\r\n" HOST "\r\n"),
    TAKES((404), "GET /../../etc/passwd HTTP/1.1\r\n" HOST "\r\n"),
    TAKES((404), "GET //healthz HTTP/1.1\r\n" HOST "\r\n"),
    TAKES((200), "GET /healthz HTTP/1.2\r\n" HOST "\r\n"),
    REFUSES(400, "NUL", "GET /healthz\0 HTTP/1.1\r\n" HOST "\r\n"),
    REFUSES(400, "NUL", "GET /healthz?a=b\0c HTTP/1.1\r\n" HOST "\r\n"),
    REFUSES(400, "method", "G@T /healthz HTTP/1.1\r\n" HOST "\r\n"),
    REFUSES(400, "NUL", "GET\0 /healthz HTTP/1.1\r\n" HOST "\r\n"),
    REFUSES(400, "bare LF", "GET /healthz HTTP/1.1\n" HOST "\r\n"),
    REFUSES(400, "bare LF", "\n" GET "\r\n"),
    REFUSES(400, "single spaces", "GET /health z HTTP/1.1\r\n" HOST "\r\n"),
    REFUSES(400, "space", "GET  /healthz HTTP/1.1\r\n" HOST "\r\n"),
    REFUSES(400, "space", "GET /healthz  HTTP/1.1\r\n" HOST "\r\n"),
    REFUSES(400, "space", " GET /healthz HTTP/1.1\r\n" HOST "\r\n"),
    REFUSES(400, "single spaces", "GET /healthz HTTP/1.1 \r\n" HOST "\r\n"),
    REFUSES(400, "single spaces", "GET /healthz\tHTTP/1.1\r\n" HOST "\r\n"),
    REFUSES(400, "single spaces", "GET /healthz HTTP/1.1\t\r\n" HOST "\r\n"),
    REFUSES(400, "single spaces", "GET /healthz http/1.1\r\n" HOST "\r\n"),
    REFUSES(400, "single spaces", "GET /healthz HTTP/11\r\n" HOST "\r\n"),
    REFUSES(400, "single spaces", "GET /healthz HTTP/1.10\r\n" HOST "\r\n"),
    REFUSES(505, "unsupported HTTP version", "GET /healthz HTTP/0.9\r\n" HOST "\r\n"),
    REFUSES(505, "unsupported HTTP version", "GET /healthz HTTP/2.0\r\n" HOST "\r\n"),
    REFUSES(400, "single spaces", "GET /healthz\r\n\r\n"),
    REFUSES(400, "single spaces", "GET \r\n\r\n"),
    REFUSES(400, "single spaces", "GET\r\n\r\n"),
    REFUSES(505, "unsupported HTTP version", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    REFUSES(400, "single spaces", "\x16\x03\x01\x02\x01\r\n\r\n"),
    /* ---- HTTP/1.0 ---- */
    TAKES((200), "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    TAKES(
        (200, 200),
        "POST /v1/losses/mse HTTP/1.0\r\nConnection: Keep-Alive\r\nContent-Length: 26\r\n\r\n" BODY
            GET "\r\n"),
    /* ---- Expectations ---- */
    TAKES((100, 200), POST "Expect: 100-continue\r\nContent-Length: 26\r\n\r\n" BODY),
    TAKES((100, 200), POST "Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n1a\r\n" BODY
                           "\r\n0\r\n\r\n"),
    TAKES((200), POST "Expect: something-else\r\nContent-Length: 26\r\n\r\n" BODY),
    TAKES((200), "POST /v1/losses/mse HTTP/1.0\r\nConnection: keep-alive\r\nExpect: "
                 "100-continue\r\nContent-Length: 26\r\n\r\n" BODY),
    REFUSES(404, "nope",
            "POST /v1/losses/nope HTTP/1.1\r\n" HOST
            "Expect: 100-continue\r\nContent-Length: 26\r\n\r\n"),
    /* ---- Pipelines and unexpected bodies ---- */
    TAKES((200, 200, 404, 200),
          GET "\r\n" POST "Content-Length: 26\r\n\r\n" BODY "GET /nowhere HTTP/1.1\r\n" HOST
              "\r\n" CHUNKED "1a\r\n" BODY "\r\n0\r\n\r\n"),
    TAKES((404, 404), "POST /nowhere HTTP/1.1\r\n" HOST "Content-Length: 26\r\n\r\n" BODY
                      "GET /nowhere HTTP/1.1\r\n" HOST "\r\n"),
    TAKES((200), GET "Content-Length: 26\r\n\r\n" BODY),
    TAKES((200), GET "Content-Length: 64\r\n\r\n" SECOND),
    SHAPE(REFUSED, STATUSES(200, 400), "bare LF", GET "\r\n" POST "Content-Length: 26\n\r\n" BODY),
    /* A chunked body of a GET has no defined meaning. */
    REFUSES(200, "ok", GET "Transfer-Encoding: chunked\r\n\r\n1a\r\n" BODY "\r\n0\r\n\r\n"),
    /* ---- Protocol upgrades ---- */
    TAKES((200), GET "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "
                     "AAMAAABkAAQAAP__\r\n\r\n"),
    TAKES((200), GET "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: "
                     "dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
    /* ---- Incomplete bodies ---- */
    WAITS(POST "Content-Length: 500\r\n\r\n" BODY),
    REFUSES(400, "1 to 16", CHUNKED "1a\r\n" BODY "\r\n"),
    WAITS(CHUNKED "ff\r\n" BODY "\r\n0\r\n\r\n"),
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static struct server_process server;
static struct http_client client;
static struct http_response response;

static void setup(void)
{
    static const char *const arguments[] = {"--threads=1", "--io-threads=1", NULL};
    server_process_start(&server, arguments);
}

static void teardown(void)
{
    http_client_close(&client);
    http_response_free(&response);
    server_process_end(&server);
}

static bool is_second(void)
{
    char id[32];
    return http_response_header(&response, "X-Request-Id", id, sizeof id) &&
           strcmp(id, "second") == 0;
}

/* Sends bytes in pieces. A server that has rejected the first ones need not read the others. */
static void send_in_pieces(const char *bytes, size_t len, size_t piece)
{
    for (size_t at = 0, size; at < len; at += size) {
        size = len - at < piece ? len - at : piece;
        if (!http_client_send(&client, bytes + at, size))
            return;
        if (at + size < len)
            nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    }
}

static void expect_answers(const struct shape *shape)
{
    for (int i = 0; i < ANSWERS && shape->status[i]; i++) {
        ck_assert_msg(http_client_read(&client, &response, false), "%s: no response %d",
                      shape->text, i);
        ck_assert_msg(response.status == shape->status[i] && !is_second(), "%s, response %d: %s%s",
                      shape->text, i, response.head, response.body);
    }
    ck_assert_msg(!shape->says[0] || strstr(response.body, shape->says), "%s: %s%s", shape->text,
                  response.head, response.body);
}

static void expect_end(const struct shape *shape)
{
    char close[16], type[64];
    ck_assert_msg(response.status == 200 ||
                      (http_response_header(&response, "Content-Type", type, sizeof type) &&
                       strcmp(type, "application/problem+json") == 0),
                  "%s: not a problem: %s", shape->text, response.head);
    ck_assert_msg(response.status == 500 || !strstr(response.body, "Internal Server Error"),
                  "%s: %s", shape->text, response.body);
    ck_assert_msg(http_response_header(&response, "Connection", close, sizeof close) &&
                      strcmp(close, "close") == 0,
                  "%s stays open: %s", shape->text, response.head);
    ck_assert_msg(http_client_closed(&client), "%s: more data after the response", shape->text);
}

static void expect_outcome(const struct shape *shape)
{
    switch (shape->outcome) {
    case TAKEN:
        expect_answers(shape);
        ck_assert_msg(http_client_read(&client, &response, false) && response.status == 200 &&
                          is_second(),
                      "%s: the second request is not answered: %s", shape->text,
                      response.head ? response.head : "nothing");
        break;
    case REFUSED:
        expect_answers(shape);
        expect_end(shape);
        break;
    case UNFINISHED:
        http_client_shut(&client);
        ck_assert_msg(http_client_closed(&client), "%s is answered", shape->text);
        break;
    }
}

static void try_shape(int number, size_t piece)
{
    const struct shape *const shape = &shapes[number];
    char *const text = malloc(shape->len + sizeof SECOND);
    ck_assert_ptr_nonnull(text);
    memcpy(text, shape->text, shape->len);
    memcpy(text + shape->len, SECOND, sizeof SECOND);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
    send_in_pieces(text, shape->len + strlen(SECOND), piece);
    expect_outcome(shape);
    http_client_close(&client);
    free(text);
}

START_TEST(smuggling_is_rejected_in_one_segment)
{
    for (int i = 0; i < SHAPES; i++)
        try_shape(i, SIZE_MAX);
}
END_TEST

START_TEST(smuggling_is_rejected_byte_by_byte)
{
    for (int i = 0; i < SHAPES; i++)
        try_shape(i, 1);
}
END_TEST

START_TEST(smuggling_pipeline_is_answered_for_any_segments)
{
    static const char pipeline[] = GET "\r\n" POST "Content-Length: 26\r\n\r\n" BODY CHUNKED
                                       "1a;x\r\n" BODY "\r\n0\r\nX: y\r\n\r\n" SECOND;
    for (size_t cut = 1; cut < strlen(pipeline); cut++) {
        ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
        ck_assert(http_client_send(&client, pipeline, cut));
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
        ck_assert(http_client_send_text(&client, pipeline + cut));
        for (int i = 0; i < 4; i++) {
            ck_assert_msg(http_client_read(&client, &response, false), "cut at %zu: no response %d",
                          cut, i);
            ck_assert_msg(response.status == 200 && is_second() == (i == 3),
                          "cut at %zu, response %d: %s", cut, i, response.head);
        }
        http_client_close(&client);
    }
}
END_TEST

START_TEST(smuggling_parser_accepts_a_hundred_thousand_chunks)
{
    /* A body of blanks and an evaluation, in chunks of one byte. */
    enum { CHUNK = 6 };
    char *const text = malloc(CHUNKS * CHUNK), *to = text;
    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < CHUNKS; i++) {
        const size_t from_end = CHUNKS - i;
        const char byte = from_end <= strlen(BODY) ? BODY[strlen(BODY) - from_end] : ' ';
        memcpy(to, "1\r\n \r\n", CHUNK);
        to[3] = byte;
        to += CHUNK;
    }
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
    ck_assert(http_client_send_text(&client, CHUNKED));
    ck_assert(http_client_send(&client, text, CHUNKS * CHUNK));
    ck_assert(http_client_send_text(&client, "0\r\n\r\n" SECOND));
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_msg(response.status == 200, "%s%s", response.head, response.body);
    ck_assert(http_client_read(&client, &response, false) && is_second());
    free(text);
}
END_TEST

START_TEST(smuggling_parser_rejects_endless_lines)
{
    /* Longer than every buffer: name, value, target, method, chunk extension, trailer. */
    static const struct {
        const char *before;
        int status;
        const char *says;
    } lines[] = {{GET, 431, "--max-header-bytes"},
                 {GET "X: ", 431, "--max-header-bytes"},
                 {"GET /", 414, "--max-url"},
                 {"", 400, "method"},
                 {CHUNKED "1a;", 400, "chunk extension"},
                 {CHUNKED "1a\r\n" BODY "\r\n0\r\nX: ", 431, "--max-header-bytes"}};
    enum { ENDLESS = 100000 };
    char *const line = malloc(ENDLESS);
    ck_assert_ptr_nonnull(line);
    memset(line, 'a', ENDLESS);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
        ck_assert(http_client_send_text(&client, lines[i].before));
        send_in_pieces(line, ENDLESS, ENDLESS);
        send_in_pieces("\r\n\r\n" SECOND, strlen("\r\n\r\n" SECOND), SIZE_MAX);
        ck_assert_msg(http_client_read(&client, &response, false), "line %zu: no response", i);
        ck_assert_msg(response.status == lines[i].status && strstr(response.body, lines[i].says),
                      "line %zu: %s%s", i, response.head, response.body);
        ck_assert_msg(http_client_closed(&client), "line %zu: more data after the response", i);
        http_client_close(&client);
    }
    free(line);
}
END_TEST

/* ---- Parser with arbitrary segments ---- */

struct reading {
    unsigned heads, ends;
    struct http_error fault;
    char given[1024]; /* the bytes passed to libmicrohttpd */
    size_t len;
};

/* Parses a piece in a buffer with room for more, and records the bytes that libmicrohttpd gets
 * instead, as far as they fit. */
static void read_piece(struct strict_parser *parser, const char *bytes, size_t len, size_t room,
                       struct reading *reading)
{
    char *const to = reading->given + reading->len;
    ck_assert_uint_le(reading->len + room, sizeof reading->given);
    const size_t rest = strict_parser_rest(parser, to, room);
    memcpy(to + rest, bytes, rest > 0 ? 0 : len);
    reading->len += rest > 0 ? rest : strict_parser_read(parser, to, len, room);
}

/* Parses a request: `cut` bytes, then pieces of `piece` bytes, each with `spare` bytes of room
   after it. */
static struct reading reading_of(const struct shape *shape, size_t cut, size_t piece, size_t spare)
{
    struct strict_parser *const parser = strict_parser_of(0);
    struct reading reading = {0};
    strict_parser_begin(0, false);
    read_piece(parser, shape->text, cut, cut + spare, &reading);
    for (size_t at = cut, size; at < shape->len; at += size) {
        size = shape->len - at < piece ? shape->len - at : piece;
        read_piece(parser, shape->text + at, size, size + spare, &reading);
    }
    for (size_t rest = 1; rest > 0; reading.len += rest)
        rest = strict_parser_rest(parser, reading.given + reading.len, 1);
    while (strict_parser_head_fault(parser, reading.heads).status == 0)
        reading.heads++;
    while (strict_parser_fault(parser, reading.ends).status == 0)
        reading.ends++;
    reading.fault = strict_parser_early_fault(parser, reading.ends);
    strict_parser_end(0);
    return reading;
}

static void expect_same(const struct reading *one, const struct reading *two)
{
    ck_assert_uint_eq(one->heads, two->heads);
    ck_assert_uint_eq(one->ends, two->ends);
    ck_assert_int_eq(one->fault.status, two->fault.status);
    ck_assert_ptr_eq(one->fault.detail, two->fault.detail);
    ck_assert_uint_eq(one->len, two->len);
    ck_assert_mem_eq(one->given, two->given, one->len);
}

static int count_statuses(const struct shape *shape)
{
    int count = 0;
    for (int i = 0; i < ANSWERS; i++)
        count += shape->status[i] >= 200;
    return count;
}

START_TEST(smuggling_is_detected_for_any_segments)
{
    const struct limits limits = {
        .max_url = 1000, .max_header_bytes = 1000, .max_header_count = 10};
    ck_assert(strict_parser_open(1, &limits));
    for (int i = 0; i < SHAPES; i++) {
        const struct shape *const shape = &shapes[i];
        const struct reading whole = reading_of(shape, shape->len, 1, 64),
                             bytes = reading_of(shape, 0, 1, 0);
        expect_same(&whole, &bytes);
        for (size_t cut = 1; cut < shape->len; cut++) {
            const struct reading two = reading_of(shape, cut, SIZE_MAX, cut % 20);
            expect_same(&whole, &two);
        }
        if (shape->outcome == TAKEN) {
            ck_assert_msg(whole.ends == (unsigned)count_statuses(shape) && whole.fault.status == 0,
                          "%s: %u, %s", shape->text, whole.ends,
                          whole.fault.status ? whole.fault.detail : "sound");
            ck_assert_uint_eq(whole.len, shape->len);
            ck_assert_mem_eq(whole.given, shape->text, shape->len);
        }
    }
    strict_parser_close();
}
END_TEST

Suite *smuggling_suite(void)
{
    Suite *suite = suite_create("smuggling");
    TCase *served = suite_add_case(suite, "smuggling_served", 120, setup, teardown);
    TCase *slow = suite_add_case(suite, "smuggling_slow", 120, setup, teardown);
    tcase_set_tags(slow, TAG_SLOW);
    CASE_ADD(slow, smuggling_is_rejected_in_one_segment, smuggling_is_rejected_byte_by_byte);
    CASE_ADD(served, smuggling_pipeline_is_answered_for_any_segments,
             smuggling_parser_accepts_a_hundred_thousand_chunks,
             smuggling_parser_rejects_endless_lines);
    SUITE_ADD(suite, "smuggling_wire", smuggling_is_detected_for_any_segments);
    return suite;
}
