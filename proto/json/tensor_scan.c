/* Scans a tensor in a body: finds its end and shape, and checks its brackets. Reads no number. */
#include "number/number.h"
#include "number/number_bulk.h"
#include "json/base64.h"
#include "json/scanner.h"
#include "json/tensor_json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The value being scanned, for errors. */
struct scan {
    const char *body, *body_end;
    const char *path; /* of the value: "/input", "/input/data" */
    struct loss_error *error;
    const struct number_bulk *bulk;
    const struct quota *quota; /* may be NULL */
};

static enum loss_status unexpected(const struct scan *scan, const char *at, const char *expected)
{
    char byte[JSON_BYTE_TEXT];
    return json_malformed(scan->error, scan->body, at, scan->path, "%s: %s where %s was expected",
                          scan->path + 1, json_byte_text(at, scan->body_end, byte), expected);
}

/* ---- Nested arrays ---- */

/* Nested arrays while they are scanned. The first array of each level fixes the length of that
   level; the first number fixes the depth. */
struct nesting {
    int depth; /* open brackets */
    int rank;  /* depth of the numbers; -1 until it is known */
    size_t length[LOSS_MAX_RANK];
    bool known[LOSS_MAX_RANK];  /* true once length is fixed */
    size_t seen[LOSS_MAX_RANK]; /* number of elements so far in the open array of each level */
    size_t count;
    const char *checked; /* where cancellation was last checked */
    const char *marked;  /* the last mark, or the start of the tensor */
    ptrdiff_t distance;  /* minimum distance to the next mark */
};

/* Fails at the current element. Its indices are the numbers of elements before it. */
__attribute__((format(printf, 4, 5))) static enum loss_status
ragged(const struct scan *scan, const struct nesting *nest, int depth, const char *format, ...)
{
    char path[sizeof scan->error->path], place[sizeof path], reason[160];
    size_t len = (size_t)snprintf(path, sizeof path, "%s", scan->path),
           place_len = (size_t)snprintf(place, sizeof place, "%s", path + 1);
    for (int i = 0; i < depth && len < sizeof path - 24 && place_len < sizeof place - 24; i++) {
        len += (size_t)snprintf(path + len, sizeof path - len, "/%zu", nest->seen[i]);
        place_len +=
            (size_t)snprintf(place + place_len, sizeof place - place_len, "[%zu]", nest->seen[i]);
    }
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    return loss_fail_at(scan->error, LOSS_INVALID, path,
                        "%.100s %s; nested arrays must be rectangular", place, reason);
}

static enum loss_status open_array(const struct scan *scan, struct nesting *nest, const char *at)
{
    if (nest->depth == json_depth())
        return json_malformed(scan->error, scan->body, at, scan->path,
                              "%s: arrays are nested more than %d deep", scan->path + 1,
                              json_depth());
    if (nest->depth == LOSS_MAX_RANK)
        return json_malformed(scan->error, scan->body, at, scan->path,
                              "%s has more than %d dimensions", scan->path + 1, LOSS_MAX_RANK);
    if (nest->rank >= 0 && nest->depth >= nest->rank)
        return ragged(scan, nest, nest->depth, "is an array where its neighbors are numbers");
    nest->seen[nest->depth++] = 0;
    return LOSS_OK;
}

static enum loss_status close_array(const struct scan *scan, struct nesting *nest)
{
    const int level = --nest->depth;
    const size_t length = nest->seen[level];
    if (nest->rank < 0) /* an empty array also fixes the depth */
        nest->rank = level + 1;
    if (nest->known[level] && nest->length[level] != length)
        return ragged(scan, nest, level, "has %zu elements where its neighbors have %zu", length,
                      nest->length[level]);
    nest->known[level] = true;
    nest->length[level] = length;
    if (level > 0)
        nest->seen[level - 1]++;
    return LOSS_OK;
}

