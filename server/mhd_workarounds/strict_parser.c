/*
 * A strict parser for requests. It determines where each request ends, and whether its lines and
 * chunks conform to RFC 9112.
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
    STRICT_PARSER_WORD = 24,          /* more than the length of any name or value to recognize */
    STRICT_PARSER_METHOD = 64,        /* longest method; the longest registered one has 17 bytes */
    STRICT_PARSER_EXTENSION = 1024,   /* maximum length of a chunk extension, which is ignored */
    STRICT_PARSER_LENGTH_DIGITS = 19, /* fit into 64 bits; more are rejected, even zeros */
    STRICT_PARSER_CHUNK_DIGITS = 16,  /* hexadecimal digits in 64 bits */
};

enum strict_parser_state {
    STRICT_PARSER_BEFORE, /* between requests; empty lines are ignored (RFC 9112, section 2.2) */
    STRICT_PARSER_REQUEST_LINE, /* "GET / HTTP/1.1" */
    STRICT_PARSER_LINE_START,   /* of a header or trailer */
    STRICT_PARSER_NAME,
    STRICT_PARSER_VALUE,
    STRICT_PARSER_BODY, /* of `left` more bytes */
    STRICT_PARSER_CHUNK_SIZE,
    STRICT_PARSER_CHUNK_EXTENSION,
    STRICT_PARSER_CHUNK_DATA, /* of `left` more bytes */
    STRICT_PARSER_CHUNK_END,  /* the CRLF after the data */
    STRICT_PARSER_STOPPED, /* nothing more is parsed, because the end of the request is unknown */
};

struct strict_parser {
    bool active;
    bool encrypted;  /* the bytes come from TLS */
    bool end_hidden; /* see strict_parser_hide_end */
    enum strict_parser_state state;
    bool cr; /* the last byte was a CR, so an LF must follow */
    bool in_trailer;
    bool blank; /* the last byte of the request line was a space, or the value has no byte yet */
    unsigned words;      /* of the request line so far */
    size_t line_len;     /* length of the last word of the request line, or of a chunk extension */
    unsigned parameters; /* of the query; 0: no query yet */
    char word[STRICT_PARSER_WORD]; /* the current name, then its value, in lower case */
    size_t word_len;
    enum { STRICT_PARSER_OTHER, STRICT_PARSER_LENGTH, STRICT_PARSER_ENCODING } name;
    /* Of the current request. */
    unsigned headers;    /* including trailers */
    size_t header_bytes; /* of names and values */
    unsigned lengths, encodings;
    bool encoding_supported;
    uint64_t length, left;
    unsigned digits; /* of the length or the chunk size */
    /* Of the connection. */
    atomic_bool begun;       /* part of a request has been received */
    unsigned next;           /* number of requests that the library has delivered */
    unsigned heads;          /* number of requests with complete headers */
    unsigned ends;           /* number of complete requests */
    struct http_error fault; /* of request number `ends` */
    const char *end;         /* replacement bytes not yet passed to the library; NULL: no fault */
};

static struct strict_parser *parsers; /* by descriptor */
static size_t strict_parser_count;
static const struct limits *strict_parser_limits;

/* ---- Faults ---- */

/* Returns the shortest text that completes a request of which only part of the request line has
   been read. */
static const char *end_of_request_line(const struct strict_parser *parser)
{
    static const char request[] = "GET / HTTP/1.1\r\n\r\n";
    enum { AFTER_METHOD = 3, AFTER_TARGET = 5, VERSION = 6 };
    switch (parser->words) {
    case 0:
        return request;
    case 1:
        return request + AFTER_METHOD + parser->blank;
    case 2:
        return request + AFTER_TARGET + parser->blank;
    default:
        return request + VERSION + parser->line_len;
    }
}

/* Returns the shortest text after which the library delivers the current request, which is valid so
   far. Within a chunk of known size, one byte of data suffices, because the library delivers the
   body in parts. */
