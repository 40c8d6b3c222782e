/*
 * A .npy file consists of "\x93NUMPY", a version of two bytes, the length of the header in two
 * bytes (version 1) or four, the header, and the numbers. The header is a Python dict:
 *
 *     {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
 */
#include "formats/npy.h"
#include "formats/dtype_names.h"
#include "json/scanner.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum {
    MAGIC = 6,
    DESCR = 24, /* bytes of the longest descr that is quoted in full, with its NUL */
};
static const char magic[] = "\x93NUMPY";

struct npy {
    struct loss_tensor *tensor;
    const char *at, *end; /* moves through the header */
    const char *body, *name;
    struct loss_error *error;
    bool has_descr, has_order, has_shape, fortran, swapped;
    char descr[DESCR];
};

__attribute__((format(printf, 3, 4))) static enum loss_status
malformed(struct npy *npy, const char *at, const char *format, ...)
{
    char message[200], path[64] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    json_pointer_add(path, sizeof path, npy->name);
    return json_malformed(npy->error, npy->body, at, path, "%s: %s", npy->name, message);
}

/* ---- Python literals ---- */

static enum loss_status unexpected(struct npy *npy, const char *expected)
{
    char byte[JSON_BYTE_TEXT];
    return malformed(npy, npy->at, "%s where %s was expected in the header",
                     json_byte_text(npy->at, npy->end, byte), expected);
}

static bool next_is(struct npy *npy, char c)
{
    while (npy->at < npy->end && (*npy->at == ' ' || *npy->at == '\n'))
        npy->at++;
    return npy->at < npy->end && *npy->at == c;
}

/* Moves past a character and white space before it. Returns false if it is not there. */
static bool skip(struct npy *npy, char c)
{
    const bool there = next_is(npy, c);
    npy->at += there;
    return there;
}

/* Reads a string in single or double quotes; one that is too long is truncated. */
static enum loss_status take_string(struct npy *npy, char *text, size_t size, const char *expected)
{
    if (!next_is(npy, '\'') && !next_is(npy, '"'))
        return unexpected(npy, expected);
    const char quote = *npy->at++;
    const char *const end = memchr(npy->at, quote, (size_t)(npy->end - npy->at));
    if (!end) {
        npy->at = npy->end;
        return unexpected(npy, "the end of a string");
    }
    const size_t len = (size_t)(end - npy->at) < size - 1 ? (size_t)(end - npy->at) : size - 1;
    memcpy(text, npy->at, len);
    text[len] = '\0';
    npy->at = end + 1;
    return LOSS_OK;
}

static enum loss_status take_order(struct npy *npy)
{
    static const char yes[] = "True", no[] = "False";
    next_is(npy, 'T');
    const size_t left = (size_t)(npy->end - npy->at);
    npy->fortran = left >= sizeof yes - 1 && memcmp(npy->at, yes, sizeof yes - 1) == 0;
    if (!npy->fortran && (left < sizeof no - 1 || memcmp(npy->at, no, sizeof no - 1) != 0))
        return unexpected(npy, "True or False");
    npy->at += npy->fortran ? sizeof yes - 1 : sizeof no - 1;
    return LOSS_OK;
}

static enum loss_status take_size(struct npy *npy, size_t *size)
{
    const char *const start = npy->at;
    for (*size = 0; npy->at < npy->end && *npy->at >= '0' && *npy->at <= '9'; npy->at++)
        if (__builtin_mul_overflow(*size, (size_t)10, size) ||
            __builtin_add_overflow(*size, (size_t)(*npy->at - '0'), size))
            return malformed(npy, start, "a dimension of the shape is too large to address");
    if (npy->at == start)
        return unexpected(npy, "a dimension");
    skip(npy, 'L'); /* written by Python 2 */
    return LOSS_OK;
}

static enum loss_status take_shape(struct npy *npy)
{
    struct loss_tensor *const tensor = npy->tensor;
    if (!skip(npy, '('))
        return unexpected(npy, "a tuple of dimensions");
    while (!skip(npy, ')')) {
        if (tensor->rank == LOSS_MAX_RANK)
            return malformed(npy, npy->at, "the shape has more than %d dimensions", LOSS_MAX_RANK);
        if (take_size(npy, &tensor->shape[tensor->rank++]) != LOSS_OK)
            return npy->error->status;
        if (!skip(npy, ',') && !next_is(npy, ')'))
            return unexpected(npy, "',' or ')'");
    }
    return LOSS_OK;
}

/* ---- Header ---- */

static enum loss_status take_descr(struct npy *npy)
{
    char quote[JSON_QUOTE];
    if (take_string(npy, npy->descr, sizeof npy->descr, "one dtype in quotes") != LOSS_OK)
        return npy->error->status;
    const char order = npy->descr[0];
    const char *const name =
        npy->descr +
        (order != '\0' && strchr("<>|=", order)); /* NumPy also accepts it without a byte order */
    npy->tensor->dtype = dtype_find(DTYPE_NUMPY, name);
    if (npy->tensor->dtype == LOSS_ANY)
        return malformed(
            npy, npy->at,
            "dtype '%s' is not supported; f8, f4, f2, i8, i4, i2, i1, u8, u4, u2, u1 and b1 are",
            json_quote(npy->descr, quote));
    npy->swapped = order == '>' && loss_dtype_size(npy->tensor->dtype) > 1;
    return LOSS_OK;
}

/* Returns the flag that the field `key` was read; NULL if there is no such field. */
static bool *flag_of(struct npy *npy, const char *key)
{
    if (strcmp(key, "descr") == 0)
        return &npy->has_descr;
    if (strcmp(key, "fortran_order") == 0)
        return &npy->has_order;
    return strcmp(key, "shape") == 0 ? &npy->has_shape : NULL;
}

