/* A small HTTP/1.1 client over a raw socket: sends arbitrary bytes and reads one response at a
   time. Functions return false on failure; none fails a test. */
#ifndef TESTS_SUPPORT_HTTP_CLIENT_H
#define TESTS_SUPPORT_HTTP_CLIENT_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>

enum { HTTP_CLIENT_TIMEOUT_MS = 60000 }; /* per wait; only a broken server reaches it */

struct http_client {
    int fd;       /* -1 while not connected */
    char *buffer; /* received, not yet read as a response */
    size_t len, capacity;
    gnutls_session_t session; /* owned; NULL without TLS */
    gnutls_certificate_credentials_t credentials;
};

/* TLS settings; files are PEM. */
struct http_client_tls {
    const char *ca;
    const char *certificate, *key; /* of the client, or NULL */
    const char *priorities;        /* of GnuTLS; NULL: default */
};

struct http_response {
    int status;
    char *head; /* owned: status line and headers, CRLF between them */
    char *body; /* owned, NUL-terminated */
    size_t body_len;
};

bool http_client_connect(struct http_client *client, const char *host, int port);
/* Connects to a Unix socket. */
bool http_client_connect_path(struct http_client *client, const char *path);
/* Connects with TLS to a port of localhost; the server certificate must be valid for that name. */
bool http_client_connect_tls(struct http_client *client, int port,
                             const struct http_client_tls *tls);
void http_client_close(struct http_client *client);
/* Closes the connection with a reset. */
void http_client_reset(struct http_client *client);

/* Sends all bytes. Returns false if the server stopped reading. */
bool http_client_send(struct http_client *client, const char *bytes, size_t len);
bool http_client_send_text(struct http_client *client, const char *text);
/* Closes the sending side; responses can still be read. */
bool http_client_shut(struct http_client *client);

/* Reads one response, including interim ones (100). `bodiless`: the request was a HEAD. Frees the
   previous content of `response`, which must be zeroed before first use. Returns false if no
   complete response arrived in time. */
bool http_client_read(struct http_client *client, struct http_response *response, bool bodiless);

/* Returns true if the server closes the connection in time without sending more. */
bool http_client_closed(struct http_client *client);

/* Sends a request with a Host, a Content-Length if there is a body, and `headers` (each ending in
   CRLF, or NULL), and reads the response. */
bool http_client_ask(struct http_client *client, const char *method, const char *path,
                     const char *headers, const char *body, size_t len,
                     struct http_response *response);

/* Copies the value of a header to `value` of `size` bytes. Returns NULL if there is no such header.
 */
const char *http_response_header(const struct http_response *response, const char *name,
                                 char *value, size_t size);
void http_response_free(struct http_response *response);

#endif
