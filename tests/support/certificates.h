/*
 * Certificates for tests, made on the spot.
 */
#ifndef TESTS_CERTIFICATES_H
#define TESTS_CERTIFICATES_H

#include <gnutls/x509.h>
#include <stdbool.h>

/* A key and its certificate. */
struct certificate {
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t body;
};

enum certificate_use { CERTIFICATE_AUTHORITY, CERTIFICATE_SERVER, CERTIFICATE_CLIENT };

/* Makes a certificate of that common name, a server's for localhost and 127.0.0.1, signed by an
   authority (NULL: by itself), that has held for a day and holds for so many hours more; negative:
   no longer. Aborts the test if that cannot be. */
void certificate_make(struct certificate *certificate, enum certificate_use use, const char *name,
                      const struct certificate *authority, int hours);
/* Writes what is not NULL: the certificate and its key, each in PEM, the key for its owner alone.
 */
void certificate_write(const struct certificate *certificate, const char *path,
                       const char *key_path);
void certificate_free(struct certificate *certificate);

#endif
