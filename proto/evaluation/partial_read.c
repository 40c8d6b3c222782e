/* Reads partial results. */
#include "evaluation/partial_text.h"
#include "evaluation/request_fields.h"
#include "number/hex.h"
#include "number/number.h"
#include "json/scanner.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    NAME = 64,       /* bytes of a name with its NUL; no loss, dtype or tensor has a longer one */
    WARNING = 256,   /* the same for warnings */
    DIGITS = 544,    /* hexadecimal digits of the longest integer */
    INTEGER = 560,   /* bytes of its text */
    LIMB_DIGITS = 8, /* hexadecimal digits of a limb */
    MAX_EXPONENT = 1100,
    EXPONENT_DIGITS = 4,
};

/* In the order of `members`. */
enum member {
    FORMAT,
    LOSS,
    REDUCTION,
    DTYPE,
    PARAMETERS,
    TENSORS,
    WHOLE,
    WEIGHED,
    SUM,
    WEIGHT,
    TERMS,
    SAMPLES,
    COUNT,
    NOT_A_NUMBER,
    INF,
    NEG_INF,
    ROWS,
    WARNINGS,
    MEMBERS
};
static const char *const members[] = {"format",  "loss",    "reduction", "dtype", "parameters",
                                      "tensors", "whole",   "weighed",   "sum",   "weight",
                                      "terms",   "samples", "count",     "nan",   "inf",
                                      "neginf",  "rows",    "warnings",  NULL};

static const char what[] = "the partial result";

struct reading {
    struct partial *partial;
    uint32_t seen;           /* bit set of enum member */
    uint32_t parameters;     /* bit set of the parameters that have been read */
    int tensor;              /* the tensor that is being read */
    struct partial_rows row; /* the interval that is being read ... */
    int bounds;              /* ... and how many of its numbers have been */
};

