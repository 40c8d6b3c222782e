/*
 * Strict parser for requests: where each one ends, and whether its lines and chunks conform to RFC
 * 9112.
 */
#include "mhd_workarounds/strict_parser.h"
#include "number/hex.h"

#include <dlfcn.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    WIRE_WORD = 24,          /* bytes of the longest name or value to recognize, and one more */
    WIRE_METHOD = 64,        /* bytes; the longest registered method has 17 */
    WIRE_EXTENSION = 1024,   /* bytes of a chunk extension, which is ignored */
    WIRE_LENGTH_DIGITS = 19, /* always fit 64 bits; more are rejected, even leading zeros */
    WIRE_CHUNK_DIGITS = 16,  /* hexadecimal digits of 64 bits */
};

enum wire_state {
    WIRE_BEFORE,       /* between requests; empty lines are ignored (RFC 9112, section 2.2) */
    WIRE_REQUEST_LINE, /* "GET / HTTP/1.1" */
    WIRE_LINE_START,   /* of a header or trailer */
    WIRE_NAME,
    WIRE_VALUE,
    WIRE_BODY, /* of `left` more bytes */
    WIRE_CHUNK_SIZE,
    WIRE_CHUNK_EXTENSION,
    WIRE_CHUNK_DATA, /* of `left` more bytes */
    WIRE_CHUNK_END,  /* the CRLF after the data */
    WIRE_STOPPED,    /* the end of the request is unknown, so nothing more is parsed */
};

struct wire {
    bool active;
    bool encrypted;  /* the bytes come from TLS */
    bool end_hidden; /* see wire_hide_end */
    enum wire_state state;
    bool cr; /* the last byte was a CR: an LF must follow */
    bool in_trailer;
    bool blank;      /* the last byte of the request line was a space; the value is still empty */
    unsigned words;  /* of the request line so far */
    size_t line_len; /* bytes of its last word, or of a chunk extension */
    unsigned parameters;  /* of the query; 0: no query yet */
    char word[WIRE_WORD]; /* the current name, then its value, in lower case */
    size_t word_len;
    enum { WIRE_OTHER, WIRE_LENGTH, WIRE_ENCODING } name;
    /* Of the current request. */
    unsigned headers;    /* including trailers */
    size_t header_bytes; /* of names and values */
    unsigned lengths, encodings;
    bool sound; /* the encoding is supported */
    uint64_t length, left;
    unsigned digits; /* of the length or the chunk size */
    /* Of the connection. */
    atomic_bool begun;       /* a request has been received in part */
    unsigned next;           /* requests that the library has delivered */
    unsigned heads;          /* requests whose headers are complete */
    unsigned ends;           /* complete requests */
    struct http_error fault; /* of request number `ends` */
    const char *end; /* the replacement bytes not yet passed to the library; NULL: no fault */
};

static struct wire *wires; /* by descriptor */
static size_t wire_count;
static const struct limits *wire_limits;

/* ---- Faults ---- */

/* Returns the shortest text that completes a request within its request line. */
static const char *end_of_request_line(const struct wire *wire)
{
    static const char request[] = "GET / HTTP/1.1\r\n\r\n";
    enum { AFTER_METHOD = 3, AFTER_TARGET = 5, VERSION = 6 };
    switch (wire->words) {
    case 0:
        return request;
    case 1:
        return request + AFTER_METHOD + wire->blank;
    case 2:
        return request + AFTER_TARGET + wire->blank;
    default:
        return request + VERSION + wire->line_len;
    }
}

/* Returns the shortest text after which the library delivers the current request, which is valid so
   far. If the size of a chunk is known, one byte of data suffices, since the library delivers the
   body in parts. */