static const char *end_of_request(const struct strict_parser *parser)
{
    const char *end = "";
    switch (parser->state) {
    case STRICT_PARSER_BEFORE:
        end = "\r\nGET / HTTP/1.1\r\n\r\n";
        break;
    case STRICT_PARSER_REQUEST_LINE:
        end = end_of_request_line(parser);
        break;
    case STRICT_PARSER_LINE_START:
        end = "\r\n";
        break;
    case STRICT_PARSER_NAME:
        end = ": 0\r\n\r\n"; /* also valid if the name is Content-Length */
        break;
    case STRICT_PARSER_VALUE:
        end =
            parser->name == STRICT_PARSER_LENGTH && parser->digits == 0 ? "0\r\n\r\n" : "\r\n\r\n";
        break;
    case STRICT_PARSER_CHUNK_SIZE:
    case STRICT_PARSER_CHUNK_EXTENSION:
        if (parser->digits == 0)
            end = "0\r\n\r\n";
        else
            end = parser->left == 0 ? "\r\n\r\n" : "\r\nx";
        break;
    case STRICT_PARSER_CHUNK_END:
        end = "\r\n0\r\n\r\n";
        break;
    case STRICT_PARSER_BODY:
    case STRICT_PARSER_CHUNK_DATA:
    case STRICT_PARSER_STOPPED:
        break;
    }
    return end + parser->cr; /* the library already has the CR */
}

/* Records a fault. The current byte and all later bytes are not passed to the library. */
static void fail_with(struct strict_parser *parser, int status, const char *fault)
{
    parser->fault = (struct http_error){status, fault};
    parser->end = end_of_request(parser);
    parser->state = STRICT_PARSER_STOPPED;
}

static void fail(struct strict_parser *parser, const char *fault)
{
    fail_with(parser, 400, fault);
}

/* ---- Lines ---- */

/* Checks a byte of a line. Returns true if it validly ends the line. Records a fault if it is
   invalid. */
static bool ends_line(struct strict_parser *parser, char byte)
{
    if (parser->cr && byte != '\n')
        fail(parser, "a line contains a bare CR; lines must end in CRLF");
    else if (!parser->cr && byte == '\n')
        fail(parser, "a line ends in a bare LF; lines must end in CRLF");
    else if (byte == '\0')
        fail(parser, "a line contains a NUL byte");
    parser->cr = byte == '\r';
    return byte == '\n' && parser->state != STRICT_PARSER_STOPPED;
}

/* Returns true if the last byte is not part of a line end and the line is valid so far. */
static bool is_text(const struct strict_parser *parser)
{
    return !parser->cr && parser->state != STRICT_PARSER_STOPPED;
}

static void add_to_word(struct strict_parser *parser, char byte)
{
    if (parser->word_len < STRICT_PARSER_WORD)
        parser->word[parser->word_len++] =
            byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
}

static bool word_is(const struct strict_parser *parser, const char *text)
{
    return parser->word_len == strlen(text) && memcmp(parser->word, text, parser->word_len) == 0;
}

/* ---- Request line and headers ---- */

static void begin_request(struct strict_parser *parser)
{
    parser->state = STRICT_PARSER_REQUEST_LINE;
    atomic_store_explicit(&parser->begun, true, memory_order_relaxed);
    parser->in_trailer = false;
    parser->blank = true;
    parser->parameters = 0;
    parser->headers = 0;
    parser->header_bytes = 0;
    parser->lengths = parser->encodings = 0;
    parser->encoding_supported = true;
    parser->length = 0;
}

static void end_request(struct strict_parser *parser)
{
    parser->ends++;
    parser->state = STRICT_PARSER_BEFORE;
    parser->words = 0;
    atomic_store_explicit(&parser->begun, false, memory_order_relaxed);
}

static void read_before(struct strict_parser *parser, char byte)
{
    if (byte == '\r' || byte == '\n' || parser->cr) {
        ends_line(parser, byte);
        return;
    }
    begin_request(parser);
}

static const char no_request_line[] =
    "the request line must be a method, a target and a version, separated by single spaces";

