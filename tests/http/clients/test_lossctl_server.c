/* Tests how lossctl talks to a server: addresses, errors, timeouts, tokens, TLS; doctor. */

#include "loss.h"
#include "lossctl_run.h"
#include "suites.h"
#include "support/folder.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- Timeouts and errors ---- */

/* Runs lossctl with a timeout. Copies the X-Request-Timeout header that it sends to `value`, or an
   empty string if it sends none. */
static void time_limit_of(const char *timeout, int status, char *value, size_t size)
{
    char head[1024] = "";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(listener, 4), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    assert_run(status, "timeout 1 $L list --timeout %s --url http://127.0.0.1:%d", timeout,
               ntohs(address.sin_port));
    const int connection = accept(listener, NULL, NULL);
    ck_assert_int_gt(read(connection, head, sizeof head - 1), 0);
    close(connection);
    close(listener);
    assert_has(head, "GET /v1/losses HTTP/1.1\r\n");
    const char *const found = strstr(head, "X-Request-Timeout: ");
    snprintf(value, size, "%.*s", found ? (int)strcspn(found, "\r") : 0, found ? found : "");
}

START_TEST(timeout_is_sent_to_the_server)
{
    enum { ENDED_BY_TIMEOUT = 124 };
    char limit[64];
    time_limit_of("0.25", UNREACHABLE, limit, sizeof limit);
    ck_assert_str_eq(limit, "X-Request-Timeout: 0.250");
    time_limit_of("86400", ENDED_BY_TIMEOUT, limit, sizeof limit);
    ck_assert_str_eq(limit, "X-Request-Timeout: 86400.000");
    time_limit_of("86401", ENDED_BY_TIMEOUT, limit,
                  sizeof limit); /* larger than the maximum of the header */
    ck_assert_str_eq(limit, "");
}
END_TEST

static void assert_lacks_password(void)
{
    ck_assert_msg(!strstr(lossctl_err, "hunter2") && !strstr(lossctl_out, "hunter2"),
                  "the password is in %s%s", lossctl_err, lossctl_out);
}

START_TEST(server_errors_are_reported)
{
    struct server_process small;
    write_small_tensors();
    folder_write("classes.csv", "0 1\n1 0\n");
    folder_write("labels.csv", "0\n2\n");
    assert_run(INPUT, "$L eval nll --input classes.csv --target labels.csv");
    assert_has(
        lossctl_err,
        "returned status 422: target[1] is 2; class indices must be in [0, 2), or -100 to be "
        "ignored (/target/1)\n");
    assert_run(INPUT, "$L eval nll --input classes.csv --target labels.csv --local");
    ck_assert_str_eq(
        lossctl_err,
        "lossctl: target[1] is 2; class indices must be in [0, 2), or -100 to be ignored\n");
    server_process_start(&small,
                         (const char *const[]){"--max-body", "64", "--log-level", "error", NULL});
    assert_run(REFUSED, "$L eval mse --input x.npy --target y.npy --url http://127.0.0.1:%d/",
               small.port);
    assert_has(lossctl_err, " returned status 413: ");
    assert_run(UNREACHABLE, "$L eval mse --input x.npy --target y.npy --url unix:nowhere");
    assert_has(lossctl_err, "lossctl: no response from http://localhost through nowhere: ");
    const int port = small.port;
    assert_run(REFUSED,
               "$L eval mse --input x.npy --target y.npy --url http://me:hunter2@127.0.0.1:%d/",
               port);
    assert_has(lossctl_err, "lossctl: http://***@127.0.0.1:");
    assert_lacks_password();
    lossctl_run("$L doctor --url http://me:hunter2@127.0.0.1:%d", port);
    assert_has(lossctl_out, "http://***@127.0.0.1:");
    assert_lacks_password();
    server_process_stop(&small);
    server_process_free(&small);
    static const char *const users[] = {"http://me:hunter2", "http://hunter2",
                                        "HTTP://me:hunter2/@"};
    for (size_t i = 0; i < sizeof users / sizeof users[0]; i++) {
        assert_run(UNREACHABLE, "$L list --url %s@127.0.0.1:%d/", users[i], port);
        assert_has(lossctl_err, "://***@127.0.0.1:");
        assert_lacks_password();
    }
    assert_wrong(USAGE, "--url is '***@127.0.0.1'; it must begin with http://, https:// or unix:",
                 "$L list --url me:hunter2@127.0.0.1");
    assert_wrong(USAGE,
                 "--url is 'ftp://***@127.0.0.1'; it must begin with http://, https:// or unix:",
                 "LOSSD_URL=ftp://me:hunter2@127.0.0.1 $L list");
    assert_run(UNREACHABLE, "$L list --url http://127.0.0.1:%d", port);
    assert_has(lossctl_err,
               "is lossd running there? set its address with --url, or run without a server "
               "with --local\n");
}
END_TEST

/* ---- Doctor ---- */

