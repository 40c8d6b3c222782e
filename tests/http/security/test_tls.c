/*
 * TLS: which addresses use it, reloaded certificates, and client certificates. Only TLS is ever
 * written to a TLS connection.
 */
#include "suites.h"
#include "support/body.h"
#include "support/certificates.h"
#include "support/folder.h"
#include "support/http_client.h"
#include "support/server_process.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DAY = 24 * 60 * 60 };
enum { PATH = 96, LARGE = 400000 };

static struct server_process server;
static struct http_client client;
static struct http_response response;
static struct certificate authority, own; /* the server's */

static const char mse[] = "{\"input\": [1, 2, 3], \"target\": [1, 2, 5]}";

/* ---- Helpers ---- */

static void setup(void)
{
    folder_make();
    certificate_make(&authority, CERTIFICATE_AUTHORITY, "authority", NULL, 1);
    certificate_make(&own, CERTIFICATE_SERVER, "localhost", &authority, 1);
    certificate_write(&authority, folder_path("ca"), NULL);
    certificate_write(&own, folder_path("cert"), folder_path("key"));
}

static void teardown(void)
{
    http_client_close(&client);
    http_response_free(&response);
    server_process_free(&server);
    certificate_free(&authority);
    certificate_free(&own);
    folder_remove();
}

#define MORE(...)                                                                                  \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

/* Starts a server with the certificate and up to eight more arguments. */
static void start(const char *const more[])
{
    const char *arguments[16] = {"--threads=2", "--tls-cert", folder_path("cert"), "--tls-key",
                                 folder_path("key")};
    for (int i = 0; more && more[i]; i++)
        arguments[5 + i] = more[i];
    server_process_start(&server, arguments);
}

static bool connects(struct http_client *to, const char *certificate, const char *key)
{
    const struct http_client_tls tls = {
        .ca = folder_path("ca"), .certificate = certificate, .key = key};
    http_client_close(to);
    return http_client_connect_tls(to, server.port, &tls);
}

static void connect_client(void)
{
    ck_assert(connects(&client, NULL, NULL));
}

static void ask(const char *method, const char *path, const char *headers, const char *body)
{
    ck_assert_msg(
        http_client_ask(&client, method, path, headers, body, body ? strlen(body) : 0, &response),
        "no answer to %s %s", method, path);
}

static void expect_text(const char *text, const char *wanted)
{
    ck_assert_msg(strstr(text, wanted) != NULL, "\"%s\" is not in: %s", wanted, text);
}

static void expect_evaluated(void)
{
    ask("POST", "/v1/losses/mse", NULL, mse);
    ck_assert_msg(response.status == 200, "%s%s", response.head, response.body);
    expect_text(response.body, "\"loss\":1.33333");
}

static void expect_answer(const char *path, int status, const char *wanted)
{
    ask("GET", path, NULL, NULL);
    ck_assert_msg(response.status == status, "expected status %d, got: %s%s", status, response.head,
                  response.body);
    expect_text(response.body, wanted);
}

static void expect_refused_start(const char *const arguments[], const char *wanted)
{
    char out[SERVER_TEXT], err[SERVER_TEXT];
    ck_assert_int_eq(server_process_run(arguments, out, err), 1);
    expect_text(err, wanted);
}

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

/* Checks that the server uses no CPU time after it has finished its work. */
static void expect_quiet(void)
{
    for (int tries = 0; tries < 40; tries++) {
        const unsigned long long before = ticks();
        nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
        if (ticks() - before <= 5)
            return;
    }
    ck_abort_msg("the server is busy although it has no work");
}

/* ---- Serving ---- */

START_TEST(tls_serves_requests)
{
    start(NULL);
    expect_text(server.line, "listening on https://127.0.0.1:");
    connect_client();
    expect_evaluated();
    expect_evaluated();
    ck_assert_int_eq(gnutls_protocol_get_version(client.session), GNUTLS_TLS1_3);
    ck_assert_int_eq(server_process_stop(&server), 0);
}
END_TEST

