#include "number/number.h"
#include "number/number_bulk.h"
#include "parallel.h"
#include "json/base64.h"
#include "json/scanner.h"
#include "json/tensor_json.h"

#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *nonfinite_text(double value)
{
    if (isnan(value))
        return "\"NaN\"";
    return value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
}

void json_append_number(struct buffer *out, double value)
{
    if (!isfinite(value)) {
        buffer_text(out, nonfinite_text(value));
        return;
    }
    char *to = buffer_reserve(out, NUMBER_TEXT);
    if (to)
        out->len += number_write_f64(to, value);
}

static void append_f32(struct buffer *out, float value)
{
    char *to = isfinite(value) ? buffer_reserve(out, NUMBER_TEXT) : NULL;
    if (to)
        out->len += number_write_f32(to, value);
    else
        json_append_number(out, (double)value); /* not finite, or memory ran out */
}

void json_append_string(struct buffer *out, const char *text)
{
    buffer_text(out, "\"");
    while (*text) {
        const size_t plain = json_plain_length(text);
        buffer_append(out, text, plain);
        text += plain;
        if (*text == '"' || *text == '\\')
            buffer_printf(out, "\\%c", *text++);
        else if (*text && (unsigned char)*text < 0x20)
            buffer_printf(out, "\\u%04x", (unsigned)*text++);
        else if (*text) {
            buffer_text(out, "\xef\xbf\xbd"); /* U+FFFD */
            text++;
        }
    }
    buffer_text(out, "\"");
}

/* ---- Numbers ---- */

/* A tensor whose elements are written in row-major order, and the shape that the brackets show. */
struct encoding {
    const struct loss_tensor *tensor;
    const struct number_bulk *bulk;
    int rank; /* 1 for flat text */
    size_t shape[LOSS_MAX_RANK];
    size_t count;
};

enum {
    CHUNK = 4096,             /* elements per chunk; their text fits in the L2 cache */
    PARALLEL_MIN = 4 * CHUNK, /* elements that are worth a parallel region, which costs up to 30 us
                                 if threads do not spin */
};

/* Returns the bytes that `count` elements need at most, with brackets and commas. */
static size_t max_bytes(const struct encoding *encoding, size_t count)
{
    const size_t number =
        encoding->tensor->dtype == LOSS_FLOAT64 ? NUMBER_BULK_F64 : NUMBER_BULK_F32;
    /* At the end of a row, all arrays may end. */
    const size_t row = encoding->shape[encoding->rank - 1];
    return count * number + (count / row + 2) * 2 * (size_t)encoding->rank + NUMBER_TEXT;
}

/* Writes up to `n` elements from `from` on, each followed by a comma. Returns how many: 0 if the
   first is not finite. */
static size_t write_run(const struct encoding *encoding, char **to, size_t from, size_t n)
{
    const void *const data = encoding->tensor->data;
    return encoding->tensor->dtype == LOSS_FLOAT64
               ? encoding->bulk->write_f64(to, (const double *)data + from, n)
               : encoding->bulk->write_f32(to, (const float *)data + from, n);
}

static char *write_nonfinite(const struct encoding *encoding, char *to, size_t element)
{
    const void *const data = encoding->tensor->data;
    const double value = encoding->tensor->dtype == LOSS_FLOAT64
                             ? ((const double *)data)[element]
                             : (double)((const float *)data)[element];
    const char *const text = nonfinite_text(value);
    const size_t len = strlen(text);
    memcpy(to, text, len);
    to[len] = ',';
    return to + len + 1;
}

/* Writes elements [from, from + n) to max_bytes(n) bytes. After each, writes the closing brackets,
   a comma, and the opening brackets of the next element. Returns the end. The caller writes the
   first brackets of the tensor and removes the comma after the last. */
static char *write_elements(const struct encoding *encoding, char *to, size_t from, size_t n)
{
    const int last = encoding->rank - 1;
    const size_t row = encoding->shape[last], end = from + n;
    size_t column = from % row, index[LOSS_MAX_RANK];
    for (size_t axis = (size_t)last, rest = from / row; axis-- > 0; rest /= encoding->shape[axis])
        index[axis] = rest % encoding->shape[axis];
    while (from < end) {
        /* Elements left in the row, up to `end`. */
        const size_t rest = row - column < end - from ? row - column : end - from;
        size_t written = write_run(encoding, &to, from, rest);
        if (written == 0) {
            to = write_nonfinite(encoding, to, from);
            written = 1;
        }
        from += written;
        column += written;
        if (column < row)
            continue;
        column = 0;
        int closed = 1; /* arrays that end here */
        for (int axis = last; axis-- > 0 && ++index[axis] == encoding->shape[axis]; closed++)
            index[axis] = 0;
        memset(to - 1, ']', (size_t)closed);
        to += closed - 1;
        *to++ = ',';
        if (from < encoding->count) {
            memset(to, '[', (size_t)closed);
            to += closed;
        }
    }
    return to;
}

static size_t chunk_size(const struct encoding *encoding, size_t chunk)
{
    const size_t rest = encoding->count - chunk * CHUNK;
    return rest < CHUNK ? rest : CHUNK;
}

/* Chunks that several threads write. Each thread takes the next chunk, writes it to its own memory,
   waits until the end of the preceding text is known, and copies its text there. */
