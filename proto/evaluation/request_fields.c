/* The fields of a request that are no tensors. */
#include "evaluation/request_fields.h"
#include "number/number.h"
#include "json/scanner.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    NAME_SIZE = 64, /* a longer name can be none of a tensor or choice */
    WORD_MAX = 14,  /* bytes of a word or number that jansson reads without growing its buffer */
};

/* ---- errors ---- */

__attribute__((format(printf, 3, 4))) static enum loss_status
malformed(struct fields *f, const char *at, const char *format, ...)
{
    char message[sizeof f->error->message - 32];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (f->body)
        return json_malformed(f->error, f->body, at, f->path, "%s", message);
    return loss_fail_at(f->error, LOSS_MALFORMED, f->path, "%s", message);
}

/* Readers stop within white space once the request is cancelled, and what they then say of it is
   not so. */
static enum loss_status given_up(struct fields *f)
{
    return loss_fail(f->error, LOSS_CANCELLED, "the request was given up");
}

enum loss_status fields_unexpected(struct fields *f, const char *at, const char *expected)
{
    char byte[JSON_BYTE_TEXT];
    if (allowance_cancelled(f->allowance))
        return given_up(f);
    return malformed(f, at, "%s where %s was expected", json_byte_text(at, f->end, byte), expected);
}

/* Fails where json_skip_value has stopped. */
static enum loss_status unsound(struct fields *f, const char *at)
{
    if (*at == '[' || *at == '{')
        return malformed(f, at,
                         "there are more than %d arrays and objects in one another, the limit",
                         json_depth());
    return fields_unexpected(f, at, "a JSON value");
}

/* The field that is being read has the wrong type. */
static enum loss_status wrong_type(struct fields *f, const char *expected)
{
    char quote[JSON_QUOTE];
    if (f->body)
        return malformed(f, f->at, "%s must be %s", f->key, expected);
    return malformed(f, f->at, "%s is '%s'; it must be %s", f->key, json_quote(f->at, quote),
                     expected);
}

__attribute__((format(printf, 2, 3))) static enum loss_status invalid(struct fields *f,
                                                                      const char *format, ...)
{
    char message[sizeof f->error->message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return loss_fail_at(f->error, LOSS_INVALID, f->path, "%s", message);
}

/* ---- small values ---- */

/* Parses the number or word at f->at and moves behind it; NULL with the error filled. The caller
   owns what comes back. Strings, arrays and objects are not for jansson: where memory runs out in a
   token of 16 bytes or more it loses characters of it, the closing quote too. So `expected` says
   what should stand here, where one of them or a longer word does. */
static json_t *small_value(struct fields *f, const char *expected)
{
    const char *at;
    json_error_t why;
    const char *const end = json_skip_value(f->at, f->allowance, &at);
    if (!end) {
        unsound(f, at);
        return NULL;
    }
    if (*f->at == '"' || *f->at == '[' || *f->at == '{' || end - f->at > WORD_MAX) {
        wrong_type(f, expected);
        return NULL;
    }
    json_t *value = json_loadb(f->at, (size_t)(end - f->at), JSON_DECODE_ANY, &why);
    if (value)
        f->at = end;
    else if (why.text[0])
        malformed(f, f->at + why.position, "%s: %s", f->key, why.text);
    else /* it has nothing to say of the text */
        loss_fail(f->error, LOSS_UNAVAILABLE,
                  "there is not enough memory for this request at the moment");
    return value;
}

/* Takes the string at f->at, which opens with a quote, or is plain text up to a comma, and moves
   behind it. One that is too long for a name is cut short, so that it can be quoted. */
static enum loss_status take_name(struct fields *f, char *name)
{
    if (!f->body) {
        const size_t len = strcspn(f->at, ",");
        snprintf(name, NAME_SIZE, "%.*s", (int)(len < NAME_SIZE ? len : NAME_SIZE), f->at);
        f->at += len;
        return LOSS_OK;
    }
    const char *at, *const end = json_skip_string(f->at, &at);
    if (!end)
        return fields_unexpected(f, at, "the rest of a string");
    if (!json_decode_string(f->at, end, name, NAME_SIZE)) {
        if (end - f->at - 2 < NAME_SIZE)
            return malformed(f, f->at, "%s is no text", f->key);
        snprintf(name, NAME_SIZE, "%.*s", (int)(end - f->at - 2), f->at + 1);
    }
    f->at = end;
    return LOSS_OK;
}

/* A string out of a list of names; its place, or -1 with the error filled. Wrong types are
 * malformed, wrong names invalid. */
static int choice(struct fields *f, const char *const names[], int count)
{
    const char *const start = f->at;
    char name[NAME_SIZE], list[160] = "", quote[JSON_QUOTE], nearest[LOSS_MEANT_TEXT];
    if (f->body && *f->at != '"') {
        json_t *const value = small_value(f, "a string");
        f->at = start;
        if (value)
            wrong_type(f, "a string");
        json_decref(value);
        return -1;
    }
    if (!f->body) {
        snprintf(name, NAME_SIZE, "%s", f->at);
        f->at = f->end;
    } else if (take_name(f, name) != LOSS_OK) {
        return -1;
    }
    struct loss_nearest search = {.name = name};
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return i;
        loss_nearest_try(&search, names[i]);
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s'%s'",
                 i == 0          ? ""
                 : i < count - 1 ? ", "
                                 : " or ",
                 names[i]);
    }
    invalid(f, "%s is '%s'; it must be %s%s", f->key, json_quote(name, quote), list,
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
    const int chosen = choice(f, names, count);
    if (chosen >= 0)
        f->out->request.reduction = reductions[chosen];
    return chosen >= 0 ? LOSS_OK : f->error->status;
}

