/*
 * Rejects malformed requests that libmicrohttpd 0.9.75 accepts.
 */
#include "http/head_validation.h"

#include <string.h>
#include <strings.h>

#include "number/hex.h"
#include "util/header_value.h"

/* The characters allowed in a token besides letters and digits (RFC 9110, section 5.6.2). Methods
   and header names are tokens. */
static const char token_marks[] = "!#$%&'*+-.^_`|~";

static bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!is_alphanumeric(text[i]) && (text[i] == '\0' || !strchr(token_marks, text[i])))
            return false;
    }
    return len > 0;
}

static bool is_control(unsigned char byte)
{
    return byte < 0x20 || byte == 0x7f;
}

static bool is_printable_ascii(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] <= 0x20 || (unsigned char)text[i] >= 0x7f)
            return false;
    }
    return true;
}

/* ---- Headers ---- */

/* Counts and values of the headers that affect framing. */
struct scan {
    unsigned hosts, lengths, encodings, json_lengths;
    const char *length, *encoding;
    bool expects_continue;
    const char *fault; /* the first fault; static text */
};

static enum MHD_Result scan_header(void *context, enum MHD_ValueKind kind, const char *name,
                                   size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    struct scan *scan = context;
    /* Also rejects "Content-Length : 5": libmicrohttpd treats the space as part of the name and
       therefore sees no body. */
    if (!is_token(name, name_len)) {
        scan->fault = "a header name contains a character that is not allowed, such as a space";
        return MHD_NO;
    }
    if (!value)
        value = "";
    for (size_t i = 0; i < value_len; i++) {
        if (is_control((unsigned char)value[i]) && value[i] != '\t') {
            scan->fault = "a header value contains a control character";
            return MHD_NO;
        }
    }
    if (strcasecmp(name, "Host") == 0) {
        scan->hosts++;
    } else if (strcasecmp(name, "Content-Length") == 0) {
        scan->lengths++;
        scan->length = value;
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        scan->encodings++;
        scan->encoding = value;
    } else if (strcasecmp(name, "Inference-Header-Content-Length") == 0) {
        scan->json_lengths++;
    } else if (strcasecmp(name, "Expect") == 0) {
        scan->expects_continue = strcasecmp(value, "100-continue") == 0;
    }
    return MHD_YES;
}

static enum MHD_Result scan_argument(void *context, enum MHD_ValueKind kind, const char *name,
                                     size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    struct scan *scan = context;
    if (is_printable_ascii(name, name_len) && (!value || is_printable_ascii(value, value_len)))
        return MHD_YES;
    scan->fault = "the query contains a byte that must be percent-encoded";
    return MHD_NO;
}

static struct http_error malformed(const char *detail)
{
    return (struct http_error){.status = 400, .detail = detail};
}

struct http_error head_validate(struct MHD_Connection *connection, const char *method,
                                const char *version, struct framing *framing)
{
    struct scan scan = {.hosts = 0};
    bool http10 = strcmp(version, "HTTP/1.0") == 0;
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, scan_header, &scan);
    if (!scan.fault)
        MHD_get_connection_values_n(connection, MHD_GET_ARGUMENT_KIND, scan_argument, &scan);
    if (scan.fault)
        return malformed(scan.fault);
    if (!is_token(method, strlen(method)))
        return malformed("the method contains a character that is not allowed");
    if (scan.hosts > 1)
        return malformed("more than one Host header");
    if (scan.hosts == 0 && !http10)
        return malformed("no Host header; HTTP/1.1 requires one");
    if (scan.encodings > 0 && scan.lengths > 0)
        return malformed("both Content-Length and Transfer-Encoding; only one of them is allowed");
    if (scan.lengths > 1)
        return malformed("more than one Content-Length header");
    if (scan.json_lengths > 1)
        return malformed("more than one Inference-Header-Content-Length header");
    if (scan.encodings > 1)
        return malformed("more than one Transfer-Encoding header");
    if (scan.encodings > 0 && http10)
        return malformed("Transfer-Encoding in an HTTP/1.0 request; HTTP/1.0 does not define it");
    if (scan.encodings > 0 && strcasecmp(scan.encoding, "chunked") != 0)
        return (struct http_error){.status = 501,
                                   .detail = "the only supported Transfer-Encoding is chunked"};

    *framing = (struct framing){.has_length = scan.lengths > 0,
                                .chunked = scan.encodings > 0,
                                .expects_continue = scan.expects_continue && !http10};
    /* strict_parser.c has already checked that the value consists of digits. */
    for (const char *digit = scan.length; digit && *digit; digit++)
        framing->length = framing->length * 10 + (uint64_t)(*digit - '0');
    return (struct http_error){.status = 0};
}

/* ---- Paths ---- */

/* Returns the path of a target in absolute form ("http://host/path", RFC 9112 section 3.2.2), or
   the target itself if it has another form. */
static const char *path_of_target(const char *raw)
{
    const char *scheme_end = strstr(raw, "://");
    if (raw[0] == '/' || !scheme_end)
        return raw;
    size_t scheme = (size_t)(scheme_end - raw);
    if (!(scheme == 4 && strncasecmp(raw, "http", 4) == 0) &&
        !(scheme == 5 && strncasecmp(raw, "https", 5) == 0))
        return raw;
    const char *authority = scheme_end + 3;
    const char *slash = strchr(authority, '/');
    return slash ? slash : "/";
}

enum head_path head_decode_path(const char *raw, char *path, size_t size)
{
    size_t len = 0;
    bool ascii = true;
    raw = path_of_target(raw);
    if (raw[0] != '/')
        return HEAD_PATH_MALFORMED;
    while (*raw) {
        unsigned char byte = (unsigned char)*raw++;
        if (is_control(byte) || byte == ' ')
            return HEAD_PATH_MALFORMED;
        if (byte == '%') {
            int high = hex_digit(raw[0]), low = high < 0 ? -1 : hex_digit(raw[1]);
            if (low < 0)
                return HEAD_PATH_MALFORMED;
            byte = (unsigned char)(high * 16 + low);
            raw += 2;
            if (is_control(byte) || byte == '/')
                return HEAD_PATH_MALFORMED;
        }
        ascii = ascii && byte < 0x80;
        if (len < size - 1)
            path[len] = (char)byte;
        len++;
    }
    path[len < size ? len : size - 1] = '\0';
    return ascii && len < size ? HEAD_PATH_OK : HEAD_PATH_UNKNOWN;
}