/* Reads a byte of "HTTP/1.1". Accepts unknown minor versions (RFC 9110, section 2.5). */
static void read_version(struct strict_parser *parser, char byte)
{
    static const char version[] = "HTTP/1.";
    enum { MAJOR = 5, MINOR = 7 };
    const bool digit = byte >= '0' && byte <= '9';
    if (parser->line_len == MAJOR && digit && byte != version[MAJOR])
        fail_with(parser, 505, "unsupported HTTP version; use HTTP/1.1 or HTTP/1.0");
    else if (parser->line_len > MINOR ||
             (parser->line_len == MINOR ? !digit : byte != version[parser->line_len]))
        fail(parser, no_request_line);
    else
        parser->line_len++;
}

/* Counts the parameters of the query, including empty ones: libmicrohttpd allocates memory for
   each. */
static void count_parameters(struct strict_parser *parser, char byte)
{
    if ((byte == '?' && parser->parameters == 0) || (byte == '&' && parser->parameters > 0))
        parser->parameters++;
    if (parser->parameters > STRICT_PARSER_PARAMETERS)
        fail(parser, "the query has more than 64 parameters");
}

/* Reads a byte of the method or the target. */
static void read_word(struct strict_parser *parser, char byte)
{
    const bool begins = parser->blank && byte != ' ', method = parser->words + begins == 1;
    if (byte == ' ') {
        parser->blank = true;
        return;
    }
    const size_t len = begins ? 0 : parser->line_len;
    if (method && len == STRICT_PARSER_METHOD) {
        fail(parser, "the method is longer than 64 bytes");
    } else if (!method && len == strict_parser_limits->max_url) {
        fail_with(parser, 414, "the path and query are longer than --max-url allows");
    } else {
        parser->words += begins;
        parser->line_len = len + 1;
        parser->blank = false;
        if (!method)
            count_parameters(parser, byte);
    }
}

static void read_request_line(struct strict_parser *parser, char byte)
{
    if (byte == '\r' && (parser->words != 3 || parser->line_len != sizeof "HTTP/1.1" - 1)) {
        fail(parser, no_request_line);
        return;
    }
    if (ends_line(parser, byte))
        parser->state = STRICT_PARSER_LINE_START;
    if (!is_text(parser) || parser->state != STRICT_PARSER_REQUEST_LINE)
        return;
    if (byte == ' ' && parser->blank) {
        fail(parser, "the request line has an extra space");
    } else if (parser->words == 2 && parser->blank) {
        parser->words = 3;
        parser->line_len = 0;
        parser->blank = false;
        read_version(parser, byte);
    } else if (parser->words == 3) {
        read_version(parser, byte);
    } else {
        read_word(parser, byte);
    }
}

/* Reads a byte of the value of Content-Length. Rejects trailing blanks, which RFC 9112 allows,
   because the library treats them as part of the value. */
static void read_length(struct strict_parser *parser, char byte)
{
    if (byte < '0' || byte > '9') {
        fail(parser, "Content-Length must contain only digits");
    } else if (parser->digits < STRICT_PARSER_LENGTH_DIGITS) {
        parser->length = parser->length * 10 + (uint64_t)(byte - '0');
        parser->digits++;
    } else if (parser->length > UINT64_MAX / 100) {
        fail_with(parser, 413,
                  "Content-Length is too large: it exceeds the limit that --max-body sets");
    } else {
        fail(parser, "Content-Length has more than 19 digits");
    }
}

static void end_value(struct strict_parser *parser)
{
    parser->state = STRICT_PARSER_LINE_START;
    if (parser->name == STRICT_PARSER_LENGTH) {
        parser->lengths++;
    } else if (parser->name == STRICT_PARSER_ENCODING) {
        parser->encodings++;
        parser->encoding_supported = parser->encoding_supported && word_is(parser, "chunked");
    }
}

/* Determines how the body is delimited, after the last header. If that is ambiguous,
   head_validation.c rejects the request and the connection accepts no further requests. */
static void end_head(struct strict_parser *parser)
{
    parser->heads++;
    if (!parser->encoding_supported || parser->lengths + parser->encodings > 1) {
        parser->state = STRICT_PARSER_STOPPED;
    } else if (parser->encodings == 1) {
        parser->state = STRICT_PARSER_CHUNK_SIZE;
        parser->left = 0;
        parser->digits = 0;
        parser->line_len = 0;
    } else if (parser->length > 0) {
        parser->state = STRICT_PARSER_BODY;
        parser->left = parser->length;
    } else {
        end_request(parser);
    }
}

