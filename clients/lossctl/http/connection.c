#include "http/connection.h"
#include "cli/progress.h"
#include "json/scanner.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char default_url[] = "http://127.0.0.1:8080";
static const char token_env[] = "LOSSD_TOKEN";
enum {
    CONNECT_MS = 10000,       /* timeout of connecting */
    TIMEOUT_S = 600,          /* default of --timeout */
    LONGEST_HEADER_S = 86400, /* maximum of X-Request-Timeout */
};

/* ---- Setup ---- */

/* Makes the header that carries the token, from a file's first line or the environment. */
static enum exit_code read_token(struct connection *c, const char *path)
{
    char line[4096] = "";
    const char *const token = getenv(token_env);
    if (path) {
        FILE *file = fopen(path, "re");
        if (!file)
            return fail(EXIT_INPUT, "cannot read the token file %s: %s", path, strerror(errno));
        if (!fgets(line, sizeof line, file))
            line[0] = '\0';
        fclose(file);
    } else if (token) {
        snprintf(line, sizeof line, "%s", token);
    }
    line[strcspn(line, "\r\n")] = '\0';
    char *const text = line + strspn(line, " \t");
    for (size_t len = strlen(text); len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t');
         len--)
        text[len - 1] = '\0';
    if (path && *text == '\0')
        return fail(EXIT_INPUT, "the first line of the token file %s is empty", path);
    if (*text && asprintf(&c->authorization, "Authorization: Bearer %s", text) < 0) {
        c->authorization = NULL;
        return fail_memory();
    }
    return EXIT_OK;
}

/* Writes a URL for people to read: *** replaces a user and password. These may contain any
   character, so everything up to the last '@' is replaced. */
static void show_url(char *shown, size_t size, const char *url)
{
    const char *const scheme_end = strstr(url, "://"), *const at = strrchr(url, '@');
    const char *const authority = scheme_end ? scheme_end + 3 : url;
    if (at && at >= authority)
        snprintf(shown, size, "%.*s***%s", (int)(authority - url), url, at);
    else
        snprintf(shown, size, "%s", url);
}

/* Parses the URL of the server: http, https, or a Unix socket, for which any host name works. */
static enum exit_code read_url(struct connection *c, const char *url)
{
    static const char unix_scheme[] = "unix:";
    if (strncasecmp(url, unix_scheme, sizeof unix_scheme - 1) == 0 && url[sizeof unix_scheme - 1]) {
        c->unix_socket = url + sizeof unix_scheme - 1;
        url = "http://localhost";
    }
    size_t len = strlen(url);
    if (len >= sizeof c->url)
        return fail(EXIT_USAGE, "--url is longer than %zu bytes", sizeof c->url - 1);
    show_url(c->shown, sizeof c->shown, url);
    if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
        return fail(EXIT_USAGE,
                    "--url is '%s'; it must begin with http://, https:// or unix:", c->shown);
    while (len > 0 && url[len - 1] == '/')
        len--;
    snprintf(c->url, sizeof c->url, "%.*s", (int)len, url);
    show_url(c->shown, sizeof c->shown, c->url);
    return EXIT_OK;
}

enum exit_code connection_open(struct connection *c, const struct arguments *a)
{
    double timeout;
    *c = (struct connection){.cacert = a->value[OPT_CACERT],
                             .cert = a->value[OPT_CERT],
                             .key = a->value[OPT_CERT_KEY],
                             .can_be_local = command_takes(a->command, OPT_LOCAL)};
    if (read_url(c, a->value[OPT_URL] ? a->value[OPT_URL] : default_url) != EXIT_OK)
        return EXIT_USAGE;
    if (arguments_number(a, OPT_TIMEOUT, 0.001, 1e6, TIMEOUT_S, &timeout) != EXIT_OK)
        return EXIT_USAGE;
    c->timeout_ms = (long)(timeout * 1000);
    if (timeout <= LONGEST_HEADER_S)
        snprintf(c->time_limit, sizeof c->time_limit, "X-Request-Timeout: %.3f", timeout);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(c->curl = curl_easy_init()))
        return fail_memory();
    return read_token(c, a->value[OPT_TOKEN_FILE]);
}

void connection_close(struct connection *c)
{
    curl_easy_cleanup(c->curl);
    free(c->authorization);
    *c = (struct connection){.curl = NULL};
}