static enum loss_status read_dtype(struct fields *f)
{
    const int chosen = choice(f, (const char *const[]){"float32", "float64"}, 2);
    if (chosen >= 0)
        f->out->request.dtype = chosen == 0 ? LOSS_FLOAT32 : LOSS_FLOAT64;
    return chosen >= 0 ? LOSS_OK : f->error->status;
}

static enum loss_status read_encoding(struct fields *f)
{
    const int chosen =
        choice(f,
               (const char *const[]){
                   [FORM_NESTED] = "nested", [FORM_FLAT] = "flat", [FORM_BASE64] = "base64"},
               FORM_COUNT);
    if (chosen >= 0)
        f->out->encoding = (enum tensor_form)chosen;
    return chosen >= 0 ? LOSS_OK : f->error->status;
}

static const char names_expected[] = "true, false, or a list of tensor names";

/* Takes one name into a bit set. */
static enum loss_status read_name(struct fields *f, uint32_t *mask)
{
    const struct loss_descriptor *const loss = f->out->request.loss;
    char name[NAME_SIZE], quote[JSON_QUOTE], nearest[LOSS_MEANT_TEXT];
    if (take_name(f, name) != LOSS_OK)
        return f->error->status;
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

static enum loss_status read_listed_name(struct fields *f, size_t index, void *context)
{
    snprintf(f->path, sizeof f->path, "/%.8s/%zu", f->key, index);
    return *f->at == '"' ? read_name(f, context) : wrong_type(f, names_expected);
}

/* Whether plain text is true or false, also as Python's str has them. */
static bool plain_boolean(struct fields *f, bool *value)
{
    *value = strcmp(f->at, "true") == 0 || strcmp(f->at, "True") == 0;
    if (!*value && strcmp(f->at, "false") != 0 && strcmp(f->at, "False") != 0)
        return false;
    f->at = f->end;
    return true;
}

static enum loss_status read_plain_names(struct fields *f, uint32_t *mask)
{
    bool all;
    if (*f->at == '\0')
        return wrong_type(f, "true, false, or names of tensors with commas between them");
    if (plain_boolean(f, &all)) {
        *mask = all ? loss_predictions(f->out->request.loss) : 0;
        return LOSS_OK;
    }
    while (read_name(f, mask) == LOSS_OK) {
        if (*f->at == '\0')
            return LOSS_OK;
        f->at++;
    }
    return f->error->status;
}

/* Reads which tensors are meant: true is the predictions. */
static enum loss_status read_names(struct fields *f, uint32_t *mask)
{
    const char *const start = f->at;
    if (!f->body)
        return read_plain_names(f, mask);
    if (*start == '[')
        return fields_read_list(f, read_listed_name, mask);
    json_t *const value = small_value(f, names_expected);
    if (!value)
        return f->error->status;
    enum loss_status status = LOSS_OK;
    if (json_is_boolean(value)) {
        *mask = json_is_true(value) ? loss_predictions(f->out->request.loss) : 0;
    } else {
        f->at = start;
        status = wrong_type(f, names_expected);
    }
    json_decref(value);
    return status;
}

static enum loss_status read_grad(struct fields *f)
{
    return read_names(f, &f->out->request.grad);
}

static enum loss_status read_hess(struct fields *f)
{
    return read_names(f, &f->out->request.hess);
}

/* Whether the text of a number can end here: what may follow it in JSON, the reader of that sees
 * to. */
static bool number_ends(const struct fields *f, const char *at)
{
    return f->body || at == f->end;
}

/* The spellings of numbers that JSON does not have, as in tensors; plain text also has them as
 * Python's str does. */
static const struct {
    const char *text;
    double value;
    bool plain; /* in plain text only */
} words[] = {
    {"Infinity", INFINITY, false}, {"-Infinity", -INFINITY, false}, {"NaN", NAN, false},
    {"inf", INFINITY, true},       {"-inf", -INFINITY, true},       {"nan", NAN, true},
};

/* Reads one of those words, in JSON also in quotes. Returns the byte after it, or NULL if there is
 * none. */
static const char *read_number_word(const struct fields *f, double *value)
{
    const bool quoted = f->body && *f->at == '"';
    const char *const start = f->at + quoted;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const size_t len = strlen(words[i].text);
        if ((words[i].plain && f->body) || strncmp(start, words[i].text, len) != 0)
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
    const char *end = number_read_f64(f->at, value);
    if (end && number_ends(f, end) && isinf(*value))
        return invalid(f, "%s is out of range", f->key);
    if (!end)
        end = read_number_word(f, value);
    if (!end || !number_ends(f, end))
        return wrong_type(f, "a number");
    f->at = end;
    return LOSS_OK;
}

/* Reads a null where the parameter may be that; plain text also has Python's None. Returns false if
 * there is none. */
static bool read_null(struct fields *f, const struct loss_param_spec *spec,
                      struct loss_value *value)
{
    if (!spec->nullable || (f->body ? strncmp(f->at, "null", 4) != 0
                                    : strcmp(f->at, "null") != 0 && strcmp(f->at, "None") != 0))
        return false;
    f->at += 4;
    *value = LOSS_NULL_VALUE;
    return true;
}

static enum loss_status read_integer(struct fields *f, struct loss_value *value)
{
    const char *end;
    const enum number_status status = number_read_i64(f->at, &value->integer, &end);
    if (status == NUMBER_NONE || status == NUMBER_FRACTION || !number_ends(f, end))
        return wrong_type(f, "a whole number");
    f->at = end;
    value->number = (double)value->integer;
    return status == NUMBER_OK ? LOSS_OK : invalid(f, "%s is out of range", f->key);
}

static enum loss_status read_boolean(struct fields *f, struct loss_value *value)
{
    bool yes = strncmp(f->at, "true", 4) == 0;
    if (!f->body) {
        if (!plain_boolean(f, &yes))
            return wrong_type(f, "true or false");
    } else {
        if (!yes && strncmp(f->at, "false", 5) != 0)
            return wrong_type(f, "true or false");
        f->at += yes ? 4 : 5;
    }
    *value = (struct loss_value){yes, yes};
    return LOSS_OK;
}

static enum loss_status read_choice(struct fields *f, const struct loss_param_spec *spec,
                                    struct loss_value *value)
{
    int count = 0;
    while (spec->choices[count])
        count++;
    const int chosen = choice(f, spec->choices, count);
    if (chosen < 0)
        return f->error->status;
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
        return read_integer(f, value);
    case LOSS_NUMBER:
        break;
    }
    const char *const start = f->at;
    const enum loss_status status = read_real(f, &value->number);
    if (status != LOSS_OK || !isnan(value->number))
        return status;
    f->at = start;
    return wrong_type(f, "a number");
}