/* Returns the byte after the number, word or string at `text`; `text` itself if there is none. */
static const char *skip_scalar(const char *text)
{
    if (*text == '"') { /* only NaN and the infinities are strings: no escapes, and short */
        for (const char *at = text + 1; at < text + 16 && *at; at++)
            if (*at == '"')
                return at + 1;
        return text;
    }
    while ((*text >= '0' && *text <= '9') || *text == '.' || *text == '-' || *text == '+' ||
           (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z'))
        text++;
    return text;
}

static enum loss_status take_scalar(const struct scan *scan, struct nesting *nest,
                                    const char **text)
{
    const char *end = skip_scalar(*text);
    if (end == *text)
        return unexpected(scan, *text,
                          nest->depth > 0 ? "a number or an array"
                                          : "a number, an array or an object");
    if (nest->rank < 0)
        nest->rank = nest->depth;
    if (nest->rank != nest->depth)
        return ragged(scan, nest, nest->depth, "is a number where its neighbors are arrays");
    if (nest->depth > 0)
        nest->seen[nest->depth - 1]++;
    nest->count++;
    *text = end;
    return LOSS_OK;
}

enum { MARK_DISTANCE = 1 << 16 }; /* bytes between marks, initially */

/* Marks the element at `text`. If no mark is free, removes every other one and doubles the
   distance. */
static void set_mark(struct tensor_json *tensor, struct nesting *nest, const char *text)
{
    if (tensor->marks == TENSOR_JSON_MARKS) {
        for (int i = 0; i < TENSOR_JSON_MARKS / 2; i++)
            tensor->mark[i] = tensor->mark[2 * i + 1];
        tensor->marks = TENSOR_JSON_MARKS / 2;
        nest->distance *= 2;
    }
    tensor->mark[tensor->marks++] = (struct tensor_json_mark){text, nest->count};
    nest->marked = text;
}

/* Skips elements of the open array in bulk. Returns true if they include the last one. */
static bool take_many(const struct scan *scan, struct tensor_json *tensor, struct nesting *nest,
                      const char **text)
{
    if (*text - nest->marked >= nest->distance)
        set_mark(tensor, nest, *text);
    const char *limit = scan->body_end;
    if (limit - nest->marked > nest->distance + NUMBER_BULK_BLOCK)
        limit = nest->marked + nest->distance + NUMBER_BULK_BLOCK;
    const size_t n = scan->bulk->skip(text, limit);
    nest->seen[nest->depth - 1] += n;
    nest->count += n;
    return n > 0 && **text == ']';
}

/* Moves past the comma or closing brackets after an element, to the next element or the end of the
   value. */
static enum loss_status after_element(const struct scan *scan, struct nesting *nest,
                                      const char **text)
{
    while (nest->depth > 0) {
        *text = json_blank(*text, scan->quota);
        const char at = **text;
        if (at != ',' && at != ']')
            return unexpected(scan, *text, "',' or ']'");
        ++*text;
        if (at == ',')
            return LOSS_OK;
        if (close_array(scan, nest) != LOSS_OK)
            return scan->error->status;
    }
    return LOSS_OK;
}

enum {
    CHECK_DISTANCE = 1 << 18
}; /* bytes between checks for cancellation: less than a millisecond */

static bool is_cancelled(const struct scan *scan, struct nesting *nest, const char *text)
{
    if (text - nest->checked < CHECK_DISTANCE)
        return false;
    nest->checked = text;
    return quota_cancelled(scan->quota);
}

/* Scans a number or nested arrays; sets rank, shape and count. */
static enum loss_status scan_numbers(const struct scan *scan, struct tensor_json *tensor,
                                     const char *text, const char **end)
{
    struct nesting nest = {.rank = -1, .checked = text, .marked = text, .distance = MARK_DISTANCE};
    tensor->text = text;
    do {
        text = json_blank(text, scan->quota);
        if (is_cancelled(scan, &nest, text))
            return loss_fail(scan->error, LOSS_CANCELLED, "the request was cancelled");
        enum loss_status status = LOSS_OK;
        const bool all = *text != '[' && nest.depth > 0 && nest.depth == nest.rank &&
                         take_many(scan, tensor, &nest, &text);
        if (all) {
            /* the array ends */
        } else if (*text != '[') {
            status = take_scalar(scan, &nest, &text);
        } else if ((status = open_array(scan, &nest, text)) == LOSS_OK) {
            text = json_blank(text + 1, scan->quota);
            if (*text != ']')
                continue;
        }
        if (status != LOSS_OK || after_element(scan, &nest, &text) != LOSS_OK)
            return scan->error->status;
    } while (nest.depth > 0);
    tensor->end = *end = text;
    tensor->rank = nest.rank;
    tensor->count = nest.count;
    memcpy(tensor->shape, nest.length, sizeof tensor->shape);
    return LOSS_OK;
}

/* ---- Objects ---- */

/* The fields of a tensor object, before they are compared. */
struct object {
    struct loss_tensor shape;
    bool has_shape, has_data, has_buffer;
    bool has_encoding;
};

enum { FIELD_NAME = 64 };

/* Reads a key and the colon after it; *text is then at the value. */
static enum loss_status take_key(const struct scan *scan, const char **text, char *name)
{
    const char *at;
    *text = json_blank(*text, scan->quota);
    if (**text != '"')
        return unexpected(scan, *text, "a field name in quotes");
    const char *end = json_skip_string(*text, &at);
    if (!end)
        return unexpected(scan, at, "the rest of a string");
    if (!json_decode_string(*text, end, name, FIELD_NAME))
        return json_malformed(
            scan->error, scan->body, *text, scan->path,
            "%s has a field whose name has more than %d bytes, or is not valid text",
            scan->path + 1, FIELD_NAME - 1);
    *text = json_blank(end, scan->quota);
    if (**text != ':')
        return unexpected(scan, *text, "':'");
    *text = json_blank(*text + 1, scan->quota);
    return LOSS_OK;
}

/* Moves past a ',' or a '}', and sets *more for a comma. */
static enum loss_status take_separator(const struct scan *scan, const char **text, bool *more)
{
    *text = json_blank(*text, scan->quota);
    if (**text != ',' && **text != '}')
        return unexpected(scan, *text, "',' or '}'");
    *more = *(*text)++ == ',';
    return LOSS_OK;
}

static enum loss_status unknown_field(const struct scan *scan, const char *name,
                                      const char *const known[])
{
    char path[sizeof scan->error->path], quote[JSON_QUOTE], suggestion[LOSS_SUGGESTION_TEXT];
    struct loss_nearest search = {.name = name};
    for (int i = 0; known[i]; i++)
        loss_nearest_try(&search, known[i]);
    snprintf(path, sizeof path, "%s", scan->path);
    json_pointer_add(path, sizeof path, name);
    return loss_fail_at(scan->error, LOSS_MALFORMED, path, "a tensor object has no field '%s'%s",
                        json_quote(name, quote),
                        loss_nearest_text(&search, "'", "'", NULL, suggestion));
}

static enum loss_status twice(const struct scan *scan, const char *at, const char *name)
{
    return json_malformed(scan->error, scan->body, at, scan->path, "%s has a duplicate field '%s'",
                          scan->path + 1, name);
}

static enum loss_status bad_dimension(const struct scan *scan, const char *at)
{
    char quote[JSON_QUOTE];
    const size_t len = strcspn(at, ",]} \t\r\n");
    if (len == 0 || *at == '[' || *at == '{')
        return unexpected(scan, at, "a dimension");
    return json_malformed(scan->error, scan->body, at, scan->path,
                          "%s: a dimension is %s; it must be an integer in [0, 2^63)",
                          scan->path + 1, json_quote_value(at, at + len, quote));
}

/* Reads an array of dimensions; `scan` has the path of the array. */
static enum loss_status scan_shape(const struct scan *scan, struct loss_tensor *shape,
                                   const char **text)
{
    shape->rank = 0;
    if (**text != '[')
        return unexpected(scan, *text, "an array of dimensions");
    *text = json_blank(*text + 1, scan->quota);
    for (bool more = **text != ']'; more;) {
        int64_t size;
        *text = json_blank(*text, scan->quota);
        const char *const at = *text;
        const enum number_status status = number_read_i64(at, &size, text);
        if (status != NUMBER_OK || size < 0)
            return bad_dimension(scan, at);
        if (shape->rank == LOSS_MAX_RANK)
            return json_malformed(scan->error, scan->body, at, scan->path,
                                  "shape has more than %d dimensions", LOSS_MAX_RANK);
        shape->shape[shape->rank++] = (size_t)size;
        *text = json_blank(*text, scan->quota);
        if (**text != ',' && **text != ']')
            return unexpected(scan, *text, "',' or ']'");
        more = **text == ',';
        *text += more;
    }
    ++*text;
    return LOSS_OK;
}

enum loss_status tensor_json_shape(struct loss_tensor *shape, const char *text, const char *body,
                                   const char *body_end, const char *path, const char **end,
                                   struct loss_error *error)
{
    const struct scan scan = {body, body_end, path, error, NULL, NULL};
    *end = text;
    return scan_shape(&scan, shape, end);
}

static enum loss_status take_shape(const struct scan *scan, struct object *object,
                                   const char **text)
{
    char path[sizeof scan->error->path];
    snprintf(path, sizeof path, "%s/shape", scan->path);
    const struct scan inner = {scan->body,  scan->body_end, path,
                               scan->error, scan->bulk,     scan->quota};
    object->has_shape = true;
    return scan_shape(&inner, &object->shape, text);
}

static enum loss_status take_dtype(const struct scan *scan, struct tensor_json *tensor,
                                   const char **text)
{
    char name[FIELD_NAME] = "", quote[JSON_QUOTE];
    const char *at = *text, *end = *at == '"' ? json_skip_string(*text, &at) : NULL;
    if (!end)
        return unexpected(scan, at, "the name of a dtype in quotes");
    tensor->dtype =
        json_decode_string(*text, end, name, sizeof name) ? loss_dtype_find(name) : LOSS_ANY;
    *text = end;
    if (tensor->dtype != LOSS_ANY)
        return LOSS_OK;
    char path[sizeof scan->error->path];
    snprintf(path, sizeof path, "%s/dtype", scan->path);
    return loss_fail_at(scan->error, LOSS_INVALID, path,
                        "no such dtype '%s'; the dtypes are float64, float32, float16, bfloat16, "
                        "int64, int32, int16, int8, uint64, uint32, "
                        "uint16, uint8 and bool",
                        json_quote(name, quote));
}

/* Reads {"buffer": "...", "encoding": "base64"}. */
static enum loss_status take_buffer(const struct scan *scan, struct object *object,
                                    struct tensor_json *tensor, const char **text)
{
    static const char *const known[] = {"buffer", "encoding", NULL};
    *text = json_blank(*text + 1, scan->quota);
    for (bool more = **text != '}' || !++*text; more;) {
        char name[FIELD_NAME], value[FIELD_NAME], quote[JSON_QUOTE];
        const char *at;
        if (take_key(scan, text, name) != LOSS_OK)
            return scan->error->status;
        const bool is_buffer = strcmp(name, "buffer") == 0;
        if (!is_buffer && strcmp(name, "encoding") != 0)
            return unknown_field(scan, name, known);
        if (is_buffer ? object->has_buffer : object->has_encoding)
            return twice(scan, *text, name);
        at = *text;
        const char *const end = *at == '"' ? json_skip_string(*text, &at) : NULL;
        if (!end)
            return unexpected(scan, at, "a string");
        if (is_buffer) {
            object->has_buffer = true;
            tensor->text = *text + 1;
            tensor->end = end - 1;
        } else {
            object->has_encoding = true;
            if (!json_decode_string(*text, end, value, sizeof value) ||
                strcmp(value, "base64") != 0)
                return json_malformed(scan->error, scan->body, *text, scan->path,
                                      "the encoding of a buffer is %s; it must be \"base64\"",
                                      json_quote_value(*text, end, quote));
        }
        *text = end;
        if (take_separator(scan, text, &more) != LOSS_OK)
            return scan->error->status;
    }
    if (!object->has_buffer || !object->has_encoding)
        return json_malformed(scan->error, scan->body, *text, scan->path,
                              "%s lacks '%s'; it must have both 'buffer' and 'encoding'",
                              scan->path + 1, object->has_buffer ? "encoding" : "buffer");
    return LOSS_OK;
}

static enum loss_status take_data(const struct scan *scan, struct object *object,
                                  struct tensor_json *tensor, const char **text)
{
    char path[sizeof scan->error->path];
    snprintf(path, sizeof path, "%s/data", scan->path);
    const struct scan inner = {scan->body,  scan->body_end, path,
                               scan->error, scan->bulk,     scan->quota};
    object->has_data = true;
    if (**text == '{')
        return take_buffer(&inner, object, tensor, text);
    return scan_numbers(&inner, tensor, *text, text);
}

static enum loss_status take_fields(const struct scan *scan, struct object *object,
                                    struct tensor_json *tensor, const char **text)
{
    static const char *const known[] = {"shape", "dtype", "data", NULL};
    *text = json_blank(*text + 1, scan->quota);
    for (bool more = **text != '}' || !++*text; more;) {
        char name[FIELD_NAME];
        if (take_key(scan, text, name) != LOSS_OK)
            return scan->error->status;
        enum loss_status status;
        if (strcmp(name, "shape") == 0)
            status = object->has_shape ? twice(scan, *text, name) : take_shape(scan, object, text);
        else if (strcmp(name, "dtype") == 0)
            status = tensor->dtype != LOSS_ANY ? twice(scan, *text, name)
                                               : take_dtype(scan, tensor, text);
        else if (strcmp(name, "data") == 0)
            status =
                object->has_data ? twice(scan, *text, name) : take_data(scan, object, tensor, text);
        else
            status = unknown_field(scan, name, known);
        if (status != LOSS_OK || take_separator(scan, text, &more) != LOSS_OK)
            return scan->error->status;
    }
    return LOSS_OK;
}

/* Fails at a field of the tensor object. */
__attribute__((format(printf, 3, 4))) static enum loss_status
at_field(const struct scan *scan, const char *field, const char *format, ...)
{
    char path[sizeof scan->error->path], message[240];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    snprintf(path, sizeof path, "%s%s", scan->path, field);
    return loss_fail_at(scan->error, LOSS_INVALID, path, "%s: %s", scan->path + 1, message);
}

static enum loss_status check_buffer(const struct scan *scan, const struct object *object,
                                     struct tensor_json *tensor)
{
    if (!object->has_shape || tensor->dtype == LOSS_ANY)
        return at_field(scan, "", "a buffer requires a %s", object->has_shape ? "dtype" : "shape");
    const size_t len = base64_characters(tensor->text, tensor->end),
                 bytes = tensor->count * loss_dtype_size(tensor->dtype);
    if (len != base64_text_len(bytes))
        return at_field(
            scan, "/data/buffer",
            "the buffer has %zu base64 characters; %zu elements of %s are %zu bytes, which are %zu "
            "characters",
            len, tensor->count, loss_dtype_name(tensor->dtype), bytes, base64_text_len(bytes));
    return LOSS_OK;
}

bool tensor_json_fits(const struct tensor_json *data, const struct loss_tensor *shape)
{
    if (data->rank <= 1)
        return data->count == loss_tensor_elements(shape);
    const bool ends_early = data->rank < shape->rank && data->shape[data->rank - 1] == 0;
    return (data->rank == shape->rank || ends_early) &&
           memcmp(data->shape, shape->shape, (size_t)data->rank * sizeof *data->shape) == 0;
}

/* Checks that shape and data match. */
static enum loss_status reconcile(const struct scan *scan, const struct object *object,
                                  struct tensor_json *tensor)
{
    char declared[LOSS_SHAPE_TEXT], found[LOSS_SHAPE_TEXT];
    struct loss_tensor data = {.rank = tensor->rank};
    memcpy(data.shape, tensor->shape, sizeof data.shape);
    if (!object->has_data)
        return at_field(scan, "", "the tensor object lacks the field 'data'");
    tensor->form = tensor->rank > 1 ? FORM_NESTED : FORM_FLAT;
    if (object->has_buffer)
        tensor->form = FORM_BASE64;
    if (!object->has_shape && !object->has_buffer)
        return LOSS_OK;
    size_t count = 0;
    if (object->has_shape && !loss_tensor_count(&object->shape, &count))
        return at_field(scan, "/shape", "the shape has more elements than can be addressed");
    const bool fits = object->has_buffer || tensor_json_fits(tensor, &object->shape);
    tensor->rank = object->shape.rank;
    memcpy(tensor->shape, object->shape.shape, sizeof tensor->shape);
    if (object->has_buffer) {
        tensor->count = count;
        return check_buffer(scan, object, tensor);
    }
    if (data.rank > 1 && !fits)
        return at_field(scan, "/data", "the data has shape %.64s, but 'shape' is %.64s",
                        loss_shape_text(&data, found), loss_shape_text(&object->shape, declared));
    if (!fits)
        return at_field(scan, "/data", "the data has %zu elements where shape %.64s has %zu",
                        tensor->count, loss_shape_text(&object->shape, declared), count);
    return LOSS_OK;
}

enum loss_status tensor_json_scan(struct tensor_json *tensor, const char *text, const char *body,
                                  const char *body_end, const char *path, const struct quota *quota,
                                  const char **end, struct loss_error *error)
{
    const struct scan scan = {body, body_end, path, error, number_bulk(), quota};
    *tensor = (struct tensor_json){.form = FORM_NESTED};
    if (*text != '{')
        return scan_numbers(&scan, tensor, text, end);
    struct object object = {0};
    tensor->is_object = true;
    if (take_fields(&scan, &object, tensor, &text) != LOSS_OK)
        return error->status;
    *end = text;
    return reconcile(&scan, &object, tensor);
}