void connection_setup(const struct connection *c, CURL *curl)
{
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "lossctl/" LOSS_VERSION);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, c->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 512L * 1024);
    curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 512L * 1024);
    if (c->unix_socket)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, c->unix_socket);
    if (c->cacert)
        curl_easy_setopt(curl, CURLOPT_CAINFO, c->cacert);
    if (c->cert)
        curl_easy_setopt(curl, CURLOPT_SSLCERT, c->cert);
    if (c->key)
        curl_easy_setopt(curl, CURLOPT_SSLKEY, c->key);
}

/* ---- Request ---- */

/* The state of libcurl's callbacks. */
struct exchange {
    const struct http_request *request;
    struct http_response *response;
    int segment; /* index of the segment being sent */
    size_t sent; /* bytes of that segment that have been sent */
};

static size_t on_send(char *to, size_t one, size_t room, void *context)
{
    struct exchange *const x = context;
    size_t filled = 0;
    room *= one;
    while (filled < room && x->segment < x->request->segments) {
        const struct segment *const segment = &x->request->segment[x->segment];
        const size_t left = segment->len - x->sent,
                     len = left < room - filled ? left : room - filled;
        if (len > 0)
            memcpy(to + filled, (const char *)segment->bytes + x->sent, len);
        filled += len;
        x->sent += len;
        if (x->sent == segment->len) {
            x->segment++;
            x->sent = 0;
        }
    }
    return filled;
}

/* Starts over: libcurl resends the body if a reused connection turns out to be closed. */
static int on_rewind(void *context, curl_off_t offset, int origin)
{
    struct exchange *const x = context;
    if (offset != 0 || origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    x->segment = 0;
    x->sent = 0;
    return CURL_SEEKFUNC_OK;
}

static size_t on_body(char *bytes, size_t one, size_t len, void *context)
{
    struct exchange *const x = context;
    struct buffer *const body = &x->response->body;
    buffer_append(body, bytes, one * len);
    return body->failed ? 0 : one * len; /* any other number aborts the transfer */
}

/* Copies the value of a header line if the line has this name. */
static void copy_value(const char *line, size_t len, const char *name, char *value, size_t size)
{
    const size_t name_len = strlen(name);
    if (len <= name_len || strncasecmp(line, name, name_len) != 0 || line[name_len] != ':')
        return;
    const char *at = line + name_len + 1, *end = line + len;
    while (at < end && *at == ' ')
        at++;
    while (end > at && (end[-1] == '\r' || end[-1] == '\n'))
        end--;
    snprintf(value, size, "%.*s", (int)(end - at), at);
}

static size_t on_header(char *line, size_t one, size_t len, void *context)
{
    struct exchange *const x = context;
    copy_value(line, one * len, "Content-Type", x->response->content_type,
               sizeof x->response->content_type);
    return one * len;
}

static int on_progress(void *context, curl_off_t to_receive, curl_off_t received,
                       curl_off_t to_send, curl_off_t sent)
{
    (void)context;
    if (received > 0)
        progress_describe("receiving the response");
    else if (to_send > 0 && sent >= to_send)
        progress_describe("waiting for the server");
    if (received > 0)
        progress_set((double)received, (double)to_receive);
    else
        progress_set(sent < to_send ? (double)sent : 0, sent < to_send ? (double)to_send : 0);
    return 0;
}

static void set_body(CURL *curl, struct exchange *x)
{
    size_t len = 0;
    for (int i = 0; i < x->request->segments; i++)
        len += x->request->segment[i].len;
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_send);
    curl_easy_setopt(curl, CURLOPT_READDATA, x);
    curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_rewind);
    curl_easy_setopt(curl, CURLOPT_SEEKDATA, x);
}

/* Returns the header lines, or NULL if memory runs out. */
static struct curl_slist *make_headers(const struct connection *c,
                                       const struct http_request *request)
{
    char type[160], accept[160], inference[64];
    snprintf(type, sizeof type, "Content-Type: %s",
             request->content_type ? request->content_type : "");
    snprintf(accept, sizeof accept, "Accept: %s", request->accept ? request->accept : "*/*");
    snprintf(inference, sizeof inference, "Inference-Header-Content-Length: %s",
             request->inference_header ? request->inference_header : "");
    const char *const lines[] = {accept, request->content_type ? type : NULL,
                                 request->inference_header ? inference : NULL, c->authorization,
                                 *c->time_limit ? c->time_limit : NULL};
    struct curl_slist *headers = NULL;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct curl_slist *const longer = lines[i] ? curl_slist_append(headers, lines[i]) : headers;
        if (!longer) {
            curl_slist_free_all(headers);
            return NULL;
        }
        headers = longer;
    }
    return headers;
}

