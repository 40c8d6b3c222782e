/*
 * TLS: the server's certificate and key, and the certificate authorities trusted for clients. All
 * can be reloaded.
 *
 * libmicrohttpd creates the sessions with GnuTLS and calls tls_retrieve in each handshake. The
 * handshake requests a client certificate, but the server verifies it only at the first request. So
 * a client without a certificate gets an HTTP error, and health checks need no certificate.
 */
#ifndef SERVER_CONNECTION_TLS_H
#define SERVER_CONNECTION_TLS_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>

#include "observe/metrics.h"

/* GnuTLS priority string: only TLS 1.2 and 1.3 with forward secrecy and authenticated encryption.
 */
extern const char tls_priorities[];

enum { TLS_NAME = 65 }; /* bytes of a client's name, including its NUL */

/* Paths of PEM files; borrowed. */
struct tls_settings {
    const char *certificate; /* the certificate chain, the server's own certificate first */
    const char *key;         /* the private key */
    const char *client_ca;   /* certificate authorities for clients; empty: clients need none */
};

struct tls;

/* Reads the files. At most one `struct tls` can exist at a time. If a file cannot be read or is
 * invalid, returns NULL and writes a one-line reason to `message`. */
struct tls *tls_new(const struct tls_settings *settings, char *message, size_t size);
void tls_free(struct tls *tls); /* no-op if NULL */

/* Reads the files again, for new connections. If a file cannot be read or is invalid, returns
   false, writes a one-line reason to `message` and keeps the previous files in effect. */
bool tls_reload(struct tls *tls, char *message, size_t size);

/* Adds the expiry times of the certificates to the metrics; `tls` may be NULL. Returns false if
 * memory is insufficient. */
bool tls_add_metrics(struct tls *tls, struct metrics *metrics);

/* Returns true if clients need a certificate. */
bool tls_wants_clients(const struct tls *tls);

/* Provides the certificate for a handshake: a gnutls_certificate_retrieve_function3. */
int tls_retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                 gnutls_pcert_st **certificates, unsigned *count, gnutls_ocsp_data_st **ocsp,
                 unsigned *ocsp_count, gnutls_privkey_t *key, unsigned *flags);

/* The verified identity of the client of one connection; zero it when the connection begins. */
struct tls_peer {
    unsigned verified;   /* number of the file load, from 1, that it was verified with; 0: never */
    char fault[160];     /* why its certificate is not trusted; empty if it is trusted */
    char name[TLS_NAME]; /* common name of its certificate, or "certificate"; printable */
};

/* Verifies the client certificate of a session, unless it has been verified since the files were
   last read. Returns true and sets `name` if it is trusted; otherwise returns false and sets
   `fault`. Must be called on the thread that handles the connection. */
bool tls_check_peer(struct tls *tls, gnutls_session_t session, struct tls_peer *peer);

/* Sends a few bytes on a session, bypassing libmicrohttpd. Returns false if they cannot be sent
   immediately. */
bool tls_send(gnutls_session_t session, const char *bytes, size_t len);

#endif
