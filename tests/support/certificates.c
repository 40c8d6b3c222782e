/*
 * Certificates for tests.
 */
#include "support/certificates.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static void expect(int result)
{
    ck_assert_msg(result >= 0, "GnuTLS: %s", gnutls_strerror(result));
}

static void add_use(gnutls_x509_crt_t body, enum certificate_use use)
{
    static const unsigned char loopback[] = {127, 0, 0, 1};
    if (use == CERTIFICATE_AUTHORITY) {
        expect(gnutls_x509_crt_set_basic_constraints(body, 1, -1));
        expect(gnutls_x509_crt_set_key_usage(body, GNUTLS_KEY_KEY_CERT_SIGN));
    } else if (use == CERTIFICATE_SERVER) {
        expect(gnutls_x509_crt_set_subject_alt_name(body, GNUTLS_SAN_DNSNAME, "localhost",
                                                    strlen("localhost"), GNUTLS_FSAN_SET));
        expect(gnutls_x509_crt_set_subject_alt_name(body, GNUTLS_SAN_IPADDRESS, loopback,
                                                    sizeof loopback, GNUTLS_FSAN_APPEND));
        expect(gnutls_x509_crt_set_key_purpose_oid(body, GNUTLS_KP_TLS_WWW_SERVER, 0));
    } else {
        expect(gnutls_x509_crt_set_key_purpose_oid(body, GNUTLS_KP_TLS_WWW_CLIENT, 0));
    }
}

void certificate_make(struct certificate *certificate, enum certificate_use use, const char *name,
                      const struct certificate *authority, int hours)
{
    static unsigned serial;
    unsigned char number[4], id[64];
    size_t id_len = sizeof id;
    const time_t now = time(NULL);
    expect(gnutls_x509_privkey_init(&certificate->key));
    expect(gnutls_x509_privkey_generate(certificate->key, GNUTLS_PK_ECDSA,
                                        GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    expect(gnutls_x509_crt_init(&certificate->body));
    gnutls_x509_crt_t body = certificate->body;
    serial++;
    for (int i = 0; i < 4; i++)
        number[i] = (unsigned char)(serial >> (24 - 8 * i));
    expect(gnutls_x509_crt_set_version(body, 3));
    expect(gnutls_x509_crt_set_serial(body, number, sizeof number));
    expect(gnutls_x509_crt_set_activation_time(body, now - 24 * 3600));
    expect(gnutls_x509_crt_set_expiration_time(body, now + hours * 3600));
    expect(gnutls_x509_crt_set_dn_by_oid(body, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                         (unsigned)strlen(name)));
    expect(gnutls_x509_crt_set_key(body, certificate->key));
    expect(gnutls_x509_crt_get_key_id(body, 0, id, &id_len));
    expect(gnutls_x509_crt_set_subject_key_id(body, id, id_len));
    add_use(body, use);
    const struct certificate *by = authority ? authority : certificate;
    expect(gnutls_x509_crt_sign2(body, by->body, by->key, GNUTLS_DIG_SHA256, 0));
}

static void write_pem(const char *path, gnutls_datum_t *pem, mode_t mode)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fchmod(fileno(file), mode), 0);
    ck_assert_uint_eq(fwrite(pem->data, 1, pem->size, file), pem->size);
    ck_assert_int_eq(fclose(file), 0);
    gnutls_free(pem->data);
}

void certificate_write(const struct certificate *certificate, const char *path,
                       const char *key_path)
{
    gnutls_datum_t pem;
    if (path) {
        expect(gnutls_x509_crt_export2(certificate->body, GNUTLS_X509_FMT_PEM, &pem));
        write_pem(path, &pem, 0644);
    }
    if (key_path) {
        expect(gnutls_x509_privkey_export2(certificate->key, GNUTLS_X509_FMT_PEM, &pem));
        write_pem(key_path, &pem, 0600);
    }
}

void certificate_free(struct certificate *certificate)
{
    gnutls_x509_privkey_deinit(certificate->key);
    gnutls_x509_crt_deinit(certificate->body);
}