/* Returns a hint on how to fix the error, or "". */
static const char *hint_of(const struct connection *c, CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_CONNECT:
        return c->can_be_local
                   ? "; is lossd running there? set its address with --url, or run without a "
                     "server with --local"
                   : "; is lossd running there? set its address with --url";
    case CURLE_PEER_FAILED_VERIFICATION:
        return c->cacert ? "" : "; set the certificate authority with --cacert";
    case CURLE_GOT_NOTHING:
        return strncasecmp(c->url, "http:", 5) == 0 ? "; does it expect https://?" : "";
    default:
        return "";
    }
}

enum exit_code connection_fail(const struct connection *c, CURLcode code, const char *why)
{
    const char *const reason = *why ? why : curl_easy_strerror(code);
    if (code == CURLE_OUT_OF_MEMORY)
        return fail_memory();
    return fail(EXIT_UNREACHABLE, "no response from %s%s%s: %s%s", c->shown,
                c->unix_socket ? " through " : "", c->unix_socket ? c->unix_socket : "", reason,
                hint_of(c, code));
}

static void set_request(const struct connection *c, struct exchange *x, const char *url, char *why)
{
    CURL *const curl = c->curl;
    curl_easy_reset(curl); /* keeps the connection */
    connection_setup(c, curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, x);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    if (x->request->content_type)
        set_body(curl, x);
}

enum exit_code connection_perform(struct connection *c, const struct http_request *request,
                                  struct http_response *response)
{
    char url[2 * CONNECTION_URL], why[CURL_ERROR_SIZE] = "";
    struct exchange x = {.request = request, .response = response};
    curl_off_t us = 0;
    long status = 0;
    *response = (struct http_response){.status = 0};
    if ((size_t)snprintf(url, sizeof url, "%s%s", c->url, request->path) >= sizeof url)
        return fail(EXIT_USAGE, "the URL of this request is longer than %zu bytes", sizeof url - 1);
    struct curl_slist *const headers = make_headers(c, request);
    if (!headers)
        return fail_memory();
    set_request(c, &x, url, why);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
    progress_begin("sending the request");
    const CURLcode code = curl_easy_perform(c->curl);
    progress_end();
    curl_slist_free_all(headers);
    buffer_append(&response->body, "", 1);
    if (response->body.failed) {
        http_response_free(response);
        return fail_memory();
    }
    response->body.len--;
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(c->curl, CURLINFO_TOTAL_TIME_T, &us);
    response->status = (int)status;
    response->ms = (double)us / 1000;
    if (code == CURLE_OK)
        return EXIT_OK;
    http_response_free(response);
    return connection_fail(c, code, why);
}

enum exit_code connection_get(struct connection *c, const char *path,
                              struct http_response *response)
{
    const enum exit_code code =
        connection_perform(c, &(struct http_request){.path = path}, response);
    if (code != EXIT_OK || response->status == 200)
        return code;
    const enum exit_code refused = http_response_fail(c, response);
    http_response_free(response);
    return refused;
}

/* ---- Errors ---- */

enum exit_code http_response_fail(const struct connection *c, const struct http_response *response)
{
    json_t *const problem = json_loadb(response->body.data, response->body.len, 0, NULL);
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    const char *const pointer = json_string_value(json_object_get(problem, "pointer"));
    if (!detail)
        detail = json_string_value(json_object_get(problem, "error"));
    const bool input = response->status == 400 || response->status == 422;
    fail(input ? EXIT_INPUT : EXIT_REFUSED, "%s returned status %d%s%s%s%s%s", c->shown,
         response->status, detail ? ": " : "", detail ? detail : "", pointer ? " (" : "",
         pointer ? pointer : "", pointer ? ")" : "");
    if (response->status == 401)
        fail(EXIT_REFUSED, "provide a token with --token-file or %s", token_env);
    json_decref(problem);
    return input ? EXIT_INPUT : EXIT_REFUSED;
}

void http_response_free(struct http_response *response)
{
    buffer_free(&response->body);
}