/* Counts a byte of a name or a value. Returns false if the headers are too long. */
static bool has_room(struct strict_parser *parser)
{
    if (parser->header_bytes == strict_parser_limits->max_header_bytes)
        fail_with(parser, 431, "the headers are longer than --max-header-bytes allows");
    else
        parser->header_bytes++;
    return parser->state != STRICT_PARSER_STOPPED;
}

static void read_line_start(struct strict_parser *parser, char byte)
{
    const bool end = ends_line(parser, byte);
    if (end && parser->in_trailer)
        end_request(parser);
    else if (end)
        end_head(parser);
    if (!is_text(parser) || end)
        return;
    if (byte == ' ' || byte == '\t') {
        fail(parser, "a header is continued on a second line, which RFC 9112 forbids");
    } else if (byte == ':') {
        fail(parser, "a header has no name");
    } else if (parser->headers == (unsigned)strict_parser_limits->max_header_count) {
        fail_with(parser, 431, "the request has more headers than --max-header-count allows");
    } else if (has_room(parser)) {
        parser->headers++;
        parser->state = STRICT_PARSER_NAME;
        parser->word_len = 0;
        add_to_word(parser, byte);
    }
}

/* Ignores framing headers in trailers, as RFC 9110 requires. */
static void begin_value(struct strict_parser *parser)
{
    parser->name = STRICT_PARSER_OTHER;
    if (!parser->in_trailer && word_is(parser, "content-length"))
        parser->name = STRICT_PARSER_LENGTH;
    else if (!parser->in_trailer && word_is(parser, "transfer-encoding"))
        parser->name = STRICT_PARSER_ENCODING;
    parser->state = STRICT_PARSER_VALUE;
    parser->word_len = 0;
    parser->blank = true;
    if (parser->name == STRICT_PARSER_LENGTH) {
        parser->length = 0;
        parser->digits = 0;
    }
}

/* Renames the Cookie header. Otherwise the library would parse cookies and allocate memory for
   each. The server does not use cookies. */
static void hide_cookies(const struct strict_parser *parser, char *byte)
{
    if (word_is(parser, "cooki") && (*byte == 'e' || *byte == 'E'))
        *byte = 'x';
}

static void read_name(struct strict_parser *parser, char *byte)
{
    if (*byte == '\r') {
        fail(parser, "a header has no colon");
        return;
    }
    ends_line(parser, *byte); /* rejects LF and NUL */
    if (!is_text(parser))
        return;
    if (*byte == ':') {
        begin_value(parser);
    } else if (has_room(parser)) {
        hide_cookies(parser, byte);
        add_to_word(parser, *byte);
    }
}

static void read_value(struct strict_parser *parser, char byte)
{
    const bool is_length = parser->name == STRICT_PARSER_LENGTH,
               blank = byte == ' ' || byte == '\t';
    if (is_length && parser->digits == 0 && byte == '\r') {
        read_length(parser, byte);
        return;
    }
    if (ends_line(parser, byte)) {
        end_value(parser);
        return;
    }
    if (!is_text(parser))
        return;
    const bool first = parser->blank; /* one blank after the colon is not counted */
    parser->blank = false;
    if (!(first && blank) && !has_room(parser))
        return;
    if (blank && parser->word_len == 0 && !(is_length && parser->digits > 0))
        return;
    if (is_length)
        read_length(parser, byte);
    else
        add_to_word(parser, byte);
}

/* ---- Body ---- */

/* Skips the bytes that belong to the body or chunk. Returns their number. */
static size_t read_data(struct strict_parser *parser, size_t len)
{
    const size_t some = parser->left < len ? (size_t)parser->left : len;
    parser->left -= some;
    if (parser->left > 0)
        return some;
    if (parser->state == STRICT_PARSER_BODY)
        end_request(parser);
    else
        parser->state = STRICT_PARSER_CHUNK_END;
    return some;
}

static void end_chunk_line(struct strict_parser *parser)
{
    parser->state = parser->left > 0 ? STRICT_PARSER_CHUNK_DATA : STRICT_PARSER_LINE_START;
    parser->in_trailer = parser->left == 0;
    parser->line_len = 0;
}