/* ---- fields ---- */

/* The fields that every loss has beside grad_output and sample_weight. */
static const struct {
    const char *name;
    enum loss_status (*read)(struct fields *f);
} common[] = {{"reduction", read_reduction},
              {"grad", read_grad},
              {"hess", read_hess},
              {"dtype", read_dtype},
              {"encoding", read_encoding}};
enum {
    COMMON_COUNT = sizeof common / sizeof common[0],
    ENCODING = FIELD_COMMON + COMMON_COUNT - 1
};

int field_find(const struct loss_descriptor *loss, const char *name)
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

void fields_begin_body(struct fields *f, const char *body, size_t len,
                       const struct allowance *allowance, struct loss_error *error)
{
    f->allowance = allowance;
    f->out = NULL;
    f->error = error;
    f->body = f->at = body;
    f->end = body + len;
    f->key[0] = f->path[0] = '\0';
    f->seen = 0;
}

void fields_begin(struct fields *f, struct evaluation *e, struct loss_error *error)
{
    fields_begin_body(f, e->body, e->len, e->allowance, error);
    f->out = e;
}

void fields_set_key(struct fields *f, const char *key)
{
    if (key != f->key)
        snprintf(f->key, sizeof f->key, "%s", key);
    f->path[0] = '\0';
    json_pointer_add(f->path, sizeof f->path, f->key);
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

/* Reads a key and what stands behind it, up to the value. */
static enum loss_status read_key(struct fields *f)
{
    const char *at;
    f->path[0] = '\0';
    f->at = json_blank(f->at, f->allowance);
    if (*f->at != '"')
        return fields_unexpected(f, f->at, "a field name in quotes");
    const char *end = json_skip_string(f->at, &at);
    if (!end)
        return fields_unexpected(f, at, "the rest of a string");
    if (!json_decode_string(f->at, end, f->key, sizeof f->key))
        return json_malformed(f->error, f->body, f->at, "",
                              "the name of a field has more than %d bytes, or is no text",
                              FIELD_KEY - 1);
    fields_set_key(f, f->key);
    f->at = json_blank(end, f->allowance);
    if (*f->at != ':')
        return fields_unexpected(f, f->at, "':'");
    f->at = json_blank(f->at + 1, f->allowance);
    return LOSS_OK;
}

/* Reads what commas separate from behind an opening bracket up to `close`; `item` reads one. */
static enum loss_status
read_items(struct fields *f, char close,
           enum loss_status (*item)(struct fields *f, size_t index, void *context), void *context)
{
    const char wanted[] = {'\'', ',', '\'', ' ', 'o', 'r', ' ', '\'', close, '\'', '\0'};
    size_t index = 0;
    f->at = json_blank(f->at + 1, f->allowance);
    for (bool more = *f->at != close || !++f->at; more; f->at++) {
        f->at = json_blank(f->at, f->allowance);
        if (item(f, index++, context) != LOSS_OK)
            return f->error->status;
        f->at = json_blank(f->at, f->allowance);
        if (*f->at != ',' && *f->at != close)
            return fields_unexpected(f, f->at, wanted);
        more = *f->at == ',';
    }
    return LOSS_OK;
}

/* Who reads the value of a member, and with what. */
struct member_reader {
    enum loss_status (*member)(struct fields *f, void *context);
    void *context;
};

static enum loss_status read_member(struct fields *f, size_t index, void *context)
{
    const struct member_reader *const reader = context;
    (void)index;
    return read_key(f) == LOSS_OK ? reader->member(f, reader->context) : f->error->status;
}

enum loss_status fields_read_object(struct fields *f,
                                    enum loss_status (*member)(struct fields *f, void *context),
                                    void *context)
{
    if (*f->at != '{')
        return fields_unexpected(f, f->at, "'{'");
    if (read_items(f, '}', read_member, &(struct member_reader){member, context}) == LOSS_OK)
        return LOSS_OK;
    return allowance_cancelled(f->allowance) ? given_up(f) : f->error->status;
}

enum loss_status fields_read_list(struct fields *f,
                                  enum loss_status (*element)(struct fields *f, size_t index,
                                                              void *context),
                                  void *context)
{
    if (*f->at != '[')
        return fields_unexpected(f, f->at, "'['");
    return read_items(f, ']', element, context);
}

enum loss_status fields_skip_value(struct fields *f)
{
    const char *at, *const end = json_skip_value(f->at, f->allowance, &at);
    if (!end)
        return unsound(f, at);
    f->at = end;
    return LOSS_OK;
}

static enum loss_status pass_value(struct fields *f, int depth);

static enum loss_status pass_element(struct fields *f, size_t index, void *context)
{
    (void)index;
    return pass_value(f, *(const int *)context);
}

static enum loss_status pass_member(struct fields *f, size_t index, void *context)
{
    const char *at;
    (void)index;
    if (*f->at != '"')
        return fields_unexpected(f, f->at, "a field name in quotes");
    const char *const end = json_skip_string(f->at, &at);
    if (!end)
        return fields_unexpected(f, at, "the rest of a string");
    f->at = json_blank(end, f->allowance);
    if (*f->at != ':')
        return fields_unexpected(f, f->at, "':'");
    f->at = json_blank(f->at + 1, f->allowance);
    return pass_value(f, *(const int *)context);
}

/* Moves behind a number or a word; false if there is none. */
static bool pass_word(struct fields *f)
{
    static const char *const literals[] = {"true", "false", "null"};
    double number;
    const char *end = number_read_f64(f->at, &number);
    if (!end)
        end = read_number_word(f, &number);
    for (size_t i = 0; !end && i < sizeof literals / sizeof literals[0]; i++)
        if (strncmp(f->at, literals[i], strlen(literals[i])) == 0)
            end = f->at + strlen(literals[i]);
    f->at = end ? end : f->at;
    return end;
}

/* `depth` more arrays and objects may be in one another. */
static enum loss_status pass_value(struct fields *f, int depth)
{
    const char *at;
    const bool opens = *f->at == '[' || *f->at == '{';
    if (opens && depth-- == 0)
        return unsound(f, f->at);
    if (opens)
        return *f->at == '[' ? read_items(f, ']', pass_element, &depth)
                             : read_items(f, '}', pass_member, &depth);
    if (*f->at != '"')
        return pass_word(f) ? LOSS_OK : fields_unexpected(f, f->at, "a JSON value");
    const char *const end = json_skip_string(f->at, &at);
    if (!end)
        return fields_unexpected(f, at, "the rest of a string");
    f->at = end;
    return LOSS_OK;
}

enum loss_status fields_ignore_value(struct fields *f)
{
    return pass_value(f, json_depth());
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

bool fields_deprecated(struct fields *f)
{
    const bool deprecated = strcmp(f->key, "size_average") == 0 || strcmp(f->key, "reduce") == 0;
    if (deprecated)
        malformed(f, f->at, "%s is deprecated in PyTorch and not taken; use reduction", f->key);
    return deprecated;
}

enum loss_status fields_unknown(struct fields *f, const char *what)
{
    const struct loss_descriptor *const loss = f->out->request.loss;
    char quote[JSON_QUOTE], nearest[LOSS_MEANT_TEXT];
    struct loss_nearest search = {.name = f->key};
    if (fields_deprecated(f))
        return f->error->status;
    fields_try_names(&search, loss);
    return malformed(f, f->at, "%s has no %s '%s'%s", loss->name, what, json_quote(f->key, quote),
                     loss_nearest_text(&search, "'", "'", NULL, nearest));
}

enum loss_status fields_read_value(struct fields *f, int field)
{
    return field < FIELD_COMMON ? read_param(f, field - FIELD_PARAMS)
                                : common[field - FIELD_COMMON].read(f);
}

/* An upstream gradient that is the same for every term. */
static enum loss_status read_grad_output(struct fields *f)
{
    struct evaluation *const e = f->out;
    struct source *const source = &e->tensor[EVALUATION_GRAD_OUTPUT];
    *evaluation_place(e, EVALUATION_GRAD_OUTPUT) = &source->tensor;
    source->swapped = false;
    source->tensor = (struct loss_tensor){.data = &e->number, .dtype = LOSS_FLOAT64};
    return read_real(f, &e->number);
}

enum loss_status fields_read_plain(struct fields *f, const char *name, const char *value,
                                   uint32_t settled)
{
    f->body = NULL;
    f->at = value;
    f->end = value + strlen(value);
    fields_set_key(f, name);
    const int field = field_find(f->out->request.loss, f->key);
    if (field < 0)
        return fields_unknown(f, "field");
    if (settled >> field & 1)
        return LOSS_OK;
    if (!fields_first(f, field))
        return malformed(f, f->at, "there are two fields '%s'", f->key);
    if (field == EVALUATION_GRAD_OUTPUT)
        return read_grad_output(f);
    if (field < EVALUATION_TENSORS)
        return malformed(f, f->at,
                         "%s is a tensor: it goes into the body, not among the parameters", f->key);
    return fields_read_value(f, field);
}