struct team {
    const struct encoding *encoding;
    const struct quota *quota; /* of the buffer */
    char *text;
    char *scratch; /* one per worker */
    size_t scratch_size, chunks;
    atomic_size_t next;   /* the next chunk to take */
    atomic_size_t placed; /* chunks whose position is known */
    size_t len;           /* bytes of their text; written by the thread of chunk `placed` */
};

static void work(void *context, size_t i, int thread)
{
    struct team *const team = context;
    char *const scratch = team->scratch + i * team->scratch_size;
    (void)thread;
    for (size_t chunk; (chunk = atomic_fetch_add(&team->next, 1)) < team->chunks;) {
        const size_t n = chunk_size(team->encoding, chunk);
        const bool wanted = !quota_cancelled(team->quota);
        const size_t len =
            wanted ? (size_t)(write_elements(team->encoding, scratch, chunk * CHUNK, n) - scratch)
                   : 0;
        while (atomic_load_explicit(&team->placed, memory_order_acquire) != chunk)
            sched_yield(); /* let the thread of an earlier chunk run */
        char *const to = team->text + team->len;
        team->len += len;
        atomic_store_explicit(&team->placed, chunk + 1, memory_order_release);
        memcpy(to, scratch, len);
    }
}

/* Like append_elements(), on several threads. Reserves the maximum length of the text; unused pages
   cost no memory. */
static void append_elements_parallel(struct buffer *out, const struct encoding *encoding,
                                     int threads)
{
    struct team team = {.encoding = encoding,
                        .quota = out->quota,
                        .text = buffer_reserve(out, max_bytes(encoding, encoding->count)),
                        .scratch_size = max_bytes(encoding, CHUNK),
                        .chunks = (encoding->count + CHUNK - 1) / CHUNK};
    const size_t scratch = (size_t)threads * team.scratch_size;
    const bool taken = quota_reserve(out->quota, scratch);
    team.scratch = taken ? malloc(scratch) : NULL;
    out->failed |= !team.scratch;
    if (!out->failed) {
        parallel_for((size_t)threads, threads, work, &team);
        out->len += team.len;
        out->failed = quota_cancelled(out->quota);
    }
    free(team.scratch);
    quota_release(out->quota, taken ? scratch : 0);
}

static void append_chunks(struct buffer *out, const struct encoding *encoding)
{
    for (size_t from = 0; from < encoding->count; from += CHUNK) {
        const size_t n = chunk_size(encoding, from / CHUNK);
        char *const to = buffer_reserve(out, max_bytes(encoding, n));
        if (!to || quota_cancelled(out->quota)) {
            out->failed = true;
            return;
        }
        out->len += (size_t)(write_elements(encoding, to, from, n) - to);
    }
}

/* Appends the elements of a non-empty tensor, in brackets. */
static void append_elements(struct buffer *out, const struct encoding *encoding, int threads)
{
    for (int axis = 0; axis < encoding->rank; axis++)
        buffer_append(out, "[", 1);
    if (threads > 1 && encoding->count >= PARALLEL_MIN)
        append_elements_parallel(out, encoding, threads);
    else
        append_chunks(out, encoding);
    if (!out->failed)
        out->len--; /* the comma after the last bracket */
}

static void append_numbers(struct buffer *out, const struct loss_tensor *tensor, size_t count,
                           bool nested, int threads)
{
    struct encoding encoding = {
        .tensor = tensor, .bulk = number_bulk(), .rank = nested ? tensor->rank : 1, .count = count};
    if (nested)
        memcpy(encoding.shape, tensor->shape, sizeof encoding.shape);
    else
        encoding.shape[0] = count;
    if (count == 0)
        buffer_text(out, "[]");
    else if (encoding.rank > 0)
        append_elements(out, &encoding, threads);
    else if (tensor->dtype == LOSS_FLOAT64)
        json_append_number(out, *(const double *)tensor->data);
    else
        append_f32(out, *(const float *)tensor->data);
}

static void append_buffer(struct buffer *out, const struct loss_tensor *tensor)
{
    const size_t bytes = loss_tensor_bytes(tensor), len = base64_text_len(bytes);
    buffer_text(out, "{\"buffer\":\"");
    char *to = buffer_reserve(out, len);
    if (to) {
        base64_encode(to, tensor->data, bytes);
        out->len += len;
    }
    buffer_text(out, "\",\"encoding\":\"base64\"}");
}

void tensor_json_encode(struct buffer *out, const struct loss_tensor *tensor, enum tensor_form form,
                        int threads)
{
    const size_t count = loss_tensor_elements(tensor);
    /* A nested array cannot express the shape of an empty tensor, unless it has one dimension. */
    if (form == FORM_NESTED && (count > 0 || tensor->rank == 1)) {
        append_numbers(out, tensor, count, true, threads);
        return;
    }
    buffer_text(out, "{\"shape\":[");
    for (int axis = 0; axis < tensor->rank; axis++)
        buffer_printf(out, axis ? ",%zu" : "%zu", tensor->shape[axis]);
    buffer_printf(out, "],\"dtype\":\"%s\",\"data\":", loss_dtype_name(tensor->dtype));
    if (form == FORM_BASE64) {
        append_buffer(out, tensor);
    } else {
        append_numbers(out, tensor, count, false, threads);
    }
    buffer_text(out, "}");
}
