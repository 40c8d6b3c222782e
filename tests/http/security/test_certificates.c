/* Tests the certificate files of the server, how they are reloaded, and client certificates. */
#include "suites.h"
#include "support/folder.h"
#include "support/server_fixture.h"
#include "tls_server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { DAY = 24 * 60 * 60 };

/* ---- Certificate files ---- */

/* Returns the last byte of the serial number of the server's certificate. */
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
    start_tls_server(NULL);
    connect_tls();
    expect_evaluated();
    const unsigned before = shown_serial(&client);
    struct certificate renewed;
    certificate_make(&renewed, CERTIFICATE_SERVER, "localhost", &tls_authority, 1);
    certificate_write(&renewed, folder_path("cert"), folder_path("key"));
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server, "certificates reloaded");
    ck_assert(connects_tls(&later, NULL, NULL));
    ck_assert_uint_ne(shown_serial(&later), before);
    http_client_close(&later);
    expect_evaluated(); /* on the connection opened earlier */

    FILE *file = fopen(folder_path("cert"), "w"); /* now it is invalid */
    ck_assert_ptr_nonnull(file);
    fclose(file);
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server,
                              "cannot reload the certificates; the previous ones stay in effect: ");
    ck_assert(connects_tls(&later, NULL, NULL));
    http_client_close(&later);
    certificate_free(&renewed);
}
END_TEST

START_TEST(tls_does_not_start_with_invalid_files)
{
    struct certificate other;
    certificate_make(&other, CERTIFICATE_SERVER, "localhost", &tls_authority, 1);
    certificate_write(&other, NULL, folder_path("other"));
    certificate_free(&other);
    const char *cert = folder_path("cert"), *key = folder_path("key");
    expect_refused_start(ARGUMENTS("--listen=127.0.0.1:0", "--tls-cert", cert),
                         "--tls-key is not given");
    expect_refused_start(ARGUMENTS("--listen=127.0.0.1:0", "--tls-client-ca", cert),
                         "TLS needs both --tls-cert and --tls-key");
    expect_refused_start(
        ARGUMENTS("--listen=127.0.0.1:0", "--tls-cert", cert, "--tls-key", folder_path("other")),
        "does not match the certificate");
    expect_refused_start(ARGUMENTS("--listen=127.0.0.1:0", "--tls-cert", key, "--tls-key", key),
                         "not a PEM certificate chain");
    expect_refused_start(ARGUMENTS("--listen=127.0.0.1:0", "--tls-cert", cert, "--tls-key", cert),
                         "not an unencrypted PEM private key");
    expect_refused_start(
        ARGUMENTS("--listen=127.0.0.1:0", "--tls-cert", cert, "--tls-key", folder_path("none")),
        "none: No such file or directory");
    expect_refused_start(ARGUMENTS("--listen=127.0.0.1:0", "--tls-cert", cert, "--tls-key", key,
                                   "--tls-client-ca", key),
                         "contains no CA certificate in PEM format");
}
END_TEST

START_TEST(tls_warns_about_a_readable_key_and_an_expired_certificate)
{
    ck_assert_int_eq(chmod(folder_path("key"), 0644), 0);
    struct certificate old;
    start_tls_server(NULL);
    server_process_expect_log(&server, "the key has permissions 644");
    certificate_make(&old, CERTIFICATE_SERVER, "localhost", &tls_authority, -1);
    certificate_write(&old, folder_path("cert"), folder_path("key"));
    certificate_free(&old);
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server, "the certificate has expired");
}
END_TEST

/* ---- Client certificates ---- */

START_TEST(tls_accepts_clients_with_a_certificate)
{
    make_client_certificate("alice", CERTIFICATE_CLIENT, &tls_authority, 1);
    start_tls_server(ARGUMENTS("--tls-client-ca", folder_path("ca")));
    connect_as("alice");
    expect_evaluated();
    expect_evaluated();
    server_process_expect_log(&server, "client=alice");
    connect_tls();
    ask("POST", "/v1/losses/mse", NULL, mse_body);
    ck_assert_int_eq(response.status, 403);
    expect_text(response.body, "a client certificate is required");
    expect_get("/readyz", 200, "ready"); /* probes have none */
}
END_TEST