static const char *end_of_request(const struct wire *wire)
{
    const char *end = "";
    switch (wire->state) {
    case WIRE_BEFORE:
        end = "\r\nGET / HTTP/1.1\r\n\r\n";
        break;
    case WIRE_REQUEST_LINE:
        end = end_of_request_line(wire);
        break;
    case WIRE_LINE_START:
        end = "\r\n";
        break;
    case WIRE_NAME:
        end = ": 0\r\n\r\n"; /* also valid if the name is Content-Length */
        break;
    case WIRE_VALUE:
        end = wire->name == WIRE_LENGTH && wire->digits == 0 ? "0\r\n\r\n" : "\r\n\r\n";
        break;
    case WIRE_CHUNK_SIZE:
    case WIRE_CHUNK_EXTENSION:
        end = wire->digits == 0 ? "0\r\n\r\n" : wire->left == 0 ? "\r\n\r\n" : "\r\nx";
        break;
    case WIRE_CHUNK_END:
        end = "\r\n0\r\n\r\n";
        break;
    case WIRE_BODY:
    case WIRE_CHUNK_DATA:
    case WIRE_STOPPED:
        break;
    }
    return end + wire->cr; /* the library already has the CR */
}

/* Records a fault. The current byte is the first one that is not passed to the library. */
static void fail_with(struct wire *wire, int status, const char *fault)
{
    wire->fault = (struct http_error){status, fault};
    wire->end = end_of_request(wire);
    wire->state = WIRE_STOPPED;
}

static void fail(struct wire *wire, const char *fault)
{
    fail_with(wire, 400, fault);
}

/* ---- Lines ---- */

/* Checks a byte of a line. Returns true if it is a valid end of the line. Stops at a fault. */
static bool ends_line(struct wire *wire, char byte)
{
    if (wire->cr && byte != '\n')
        fail(wire, "a line contains a bare CR; lines must end in CRLF");
    else if (!wire->cr && byte == '\n')
        fail(wire, "a line ends in a bare LF; lines must end in CRLF");
    else if (byte == '\0')
        fail(wire, "a line contains a NUL byte");
    wire->cr = byte == '\r';
    return byte == '\n' && wire->state != WIRE_STOPPED;
}

/* Returns true if the last byte is not part of the line's end and the line is valid so far. */
static bool is_text(const struct wire *wire)
{
    return !wire->cr && wire->state != WIRE_STOPPED;
}

static void add_to_word(struct wire *wire, char byte)
{
    if (wire->word_len < WIRE_WORD)
        wire->word[wire->word_len++] = byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
}

static bool word_is(const struct wire *wire, const char *text)
{
    return wire->word_len == strlen(text) && memcmp(wire->word, text, wire->word_len) == 0;
}

/* ---- Request line and headers ---- */

static void begin_request(struct wire *wire)
{
    wire->state = WIRE_REQUEST_LINE;
    atomic_store_explicit(&wire->begun, true, memory_order_relaxed);
    wire->in_trailer = false;
    wire->blank = true;
    wire->parameters = 0;
    wire->headers = 0;
    wire->header_bytes = 0;
    wire->lengths = wire->encodings = 0;
    wire->sound = true;
    wire->length = 0;
}

static void end_request(struct wire *wire)
{
    wire->ends++;
    wire->state = WIRE_BEFORE;
    wire->words = 0;
    atomic_store_explicit(&wire->begun, false, memory_order_relaxed);
}

static void read_before(struct wire *wire, char byte)
{
    if (byte == '\r' || byte == '\n' || wire->cr) {
        ends_line(wire, byte);
        return;
    }
    begin_request(wire);
}

static const char no_request_line[] =
    "the request line must be a method, a target and a version, separated by single spaces";

