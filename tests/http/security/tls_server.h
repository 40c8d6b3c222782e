/* A server with TLS, and clients with certificates. */
#ifndef TESTS_TLS_SERVER_H
#define TESTS_TLS_SERVER_H

#include <stdbool.h>

#include "support/certificates.h"
#include "support/http_client.h"

/* The authority that signed the certificate of the server. */
extern struct certificate tls_authority;

/* Makes a folder with the files "ca", "cert" and "key". */
void tls_setup(void);
/* Kills the server and removes the folder. */
void tls_teardown(void);

/* Starts a server with the certificate and up to ten more arguments; `more` may be NULL. */
void start_tls_server(const char *const more[]);

/* Connects with the client certificate of these files, or without one if NULL. Returns false if
   that fails. */
bool connects_tls(struct http_client *to, const char *certificate, const char *key);
/* Connects the client of the fixture without a certificate. */
void connect_tls(void);

/* Makes a client certificate and its key in the files `name` and `name`.key. */
void make_client_certificate(const char *name, enum certificate_use use,
                             const struct certificate *by, int hours);
/* Connects the client of the fixture with that certificate. */
void connect_as(const char *name);

#endif
