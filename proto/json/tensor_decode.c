/*
 * Decodes the text of a tensor. The scan has checked brackets and commas, so they are skipped here:
 * any span of text that starts at an element decodes to consecutive elements. A large tensor can
 * therefore be split at commas and decoded in parallel.
 */
#include "memory/quota.h"
#include "number/float16.h"
#include "number/number.h"
#include "number/number_bulk.h"
#include "parallel.h"
#include "json/base64.h"
#include "json/scanner.h"
#include "json/tensor_json.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

struct decoding {
    const struct tensor_json *tensor;
    enum loss_dtype dtype;
    const char *body,
        *end; /* readable bytes: from the start of the body to the end of the tensor */
    const char *path;
    struct loss_error *error;
    const struct number_bulk *bulk;
    const struct quota *quota;
};

enum {
    BLOCKS_MAX =
        32, /* blocks of 64 bytes that are decoded at a time; their bounds fit in the L1 cache */
    MARKS_MIN = 3, /* marks, at least 64 KiB of text apart, that justify a parallel region, which
                      costs up to 30 us if threads do not spin */
};

static bool is_end(char c)
{
    return c == ',' || c == ']' || c == '}' || c == ' ' || c == '\n' || c == '\r' || c == '\t' ||
           c == '\0';
}

/* Sets the indices of an element. */
static void indices_of(const struct tensor_json *tensor, size_t element, size_t *index)
{
    for (int axis = tensor->rank - 1; axis >= 0; axis--) {
        index[axis] = element % tensor->shape[axis];
        element /= tensor->shape[axis];
    }
}

/* Writes indices as "[3][1]" to `text`, which has PLACE bytes. */
enum { PLACE = LOSS_MAX_RANK * 23 };
static const char *element_place(const struct tensor_json *tensor, size_t element, char *text)
{
    size_t index[LOSS_MAX_RANK], len = 0;
    indices_of(tensor, element, index);
    text[0] = '\0';
    for (int axis = 0; axis < tensor->rank; axis++)
        len += (size_t)snprintf(text + len, PLACE - len, "[%zu]", index[axis]);
    return text;
}

void tensor_json_point(const struct tensor_json *tensor, const char *path, size_t element,
                       struct loss_error *error)
{
    size_t index[LOSS_MAX_RANK], len;
    indices_of(tensor, element, index);
    len = (size_t)snprintf(error->path, sizeof error->path, "%s%s", path,
                           tensor->is_object ? "/data" : "");
    if (tensor->form == FORM_FLAT && tensor->text && *tensor->text == '[')
        snprintf(error->path + len, sizeof error->path - len, "/%zu", element);
    for (int axis = 0;
         tensor->form == FORM_NESTED && axis < tensor->rank && len < sizeof error->path - 24;
         axis++)
        len += (size_t)snprintf(error->path + len, sizeof error->path - len, "/%zu", index[axis]);
}

/* Fails at an element, with the offset of its text. */
static enum loss_status fail_element(const struct decoding *d, size_t element, const char *at,
                                     enum loss_status status, const char *what)
{
    char quote[JSON_QUOTE], place[PLACE];
    size_t len = 0;
    while (!is_end(at[len]))
        len++;
    loss_fail(d->error, status, "%s%.80s is %s; %s", d->path + 1,
              element_place(d->tensor, element, place), json_quote_value(at, at + len, quote),
              what);
    tensor_json_point(d->tensor, d->path, element, d->error);
    d->error->offset = at - d->body;
    return status;
}

static const struct {
    const char *text;
    double value;
} words[] = {
    {"NaN", NAN},     {"Infinity", INFINITY},     {"-Infinity", -INFINITY},    {"null", NAN},
    {"\"NaN\"", NAN}, {"\"Infinity\"", INFINITY}, {"\"-Infinity\"", -INFINITY}};

/* If there is a spelling of a non-finite number at *text, moves past it and returns true. */
static bool take_word(const char **text, double *value)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const size_t len = strlen(words[i].text);
        if (strncmp(*text, words[i].text, len) == 0) {
            *value = words[i].value;
            *text += len;
            return true;
        }
    }
    return false;
}

/* Reads true or false, unless the tensor declares another dtype than bool. */
static bool take_boolean(const struct decoding *d, const char **text, bool *value)
{
    if (d->tensor->dtype != LOSS_ANY && d->tensor->dtype != LOSS_BOOL)
        return false;
    *value = **text == 't';
    const char *word = *value ? "true" : "false";
    if (strncmp(*text, word, strlen(word)) != 0)
        return false;
    *text += strlen(word);
    return true;
}

static enum loss_status take_real(const struct decoding *d, size_t element, const char **text,
                                  double *value)
{
    const char *const at = *text, *end = number_read_f64(at, value);
    bool boolean;
    if (end)
        *text = end;
    else if (take_boolean(d, text, &boolean))
        *value = boolean;
    else
        take_word(text, value);
    if (*text == at || !is_end(**text))
        return fail_element(d, element, at, LOSS_MALFORMED,
                            "an RFC 8259 number, null, NaN, Infinity or -Infinity was expected");
    return LOSS_OK;
}