START_TEST(tls_requires_version_1_2)
{
    start(NULL);
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
    start(NULL);
    snprintf(command, sizeof command,
             "curl -q -sS --noproxy '*' --cacert %s -o /dev/null -w '%%{http_code} "
             "%%{ssl_verify_result}' "
             "https://localhost:%d/readyz "
             "--connect-to localhost:%d:127.0.0.1:%d",
             folder_path("ca"), server.port, server.port, server.port);
    FILE *output = popen(command, "r"); /* NOLINT(cert-env33-c): of this test's own making */
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
    start(NULL);
    connect_client();
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
    start(NULL);
    connect_client();
    for (int i = 0; i < TOGETHER; i++)
        to += sprintf(
            to, "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s",
            strlen(mse), mse);
    ck_assert(http_client_send_text(&client, text));
    for (int i = 0; i < TOGETHER; i++) {
        ck_assert(http_client_read(&client, &response, false));
        ck_assert_int_eq(response.status, 200);
    }
}
END_TEST

START_TEST(tls_is_not_used_on_unix_sockets_and_the_admin_address)
{
    char listen[PATH + 32];
    snprintf(listen, sizeof listen, "127.0.0.1:0,unix:%s", folder_path("socket"));
    start(MORE("--listen", listen, "--admin-listen=127.0.0.1:0"));
    expect_text(server.line, "for health and metrics on http://");
    connect_client();
    expect_evaluated();
    http_client_close(&client);
    ck_assert(http_client_connect_path(&client, folder_path("socket")));
    expect_evaluated();
    http_client_close(&client);
    ck_assert(http_client_connect(&client, "127.0.0.1",
                                  server_process_port(&server, "for health and metrics on")));
    expect_answer("/readyz", 200, "ready");
    ck_assert_int_eq(server_process_stop(&server), 0);
}
END_TEST

/* ---- TLS only ---- */

START_TEST(tls_sends_no_plain_text_to_clients_without_tls)
{
    char byte[256];
    start(NULL);
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
    start(MORE("--header-timeout=1", "--min-body-rate=1M", "--min-rate-window=0.5"));
    connect_client();
    ck_assert(http_client_send_text(&client, "GET /readyz HTTP/1.1\r\n"));
    ck_assert_msg(http_client_closed(&client), "no timeout for the headers");
    connect_client();
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
    start(MORE("--header-timeout=100",
               "--min-body-rate=0")); /* otherwise they would be disconnected too early */
    for (int i = 0; i < 3; i++) {
        ck_assert(http_client_connect(&silent[i], "127.0.0.1", server.port));
        ck_assert(http_client_send_text(&silent[i], starts[i]));
    }
    expect_quiet();
    connect_client(); /* others are served meanwhile */
    expect_evaluated();
    ck_assert_int_eq(server_process_stop(&server), 0); /* waiting clients do not delay the exit */
    for (int i = 0; i < 3; i++)
        http_client_close(&silent[i]);
}
END_TEST

START_TEST(tls_uses_no_cpu_while_it_waits_for_the_rest_of_a_record)
{
    static const char record[] = "\x17\x03\x03\x01\x10 the beginning of one";
    start(MORE("--header-timeout=100", "--min-body-rate=0"));
    connect_client();
    expect_evaluated();
    ck_assert_int_eq(send(client.fd, record, sizeof record - 1, MSG_NOSIGNAL),
                     (int)sizeof record - 1);
    struct http_client second = {.fd = -1}; /* and one within a body */
    ck_assert(connects(&second, NULL, NULL));
    ck_assert(http_client_send_text(
        &second, "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{"));
    ck_assert_int_eq(send(second.fd, record, 3, MSG_NOSIGNAL), 3);
    expect_quiet();
    http_client_close(&second);
}
END_TEST