static void read_chunk_size(struct strict_parser *parser, char byte)
{
    static const char no_size[] = "the size of a chunk must be 1 to 16 hexadecimal digits";
    const int digit = hex_digit(byte);
    if (byte == '\r' && parser->digits == 0) {
        fail(parser, no_size);
        return;
    }
    const bool end = ends_line(parser, byte);
    if (parser->state == STRICT_PARSER_STOPPED)
        return;
    if (digit >= 0 && parser->digits < STRICT_PARSER_CHUNK_DIGITS) {
        parser->left = parser->left * 16 + (uint64_t)digit;
        parser->digits++;
    } else if (parser->digits == 0 || (byte != ';' && byte != '\r' && !end)) {
        fail(parser, no_size);
    } else if (byte == ';') {
        parser->state = STRICT_PARSER_CHUNK_EXTENSION;
    } else if (end) {
        end_chunk_line(parser);
    }
}

static void read_chunk_extension(struct strict_parser *parser, char byte)
{
    const bool end = ends_line(parser, byte);
    if (end)
        end_chunk_line(parser);
    else if (is_text(parser) && ((unsigned char)byte < 0x20 || byte == 0x7f) && byte != '\t')
        fail(parser, "a chunk extension contains a control character");
    else if (is_text(parser) && parser->line_len++ == STRICT_PARSER_EXTENSION)
        fail(parser, "a chunk extension is longer than 1024 bytes");
}

static void read_chunk_end(struct strict_parser *parser, char byte)
{
    const bool end = ends_line(parser, byte);
    if (end) {
        parser->state = STRICT_PARSER_CHUNK_SIZE;
        parser->left = 0;
        parser->digits = 0;
    } else if (is_text(parser)) {
        fail(parser, "a chunk is longer than its declared size");
    }
}

/* ---- Interface ---- */

static void read_byte(struct strict_parser *parser, char *at)
{
    const char byte = *at;
    switch (parser->state) {
    case STRICT_PARSER_BEFORE:
        read_before(parser, byte);
        if (parser->state == STRICT_PARSER_REQUEST_LINE)
            read_request_line(parser, byte);
        break;
    case STRICT_PARSER_REQUEST_LINE:
        read_request_line(parser, byte);
        break;
    case STRICT_PARSER_LINE_START:
        read_line_start(parser, byte);
        break;
    case STRICT_PARSER_NAME:
        read_name(parser, at);
        break;
    case STRICT_PARSER_VALUE:
        read_value(parser, byte);
        break;
    case STRICT_PARSER_CHUNK_SIZE:
        read_chunk_size(parser, byte);
        break;
    case STRICT_PARSER_CHUNK_EXTENSION:
        read_chunk_extension(parser, byte);
        break;
    case STRICT_PARSER_CHUNK_END:
        read_chunk_end(parser, byte);
        break;
    case STRICT_PARSER_BODY:
    case STRICT_PARSER_CHUNK_DATA:
    case STRICT_PARSER_STOPPED:
        break;
    }
}

size_t strict_parser_read(struct strict_parser *parser, char *bytes, size_t len, size_t size)
{
    if (parser->end)
        return 0;
    for (size_t at = 0; at < len && parser->state != STRICT_PARSER_STOPPED;) {
        if (parser->state == STRICT_PARSER_BODY || parser->state == STRICT_PARSER_CHUNK_DATA)
            at += read_data(parser, len - at);
        else
            read_byte(parser, &bytes[at++]);
        if (parser->end)
            return at - 1 + strict_parser_rest(parser, bytes + at - 1, size - (at - 1));
    }
    return len;
}

size_t strict_parser_rest(struct strict_parser *parser, char *bytes, size_t size)
{
    if (!parser->end)
        return 0;
    const size_t rest = strlen(parser->end), some = rest < size ? rest : size;
    memcpy(bytes, parser->end, some);
    parser->end += some;
    return some;
}

bool strict_parser_open(size_t files, const struct limits *limits)
{
    strict_parser_limits = limits;
    parsers = calloc(files, sizeof *parsers);
    strict_parser_count = parsers ? files : 0;
    return parsers != NULL;
}

