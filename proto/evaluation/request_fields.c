#include "evaluation/request_fields.h"
#include "number/number.h"
#include "json/scanner.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    NAME_SIZE = 64, /* no tensor or choice has a longer name */
};

/* ---- Errors ---- */

/* Returns true if values are plain text, not JSON. */
static bool is_plain(const struct fields *f)
{
    return !f->json.body;
}

/* Fails: the value of the field has the wrong type. */
static enum loss_status wrong_type(struct fields *f, const char *expected)
{
    char quote[JSON_QUOTE];
    if (!is_plain(f))
        return object_reader_wrong_type(&f->json, expected);
    return object_reader_malformed(&f->json, f->json.at, "%s is '%s'; it must be %s", f->json.key,
                                   json_quote(f->json.at, quote), expected);
}

__attribute__((format(printf, 2, 3))) static enum loss_status invalid(struct fields *f,
                                                                      const char *format, ...)
{
    char message[sizeof f->json.error->message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return loss_fail_at(f->json.error, LOSS_INVALID, f->json.path, "%s", message);
}

/* Fails: the number at the cursor is out of the range of `type`. */
static enum loss_status out_of_range(struct fields *f, const char *type)
{
    char quote[JSON_QUOTE];
    const char *const found = is_plain(f) ? json_quote(f->json.at, quote)
                                          : json_value_text(f->json.at, f->json.end, quote);
    return invalid(f, "%s is %s, which is out of the range of %s", f->json.key, found, type);
}

/* ---- Names ---- */

/* Takes the string at the cursor, or plain text up to the next comma. A name that is too long is
   truncated: it matches no tensor or choice, and can be quoted. */
static enum loss_status take_name(struct fields *f, char *name)
{
    const char *const start = f->json.at;
    if (is_plain(f)) {
        const size_t len = strcspn(start, ",");
        snprintf(name, NAME_SIZE, "%.*s", (int)(len < NAME_SIZE ? len : NAME_SIZE), start);
        f->json.at += len;
        return LOSS_OK;
    }
    if (object_reader_string(&f->json, "a string", name, NAME_SIZE) != LOSS_OK)
        return f->json.error->status;
    const bool fits = f->json.at - start - 2 < NAME_SIZE;
    if (fits && !json_decode_string(start, f->json.at, name, NAME_SIZE))
        return object_reader_malformed(&f->json, start, "%s is not valid text", f->json.key);
    return LOSS_OK;
}

/* Appends "'first', 'second' or 'last'" to `list` of `size` bytes. */
static void list_names(const char *const names[], int count, char *list, size_t size)
{
    for (int i = 0; i < count; i++) {
        const char *separator = i < count - 1 ? ", " : " or ";
        if (i == 0)
            separator = "";
        const size_t len = strlen(list);
        snprintf(list + len, size - len, "%s'%s'", separator, names[i]);
    }
}

/* Reads one of the names in a list and returns its index. On failure, returns -1: LOSS_MALFORMED
   for a wrong type, LOSS_INVALID for an unknown name. */
static int read_choice_name(struct fields *f, const char *const names[], int count)
{
    char name[NAME_SIZE], list[160] = "", quote[JSON_QUOTE], nearest[LOSS_SUGGESTION_TEXT];
    if (is_plain(f)) {
        snprintf(name, NAME_SIZE, "%s", f->json.at);
        f->json.at = f->json.end;
    } else if (*f->json.at != '"') {
        wrong_type(f, "a string");
        return -1;
    } else if (take_name(f, name) != LOSS_OK) {
        return -1;
    }
    struct loss_nearest search = {.name = name};
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return i;
        loss_nearest_try(&search, names[i]);
    }
    list_names(names, count, list, sizeof list);
    invalid(f, "%s is '%s'; it must be %s%s", f->json.key, json_quote(name, quote), list,
            loss_nearest_text(&search, "'", "'", NULL, nearest));
    return -1;
}

static enum loss_status read_reduction(struct fields *f)
{
    const char *names[LOSS_REDUCTION_COUNT];
    enum loss_reduction reductions[LOSS_REDUCTION_COUNT];
    int count = 0;
    for (int i = 0; i < LOSS_REDUCTION_COUNT; i++)
        if (f->out->request.loss->reductions >> i & 1) {
            reductions[count] = (enum loss_reduction)i;
            names[count++] = loss_reduction_name((enum loss_reduction)i);
        }
    const int chosen = read_choice_name(f, names, count);
    if (chosen >= 0)
        f->out->request.reduction = reductions[chosen];
    return chosen >= 0 ? LOSS_OK : f->json.error->status;
}