/* Reads a byte of "HTTP/1.1". Accepts unknown minor versions (RFC 9110, section 2.5). */
static void read_version(struct wire *wire, char byte)
{
    static const char version[] = "HTTP/1.";
    enum { MAJOR = 5, MINOR = 7 };
    const bool digit = byte >= '0' && byte <= '9';
    if (wire->line_len == MAJOR && digit && byte != version[MAJOR])
        fail_with(wire, 505, "unsupported HTTP version; use HTTP/1.1 or HTTP/1.0");
    else if (wire->line_len > MINOR ||
             (wire->line_len == MINOR ? !digit : byte != version[wire->line_len]))
        fail(wire, no_request_line);
    else
        wire->line_len++;
}

/* Counts the parameters of the query, including empty ones: libmicrohttpd allocates memory for
   each. */
static void count_parameters(struct wire *wire, char byte)
{
    if ((byte == '?' && wire->parameters == 0) || (byte == '&' && wire->parameters > 0))
        wire->parameters++;
    if (wire->parameters > WIRE_PARAMETERS)
        fail(wire, "the query has more than 64 parameters");
}

/* Reads a byte of the method or the target. */
static void read_word(struct wire *wire, char byte)
{
    const bool begins = wire->blank && byte != ' ', method = wire->words + begins == 1;
    if (byte == ' ') {
        wire->blank = true;
        return;
    }
    const size_t len = begins ? 0 : wire->line_len;
    if (method && len == WIRE_METHOD) {
        fail(wire, "the method is longer than 64 bytes");
    } else if (!method && len == wire_limits->max_url) {
        fail_with(wire, 414, "the path and query are longer than --max-url allows");
    } else {
        wire->words += begins;
        wire->line_len = len + 1;
        wire->blank = false;
        if (!method)
            count_parameters(wire, byte);
    }
}

static void read_request_line(struct wire *wire, char byte)
{
    if (byte == '\r' && (wire->words != 3 || wire->line_len != sizeof "HTTP/1.1" - 1)) {
        fail(wire, no_request_line);
        return;
    }
    if (ends_line(wire, byte))
        wire->state = WIRE_LINE_START;
    if (!is_text(wire) || wire->state != WIRE_REQUEST_LINE)
        return;
    if (byte == ' ' && wire->blank) {
        fail(wire, "the request line has an extra space");
    } else if (wire->words == 2 && wire->blank) {
        wire->words = 3;
        wire->line_len = 0;
        wire->blank = false;
        read_version(wire, byte);
    } else if (wire->words == 3) {
        read_version(wire, byte);
    } else {
        read_word(wire, byte);
    }
}

/* Reads a byte of the value of Content-Length. Rejects trailing blanks, which RFC 9112 allows,
   because the library treats them as part of the value. */
static void read_length(struct wire *wire, char byte)
{
    if (byte < '0' || byte > '9') {
        fail(wire, "Content-Length must contain only digits");
    } else if (wire->digits < WIRE_LENGTH_DIGITS) {
        wire->length = wire->length * 10 + (uint64_t)(byte - '0');
        wire->digits++;
    } else if (wire->length > UINT64_MAX / 100) {
        fail_with(wire, 413, "Content-Length is too large");
    } else {
        fail(wire, "Content-Length has more than 19 digits");
    }
}

static void end_value(struct wire *wire)
{
    wire->state = WIRE_LINE_START;
    if (wire->name == WIRE_LENGTH) {
        wire->lengths++;
    } else if (wire->name == WIRE_ENCODING) {
        wire->encodings++;
        wire->sound = wire->sound && word_is(wire, "chunked");
    }
}

/* Decides after the headers how the body is delimited. If that is ambiguous, head_validation.c
   rejects the request, and the connection accepts no further request. */
static void end_head(struct wire *wire)
{
    wire->heads++;
    if (!wire->sound || wire->lengths + wire->encodings > 1) {
        wire->state = WIRE_STOPPED;
    } else if (wire->encodings == 1) {
        wire->state = WIRE_CHUNK_SIZE;
        wire->left = 0;
        wire->digits = 0;
        wire->line_len = 0;
    } else if (wire->length > 0) {
        wire->state = WIRE_BODY;
        wire->left = wire->length;
    } else {
        end_request(wire);
    }
}

