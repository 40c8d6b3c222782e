/*
 * TLS: the server's certificate and key, and whom client certificates are trusted from, all read
 * again when that is asked for.
 *
 * libmicrohttpd makes the sessions (through GnuTLS) and asks here for the certificate with each
 * handshake. Client certificates are asked for in the handshake but judged with the first request,
 * so that a client without one can be told in words, and health checks need none.
 */
#ifndef SERVER_CONNECTION_TLS_H
#define SERVER_CONNECTION_TLS_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>

#include "observe/metrics.h"

/* Versions and ciphers: TLS 1.2 and 1.3 with forward secrecy and authenticated encryption alone. */
extern const char tls_priorities[];

enum { TLS_NAME = 65 }; /* bytes of a client's name, with its NUL */

struct tls_settings {
    const char *certificate; /* file: PEM, the server's own first; borrowed, as all text */
    const char *key;         /* file: PEM */
    const char *client_ca;   /* file: PEM, certificates of authorities; empty: clients need none */
};

struct tls;

/* Reads the files. There can be one at a time. NULL with one line in `message` if they do not make
 * sense. */
struct tls *tls_new(const struct tls_settings *settings, char *message, size_t size);
void tls_free(struct tls *tls); /* NULL is let be */

/* Reads the files again: new connections get what they say. False with one line in `message`, and
   everything as it was, if they do not make sense. */
bool tls_reload(struct tls *tls, char *message, size_t size);

/* Adds the days until the certificates expire to the metrics; `tls` may be NULL. False if memory
 * has run out. */
bool tls_add_metrics(struct tls *tls, struct metrics *metrics);

/* Whether clients need a certificate. */
bool tls_wants_clients(const struct tls *tls);

/* Gives a handshake the certificate: a gnutls_certificate_retrieve_function3. */
int tls_retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                 gnutls_pcert_st **certificates, unsigned *count, gnutls_ocsp_data_st **ocsp,
                 unsigned *ocsp_count, gnutls_privkey_t *key, unsigned *flags);

/* What is known of the client of one connection; zeroed when that begins. */
struct tls_peer {
    unsigned judged;     /* when: counts from 1 with each reading of the files, 0 for never */
    char fault[160];     /* why its certificate is not trusted; empty if it is */
    char name[TLS_NAME]; /* its common name, printable */
};

/* Judges the client of a session, unless that was done since the files were read. True where it is
   trusted; then it has a name. To be called by the thread that has the connection. */
bool tls_judge(struct tls *tls, gnutls_session_t session, struct tls_peer *peer);

/* Sends a few bytes on a session outside of libmicrohttpd; false if they cannot be sent at once. */
bool tls_send(gnutls_session_t session, const char *bytes, size_t len);

#endif