static enum loss_status read_dtype(struct fields *f)
{
    const int chosen = read_choice_name(f, (const char *const[]){"float32", "float64"}, 2);
    if (chosen >= 0)
        f->out->request.dtype = chosen == 0 ? LOSS_FLOAT32 : LOSS_FLOAT64;
    return chosen >= 0 ? LOSS_OK : f->json.error->status;
}

static enum loss_status read_encoding(struct fields *f)
{
    const int chosen = read_choice_name(
        f,
        (const char *const[]){
            [FORM_NESTED] = "nested", [FORM_FLAT] = "flat", [FORM_BASE64] = "base64"},
        FORM_COUNT);
    if (chosen >= 0)
        f->out->encoding = (enum tensor_form)chosen;
    return chosen >= 0 ? LOSS_OK : f->json.error->status;
}

/* Reads one name into a bit set. */
static enum loss_status read_name(struct fields *f, uint32_t *mask)
{
    const struct loss_descriptor *const loss = f->out->request.loss;
    char name[NAME_SIZE], quote[JSON_QUOTE], nearest[LOSS_SUGGESTION_TEXT];
    if (take_name(f, name) != LOSS_OK)
        return f->json.error->status;
    const int k = loss_tensor_find(loss, name);
    if (k >= 0) {
        *mask |= UINT32_C(1) << k;
        return LOSS_OK;
    }
    struct loss_nearest search = {.name = name};
    for (int j = 0; j < loss_tensor_specs(loss); j++)
        loss_nearest_try(&search, loss->tensors[j].name);
    return invalid(f, "%s has no tensor '%s'%s", loss->name, json_quote(name, quote),
                   loss_nearest_text(&search, "'", "'", NULL, nearest));
}

/* The names of a list, and the bit set that they go into. */
struct name_list {
    struct fields *fields;
    uint32_t *mask;
};

static enum loss_status read_listed_name(struct object_reader *json, size_t index, void *context)
{
    const struct name_list *const list = context;
    char found[JSON_QUOTE];
    snprintf(json->path, sizeof json->path, "/%.8s/%zu", json->key, index);
    if (*json->at == '"')
        return read_name(list->fields, list->mask);
    return object_reader_malformed(json, json->at, "%s[%zu] is %s; it must be the name of a tensor",
                                   json->key, index, json_value_text(json->at, json->end, found));
}

/* Reads true or false from plain text, also as Python's True or False. Returns false if the text is
   neither. */
static bool plain_boolean(struct fields *f, bool *value)
{
    *value = strcmp(f->json.at, "true") == 0 || strcmp(f->json.at, "True") == 0;
    if (!*value && strcmp(f->json.at, "false") != 0 && strcmp(f->json.at, "False") != 0)
        return false;
    f->json.at = f->json.end;
    return true;
}

static enum loss_status read_plain_names(struct fields *f, uint32_t *mask)
{
    bool all;
    if (*f->json.at == '\0')
        return wrong_type(f, "true, false, or names of tensors separated by commas");
    if (plain_boolean(f, &all)) {
        *mask = all ? loss_predictions(f->out->request.loss) : 0;
        return LOSS_OK;
    }
    while (read_name(f, mask) == LOSS_OK) {
        if (*f->json.at == '\0')
            return LOSS_OK;
        f->json.at++;
    }
    return f->json.error->status;
}

/* Reads a set of tensors; true means all predictions. */
static enum loss_status read_names(struct fields *f, uint32_t *mask)
{
    bool all;
    if (is_plain(f))
        return read_plain_names(f, mask);
    if (*f->json.at == '[')
        return object_reader_elements(&f->json, read_listed_name, &(struct name_list){f, mask});
    if (object_reader_boolean(&f->json, "true, false, or a list of tensor names", &all) != LOSS_OK)
        return f->json.error->status;
    *mask = all ? loss_predictions(f->out->request.loss) : 0;
    return LOSS_OK;
}

static enum loss_status read_grad(struct fields *f)
{
    return read_names(f, &f->out->request.grad);
}

static enum loss_status read_hess(struct fields *f)
{
    return read_names(f, &f->out->request.hess);
}

/* Returns true if a number may end at `at`. In JSON, the caller checks what follows. */
static bool number_ends(const struct fields *f, const char *at)
{
    return !is_plain(f) || at == f->json.end;
}

/* The spellings of non-finite numbers: those of tensors, and those of Python's str in plain text.
 */
static const struct {
    const char *text;
    double value;
    bool plain; /* accepted only in plain text */
} words[] = {
    {"Infinity", INFINITY, false}, {"-Infinity", -INFINITY, false}, {"NaN", NAN, false},
    {"inf", INFINITY, true},       {"-inf", -INFINITY, true},       {"nan", NAN, true},
};

/* Reads one of these spellings, which may be quoted in JSON. Returns the byte after it, or NULL if
   there is none. */
