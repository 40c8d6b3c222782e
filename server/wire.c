/*
 * A strict reading of requests: where each one ends, and whether its lines and chunks are what RFC 9112 has them be.
 */
#include "wire.h"

#include <dlfcn.h>
#include <gnutls/gnutls.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    WIRE_WORD = 24,          /* bytes of a header name or value that can matter here, with one more that tells it is too long */
    WIRE_LENGTH_DIGITS = 19, /* as guard.c has it */
    WIRE_CHUNK_DIGITS = 16,  /* of 64 bits */
};

enum wire_state {
    WIRE_BEFORE,       /* between requests; empty lines are let be (RFC 9112, section 2.2) */
    WIRE_REQUEST_LINE, /* "GET / HTTP/1.1" */
    WIRE_LINE_START,   /* of a header or trailer */
    WIRE_NAME,
    WIRE_VALUE,
    WIRE_BODY, /* of `left` more bytes */
    WIRE_CHUNK_SIZE,
    WIRE_CHUNK_EXTENSION,
    WIRE_CHUNK_DATA, /* of `left` more bytes */
    WIRE_CHUNK_END,  /* the line end behind them */
    WIRE_STOPPED,    /* nothing that follows can be trusted */
};

struct wire {
    bool active;
    bool encrypted; /* what is read comes out of TLS */
    enum wire_state state;
    bool cr; /* the last byte was a carriage return: a line feed must follow */
    bool in_trailer;
    bool blank;           /* the last byte of the request line was a space */
    unsigned words;       /* that the request line has had */
    char word[WIRE_WORD]; /* the name, then the value, that is being read: in lower case */
    size_t word_len;
    enum { WIRE_OTHER, WIRE_LENGTH, WIRE_ENCODING } name;
    /* Of the request that is being read. */
    unsigned lengths, encodings;
    bool sound; /* both are what they can be */
    uint64_t length, left;
    unsigned digits; /* of the chunk's size */
    /* Of the connection. */
    atomic_bool begun;          /* a request is being read */
    unsigned next, heads, ends; /* requests that were brought, whose headers were read, that were read as a whole */
    const char *fault;          /* of request number `ends` */
};

static struct wire *wires; /* by descriptor */
static size_t wire_count;

/* ---- lines -------------------------------------------------------------------------------------------------------- */

static void fail(struct wire *wire, const char *fault)
{
    wire->fault = fault;
    wire->state = WIRE_STOPPED;
}

/* Takes a byte of a line. True at its end; where that is unsound the reading has stopped. */
static bool ends_line(struct wire *wire, char byte)
{
    if (wire->cr && byte != '\n')
        fail(wire, "a carriage return stands by itself; lines end with CR and LF");
    else if (!wire->cr && byte == '\n')
        fail(wire, "a line ends with LF alone; lines end with CR and LF");
    else if (byte == '\0')
        fail(wire, "there is a NUL byte in a line");
    wire->cr = byte == '\r';
    return byte == '\n' && wire->state != WIRE_STOPPED;
}

/* Whether a byte is of the line itself, and the line is sound so far. */
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

/* ---- the headers -------------------------------------------------------------------------------------------------- */

static void begin_request(struct wire *wire)
{
    wire->state = WIRE_REQUEST_LINE;
    atomic_store_explicit(&wire->begun, true, memory_order_relaxed);
    wire->in_trailer = false;
    wire->words = 0;
    wire->blank = true;
    wire->lengths = wire->encodings = 0;
    wire->sound = true;
    wire->length = 0;
}

static void end_request(struct wire *wire)
{
    wire->ends++;
    wire->state = WIRE_BEFORE;
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

static void read_request_line(struct wire *wire, char byte)
{
    const bool end = ends_line(wire, byte);
    if (end && (wire->words != 3 || wire->blank))
        fail(wire, "the request line is not a method, a target and a version with one space between them");
    else if (end)
        wire->state = WIRE_LINE_START;
    if (!is_text(wire) || end)
        return;
    if (byte == ' ' && wire->blank) {
        fail(wire, "the request line has a space too many");
        return;
    }
    wire->words += wire->blank;
    wire->blank = byte == ' ';
}

/* The value of Content-Length, where that is a number; whether it is. */
static bool read_length(struct wire *wire)
{
    wire->length = 0;
    for (size_t i = 0; i < wire->word_len && i < WIRE_LENGTH_DIGITS; i++) {
        if (wire->word[i] < '0' || wire->word[i] > '9')
            return false;
        wire->length = wire->length * 10 + (uint64_t)(wire->word[i] - '0');
    }
    return wire->word_len > 0 && wire->word_len <= WIRE_LENGTH_DIGITS;
}

static void end_value(struct wire *wire)
{
    wire->state = WIRE_LINE_START;
    if (wire->in_trailer)
        return; /* what a trailer says of the framing is ignored, as it must be */
    if (wire->name == WIRE_LENGTH) {
        wire->lengths++;
        wire->sound = wire->sound && read_length(wire);
    } else if (wire->name == WIRE_ENCODING) {
        wire->encodings++;
        wire->sound = wire->sound && word_is(wire, "chunked");
    }
}

/* The headers are in: how the body will be delimited. Where that is not plain guard.c says why; no second request of such a
   connection is ever taken. */
static void end_head(struct wire *wire)
{
    wire->heads++;
    if (!wire->sound || wire->lengths + wire->encodings > 1) {
        wire->state = WIRE_STOPPED;
    } else if (wire->encodings == 1) {
        wire->state = WIRE_CHUNK_SIZE;
        wire->left = 0;
        wire->digits = 0;
    } else if (wire->length > 0) {
        wire->state = WIRE_BODY;
        wire->left = wire->length;
    } else {
        end_request(wire);
    }
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
        fail(wire, "a header is continued on a second line, which HTTP no longer allows");
        return;
    }
    if (byte == ':') {
        fail(wire, "a header has no name");
        return;
    }
    wire->state = WIRE_NAME;
    wire->word_len = 0;
    add_to_word(wire, byte);
}