static enum loss_status take_field(struct npy *npy)
{
    char key[32], quote[JSON_QUOTE];
    const char *const at = npy->at;
    if (take_string(npy, key, sizeof key, "'descr', 'fortran_order' or 'shape'") != LOSS_OK)
        return npy->error->status;
    bool *const has = flag_of(npy, key);
    if (!has)
        return malformed(npy, at,
                         "the header has an unknown field '%s'; expected 'descr', 'fortran_order' "
                         "and 'shape'",
                         json_quote(key, quote));
    if (*has)
        return malformed(npy, at, "the header has a duplicate field '%s'", key);
    *has = true;
    if (!skip(npy, ':'))
        return unexpected(npy, "':'");
    if (has == &npy->has_descr)
        return take_descr(npy);
    return has == &npy->has_order ? take_order(npy) : take_shape(npy);
}

/* Returns the first field that the header does not have; NULL if it has all of them. */
static const char *missing_field(const struct npy *npy)
{
    if (!npy->has_descr)
        return "descr";
    if (!npy->has_order)
        return "fortran_order";
    return npy->has_shape ? NULL : "shape";
}

static enum loss_status read_header(struct npy *npy)
{
    if (!skip(npy, '{'))
        return unexpected(npy, "'{'");
    while (!skip(npy, '}')) {
        if (take_field(npy) != LOSS_OK)
            return npy->error->status;
        if (!skip(npy, ',') && !next_is(npy, '}'))
            return unexpected(npy, "',' or '}'");
    }
    next_is(npy, '\n');
    if (npy->at < npy->end)
        return unexpected(npy, "the end");
    const char *const missing = missing_field(npy);
    if (missing)
        return malformed(npy, npy->end, "the header lacks the field '%s'", missing);
    return LOSS_OK;
}

/* ---- File ---- */

bool npy_begins(const char *bytes, size_t len)
{
    return len >= MAGIC && memcmp(bytes, magic, MAGIC) == 0;
}

/* Finds the header. */
static enum loss_status find_header(struct npy *npy, const char *bytes, size_t len)
{
    if (!npy_begins(bytes, len))
        return malformed(npy, bytes, "not a NumPy file (.npy), which begins with \\x93NUMPY");
    const size_t fixed = len > MAGIC && bytes[MAGIC] == 1 ? MAGIC + 4 : MAGIC + 6;
    if (len < fixed)
        return malformed(npy, bytes + len, "the file ends before its header");
    if (bytes[MAGIC] < 1 || bytes[MAGIC] > 3 || bytes[MAGIC + 1] != 0)
        return malformed(npy, bytes + MAGIC,
                         "version %u.%u of the format is not supported; 1.0, 2.0 and 3.0 are",
                         (unsigned char)bytes[MAGIC], (unsigned char)bytes[MAGIC + 1]);
    uint32_t header = 0;
    memcpy(&header, bytes + MAGIC + 2, fixed - MAGIC - 2); /* little-endian, as is this machine */
    if (header > len - fixed)
        return malformed(npy, bytes + MAGIC + 2,
                         "the header is declared to have %u bytes, but %zu follow",
                         (unsigned)header, len - fixed);
    npy->at = bytes + fixed;
    npy->end = npy->at + header;
    return LOSS_OK;
}

/* Sets the strides of Fortran order: the first index varies fastest. */
static void set_fortran_order(struct loss_tensor *tensor)
{
    ptrdiff_t stride = 1;
    tensor->strided = tensor->rank > 1;
    for (int axis = 0; axis < tensor->rank; axis++) {
        tensor->stride[axis] = stride;
        stride *= (ptrdiff_t)tensor->shape[axis];
    }
}

/* Reads the header, and finds the numbers after it. */
static enum loss_status read_file(struct npy *npy, bool *swapped, const char *bytes, size_t len)
{
    char shape[LOSS_SHAPE_TEXT];
    struct loss_tensor *const tensor = npy->tensor;
    size_t count;
    *tensor = (struct loss_tensor){.dtype = LOSS_ANY};
    if (find_header(npy, bytes, len) != LOSS_OK || read_header(npy) != LOSS_OK)
        return npy->error->status;
    if (!loss_tensor_count(tensor, &count))
        return malformed(npy, npy->end, "shape %.64s has more elements than can be addressed",
                         loss_shape_text(tensor, shape));
    tensor->data = (void *)(uintptr_t)npy->end; /* never written to */
    *swapped = npy->swapped;
    if (npy->fortran)
        set_fortran_order(tensor);
    return LOSS_OK;
}

enum loss_status npy_read_header(struct loss_tensor *tensor, bool *swapped, const char *bytes,
                                 size_t len, const char *name, struct loss_error *error)
{
    struct npy npy = {.tensor = tensor, .body = bytes, .name = name, .error = error};
    return read_file(&npy, swapped, bytes, len);
}

enum loss_status npy_read(struct loss_tensor *tensor, bool *swapped, const char *bytes, size_t len,
                          const char *name, const char *body, struct loss_error *error)
{
    char shape[LOSS_SHAPE_TEXT];
    struct npy npy = {.tensor = tensor, .body = body, .name = name, .error = error};
    if (read_file(&npy, swapped, bytes, len) != LOSS_OK)
        return error->status;
    const size_t left = (size_t)(bytes + len - npy.end);
    if (left != loss_tensor_bytes(tensor))
        return malformed(&npy, npy.end, "%zu bytes follow the header; shape %.64s of %s takes %zu",
                         left, loss_shape_text(tensor, shape), npy.descr,
                         loss_tensor_bytes(tensor));
    return LOSS_OK;
}
