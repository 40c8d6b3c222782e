/* Certificates for tests. */
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

/* Makes a certificate with common name `name`, signed by `authority` (NULL: self-signed). Server
   certificates are for localhost and 127.0.0.1. The certificate became valid a day ago and expires
   in `hours` hours; if negative, it has expired. Aborts the test on failure. */
void certificate_make(struct certificate *certificate, enum certificate_use use, const char *name,
                      const struct certificate *authority, int hours);
/* Writes the certificate and its key in PEM, each unless its path is NULL. The key file is readable
   only by its owner. */
void certificate_write(const struct certificate *certificate, const char *path,
                       const char *key_path);
void certificate_free(struct certificate *certificate);

#endif