static void read_name(struct wire *wire, char byte)
{
    if (ends_line(wire, byte))
        fail(wire, "a header has no colon");
    if (!is_text(wire))
        return;
    if (byte != ':') {
        add_to_word(wire, byte);
        return;
    }
    wire->name = word_is(wire, "content-length")      ? WIRE_LENGTH
                 : word_is(wire, "transfer-encoding") ? WIRE_ENCODING
                                                      : WIRE_OTHER;
    wire->state = WIRE_VALUE;
    wire->word_len = 0;
}

static void read_value(struct wire *wire, char byte)
{
    const bool end = ends_line(wire, byte);
    if (end)
        end_value(wire);
    else if (is_text(wire) && (wire->word_len > 0 || (byte != ' ' && byte != '\t')))
        add_to_word(wire, byte);
}

/* ---- the body ----------------------------------------------------------------------------------------------------- */

/* Passes over as many of the bytes as belong to the body or the chunk; returns how many those are. */
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

static int hex_digit(char byte)
{
    const char lower = byte >= 'A' && byte <= 'F' ? (char)(byte - 'A' + 'a') : byte;
    if (lower >= '0' && lower <= '9')
        return lower - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static void end_chunk_line(struct wire *wire)
{
    wire->state = wire->left > 0 ? WIRE_CHUNK_DATA : WIRE_LINE_START;
    wire->in_trailer = wire->left == 0;
}

static void read_chunk_size(struct wire *wire, char byte)
{
    const int digit = hex_digit(byte);
    const bool end = ends_line(wire, byte);
    if (wire->state == WIRE_STOPPED)
        return;
    if (digit >= 0 && wire->digits < WIRE_CHUNK_DIGITS) {
        wire->left = wire->left * 16 + (uint64_t)digit;
        wire->digits++;
    } else if (wire->digits == 0 || (byte != ';' && byte != '\r' && !end)) {
        fail(wire, "the size of a chunk is not a number of 1 to 16 hexadecimal digits");
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
        fail(wire, "a chunk extension has a control character in it");
}

static void read_chunk_end(struct wire *wire, char byte)
{
    const bool end = ends_line(wire, byte);
    if (end) {
        wire->state = WIRE_CHUNK_SIZE;
        wire->left = 0;
        wire->digits = 0;
    } else if (is_text(wire)) {
        fail(wire, "a chunk is longer than its size says");
    }
}

/* ---- the interface ------------------------------------------------------------------------------------------------ */

static void read_byte(struct wire *wire, char byte)
{
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
        read_name(wire, byte);
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

void wire_read(struct wire *wire, const char *bytes, size_t len)
{
    for (size_t at = 0; at < len && wire->state != WIRE_STOPPED;) {
        if (wire->state == WIRE_BODY || wire->state == WIRE_CHUNK_DATA)
            at += read_data(wire, len - at);
        else
            read_byte(wire, bytes[at++]);
    }
}

bool wire_open(size_t files)
{
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

bool wire_has_begun(const struct wire *wire)
{
    return atomic_load_explicit(&wire->begun, memory_order_relaxed);
}

unsigned wire_next(struct wire *wire)
{
    return wire->next++;
}

/* Why a request that was not read to a certain point is refused there. */
static const char *fault_of(const struct wire *wire)
{
    return wire->fault ? wire->fault : "it is not plain where the request ends";
}

const char *wire_head_fault(const struct wire *wire, unsigned number)
{
    return number < wire->heads ? NULL : fault_of(wire);
}

const char *wire_fault(const struct wire *wire, unsigned number)
{
    return number < wire->ends ? NULL : fault_of(wire);
}

const char *wire_early_fault(const struct wire *wire, unsigned number)
{
    return number < wire->ends ? NULL : wire->fault;
}

/* ---- receiving ---------------------------------------------------------------------------------------------------- */

/* The reading of a connection on which bytes came in this way, NULL if there is none. */
static struct wire *reading(int fd, bool encrypted)
{
    return fd >= 0 && (size_t)fd < wire_count && wires[fd].active && wires[fd].encrypted == encrypted ? &wires[fd] : NULL;
}

/* In place of the C library's, for libmicrohttpd: its calls are bound to this one, since a program's own functions come before
   those of its libraries. */
__attribute__((visibility("default"))) ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
    const ssize_t got = recvfrom(fd, bytes, size, flags, NULL, NULL);
    struct wire *wire = got > 0 && !(flags & (MSG_PEEK | MSG_TRUNC)) ? reading(fd, false) : NULL;
    if (wire)
        wire_read(wire, bytes, (size_t)got);
    return got;
}

/* Likewise in place of GnuTLS's, which it calls. */
__attribute__((visibility("default"))) ssize_t gnutls_record_recv(gnutls_session_t session, void *bytes, size_t size)
{
    typedef ssize_t receive(gnutls_session_t session, void *bytes, size_t size);
    static _Atomic(receive *) library;
    if (!library)
        library = (receive *)dlsym(RTLD_NEXT, "gnutls_record_recv"); /* it is there: the program is linked with it */
    const ssize_t got = library(session, bytes, size);
    struct wire *wire = got > 0 ? reading(gnutls_transport_get_int(session), true) : NULL;
    if (wire)
        wire_read(wire, bytes, (size_t)got);
    return got;
}