static const char *read_number_word(const struct fields *f, double *value)
{
    const bool quoted = !is_plain(f) && *f->json.at == '"';
    const char *const start = f->json.at + quoted;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const size_t len = strlen(words[i].text);
        if ((words[i].plain && !is_plain(f)) || strncmp(start, words[i].text, len) != 0)
            continue;
        const char *const end = start + len;
        if (quoted ? *end != '"' : !number_ends(f, end))
            continue;
        *value = words[i].value;
        return end + quoted;
    }
    return NULL;
}

static enum loss_status read_real(struct fields *f, double *value)
{
    const char *end = number_read_f64(f->json.at, value);
    if (end && number_ends(f, end) && isinf(*value))
        return out_of_range(f, "float64");
    if (!end)
        end = read_number_word(f, value);
    if (!end || !number_ends(f, end))
        return wrong_type(f, "a number");
    f->json.at = end;
    return LOSS_OK;
}

/* Reads a null, or in plain text Python's None, if the parameter is nullable. Returns false if
   there is none. */
static bool read_null(struct fields *f, const struct loss_param_spec *spec,
                      struct loss_value *value)
{
    if (!spec->nullable ||
        (!is_plain(f) ? strncmp(f->json.at, "null", 4) != 0
                      : strcmp(f->json.at, "null") != 0 && strcmp(f->json.at, "None") != 0))
        return false;
    f->json.at += 4;
    *value = LOSS_NULL_VALUE;
    return true;
}

static enum loss_status read_integer(struct fields *f, const char *expected,
                                     struct loss_value *value)
{
    const char *end;
    const enum number_status status = number_read_i64(f->json.at, &value->integer, &end);
    if (status == NUMBER_NONE || status == NUMBER_FRACTION || !number_ends(f, end))
        return wrong_type(f, expected);
    if (status == NUMBER_RANGE)
        return out_of_range(f, "int64");
    f->json.at = end;
    value->number = (double)value->integer;
    return LOSS_OK;
}

static enum loss_status read_boolean(struct fields *f, struct loss_value *value)
{
    bool yes;
    if (!is_plain(f)) {
        if (object_reader_boolean(&f->json, "true or false", &yes) != LOSS_OK)
            return f->json.error->status;
    } else if (!plain_boolean(f, &yes)) {
        return wrong_type(f, "true or false");
    }
    *value = (struct loss_value){yes, yes};
    return LOSS_OK;
}

static enum loss_status read_partial(struct fields *f)
{
    struct loss_value value = {0, 0};
    const enum loss_status status = read_boolean(f, &value);
    f->out->request.partial = value.integer;
    return status;
}

static enum loss_status read_offset(struct fields *f)
{
    struct loss_value value;
    if (read_integer(f, "a whole number", &value) != LOSS_OK)
        return f->json.error->status;
    if (value.integer < 0 || (uint64_t)value.integer >= LOSS_COUNT_LIMIT)
        return invalid(f, "offset is %" PRId64 "; it must be in [0, 2^53)", value.integer);
    f->out->has_offset = true;
    f->out->offset = (uint64_t)value.integer;
    return LOSS_OK;
}

static enum loss_status read_divisor(struct fields *f)
{
    f->out->request.has_divisor = true;
    return read_real(f, &f->out->request.divisor);
}

static enum loss_status read_choice(struct fields *f, const struct loss_param_spec *spec,
                                    struct loss_value *value)
{
    int count = 0;
    while (spec->choices[count])
        count++;
    const int chosen = read_choice_name(f, spec->choices, count);
    if (chosen < 0)
        return f->json.error->status;
    *value = (struct loss_value){chosen, chosen};
    return LOSS_OK;
}

static enum loss_status read_param(struct fields *f, int k)
{
    const struct loss_param_spec *const spec = &f->out->request.loss->params[k];
    struct loss_value *const value = &f->out->request.param[k];
    if (read_null(f, spec, value))
        return LOSS_OK;
    switch (spec->type) {
    case LOSS_CHOICE:
        return read_choice(f, spec, value);
    case LOSS_BOOLEAN:
        return read_boolean(f, value);
    case LOSS_INTEGER:
        return read_integer(f, spec->nullable ? "a whole number or null" : "a whole number", value);
    case LOSS_NUMBER:
        break;
    }
    const char *const start = f->json.at;
    const enum loss_status status = read_real(f, &value->number);
    if (status != LOSS_OK || !isnan(value->number))
        return status;
    f->json.at = start;
    return wrong_type(f, "a number");
}

/* ---- Fields ---- */

/* The fields of every loss, besides grad_output and sample_weight. */
static const struct {
    const char *name;
    enum loss_status (*read)(struct fields *f);
} common[] = {{"reduction", read_reduction}, {"grad", read_grad},        {"hess", read_hess},
              {"dtype", read_dtype},         {"partial", read_partial},  {"offset", read_offset},
              {"divisor", read_divisor},     {"encoding", read_encoding}};