void strict_parser_close(void)
{
    free(parsers);
    parsers = NULL;
    strict_parser_count = 0;
}

void strict_parser_begin(int fd, bool encrypted)
{
    parsers[fd] = (struct strict_parser){.active = true, .encrypted = encrypted};
}

void strict_parser_end(int fd)
{
    parsers[fd].active = false;
}

struct strict_parser *strict_parser_of(int fd)
{
    return &parsers[fd];
}

void strict_parser_hide_end(struct strict_parser *parser, bool hidden)
{
    parser->end_hidden = hidden;
}

bool strict_parser_has_begun(const struct strict_parser *parser)
{
    return atomic_load_explicit(&parser->begun, memory_order_relaxed);
}

unsigned strict_parser_next(struct strict_parser *parser)
{
    return parser->next++;
}

/* Returns the fault of a request in which the library has read further than this parser. */
static struct http_error fault_of(const struct strict_parser *parser)
{
    return parser->fault.status != 0
               ? parser->fault
               : (struct http_error){400, "the end of the request cannot be determined"};
}

unsigned strict_parser_words(const struct strict_parser *parser, unsigned number)
{
    return number < parser->heads ? 3 : parser->words;
}

static const struct http_error no_fault;

struct http_error strict_parser_head_fault(const struct strict_parser *parser, unsigned number)
{
    return number < parser->heads ? no_fault : fault_of(parser);
}

struct http_error strict_parser_fault(const struct strict_parser *parser, unsigned number)
{
    return number < parser->ends ? no_fault : fault_of(parser);
}

struct http_error strict_parser_early_fault(const struct strict_parser *parser, unsigned number)
{
    return number < parser->ends ? no_fault : parser->fault;
}

/* ---- Receiving ---- */

/* Returns the active parser of `fd`, or NULL if there is none or its `encrypted` differs. */
static struct strict_parser *active_parser(int fd, bool encrypted)
{
    return fd >= 0 && (size_t)fd < strict_parser_count && parsers[fd].active &&
                   parsers[fd].encrypted == encrypted
               ? &parsers[fd]
               : NULL;
}

/* Parses received bytes. Returns how many bytes to pass to the library, or `if_none` if there are
   none. */
static ssize_t filter_received(struct strict_parser *parser, void *bytes, ssize_t got, size_t size,
                               ssize_t if_none)
{
    if (!parser || got <= 0)
        return got;
    const size_t len = strict_parser_read(parser, bytes, (size_t)got, size);
    return len > 0 ? (ssize_t)len : if_none;
}

/* Replaces libc's recv. The dynamic linker searches the program before its libraries, so
   libmicrohttpd calls this function. */
__attribute__((visibility("default"))) ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
    struct strict_parser *const parser =
        flags & (MSG_PEEK | MSG_TRUNC) ? NULL : active_parser(fd, false);
    const size_t rest = parser ? strict_parser_rest(parser, bytes, size) : 0;
    if (rest > 0)
        return (ssize_t)rest;
    const ssize_t got = recvfrom(fd, bytes, size, flags, NULL, NULL);
    if (got == 0 && size > 0 && parser && parser->end_hidden) {
        errno = EAGAIN;
        return -1;
    }
    if (got > 0)
        errno = EAGAIN; /* in case no byte is passed on */
    return filter_received(parser, bytes, got, size, -1);
}

/* Replaces GnuTLS's function for libmicrohttpd, and calls the original. */
__attribute__((visibility("default"))) ssize_t gnutls_record_recv(gnutls_session_t session,
                                                                  void *bytes, size_t size)
{
    typedef ssize_t receive(gnutls_session_t session, void *bytes, size_t size);
    static _Atomic(receive *) library;
    if (!library)
        library = (receive *)dlsym(RTLD_NEXT, "gnutls_record_recv"); /* linked, so never NULL */
    struct strict_parser *const parser = active_parser(gnutls_transport_get_int(session), true);
    const size_t rest = parser ? strict_parser_rest(parser, bytes, size) : 0;
    return rest > 0 ? (ssize_t)rest
                    : filter_received(parser, bytes, library(session, bytes, size), size,
                                      GNUTLS_E_AGAIN);
}