/* Counts a byte of a name or a value. Returns false if the headers are too long. */
static bool has_room(struct wire *wire)
{
    if (wire->header_bytes == wire_limits->max_header_bytes)
        fail_with(wire, 431, "the headers are longer than --max-header-bytes allows");
    else
        wire->header_bytes++;
    return wire->state != WIRE_STOPPED;
}

static void read_line_start(struct wire *wire, char byte)
{
    const bool end = ends_line(wire, byte);
    if (end && wire->in_trailer)
        end_request(wire);
    else if (end)
        end_head(wire);
    if (!is_text(wire) || end)
        return;
    if (byte == ' ' || byte == '\t') {
        fail(wire, "a header is continued on a second line, which RFC 9112 forbids");
    } else if (byte == ':') {
        fail(wire, "a header has no name");
    } else if (wire->headers == (unsigned)wire_limits->max_header_count) {
        fail_with(wire, 431, "there are more headers than --max-header-count allows");
    } else if (has_room(wire)) {
        wire->headers++;
        wire->state = WIRE_NAME;
        wire->word_len = 0;
        add_to_word(wire, byte);
    }
}

/* Ignores framing headers in trailers, as RFC 9110 requires. */
static void begin_value(struct wire *wire)
{
    wire->name = wire->in_trailer                     ? WIRE_OTHER
                 : word_is(wire, "content-length")    ? WIRE_LENGTH
                 : word_is(wire, "transfer-encoding") ? WIRE_ENCODING
                                                      : WIRE_OTHER;
    wire->state = WIRE_VALUE;
    wire->word_len = 0;
    wire->blank = true;
    if (wire->name == WIRE_LENGTH) {
        wire->length = 0;
        wire->digits = 0;
    }
}

/* Renames the Cookie header for the library, which would parse cookies and allocate memory for
   each. The server does not use them. */
static void hide_cookies(const struct wire *wire, char *byte)
{
    if (word_is(wire, "cooki") && (*byte == 'e' || *byte == 'E'))
        *byte = 'x';
}

static void read_name(struct wire *wire, char *byte)
{
    if (*byte == '\r') {
        fail(wire, "a header has no colon");
        return;
    }
    ends_line(wire, *byte); /* rejects LF and NUL */
    if (!is_text(wire))
        return;
    if (*byte == ':') {
        begin_value(wire);
    } else if (has_room(wire)) {
        hide_cookies(wire, byte);
        add_to_word(wire, *byte);
    }
}

static void read_value(struct wire *wire, char byte)
{
    const bool is_length = wire->name == WIRE_LENGTH, blank = byte == ' ' || byte == '\t';
    if (is_length && wire->digits == 0 && byte == '\r') {
        read_length(wire, byte);
        return;
    }
    if (ends_line(wire, byte)) {
        end_value(wire);
        return;
    }
    if (!is_text(wire))
        return;
    const bool first = wire->blank; /* a blank after the colon is not counted */
    wire->blank = false;
    if (!(first && blank) && !has_room(wire))
        return;
    if (blank && wire->word_len == 0 && !(is_length && wire->digits > 0))
        return;
    if (is_length)
        read_length(wire, byte);
    else
        add_to_word(wire, byte);
}

/* ---- Body ---- */

/* Skips the bytes that belong to the body or the chunk. Returns their number. */
static size_t read_data(struct wire *wire, size_t len)
{
    const size_t some = wire->left < len ? (size_t)wire->left : len;
    wire->left -= some;
    if (wire->left > 0)
        return some;
    if (wire->state == WIRE_BODY)
        end_request(wire);
    else
        wire->state = WIRE_CHUNK_END;
    return some;
}

static void end_chunk_line(struct wire *wire)
{
    wire->state = wire->left > 0 ? WIRE_CHUNK_DATA : WIRE_LINE_START;
    wire->in_trailer = wire->left == 0;
    wire->line_len = 0;
}