START_TEST(doctor_checks_a_server)
{
    assert_run(OK, "$L doctor");
    assert_has(lossctl_out, "ok    reachable   http://127.0.0.1:");
    assert_has(lossctl_out, "ok    version     lossd " LOSS_VERSION ", same as this program\n");
    assert_has(lossctl_out, "isa=\"");
    assert_has(lossctl_out, "ok    threads     2 compute threads\n");
    assert_has(lossctl_out, "ok    limits      max-body 1G, ");
    assert_has(lossctl_out, " max-url 8192,");
    char all[128];
    snprintf(all, sizeof all,
             "ok    self-test   the examples of all %zu losses, with gradients, "
             "give bit-identical results",
             loss_count());
    assert_has(lossctl_out, all);
    assert_run(OK, "$L doctor --json");
    json_t *const tree = json_loads(lossctl_out, 0, NULL);
    ck_assert(json_is_true(json_object_get(tree, "healthy")));
    json_decref(tree);
    /* another HTTP server */
    assert_run(
        FAILED,
        "printf 'import http.server as h\\nclass H(h.BaseHTTPRequestHandler):\\n"
        " def do_GET(s): s.send_response(200); s.send_header(\"Content-Length\", \"2\"); "
        "s.end_headers(); "
        "s.wfile.write(b\"ok\")\\n do_POST = do_GET\\n log_message = lambda *a: None\\n"
        "v = h.HTTPServer((\"127.0.0.1\", 0), H)\\nprint(v.server_port, "
        "flush=True)\\nv.serve_forever()\\n' >s.py; "
        "python3 s.py >port & S=$!; for i in $(seq 100); do test -s port || sleep 0.1; done; "
        "$L doctor --url http://127.0.0.1:$(cat port); R=$?; kill $S; exit $R");
    assert_has(lossctl_out, "FAIL  version     GET /v2 returns 200 with an unexpected body; "
                            "is this lossd?\n");
    assert_has(lossctl_out, "FAIL  self-test   mse: the server returns 200 ok, this program 200");
}
END_TEST

/* ---- Tokens and certificates ---- */

START_TEST(tokens_and_unix_sockets_are_supported)
{
    struct server_process guarded;
    char tokens[512], path[512];
    write_small_tensors();
    assert_run(OK, "printf %%s 'a-token-that-is-long-enough-to-be-one' >token; "
                   "$D --hash-token=alice <token >tokens");
    snprintf(tokens, sizeof tokens, "--token-file=%s/tokens", folder_name());
    snprintf(path, sizeof path, "unix:%s/socket", folder_name());
    server_process_start(
        &guarded, (const char *const[]){tokens, "--listen", path, "--log-level", "error", NULL});
    assert_run(REFUSED, "$L eval mse --input x.npy --target y.npy --url unix:socket");
    assert_has(lossctl_err, " returned status 401: ");
    assert_has(lossctl_err, "lossctl: provide a token with --token-file or LOSSD_TOKEN\n");
    assert_run(OK,
               "$L eval mse --input x.npy --target y.npy --url unix:socket --token-file token -q");
    ck_assert_str_eq(lossctl_out, small_tensors_loss);
    assert_run(OK, "LOSSD_TOKEN=$(cat token) LOSSD_URL=unix:socket $L eval mse --input x.npy "
                   "--target y.npy -q");
    ck_assert_str_eq(lossctl_out, small_tensors_loss);
    assert_run(OK, "$L doctor --url unix:socket --token-file token");
    assert_run(REFUSED, "$L doctor --url unix:socket");
    assert_wrong(INPUT, "the first line of the token file empty is empty",
                 ": >empty; $L eval mse --input x.npy --target y.npy --token-file empty");
    server_process_stop(&guarded);
    server_process_free(&guarded);
}
END_TEST

/* A TLS server that requires a client certificate. */
START_TEST(tls_certificates_are_sent_and_verified)
{
    if (lossctl_run("command -v openssl && command -v python3") != OK) {
        fprintf(stderr, "lossctl: TLS is not tested: openssl or python3 is not installed\n");
        return;
    }
    assert_run(OK, "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days "
                   "2 -subj /CN=localhost "
                   "-addext subjectAltName=DNS:localhost 2>/dev/null");
    folder_write(
        "s.py",
        "import http.server, ssl\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(s):\n"
        "        s.send_response(200); s.end_headers()\n"
        "        s.wfile.write(b'{\"losses\": [{\"name\": \"its_own\", \"title\": \"T\"}]}')\n"
        "    log_message = lambda *a: None\n"
        "c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
        "c.load_cert_chain('cert.pem', 'key.pem')\n"
        "c.load_verify_locations('cert.pem'); c.verify_mode = ssl.CERT_REQUIRED\n"
        "v = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H)\n"
        "v.socket = c.wrap_socket(v.socket, server_side=True, do_handshake_on_connect=False)\n"
        "print(v.server_port, flush=True)\nv.serve_forever()\n");
    assert_run(OK, "python3 s.py >port 2>/dev/null & S=$!; for i in $(seq 100); do test -s port || "
                   "sleep 0.1; done; "
                   "U=https://localhost:$(cat port); $L list --url $U --cacert cert.pem --cert "
                   "cert.pem --cert-key key.pem; A=$?; "
                   "$L list --url $U --cert cert.pem --cert-key key.pem; B=$?; $L list --url $U "
                   "--cacert cert.pem; C=$?; "
                   "kill $S; echo $A $B $C");
    ck_assert_str_eq(lossctl_out, "its_own  T\n0 3 3\n");
}
END_TEST

/* ---- Suite ---- */

Suite *lossctl_server_suite(void)
{
    Suite *suite = suite_create("lossctl_server");
    if (!lossctl_find())
        return suite;
    TCase *const tcase =
        suite_add_case(suite, "lossctl_server", 60, lossctl_setup, lossctl_teardown);
    CASE_ADD(tcase, server_errors_are_reported, doctor_checks_a_server,
             tokens_and_unix_sockets_are_supported, tls_certificates_are_sent_and_verified);
    TCase *const slow =
        suite_add_case(suite, "lossctl_server_slow", 60, lossctl_setup, lossctl_teardown);
    tcase_set_tags(slow, TAG_SLOW);
    CASE_ADD(slow, timeout_is_sent_to_the_server);
    return suite;
}