START_TEST(tls_rejects_certificates_of_other_authorities)
{
    struct certificate stranger;
    certificate_make(&stranger, CERTIFICATE_AUTHORITY, "authority", NULL, 1); /* of the same name */
    make_client_certificate("mallory", CERTIFICATE_CLIENT, &stranger, 1);
    make_client_certificate("self", CERTIFICATE_CLIENT, NULL, 1);
    make_client_certificate("late", CERTIFICATE_CLIENT, &tls_authority, -1);
    make_client_certificate("server", CERTIFICATE_SERVER, &tls_authority, 1);
    certificate_free(&stranger);
    start_tls_server(ARGUMENTS("--tls-client-ca", folder_path("ca")));
    static const struct {
        const char *name, *why;
    } wrong[] = {{"mallory", "not trusted"},
                 {"self", "not trusted"},
                 {"late", "expired"},
                 {"server", "purpose"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        connect_as(wrong[i].name);
        expect_get("/v1/losses", 403, wrong[i].why);
        expect_get("/v1/losses", 403, wrong[i].why);
    }
    char *log = server_process_log(&server);
    ck_assert_ptr_null(strstr(log, "client="));
    free(log);
}
END_TEST

START_TEST(tls_reloads_its_authorities_on_sighup)
{
    struct certificate successor;
    make_client_certificate("alice", CERTIFICATE_CLIENT, &tls_authority, 1);
    certificate_make(&successor, CERTIFICATE_AUTHORITY, "successor", NULL, 1);
    make_client_certificate("bob", CERTIFICATE_CLIENT, &successor, 1);
    certificate_write(&tls_authority, folder_path("clients"), NULL);
    start_tls_server(ARGUMENTS("--tls-client-ca", folder_path("clients")));
    connect_as("alice");
    expect_evaluated();
    certificate_write(&successor, folder_path("clients"), NULL);
    certificate_free(&successor);
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server, "certificates reloaded");
    expect_get("/v1/losses", 403, "not trusted"); /* on the connection opened earlier */
    connect_as("bob");
    expect_evaluated();
}
END_TEST

/* Expects a metric of the last response, in units of `unit` seconds from `start`, to be in the next
   30 days. The certificates of the tests expire in an hour. */
static void expect_expiry(const char *sample, double unit, double start)
{
    const char *const found = strstr(response.body, sample);
    ck_assert_ptr_nonnull(found);
    const double days = (strtod(found + strlen(sample), NULL) - start) * unit / DAY;
    ck_assert_msg(days > 0 && days <= 30, "%s: %g days", sample, days);
}

/* If the server accepted a file truncated within its second certificate, it would silently trust
   only the first. */
START_TEST(tls_rejects_a_truncated_file)
{
    struct certificate second;
    char text[8192];
    make_client_certificate("alice", CERTIFICATE_CLIENT, &tls_authority, 1);
    certificate_make(&second, CERTIFICATE_AUTHORITY, "second", NULL, 1);
    certificate_write(&second, folder_path("second"), NULL);
    certificate_free(&second);
    start_tls_server(ARGUMENTS("--tls-client-ca", folder_path("ca")));
    FILE *file = fopen(folder_path("second"), "r");
    ck_assert_ptr_nonnull(file);
    const size_t len = fread(text, 1, sizeof text, file);
    fclose(file);
    const struct {
        size_t len;
        const char *wanted;
    } cuts[] = {{len / 2, "Base64"}, {10, "truncated at the start of a certificate"}};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        certificate_write(&tls_authority, folder_path("ca"), NULL);
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
    make_client_certificate("alice", CERTIFICATE_CLIENT, &tls_authority, 1);
    start_tls_server(
        ARGUMENTS("--tls-client-ca", folder_path("ca"), "--token-file", folder_path("tokens")));
    connect_as("alice");
    expect_get("/v1/losses", 401, "a token is required");
    ask("GET", "/v1/losses", token, NULL);
    ck_assert_int_eq(response.status, 200);
    server_process_expect_log(&server, "client=token");
    connect_tls();
    ask("GET", "/v1/losses", token, NULL);
    ck_assert_int_eq(response.status, 403);
}
END_TEST

START_TEST(tls_client_certificates_allow_listening_beyond_loopback)
{
    const char *cert = folder_path("cert"), *key = folder_path("key");
    expect_refused_start(ARGUMENTS("--listen=0.0.0.0:0", "--tls-cert", cert, "--tls-key", key),
                         "can be reached from other machines");
    make_client_certificate("alice", CERTIFICATE_CLIENT, &tls_authority, 1);
    start_tls_server(ARGUMENTS("--listen=0.0.0.0:0", "--tls-client-ca", folder_path("ca")));
    connect_as("alice");
    expect_evaluated();
}
END_TEST

/* ---- Suite ---- */

Suite *certificates_suite(void)
{
    Suite *suite = suite_create("certificates");
    TCase *const tcase = suite_add_case(suite, "certificates", 60, tls_setup, tls_teardown);
    CASE_ADD(tcase, tls_reloads_its_certificate_on_sighup, tls_does_not_start_with_invalid_files,
             tls_warns_about_a_readable_key_and_an_expired_certificate,
             tls_accepts_clients_with_a_certificate, tls_rejects_certificates_of_other_authorities,
             tls_reloads_its_authorities_on_sighup, tls_rejects_a_truncated_file,
             tls_requires_certificate_and_token_if_both_are_configured,
             tls_client_certificates_allow_listening_beyond_loopback);
    return suite;
}