/* A handshake may arrive byte by byte. */
static ssize_t push_slowly(gnutls_transport_ptr_t fd, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (send((int)(intptr_t)fd, (const char *)bytes + i, 1, MSG_NOSIGNAL) != 1)
            return -1;
        if (i % 32 == 0)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return (ssize_t)len;
}

START_TEST(tls_accepts_a_handshake_in_pieces)
{
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
    start(NULL);
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
    start(MORE("--max-connections-per-address=1"));
    connect_client();
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
    start(MORE("--max-body=50000"));
    connect_client();
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
    start(MORE("--max-body=1M"));
    connect_client();
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
    start(NULL);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        connect_client();
        ck_assert(http_client_send_text(&client, wrong[i]));
        ck_assert(http_client_read(&client, &response, false));
        ck_assert_msg(response.status == 400, "%s: %s%s", wrong[i], response.head, response.body);
        expect_text(response.body, "\"detail\":");
        ck_assert(http_client_closed(&client));
    }
}
END_TEST

/* ---- Certificate files ---- */

/* Returns the serial number of the server's certificate. */
static unsigned shown_serial(const struct http_client *of)
{
    unsigned count;
    unsigned char number[8];
    size_t len = sizeof number;
    gnutls_x509_crt_t shown;
    const gnutls_datum_t *raw = gnutls_certificate_get_peers(of->session, &count);
    ck_assert_ptr_nonnull(raw);
    ck_assert_int_eq(gnutls_x509_crt_init(&shown), 0);
    ck_assert_int_eq(gnutls_x509_crt_import(shown, &raw[0], GNUTLS_X509_FMT_DER), 0);
    ck_assert_int_eq(gnutls_x509_crt_get_serial(shown, number, &len), 0);
    gnutls_x509_crt_deinit(shown);
    return number[len - 1];
}

START_TEST(tls_reloads_its_certificate_on_sighup)
{
    struct http_client later = {.fd = -1};
    start(NULL);
    connect_client();
    expect_evaluated();
    const unsigned before = shown_serial(&client);
    struct certificate renewed;
    certificate_make(&renewed, CERTIFICATE_SERVER, "localhost", &authority, 1);
    certificate_write(&renewed, folder_path("cert"), folder_path("key"));
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server, "certificates reloaded");
    ck_assert(connects(&later, NULL, NULL));
    ck_assert_uint_ne(shown_serial(&later), before);
    http_client_close(&later);
    expect_evaluated(); /* on the connection opened earlier */

    FILE *file = fopen(folder_path("cert"), "w"); /* now it is invalid */
    ck_assert_ptr_nonnull(file);
    fclose(file);
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server,
                              "cannot reload the certificates; the previous ones stay in effect: ");
    ck_assert(connects(&later, NULL, NULL));
    http_client_close(&later);
    certificate_free(&renewed);
}
END_TEST

START_TEST(tls_does_not_start_with_invalid_files)
{
    struct certificate other;
    certificate_make(&other, CERTIFICATE_SERVER, "localhost", &authority, 1);
    certificate_write(&other, NULL, folder_path("other"));
    certificate_free(&other);
    const char *cert = folder_path("cert"), *key = folder_path("key");
    expect_refused_start(MORE("--listen=127.0.0.1:0", "--tls-cert", cert),
                         "--tls-key is not given");
    expect_refused_start(MORE("--listen=127.0.0.1:0", "--tls-client-ca", cert),
                         "TLS needs both --tls-cert and --tls-key");
    expect_refused_start(
        MORE("--listen=127.0.0.1:0", "--tls-cert", cert, "--tls-key", folder_path("other")),
        "does not match the certificate");
    expect_refused_start(MORE("--listen=127.0.0.1:0", "--tls-cert", key, "--tls-key", key),
                         "not a PEM certificate chain");
    expect_refused_start(MORE("--listen=127.0.0.1:0", "--tls-cert", cert, "--tls-key", cert),
                         "not an unencrypted PEM private key");
    expect_refused_start(
        MORE("--listen=127.0.0.1:0", "--tls-cert", cert, "--tls-key", folder_path("none")),
        "none: No such file or directory");
    expect_refused_start(
        MORE("--listen=127.0.0.1:0", "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", key),
        "contains no CA certificate in PEM format");
}
END_TEST