/* The ranges of the integer dtypes. */
static const struct {
    int64_t min, max;
    const char *expected;
} ranges[LOSS_DTYPE_COUNT] = {
    [LOSS_INT64] = {INT64_MIN, INT64_MAX,
                    "the range of int64 is [-9223372036854775808, 9223372036854775807]"},
    [LOSS_INT32] = {INT32_MIN, INT32_MAX, "the range of int32 is [-2147483648, 2147483647]"},
    [LOSS_INT16] = {INT16_MIN, INT16_MAX, "the range of int16 is [-32768, 32767]"},
    [LOSS_INT8] = {INT8_MIN, INT8_MAX, "the range of int8 is [-128, 127]"},
    [LOSS_UINT64] =
        {INT64_MIN, INT64_MAX,
         "the range of uint64 is [0, 18446744073709551615]"}, /* of its bits as an int64 */
    [LOSS_UINT32] = {0, UINT32_MAX, "the range of uint32 is [0, 4294967295]"},
    [LOSS_UINT16] = {0, UINT16_MAX, "the range of uint16 is [0, 65535]"},
    [LOSS_UINT8] = {0, UINT8_MAX, "the range of uint8 is [0, 255]"},
    [LOSS_BOOL] = {0, 1, "bool accepts true, false, 1 and 0"},
};

static enum loss_status take_integer(const struct decoding *d, size_t element, const char **text,
                                     int64_t *value)
{
    const char *const at = *text;
    double real;
    bool boolean = false;
    const char *const expected =
        d->dtype == LOSS_BOOL ? ranges[LOSS_BOOL].expected : "a whole number was expected";
    const bool wide = d->dtype == LOSS_UINT64; /* *value then has its bits */
    enum number_status status =
        wide ? number_read_u64(at, (uint64_t *)value, text) : number_read_i64(at, value, text);
    if (status == NUMBER_NONE && take_boolean(d, text, &boolean)) {
        *value = boolean;
        status = NUMBER_OK;
    }
    if ((status == NUMBER_NONE && take_word(text, &real)) || status == NUMBER_FRACTION)
        return fail_element(d, element, at, LOSS_INVALID, expected);
    if (status == NUMBER_NONE || !is_end(**text))
        return fail_element(d, element, at, LOSS_MALFORMED, expected);
    if (status == NUMBER_RANGE)
        return fail_element(d, element, at, LOSS_INVALID, ranges[d->dtype].expected);
    return LOSS_OK;
}

static enum loss_status decode_integer(const struct decoding *d, size_t element, const char **text,
                                       void *out)
{
    const char *const at = *text;
    int64_t value;
    if (take_integer(d, element, text, &value) != LOSS_OK)
        return d->error->status;
    if (value < ranges[d->dtype].min || value > ranges[d->dtype].max)
        return fail_element(d, element, at, LOSS_INVALID, ranges[d->dtype].expected);
    memcpy(out, &value, loss_dtype_size(d->dtype)); /* little-endian: the low bytes are first */
    return LOSS_OK;
}

static enum loss_status decode_real(const struct decoding *d, size_t element, const char **text,
                                    void *out)
{
    if (d->dtype == LOSS_FLOAT32) {
        float single; /* read directly: via double it would be rounded twice */
        const char *end = number_read_f32(*text, &single);
        if (end && is_end(*end)) {
            *text = end;
            memcpy(out, &single, sizeof single);
            return LOSS_OK;
        }
    }
    double value;
    if (take_real(d, element, text, &value) != LOSS_OK)
        return d->error->status;
    if (d->dtype == LOSS_FLOAT64) {
        memcpy(out, &value, sizeof value);
    } else if (d->dtype == LOSS_FLOAT32) {
        const float narrow = (float)value;
        memcpy(out, &narrow, sizeof narrow);
    } else {
        const uint16_t half = d->dtype == LOSS_FLOAT16 ? half_float16(value) : half_bfloat16(value);
        memcpy(out, &half, sizeof half);
    }
    return LOSS_OK;
}

/* Decodes one element; advances *text and *out past it. */
static enum loss_status decode_one(const struct decoding *d, size_t element, const char **text,
                                   char **out)
{
    const enum loss_status status = loss_dtype_is_float(d->dtype)
                                        ? decode_real(d, element, text, *out)
                                        : decode_integer(d, element, text, *out);
    *out += loss_dtype_size(d->dtype);
    return status;
}

static const char *skip_between(const char *text, const char *end)
{
    while (text < end && (*text == '[' || *text == ']' || *text == ',' || *text == ' ' ||
                          *text == '\n' || *text == '\r' || *text == '\t'))
        text++;
    return text;
}

/* Reads up to `n` of the elements between bounds into `out`; returns how many. */
static size_t read_bulk(const struct decoding *d, const char *text, const uint32_t *bounds,
                        size_t n, char *out)
{
    switch (d->dtype) {
    case LOSS_FLOAT32:
        return d->bulk->read_f32(text, bounds, n, (void *)out);
    case LOSS_FLOAT64:
        return d->bulk->read_f64(text, bounds, n, (void *)out);
    case LOSS_INT64:
        return d->bulk->read_i64(text, bounds, n, (void *)out);
    default:
        return 0;
    }
}