static void read_chunk_size(struct wire *wire, char byte)
{
    static const char no_size[] = "the size of a chunk must be 1 to 16 hexadecimal digits";
    const int digit = hex_digit(byte);
    if (byte == '\r' && wire->digits == 0) {
        fail(wire, no_size);
        return;
    }
    const bool end = ends_line(wire, byte);
    if (wire->state == WIRE_STOPPED)
        return;
    if (digit >= 0 && wire->digits < WIRE_CHUNK_DIGITS) {
        wire->left = wire->left * 16 + (uint64_t)digit;
        wire->digits++;
    } else if (wire->digits == 0 || (byte != ';' && byte != '\r' && !end)) {
        fail(wire, no_size);
    } else if (byte == ';') {
        wire->state = WIRE_CHUNK_EXTENSION;
    } else if (end) {
        end_chunk_line(wire);
    }
}

static void read_chunk_extension(struct wire *wire, char byte)
{
    const bool end = ends_line(wire, byte);
    if (end)
        end_chunk_line(wire);
    else if (is_text(wire) && ((unsigned char)byte < 0x20 || byte == 0x7f) && byte != '\t')
        fail(wire, "a chunk extension contains a control character");
    else if (is_text(wire) && wire->line_len++ == WIRE_EXTENSION)
        fail(wire, "a chunk extension is longer than 1024 bytes");
}

static void read_chunk_end(struct wire *wire, char byte)
{
    const bool end = ends_line(wire, byte);
    if (end) {
        wire->state = WIRE_CHUNK_SIZE;
        wire->left = 0;
        wire->digits = 0;
    } else if (is_text(wire)) {
        fail(wire, "a chunk is longer than its size");
    }
}

/* ---- Interface ---- */

static void read_byte(struct wire *wire, char *at)
{
    const char byte = *at;
    switch (wire->state) {
    case WIRE_BEFORE:
        read_before(wire, byte);
        if (wire->state == WIRE_REQUEST_LINE)
            read_request_line(wire, byte);
        break;
    case WIRE_REQUEST_LINE:
        read_request_line(wire, byte);
        break;
    case WIRE_LINE_START:
        read_line_start(wire, byte);
        break;
    case WIRE_NAME:
        read_name(wire, at);
        break;
    case WIRE_VALUE:
        read_value(wire, byte);
        break;
    case WIRE_CHUNK_SIZE:
        read_chunk_size(wire, byte);
        break;
    case WIRE_CHUNK_EXTENSION:
        read_chunk_extension(wire, byte);
        break;
    case WIRE_CHUNK_END:
        read_chunk_end(wire, byte);
        break;
    case WIRE_BODY:
    case WIRE_CHUNK_DATA:
    case WIRE_STOPPED:
        break;
    }
}

size_t wire_read(struct wire *wire, char *bytes, size_t len, size_t size)
{
    if (wire->end)
        return 0;
    for (size_t at = 0; at < len && wire->state != WIRE_STOPPED;) {
        if (wire->state == WIRE_BODY || wire->state == WIRE_CHUNK_DATA)
            at += read_data(wire, len - at);
        else
            read_byte(wire, &bytes[at++]);
        if (wire->end)
            return at - 1 + wire_rest(wire, bytes + at - 1, size - (at - 1));
    }
    return len;
}

size_t wire_rest(struct wire *wire, char *bytes, size_t size)
{
    if (!wire->end)
        return 0;
    const size_t rest = strlen(wire->end), some = rest < size ? rest : size;
    memcpy(bytes, wire->end, some);
    wire->end += some;
    return some;
}

bool wire_open(size_t files, const struct limits *limits)
{
    wire_limits = limits;
    wires = calloc(files, sizeof *wires);
    wire_count = wires ? files : 0;
    return wires != NULL;
}