START_TEST(tls_warns_about_a_readable_key_and_an_expired_certificate)
{
    ck_assert_int_eq(chmod(folder_path("key"), 0644), 0);
    struct certificate old;
    start(NULL);
    server_process_expect_log(&server, "the key has permissions 644");
    certificate_make(&old, CERTIFICATE_SERVER, "localhost", &authority, -1);
    certificate_write(&old, folder_path("cert"), folder_path("key"));
    certificate_free(&old);
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server, "the certificate has expired");
}
END_TEST

/* ---- Client certificates ---- */

/* Creates a client certificate and its key in two files of that name. */
static void make_client(const char *name, enum certificate_use use, const struct certificate *by,
                        int hours)
{
    char key[32];
    struct certificate made;
    snprintf(key, sizeof key, "%s.key", name);
    certificate_make(&made, use, name, by, hours);
    certificate_write(&made, folder_path(name), folder_path(key));
    certificate_free(&made);
}

static void connect_as(const char *name)
{
    char key[32];
    snprintf(key, sizeof key, "%s.key", name);
    ck_assert(connects(&client, folder_path(name), folder_path(key)));
}

START_TEST(tls_accepts_clients_with_a_certificate)
{
    make_client("alice", CERTIFICATE_CLIENT, &authority, 1);
    start(MORE("--tls-client-ca", folder_path("ca")));
    connect_as("alice");
    expect_evaluated();
    expect_evaluated();
    server_process_expect_log(&server, "client=alice");
    connect_client();
    ask("POST", "/v1/losses/mse", NULL, mse);
    ck_assert_int_eq(response.status, 403);
    expect_text(response.body, "a client certificate is required");
    expect_answer("/readyz", 200, "ready"); /* probes have none */
}
END_TEST

START_TEST(tls_rejects_certificates_of_other_authorities)
{
    struct certificate stranger;
    certificate_make(&stranger, CERTIFICATE_AUTHORITY, "authority", NULL, 1); /* of the same name */
    make_client("mallory", CERTIFICATE_CLIENT, &stranger, 1);
    make_client("self", CERTIFICATE_CLIENT, NULL, 1);
    make_client("late", CERTIFICATE_CLIENT, &authority, -1);
    make_client("server", CERTIFICATE_SERVER, &authority, 1);
    certificate_free(&stranger);
    start(MORE("--tls-client-ca", folder_path("ca")));
    static const struct {
        const char *name, *why;
    } wrong[] = {{"mallory", "not trusted"},
                 {"self", "not trusted"},
                 {"late", "expired"},
                 {"server", "purpose"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        connect_as(wrong[i].name);
        expect_answer("/v1/losses", 403, wrong[i].why);
        expect_answer("/v1/losses", 403, wrong[i].why);
    }
    char *log = server_process_log(&server);
    ck_assert_ptr_null(strstr(log, "client="));
    free(log);
}
END_TEST

START_TEST(tls_reloads_its_authorities_on_sighup)
{
    struct certificate successor;
    make_client("alice", CERTIFICATE_CLIENT, &authority, 1);
    certificate_make(&successor, CERTIFICATE_AUTHORITY, "successor", NULL, 1);
    make_client("bob", CERTIFICATE_CLIENT, &successor, 1);
    certificate_write(&authority, folder_path("clients"), NULL);
    start(MORE("--tls-client-ca", folder_path("clients")));
    connect_as("alice");
    expect_evaluated();
    certificate_write(&successor, folder_path("clients"), NULL);
    certificate_free(&successor);
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server, "certificates reloaded");
    expect_answer("/v1/losses", 403, "not trusted"); /* on the connection opened earlier */
    connect_as("bob");
    expect_evaluated();
}
END_TEST