enum {
    COMMON_COUNT = sizeof common / sizeof common[0],
    ENCODING = FIELD_COMMON + COMMON_COUNT - 1
};

int fields_find(const struct loss_descriptor *loss, const char *name)
{
    const int tensor = evaluation_tensor_find(loss, name), param = loss_param_find(loss, name);
    if (tensor >= 0)
        return tensor;
    if (param >= 0)
        return FIELD_PARAMS + param;
    for (int k = 0; k < COMMON_COUNT; k++)
        if (strcmp(common[k].name, name) == 0)
            return FIELD_COMMON + k;
    return -1;
}

void fields_begin(struct fields *f, struct evaluation *e, struct loss_error *error)
{
    object_reader_begin(&f->json, e->body, e->len, e->quota, error);
    f->out = e;
    f->seen = 0;
}

bool fields_first(struct fields *f, int field)
{
    const uint32_t bit = UINT32_C(1) << field;
    const bool is_first = !(f->seen & bit);
    f->seen |= bit;
    return is_first;
}

bool fields_have_encoding(const struct fields *f)
{
    return f->seen >> ENCODING & 1;
}

void fields_try_names(struct loss_nearest *search, const struct loss_descriptor *loss)
{
    for (int k = 0; k < EVALUATION_TENSORS; k++)
        if (evaluation_tensor_name(loss, k))
            loss_nearest_try(search, evaluation_tensor_name(loss, k));
    for (int k = 0; k < loss_param_specs(loss); k++)
        loss_nearest_try(search, loss->params[k].name);
    for (int k = 0; k < COMMON_COUNT; k++)
        loss_nearest_try(search, common[k].name);
}

bool fields_deprecated(struct object_reader *json)
{
    const bool deprecated =
        strcmp(json->key, "size_average") == 0 || strcmp(json->key, "reduce") == 0;
    if (deprecated)
        object_reader_malformed(json, json->at,
                                "%s is deprecated in PyTorch and not supported; use reduction",
                                json->key);
    return deprecated;
}

enum loss_status fields_unknown(struct fields *f, const char *what)
{
    const struct loss_descriptor *const loss = f->out->request.loss;
    char quote[JSON_QUOTE], nearest[LOSS_SUGGESTION_TEXT];
    struct loss_nearest search = {.name = f->json.key};
    if (fields_deprecated(&f->json))
        return f->json.error->status;
    fields_try_names(&search, loss);
    return object_reader_malformed(&f->json, f->json.at, "%s has no %s '%s'%s", loss->name, what,
                                   json_quote(f->json.key, quote),
                                   loss_nearest_text(&search, "'", "'", NULL, nearest));
}

enum loss_status fields_read_value(struct fields *f, int field)
{
    return field < FIELD_COMMON ? read_param(f, field - FIELD_PARAMS)
                                : common[field - FIELD_COMMON].read(f);
}

/* Reads an upstream gradient that is the same for every term. */
static enum loss_status read_grad_output(struct fields *f)
{
    struct evaluation *const e = f->out;
    struct source *const source = &e->tensor[EVALUATION_GRAD_OUTPUT];
    *evaluation_place(e, EVALUATION_GRAD_OUTPUT) = &source->tensor;
    source->swapped = false;
    source->tensor = (struct loss_tensor){.data = &e->number, .dtype = LOSS_FLOAT64};
    return read_real(f, &e->number);
}

/* Reads the plain text at the cursor as the field of the key. */
static enum loss_status read_plain(struct fields *f, uint32_t overridden)
{
    const int field = fields_find(f->out->request.loss, f->json.key);
    if (field < 0)
        return fields_unknown(f, "field");
    if (overridden >> field & 1)
        return LOSS_OK;
    if (!fields_first(f, field))
        return object_reader_malformed(&f->json, f->json.at, "duplicate field '%s'", f->json.key);
    if (field == EVALUATION_GRAD_OUTPUT)
        return read_grad_output(f);
    if (field < EVALUATION_TENSORS)
        return object_reader_malformed(
            &f->json, f->json.at, "%s is a tensor; it cannot be given as a parameter", f->json.key);
    return fields_read_value(f, field);
}

enum loss_status fields_read_plain(struct fields *f, const char *name, const char *value,
                                   uint32_t overridden)
{
    const char *const body = f->json.body, *const at = f->json.at, *const end = f->json.end;
    f->json.body = NULL;
    f->json.at = value;
    f->json.end = value + strlen(value);
    object_reader_set_key(&f->json, name);
    const enum loss_status status = read_plain(f, overridden);
    f->json.body = body;
    f->json.at = at;
    f->json.end = end;
    return status;
}
