/*
 * A small HTTP/1.1 client over a raw socket.
 */
#include "support/http_client.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

bool http_client_connect(struct http_client *client, const char *host, int port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *found = NULL;
    char service[16];
    *client = (struct http_client){.fd = -1};
    snprintf(service, sizeof service, "%d", port);
    if (getaddrinfo(host, service, &hints, &found) != 0)
        return false;
    client->fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = client->fd >= 0 && connect(client->fd, found->ai_addr, found->ai_addrlen) == 0;
    const int on =
        1; /* otherwise each piece of a request waits for the acknowledgement of the previous one */
    if (connected)
        setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    freeaddrinfo(found);
    if (!connected)
        http_client_close(client);
    return connected;
}

bool http_client_connect_path(struct http_client *client, const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    *client = (struct http_client){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    memcpy(at.sun_path, path, strnlen(path, sizeof at.sun_path - 1));
    if (client->fd >= 0 &&
        connect(client->fd, (const struct sockaddr *)(const void *)&at, sizeof at) == 0)
        return true;
    http_client_close(client);
    return false;
}

bool http_client_connect_tls(struct http_client *client, int port,
                             const struct http_client_tls *tls)
{
    if (!http_client_connect(client, "127.0.0.1", port))
        return false;
    gnutls_certificate_allocate_credentials(&client->credentials);
    gnutls_certificate_set_x509_trust_file(client->credentials, tls->ca, GNUTLS_X509_FMT_PEM);
    if (tls->certificate)
        gnutls_certificate_set_x509_key_file(client->credentials, tls->certificate, tls->key,
                                             GNUTLS_X509_FMT_PEM);
    gnutls_init(&client->session, GNUTLS_CLIENT);
    gnutls_set_default_priority(client->session);
    if (tls->priorities)
        gnutls_priority_set_direct(client->session, tls->priorities, NULL);
    gnutls_credentials_set(client->session, GNUTLS_CRD_CERTIFICATE, client->credentials);
    gnutls_server_name_set(client->session, GNUTLS_NAME_DNS, "localhost", strlen("localhost"));
    gnutls_session_set_verify_cert(client->session, "localhost", 0);
    gnutls_transport_set_int(client->session, client->fd);
    gnutls_handshake_set_timeout(client->session, HTTP_CLIENT_TIMEOUT_MS);
    int error;
    do
        error = gnutls_handshake(client->session);
    while (error < 0 && !gnutls_error_is_fatal(error));
    if (error < 0)
        http_client_close(client);
    return error == 0;
}

void http_client_close(struct http_client *client)
{
    if (client->session)
        gnutls_deinit(client->session);
    if (client->credentials)
        gnutls_certificate_free_credentials(client->credentials);
    if (client->fd >= 0)
        close(client->fd);
    free(client->buffer);
    *client = (struct http_client){.fd = -1};
}

void http_client_reset(struct http_client *client)
{
    const struct linger reset = {.l_onoff = 1};
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    http_client_close(client);
}

static bool wait_for(struct http_client *client, short events)
{
    struct pollfd wait = {.fd = client->fd, .events = events};
    int ready;
    do
        ready = poll(&wait, 1, HTTP_CLIENT_TIMEOUT_MS);
    while (ready < 0 && errno == EINTR);
    return ready > 0;
}

static ssize_t send_some(struct http_client *client, const char *bytes, size_t len)
{
    if (!wait_for(client, POLLOUT))
        return -1;
    return client->session ? gnutls_record_send(client->session, bytes, len)
                           : send(client->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool http_client_send(struct http_client *client, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send_some(client, bytes, len);
        if (sent < 0)
            return false;
        bytes += sent;
        len -= (size_t)sent;
    }
    return true;
}

bool http_client_send_text(struct http_client *client, const char *text)
{
    return http_client_send(client, text, strlen(text));
}

bool http_client_shut(struct http_client *client)
{
    return shutdown(client->fd, SHUT_WR) == 0;
}

/* Like recv, with or without TLS. The peer may close without a TLS alert, but all data must be TLS.
 */
static ssize_t receive_some(struct http_client *client, char *to, size_t size)
{
    const bool pending = client->session && gnutls_record_check_pending(client->session) > 0;
    if (!pending && !wait_for(client, POLLIN))
        return -1;
    if (!client->session)
        return recv(client->fd, to, size, 0);
    ssize_t got;
    do
        got = gnutls_record_recv(client->session, to, size);
    while (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED);
    if (got >= 0)
        return got;
    errno = got == GNUTLS_E_PULL_ERROR ? errno : EPROTO;
    return got == GNUTLS_E_PREMATURE_TERMINATION ? 0 : -1;
}

/* Receives more data. Returns 0 at the end, -1 on errors and timeouts. */
static ssize_t receive(struct http_client *client)
{
    if (client->capacity - client->len < 65536) {
        size_t capacity = client->capacity * 2 + 131072;
        char *buffer = realloc(client->buffer, capacity);
        if (!buffer)
            return -1;
        client->buffer = buffer;
        client->capacity = capacity;
    }
    ssize_t got =
        receive_some(client, client->buffer + client->len, client->capacity - client->len - 1);
    if (got > 0)
        client->len += (size_t)got;
    return got;
}

/* Removes the first `len` received bytes and returns them as a NUL-terminated copy. */
static char *take(struct http_client *client, size_t len)
{
    char *text = malloc(len + 1);
    if (!text)
        return NULL;
    memcpy(text, client->buffer, len);
    text[len] = '\0';
    memmove(client->buffer, client->buffer + len, client->len - len);
    client->len -= len;
    return text;
}

static bool read_head(struct http_client *client, struct http_response *response)
{
    char *end;
    while (client->len == 0 || !(end = memmem(client->buffer, client->len, "\r\n\r\n", 4))) {
        if (receive(client) <= 0)
            return false;
    }
    response->head = take(client, (size_t)(end - client->buffer) + 4);
    static const char version[] = "HTTP/1.1 ";
    if (!response->head || strncmp(response->head, version, strlen(version)) != 0)
        return false;
    response->status = (int)strtol(response->head + strlen(version), NULL, 10);
    return true;
}

bool http_client_read(struct http_client *client, struct http_response *response, bool bodiless)
{
    char length[32];
    http_response_free(response);
    if (!read_head(client, response))
        return false;
    bool counted = http_response_header(response, "Content-Length", length, sizeof length) != NULL;
    bodiless =
        bodiless || response->status == 204 || response->status == 304 || response->status < 200;
    size_t len = counted && !bodiless ? strtoull(length, NULL, 10) : 0;
    ssize_t got = 1;
    while (got > 0 && !bodiless && (!counted || client->len < len))
        got = receive(client);
    if (!counted && !bodiless)
        len = client->len; /* the body ends with the connection */
    if (got < 0 || client->len < len)
        return false;
    response->body = take(client, len);
    response->body_len = len;
    return response->body != NULL;
}

bool http_client_closed(struct http_client *client)
{
    return client->len == 0 && receive(client) == 0;
}

bool http_client_ask(struct http_client *client, const char *method, const char *path,
                     const char *headers, const char *body, size_t len,
                     struct http_response *response)
{
    char *head = NULL, length[64] = "";
    if (body)
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", len);
    if (asprintf(&head, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n", method, path, length,
                 headers ? headers : "") < 0)
        return false;
    bool sent =
        http_client_send_text(client, head) && http_client_send(client, body ? body : "", len);
    free(head);
    return sent && http_client_read(client, response, strcmp(method, "HEAD") == 0);
}

const char *http_response_header(const struct http_response *response, const char *name,
                                 char *value, size_t size)
{
    size_t len = strlen(name);
    for (const char *line = response->head; line && (line = strstr(line, "\r\n"));) {
        line += 2;
        if (strncasecmp(line, name, len) != 0 || line[len] != ':')
            continue;
        line += len + 1 + strspn(line + len + 1, " ");
        snprintf(value, size, "%.*s", (int)strcspn(line, "\r"), line);
        return value;
    }
    return NULL;
}

void http_response_free(struct http_response *response)
{
    free(response->head);
    free(response->body);
    *response = (struct http_response){.status = 0};
}