/* Expects a metric of the last response, in units of `unit` seconds from `start`, to lie within the
   30 days that the certificates of the tests are valid. */
static void expect_expiry(const char *sample, double unit, double start)
{
    const char *const found = strstr(response.body, sample);
    ck_assert_ptr_nonnull(found);
    const double days = (strtod(found + strlen(sample), NULL) - start) * unit / DAY;
    ck_assert_msg(days > 0 && days <= 30, "%s: %g days", sample, days);
}

/* A file truncated within its second certificate would silently trust only the first. */
START_TEST(tls_rejects_a_truncated_file)
{
    struct certificate second;
    char text[8192];
    make_client("alice", CERTIFICATE_CLIENT, &authority, 1);
    certificate_make(&second, CERTIFICATE_AUTHORITY, "second", NULL, 1);
    certificate_write(&second, folder_path("second"), NULL);
    certificate_free(&second);
    start(MORE("--tls-client-ca", folder_path("ca")));
    FILE *file = fopen(folder_path("second"), "r");
    ck_assert_ptr_nonnull(file);
    const size_t len = fread(text, 1, sizeof text, file);
    fclose(file);
    const struct {
        size_t len;
        const char *wanted;
    } cuts[] = {{len / 2, "Base64"}, {10, "truncated at the start of a certificate"}};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        certificate_write(&authority, folder_path("ca"), NULL);
        file = fopen(folder_path("ca"), "a");
        ck_assert_ptr_nonnull(file);
        ck_assert_uint_eq(fwrite(text, 1, cuts[i].len, file), cuts[i].len);
        fclose(file);
        kill(server.pid, SIGHUP);
        server_process_expect_log(&server, cuts[i].wanted);
    }
    connect_as("alice");
    ask("GET", "/metrics", NULL, NULL);
    ck_assert_ptr_nonnull(
        strstr(response.body, "\nlossd_reload_failures_total{file=\"certificates\"} 2\n"));
    expect_expiry("\nlossd_tls_certificate_expiry_timestamp_seconds{file=\"server\"} ", 1,
                  (double)time(NULL));
    expect_expiry("\nlossd_tls_certificate_expiry_timestamp_seconds{file=\"client_ca\"} ", 1,
                  (double)time(NULL));
    expect_expiry("\nlossd_tls_certificate_expiry_days{file=\"server\"} ", DAY, 0);
    expect_expiry("\nlossd_tls_certificate_expiry_days{file=\"client_ca\"} ", DAY, 0);
}
END_TEST

START_TEST(tls_requires_certificate_and_token_if_both_are_configured)
{
    static const char token[] =
        "Authorization: Bearer alice-0123456789abcdefghijklmnopqrstuvwxyz_\r\n";
    FILE *file = fopen(folder_path("tokens"), "w");
    ck_assert_ptr_nonnull(file);
    fputs("token:dc5c3a900295ccecb6bbc567b71e916d43d6a890c4d4f0a7b53969b0ae9535a7\n", file);
    fclose(file);
    make_client("alice", CERTIFICATE_CLIENT, &authority, 1);
    start(MORE("--tls-client-ca", folder_path("ca"), "--token-file", folder_path("tokens")));
    connect_as("alice");
    expect_answer("/v1/losses", 401, "a token is required");
    ask("GET", "/v1/losses", token, NULL);
    ck_assert_int_eq(response.status, 200);
    server_process_expect_log(&server, "client=token");
    connect_client();
    ask("GET", "/v1/losses", token, NULL);
    ck_assert_int_eq(response.status, 403);
}
END_TEST