__attribute__((format(printf, 2, 3))) static enum loss_status invalid(struct object_reader *json,
                                                                      const char *format, ...)
{
    char message[sizeof json->error->message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return loss_fail_at(json->error, LOSS_INVALID, json->path, "%s", message);
}

/* ---- Values ---- */

static enum loss_status read_text(struct object_reader *json, char *text, size_t size)
{
    return *json->at == '"' ? object_reader_string(json, "a string", text, size)
                            : object_reader_wrong_type(json, "a string");
}

/* Fails at an element of the list of the key. */
static enum loss_status wrong_element(struct object_reader *json, const char *expected)
{
    char found[JSON_QUOTE];
    return object_reader_malformed(json, json->at, "%s contains %s; it must be %s", json->key,
                                   json_value_text(json->at, json->end, found), expected);
}

static const char count_text[] = "a whole number in [0, 2^53)";

/* Reads a number that `count_text` describes. Returns false if there is none. */
static bool take_count(struct object_reader *json, uint64_t *value)
{
    int64_t number;
    const char *end;
    if (number_read_i64(json->at, &number, &end) != NUMBER_OK || number < 0 ||
        (uint64_t)number >= LOSS_COUNT_LIMIT)
        return false;
    *value = (uint64_t)number;
    json->at = end;
    return true;
}

static enum loss_status read_count(struct object_reader *json, uint64_t *value)
{
    return take_count(json, value) ? LOSS_OK : object_reader_wrong_type(json, count_text);
}

/* Reads the exponent of an integer. Returns false if it is not valid. */
static bool parse_exponent(const char *text, int *exponent)
{
    const size_t digits = strspn(text + 1, "0123456789");
    const bool negative = text[0] == '-';
    if ((!negative && text[0] != '+') || digits == 0 || digits > EXPONENT_DIGITS ||
        text[1 + digits] != '\0' || (text[1] == '0' && (digits > 1 || negative)))
        return false;
    *exponent = 0;
    for (size_t i = 1; i <= digits; i++)
        *exponent = *exponent * 10 + (text[i] - '0');
    if (negative)
        *exponent = -*exponent;
    return *exponent <= MAX_EXPONENT;
}

/* Parses a text such as "-0x7fp-3". Returns false if it is not the text of an integer. */
static bool parse_integer(const char *text, struct loss_integer *integer)
{
    *integer = (struct loss_integer){.negative = text[0] == '-'};
    text += integer->negative;
    if (text[0] != '0' || text[1] != 'x')
        return false;
    text += 2;
    const size_t digits = strspn(text, "0123456789abcdef");
    if (digits == 0 || digits > DIGITS || text[digits] != 'p' ||
        !parse_exponent(text + digits + 1, &integer->exponent))
        return false;
    if (text[0] == '0')
        return digits == 1 && integer->exponent == 0 && !integer->negative;
    for (size_t i = 0; i < digits; i++) {
        const size_t place = digits - 1 - i;
        integer->limb[place / LIMB_DIGITS] |= (uint32_t)hex_digit(text[i])
                                              << place % LIMB_DIGITS * 4;
    }
    integer->limbs = (digits + LIMB_DIGITS - 1) / LIMB_DIGITS;
    return integer->limb[0] & 1;
}

static enum loss_status read_integer(struct object_reader *json, struct loss_integer *integer)
{
    char text[INTEGER], quote[JSON_QUOTE];
    const char *const start = json->at;
    if (read_text(json, text, sizeof text) != LOSS_OK)
        return json->error->status;
    if (parse_integer(text, integer))
        return LOSS_OK;
    return object_reader_malformed(json, start,
                                   "%s is '%s'; it must be an odd hexadecimal integer times a "
                                   "power of two, such as -0x1fp-3, or 0x0p+0",
                                   json->key, json_quote(text, quote));
}

/* ---- Names ---- */

static enum loss_status read_format(struct object_reader *json)
{
    char text[NAME], quote[JSON_QUOTE];
    if (read_text(json, text, sizeof text) != LOSS_OK)
        return json->error->status;
    return strcmp(text, PARTIAL_FORMAT) == 0
               ? LOSS_OK
               : invalid(json, "format is '%s'; this version reads '%s'", json_quote(text, quote),
                         PARTIAL_FORMAT);
}

static enum loss_status read_loss(struct object_reader *json, const struct loss_descriptor **loss)
{
    char text[NAME], quote[JSON_QUOTE];
    if (read_text(json, text, sizeof text) != LOSS_OK)
        return json->error->status;
    *loss = loss_find(text);
    if (*loss && strcmp((*loss)->name, text) == 0)
        return LOSS_OK;
    return invalid(json, "no such loss '%s'", json_quote(text, quote));
}

static enum loss_status read_reduction(struct object_reader *json, struct partial *partial)
{
    char text[NAME], quote[JSON_QUOTE];
    if (read_text(json, text, sizeof text) != LOSS_OK)
        return json->error->status;
    for (int i = 0; i < LOSS_REDUCTION_COUNT; i++) {
        partial->reduction = (enum loss_reduction)i;
        if (i != LOSS_NONE && (partial->loss->reductions >> i & 1) &&
            strcmp(text, loss_reduction_name(partial->reduction)) == 0)
            return LOSS_OK;
    }
    return invalid(json, "%s has no partial results of reduction '%s'", partial->loss->name,
                   json_quote(text, quote));
}

static enum loss_status read_dtype(struct object_reader *json, enum loss_dtype *dtype)
{
    char text[NAME], quote[JSON_QUOTE];
    if (read_text(json, text, sizeof text) != LOSS_OK)
        return json->error->status;
    *dtype = loss_dtype_find(text);
    return *dtype != LOSS_ANY ? LOSS_OK
                              : invalid(json, "no such dtype '%s'", json_quote(text, quote));
}

/* Returns the index of the tensor named json->key; -1 if there is none. */
static int find_tensor(const struct object_reader *json, const struct partial *partial)
{
    for (int k = 0; k < PARTIAL_TENSORS; k++)
        if (partial_tensor_name(partial, k) &&
            strcmp(partial_tensor_name(partial, k), json->key) == 0)
            return k;
    return -1;
}

static enum loss_status unknown_tensor(struct object_reader *json, const struct partial *partial)
{
    char quote[JSON_QUOTE];
    return invalid(json, "%s has no tensor '%s'", partial->loss->name,
                   json_quote(json->key, quote));
}

/* ---- Parameters ---- */

static enum loss_status read_parameter(struct object_reader *json, void *context)
{
    struct reading *const r = context;
    struct partial *const partial = r->partial;
    char quote[JSON_QUOTE];
    const int k = loss_param_find(partial->loss, json->key);
    struct evaluation evaluation;
    struct fields fields;
    if (k < 0)
        return invalid(json, "%s has no parameter '%s'", partial->loss->name,
                       json_quote(json->key, quote));
    if (r->parameters >> k & 1)
        return object_reader_malformed(json, json->at, "duplicate parameter '%s'", json->key);
    r->parameters |= UINT32_C(1) << k;
    evaluation_init(&evaluation, partial->loss, json->body, 0);
    fields_begin(&fields, &evaluation, json->error);
    fields.json = *json;
    if (fields_read_value(&fields, FIELD_PARAMS + k) != LOSS_OK)
        return json->error->status;
    json->at = fields.json.at;
    partial->param[k] = evaluation.request.param[k];
    return loss_check_param(&partial->loss->params[k], partial->param[k], json->error);
}

/* ---- Tensors ---- */

static enum loss_status read_dimension(struct object_reader *json, size_t index, void *context)
{
    const struct reading *const r = context;
    struct partial_tensor *const tensor = &r->partial->tensor[r->tensor];
    uint64_t dim;
    if (index == 0)
        return *json->at == '"' ? read_dtype(json, &tensor->dtype)
                                : wrong_element(json, "the name of a dtype");
    if (tensor->rank == LOSS_MAX_RANK)
        return invalid(json, "%s has more than %d dimensions", json->key, LOSS_MAX_RANK);
    if (!take_count(json, &dim))
        return wrong_element(json, count_text);
    tensor->dim[tensor->rank++] = dim;
    return LOSS_OK;
}

static enum loss_status read_tensor(struct object_reader *json, void *context)
{
    struct reading *const r = context;
    const char *const start = json->at;
    r->tensor = find_tensor(json, r->partial);
    if (r->tensor < 0)
        return unknown_tensor(json, r->partial);
    struct partial_tensor *const tensor = &r->partial->tensor[r->tensor];
    if (tensor->present)
        return object_reader_malformed(json, start, "duplicate tensor '%s'", json->key);
    tensor->present = true;
    if (*start != '[')
        return object_reader_wrong_type(json, "a list: a dtype and dimensions");
    if (object_reader_elements(json, read_dimension, r) != LOSS_OK)
        return json->error->status;
    if (tensor->dtype == LOSS_ANY)
        return object_reader_malformed(json, start, "%s has no dtype", json->key);
    return LOSS_OK;
}

static enum loss_status read_hash(struct object_reader *json, void *context)
{
    const struct reading *const r = context;
    char text[SHA256_TEXT + 1], quote[JSON_QUOTE];
    const char *const start = json->at;
    const int k = find_tensor(json, r->partial);
    if (k < 0)
        return unknown_tensor(json, r->partial);
    if (r->partial->tensor[k].hash[0] != '\0')
        return object_reader_malformed(json, start, "duplicate tensor '%s'", json->key);
    if (read_text(json, text, sizeof text) != LOSS_OK)
        return json->error->status;
    if (strlen(text) != SHA256_TEXT - 1 || strspn(text, "0123456789abcdef") != SHA256_TEXT - 1)
        return object_reader_malformed(
            json, start, "%s is '%s'; it must be a SHA-256 hash, 64 lower-case hexadecimal digits",
            json->key, json_quote(text, quote));
    memcpy(r->partial->tensor[k].hash, text, SHA256_TEXT);
    return LOSS_OK;
}

/* ---- Rows and warnings ---- */

static enum loss_status read_bound(struct object_reader *json, size_t index, void *context)
{
    struct reading *const r = context;
    r->bounds = index < 2 ? (int)index + 1 : 0;
    return take_count(json, index == 0 ? &r->row.first : &r->row.end)
               ? LOSS_OK
               : wrong_element(json, count_text);
}

static enum loss_status read_interval(struct object_reader *json, size_t index, void *context)
{
    struct reading *const r = context;
    struct buffer *const rows = &r->partial->rows;
    const char *const start = json->at;
    if (index == PARTIAL_ROWS_MAX)
        return invalid(json, "rows has more than %d intervals", PARTIAL_ROWS_MAX);
    r->bounds = 0;
    if (*start != '[')
        return wrong_element(json, "an interval [first, end]");
    if (object_reader_elements(json, read_bound, r) != LOSS_OK)
        return json->error->status;
    if (r->bounds != 2 || r->row.first >= r->row.end ||
        (index > 0 && r->row.first <= row_set_interval(rows, index - 1).end))
        return object_reader_malformed(json, start,
                                       "rows must be intervals [first, end] with first < end, in "
                                       "ascending order and with gaps between them");
    row_set_append(rows, r->row);
    return rows->failed ? quota_insufficient(json->error) : LOSS_OK;
}

static enum loss_status read_warning(struct object_reader *json, size_t index, void *context)
{
    const struct reading *const r = context;
    char text[WARNING], quote[JSON_QUOTE];
    (void)index;
    if (*json->at != '"')
        return wrong_element(json, "a string");
    if (read_text(json, text, sizeof text) != LOSS_OK)
        return json->error->status;
    for (size_t i = 0; loss_warning_at(i); i++)
        if (strcmp(text, loss_warning_at(i)) == 0) {
            r->partial->warnings |= UINT32_C(1) << i;
            return LOSS_OK;
        }
    return invalid(json, "no such warning '%s'", json_quote(text, quote));
}

/* ---- Members ---- */

/* Reads an object whose errors are below the member. */
static enum loss_status read_object(struct object_reader *json, object_member *read,
                                    struct reading *r)
{
    char path[sizeof json->path];
    memcpy(path, json->path, sizeof path);
    json->error->path[0] = '\0';
    if (*json->at != '{')
        return object_reader_wrong_type(json, "an object");
    return object_reader_members(json, read, r) == LOSS_OK
               ? LOSS_OK
               : object_reader_below(json->error, "%s", path);
}

static enum loss_status read_list(struct object_reader *json, object_element *read,
                                  struct reading *r)
{
    return *json->at == '[' ? object_reader_elements(json, read, r)
                            : object_reader_wrong_type(json, "a list");
}

static enum loss_status read_known(struct object_reader *json, enum member member,
                                   struct reading *r)
{
    struct partial *const partial = r->partial;
    struct loss_partial *const sums = &partial->sums;
    uint64_t *const counts[] = {
        [TERMS] = &sums->terms,      [SAMPLES] = &sums->samples, [COUNT] = &sums->count,
        [NOT_A_NUMBER] = &sums->nan, [INF] = &sums->inf,         [NEG_INF] = &sums->neg_inf};
    switch (member) {
    case REDUCTION:
        return read_reduction(json, partial);
    case DTYPE:
        return read_dtype(json, &partial->dtype);
    case PARAMETERS:
        return read_object(json, read_parameter, r);
    case TENSORS:
        return read_object(json, read_tensor, r);
    case WHOLE:
        return read_object(json, read_hash, r);
    case WEIGHED:
        return object_reader_boolean(json, "true or false", &sums->weighed);
    case SUM:
        return read_integer(json, &sums->sum);
    case WEIGHT:
        return read_integer(json, &sums->weight);
    case ROWS:
        return read_list(json, read_interval, r);
    case WARNINGS:
        return read_list(json, read_warning, r);
    case FORMAT:
    case LOSS: /* have been read */
        return object_reader_skip(json);
    default:
        return read_count(json, counts[member]);
    }
}

static enum loss_status read_member(struct object_reader *json, void *context)
{
    struct reading *const r = context;
    const int member = object_reader_find(json, members, &r->seen, what);
    return member < 0 ? json->error->status : read_known(json, (enum member)member, r);
}

/* Reads the members that the others depend on. */
static enum loss_status read_head(struct object_reader *json, void *context)
{
    struct reading *const r = context;
    const bool format = strcmp(json->key, "format") == 0;
    if (!format && strcmp(json->key, "loss") != 0)
        return object_reader_skip(json);
    r->seen |= UINT32_C(1) << (format ? FORMAT : LOSS);
    return format ? read_format(json) : read_loss(json, &r->partial->loss);
}

/* ---- The partial result ---- */

/* Fails for the first member of `wanted` that has not been read. */
static enum loss_status require(struct object_reader *json, const char *start,
                                const struct reading *r, uint32_t wanted)
{
    const uint32_t missing = wanted & ~r->seen;
    json->path[0] = '\0';
    return missing == 0 ? LOSS_OK
                        : object_reader_malformed(json, start, "%s has no field '%s'", what,
                                                  members[__builtin_ctz(missing)]);
}

static enum loss_status contradiction(struct object_reader *json, const char *path,
                                      const char *message)
{
    return loss_fail_at(json->error, LOSS_INVALID, path, "%s", message);
}

/* Checks the parameters and the tensors. */
static enum loss_status check_settings(struct object_reader *json, const struct reading *r)
{
    const struct partial *const partial = r->partial;
    const struct loss_descriptor *const loss = partial->loss;
    for (int k = 0; k < loss_param_specs(loss); k++)
        if (!(r->parameters >> k & 1))
            return loss_fail_at(json->error, LOSS_INVALID, "/parameters",
                                "parameter '%s' is missing", loss->params[k].name);
    for (int k = 0; k < PARTIAL_TENSORS; k++) {
        const struct partial_tensor *const tensor = &partial->tensor[k];
        const bool required =
            k < loss_tensor_specs(loss) && !loss->tensors[k].optional && !tensor->present;
        if (required)
            return loss_fail_at(json->error, LOSS_INVALID, "/tensors", "tensor '%s' is missing",
                                loss->tensors[k].name);
        if (tensor->hash[0] != '\0' && !tensor->present)
            return contradiction(json, "/whole",
                                 "'whole' has a tensor that 'tensors' does not have");
    }
    if (partial->dtype != LOSS_FLOAT32 && partial->dtype != LOSS_FLOAT64)
        return loss_fail_at(json->error, LOSS_INVALID, "/dtype",
                            "dtype is '%s'; it must be 'float32' or 'float64'",
                            loss_dtype_name(partial->dtype));
    return LOSS_OK;
}

/* Checks the sums. */
static enum loss_status check_sums(struct object_reader *json, const struct partial *partial)
{
    const struct loss_partial *const sums = &partial->sums;
    struct loss_partial total = {.weighed = sums->weighed};
    if (sums->weighed && partial->reduction != LOSS_MEAN)
        return contradiction(json, "/weighed", "weighed is true, but reduction is not 'mean'");
    if (!sums->weighed && sums->weight.limbs > 0)
        return contradiction(json, "/weight", "weight is not 0, but weighed is false");
    if (!loss_partial_add(&total, sums))
        return contradiction(json, "/sum", "sum or weight is out of range");
    if (sums->count > sums->terms)
        return contradiction(json, "/count", "count exceeds terms");
    if (sums->nan + sums->inf + sums->neg_inf > sums->terms)
        return contradiction(json, "/nan", "nan, inf and neginf exceed terms");
    return row_set_rows(&partial->rows) <= sums->samples
               ? LOSS_OK
               : contradiction(json, "/rows", "rows exceed samples");
}

enum loss_status partial_read(struct object_reader *json, struct partial *partial)
{
    struct reading r = {.partial = partial};
    const char *const start = json->at;
    const uint32_t head = UINT32_C(1) << FORMAT | UINT32_C(1) << LOSS,
                   all = (UINT32_C(1) << MEMBERS) - 1;
    struct quota *const quota = partial->rows.quota;
    char found[JSON_QUOTE];
    partial_free(partial);
    *partial = (struct partial){.rows.quota = quota};
    json->path[0] = '\0';
    if (*json->at != '{')
        return object_reader_malformed(json, start, "a partial result is %s; it must be an object",
                                       json_value_text(start, json->end, found));
    if (object_reader_members(json, read_head, &r) != LOSS_OK ||
        require(json, start, &r, head) != LOSS_OK)
        return json->error->status;
    r.seen = 0;
    json->at = start;
    if (object_reader_members(json, read_member, &r) != LOSS_OK ||
        require(json, start, &r, all) != LOSS_OK || check_settings(json, &r) != LOSS_OK)
        return json->error->status;
    return check_sums(json, partial);
}