/* Decodes the elements that end in the `blocks` blocks at *text, which is not within an element;
   moves past them. */
static enum loss_status decode_blocks(const struct decoding *d, const char **text, size_t blocks,
                                      size_t *element, char **out)
{
    uint32_t bounds[BLOCKS_MAX * NUMBER_BULK_BLOCK + NUMBER_BULK_SLACK];
    const char *const start = *text;
    const size_t found = d->bulk->find(start, blocks, bounds), n = found / 2;
    for (size_t i = 0; i < n; i++) {
        const size_t read = read_bulk(d, start, bounds + 2 * i, n - i, *out);
        *out += read * loss_dtype_size(d->dtype);
        i += read;
        if (i == n)
            break;
        const char *at = start + bounds[2 * i];
        if (decode_one(d, *element + i, &at, out) != LOSS_OK)
            return d->error->status;
    }
    *element += n;
    *text = start + (found % 2 ? bounds[found - 1] : blocks * NUMBER_BULK_BLOCK);
    return LOSS_OK;
}

/* Decodes the elements in [text, end); the first is element `element` of the tensor. */
static enum loss_status decode_span(const struct decoding *d, const char *text, const char *end,
                                    size_t element, char *out)
{
    while ((text = skip_between(text, end)) < end) {
        /* Decodes in blocks while enough bytes before and after them are readable. */
        if (text - d->body >= NUMBER_BULK_AROUND &&
            d->end - text >= NUMBER_BULK_BLOCK + NUMBER_BULK_AROUND) {
            const size_t bytes = (size_t)(end - text) < (size_t)(d->end - text) - NUMBER_BULK_AROUND
                                     ? (size_t)(end - text)
                                     : (size_t)(d->end - text) - NUMBER_BULK_AROUND;
            const size_t blocks =
                bytes / NUMBER_BULK_BLOCK < BLOCKS_MAX ? bytes / NUMBER_BULK_BLOCK : BLOCKS_MAX;
            const char *const start = text;
            if (blocks > 0 && decode_blocks(d, &text, blocks, &element, &out) != LOSS_OK)
                return d->error->status;
            if (text > start)
                continue;
        }
        if (decode_one(d, element++, &text, &out) != LOSS_OK)
            return d->error->status;
    }
    return LOSS_OK;
}

/* ---- Pieces ---- */

/* The text of a tensor, split at its marks. */
struct pieces {
    const struct decoding *decoding;
    char *out;
    atomic_int failed; /* the first piece that has failed so far */
};

static enum loss_status decode_piece(const struct decoding *d, int i, char *out)
{
    const struct tensor_json *const tensor = d->tensor;
    const char *const text = i == 0 ? tensor->text : tensor->mark[i - 1].text;
    const char *const end = i < tensor->marks ? tensor->mark[i].text : tensor->end;
    const size_t element = i == 0 ? 0 : tensor->mark[i - 1].element;
    return decode_span(d, text, end, element, out + element * loss_dtype_size(d->dtype));
}

static void try_piece(void *context, size_t i, int thread)
{
    struct pieces *const pieces = context;
    struct loss_error error;
    struct decoding decoding = *pieces->decoding;
    decoding.error = &error;
    (void)thread;
    int first = atomic_load(&pieces->failed);
    if ((int)i > first || quota_cancelled(decoding.quota) ||
        decode_piece(&decoding, (int)i, pieces->out) == LOSS_OK)
        return;
    while ((int)i < first && !atomic_compare_exchange_weak(&pieces->failed, &first, (int)i))
        continue;
}

static enum loss_status decode_pieces(const struct decoding *d, char *out, int threads)
{
    const struct tensor_json *const tensor = d->tensor;
    if (tensor->marks < MARKS_MIN)
        return decode_span(d, tensor->text, tensor->end, 0, out);
    struct pieces pieces = {.decoding = d, .out = out, .failed = tensor->marks + 1};
    parallel_for((size_t)tensor->marks + 1, threads, try_piece, &pieces);
    if (quota_cancelled(d->quota))
        return loss_fail(d->error, LOSS_CANCELLED, "the request was cancelled");
    const int failed = atomic_load(&pieces.failed);
    return failed > tensor->marks ? LOSS_OK
                                  : decode_piece(d, failed, out); /* again, to set the error */
}

enum loss_status tensor_json_decode(const struct tensor_json *tensor, enum loss_dtype dtype,
                                    void *out, const char *body, const char *path, int threads,
                                    const struct quota *quota, struct loss_error *error)
{
    const struct decoding decoding = {tensor, dtype, body,          tensor->end,
                                      path,   error, number_bulk(), quota};
    if (tensor->form != FORM_BASE64)
        return decode_pieces(&decoding, out, threads);
    const char *wrong =
        base64_decode(tensor->text, tensor->end, out, tensor->count * loss_dtype_size(dtype));
    if (!wrong)
        return LOSS_OK;
    char below[96];
    snprintf(below, sizeof below, "%s/data/buffer", path);
    return json_malformed(error, body, wrong, below, "%s is not base64", below + 1);
}