START_TEST(tls_client_certificates_allow_listening_beyond_loopback)
{
    const char *cert = folder_path("cert"), *key = folder_path("key");
    expect_refused_start(MORE("--listen=0.0.0.0:0", "--tls-cert", cert, "--tls-key", key),
                         "can be reached from other machines");
    make_client("alice", CERTIFICATE_CLIENT, &authority, 1);
    start(MORE("--listen=0.0.0.0:0", "--tls-client-ca", folder_path("ca")));
    connect_as("alice");
    expect_evaluated();
}
END_TEST

/* Returns true if the executor is busy. Uses a separate connection. */
static bool is_busy(void)
{
    struct http_client asking = {.fd = -1};
    ck_assert(connects(&asking, NULL, NULL));
    ck_assert(http_client_ask(&asking, "GET", "/metrics", NULL, NULL, 0, &response));
    http_client_close(&asking);
    return strstr(response.body, "\nlossd_executor_busy 1\n") != NULL;
}

START_TEST(tls_work_is_cancelled_when_its_client_closes)
{
    enum { MINUTES = 40000, TRIES = 500 };
    int tries = 0;
    start(MORE("--compute-timeout=0"));
    connect_client();
    ck_assert(rows_ask(&client, MINUTES, ""));
    while (!is_busy())
        ck_assert_int_lt(tries++, TRIES);
    http_client_close(&client);
    for (tries = 0; is_busy(); tries++) {
        ck_assert_int_lt(tries, TRIES);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
}
END_TEST

Suite *tls_suite(void)
{
    Suite *suite = suite_create("tls");
    TCase *tcase = suite_add_case(suite, "tls", 60, setup, teardown);
    TCase *slow = suite_add_case(suite, "tls_slow", 60, setup, teardown);
    tcase_set_tags(slow, TAG_SLOW);
    tcase_add_test(tcase, tls_serves_requests);
    tcase_add_test(tcase, tls_requires_version_1_2);
    tcase_add_test(tcase, tls_works_with_curl);
    tcase_add_test(tcase, tls_carries_large_bodies);
    tcase_add_test(tcase, tls_answers_requests_in_one_record);
    tcase_add_test(tcase, tls_is_not_used_on_unix_sockets_and_the_admin_address);
    tcase_add_test(tcase, tls_sends_no_plain_text_to_clients_without_tls);
    tcase_add_test(slow, tls_disconnects_slow_clients_without_a_response);
    tcase_add_test(slow, tls_uses_no_cpu_while_it_waits_for_a_handshake);
    tcase_add_test(tcase, tls_uses_no_cpu_while_it_waits_for_the_rest_of_a_record);
    tcase_add_test(tcase, tls_accepts_a_handshake_in_pieces);
    tcase_add_test(tcase, tls_rejects_connections_without_a_response);
    tcase_add_test(tcase, tls_rejects_during_a_body);
    tcase_add_test(tcase, tls_rejects_before_a_body_without_losing_the_response);
    tcase_add_test(slow, tls_rejects_smuggled_requests);
    tcase_add_test(tcase, tls_reloads_its_certificate_on_sighup);
    tcase_add_test(tcase, tls_does_not_start_with_invalid_files);
    tcase_add_test(tcase, tls_warns_about_a_readable_key_and_an_expired_certificate);
    tcase_add_test(tcase, tls_accepts_clients_with_a_certificate);
    tcase_add_test(tcase, tls_rejects_certificates_of_other_authorities);
    tcase_add_test(tcase, tls_reloads_its_authorities_on_sighup);
    tcase_add_test(tcase, tls_rejects_a_truncated_file);
    tcase_add_test(tcase, tls_requires_certificate_and_token_if_both_are_configured);
    tcase_add_test(tcase, tls_client_certificates_allow_listening_beyond_loopback);
    tcase_add_test(tcase, tls_work_is_cancelled_when_its_client_closes);
    return suite;
}