void wire_close(void)
{
    free(wires);
    wires = NULL;
    wire_count = 0;
}

void wire_begin(int fd, bool encrypted)
{
    wires[fd] = (struct wire){.active = true, .encrypted = encrypted};
}

void wire_end(int fd)
{
    wires[fd].active = false;
}

struct wire *wire_of(int fd)
{
    return &wires[fd];
}

void wire_hide_end(struct wire *wire, bool hidden)
{
    wire->end_hidden = hidden;
}

bool wire_has_begun(const struct wire *wire)
{
    return atomic_load_explicit(&wire->begun, memory_order_relaxed);
}

unsigned wire_next(struct wire *wire)
{
    return wire->next++;
}

/* Returns the fault of a request that this parser has not read as far as the library has. */
static struct http_error fault_of(const struct wire *wire)
{
    return wire->fault.status != 0
               ? wire->fault
               : (struct http_error){400, "the end of the request cannot be determined"};
}

unsigned wire_words(const struct wire *wire, unsigned number)
{
    return number < wire->heads ? 3 : wire->words;
}

static const struct http_error no_fault;

struct http_error wire_head_fault(const struct wire *wire, unsigned number)
{
    return number < wire->heads ? no_fault : fault_of(wire);
}

struct http_error wire_fault(const struct wire *wire, unsigned number)
{
    return number < wire->ends ? no_fault : fault_of(wire);
}

struct http_error wire_early_fault(const struct wire *wire, unsigned number)
{
    return number < wire->ends ? no_fault : wire->fault;
}

/* ---- Receiving ---- */

/* Returns the parser of bytes received with or without TLS on `fd`; NULL if there is none. */
static struct wire *reading(int fd, bool encrypted)
{
    return fd >= 0 && (size_t)fd < wire_count && wires[fd].active &&
                   wires[fd].encrypted == encrypted
               ? &wires[fd]
               : NULL;
}

/* Parses received bytes. Returns how many to pass to the library, or `nothing` if none. */
static ssize_t given(struct wire *wire, void *bytes, ssize_t got, size_t size, ssize_t nothing)
{
    const size_t len = wire && got > 0 ? wire_read(wire, bytes, (size_t)got, size) : 0;
    return wire && got > 0 ? (len > 0 ? (ssize_t)len : nothing) : got;
}

/* Replaces libc's recv. The dynamic linker binds libmicrohttpd's calls to this function, because it
   searches the program before its libraries. */
__attribute__((visibility("default"))) ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
    struct wire *const wire = flags & (MSG_PEEK | MSG_TRUNC) ? NULL : reading(fd, false);
    const size_t rest = wire ? wire_rest(wire, bytes, size) : 0;
    if (rest > 0)
        return (ssize_t)rest;
    const ssize_t got = recvfrom(fd, bytes, size, flags, NULL, NULL);
    if (got == 0 && size > 0 && wire && wire->end_hidden) {
        errno = EAGAIN;
        return -1;
    }
    if (got > 0)
        errno = EAGAIN; /* in case none of it is passed on */
    return given(wire, bytes, got, size, -1);
}

/* Replaces GnuTLS's function for libmicrohttpd, and calls it. */
__attribute__((visibility("default"))) ssize_t gnutls_record_recv(gnutls_session_t session,
                                                                  void *bytes, size_t size)
{
    typedef ssize_t receive(gnutls_session_t session, void *bytes, size_t size);
    static _Atomic(receive *) library;
    if (!library)
        library = (receive *)dlsym(RTLD_NEXT, "gnutls_record_recv"); /* linked, so never NULL */
    struct wire *const wire = reading(gnutls_transport_get_int(session), true);
    const size_t rest = wire ? wire_rest(wire, bytes, size) : 0;
    return rest > 0 ? (ssize_t)rest
                    : given(wire, bytes, library(session, bytes, size), size, GNUTLS_E_AGAIN);
}
