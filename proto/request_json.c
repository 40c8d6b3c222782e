#include "request_json.h"
#include "json_text.h"
#include "number.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    KEY_SIZE = 256, /* a longer key can be none of ours */
    NAME_SIZE = 64, /* nor a longer name of a tensor or choice */
    WORD_MAX = 14,  /* bytes of a word or number that jansson reads without growing its buffer */
};

struct reader {
    struct evaluation *out;
    const struct loss_descriptor *loss;
    const char *body, *end, *at; /* `at` moves through the body */
    struct loss_error *error;
    char key[KEY_SIZE];
    char path[128]; /* "/key" */
    uint32_t seen_tensors, seen_params, seen_common;
    bool has_encoding;
};

/* ---- errors --------------------------------------------------------------------------------------------------------- */

static enum loss_status unexpected(struct reader *r, const char *at, const char *expected)
{
    char byte[JSON_BYTE_TEXT];
    return json_malformed(r->error, r->body, at, r->path, "%s where %s was expected", json_byte_text(at, r->end, byte),
                          expected);
}

/* The field that is being read has the wrong type. */
static enum loss_status wrong_type(struct reader *r, const char *expected)
{
    return json_malformed(r->error, r->body, r->at, r->path, "%s must be %s", r->key, expected);
}

__attribute__((format(printf, 2, 3))) static enum loss_status invalid(struct reader *r, const char *format, ...)
{
    char message[sizeof r->error->message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return loss_fail_at(r->error, LOSS_INVALID, r->path, "%s", message);
}

/* ---- small values --------------------------------------------------------------------------------------------------- */

/* Parses the number or word at r->at and moves behind it; NULL with the error filled. The caller owns what comes back.
   Strings, arrays and objects are not for jansson: where memory runs out in a token of 16 bytes or more it loses characters of
   it, the closing quote too. So `expected` says what should stand here, where one of them or a longer word does. */
static json_t *small_value(struct reader *r, const char *expected)
{
    const char *at;
    json_error_t why;
    const char *const end = json_skip_value(r->at, &at);
    if (!end) {
        unexpected(r, at, "a JSON value");
        return NULL;
    }
    if (*r->at == '"' || *r->at == '[' || *r->at == '{' || end - r->at > WORD_MAX) {
        wrong_type(r, expected);
        return NULL;
    }
    json_t *value = json_loadb(r->at, (size_t)(end - r->at), JSON_DECODE_ANY, &why);
    if (value)
        r->at = end;
    else if (why.text[0])
        json_malformed(r->error, r->body, r->at + why.position, r->path, "%s: %s", r->key, why.text);
    else /* it has nothing to say of the text */
        loss_fail(r->error, LOSS_UNAVAILABLE, "there is not enough memory for this request at the moment");
    return value;
}

/* Decodes the string at r->at, which opens with a quote, and moves behind it. One that is too long for a name is cut short, so
   that it can be quoted. */
static enum loss_status take_name(struct reader *r, char *name)
{
    const char *at, *const end = json_skip_string(r->at, &at);
    if (!end)
        return unexpected(r, at, "the rest of a string");
    if (!json_decode_string(r->at, end, name, NAME_SIZE)) {
        if (end - r->at - 2 < NAME_SIZE)
            return json_malformed(r->error, r->body, r->at, r->path, "%s is no text", r->key);
        snprintf(name, NAME_SIZE, "%.*s", (int)(end - r->at - 2), r->at + 1);
    }
    r->at = end;
    return LOSS_OK;
}

/* A string out of a list of names; its place, or -1 with the error filled. Wrong types are malformed, wrong names invalid. */
static int choice(struct reader *r, const char *const names[], int count)
{
    const char *const start = r->at;
    char name[NAME_SIZE], list[160] = "", quote[JSON_QUOTE];
    if (*r->at != '"') {
        json_t *const value = small_value(r, "a string");
        r->at = start;
        if (value)
            wrong_type(r, "a string");
        json_decref(value);
        return -1;
    }
    if (take_name(r, name) != LOSS_OK)
        return -1;
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
    invalid(r, "%s is '%s'; it must be %s%s%s%s", r->key, json_quote(name, quote), list, search.best ? "; did you mean '" : "",
            search.best ? search.best : "", search.best ? "'?" : "");
    return -1;
}

static enum loss_status read_reduction(struct reader *r)
{
    const char *names[LOSS_REDUCTION_COUNT];
    enum loss_reduction reductions[LOSS_REDUCTION_COUNT];
    int count = 0;
    for (int i = 0; i < LOSS_REDUCTION_COUNT; i++)
        if (r->loss->reductions >> i & 1) {
            reductions[count] = (enum loss_reduction)i;
            names[count++] = loss_reduction_name((enum loss_reduction)i);
        }
    const int chosen = choice(r, names, count);
    if (chosen >= 0)
        r->out->request.reduction = reductions[chosen];
    return chosen >= 0 ? LOSS_OK : r->error->status;
}

static enum loss_status read_dtype(struct reader *r)
{
    const int chosen = choice(r, (const char *const[]){"float32", "float64"}, 2);
    if (chosen >= 0)
        r->out->request.dtype = chosen == 0 ? LOSS_FLOAT32 : LOSS_FLOAT64;
    return chosen >= 0 ? LOSS_OK : r->error->status;
}

static enum loss_status read_encoding(struct reader *r)
{
    const int chosen =
        choice(r, (const char *const[]){[FORM_NESTED] = "nested", [FORM_FLAT] = "flat", [FORM_BASE64] = "base64"}, FORM_COUNT);
    r->has_encoding = true;
    if (chosen >= 0)
        r->out->encoding = (enum tensor_form)chosen;
    return chosen >= 0 ? LOSS_OK : r->error->status;
}

static const char names_expected[] = "true, false, or a list of tensor names";

/* Takes one name of the list that begins at `start` into a bit set. */
static enum loss_status read_name(struct reader *r, size_t i, const char *start, uint32_t *mask)
{
    char name[NAME_SIZE], quote[JSON_QUOTE];
    snprintf(r->path, sizeof r->path, "/%.8s/%zu", r->key, i);
    if (*r->at != '"') {
        r->at = start;
        return wrong_type(r, names_expected);
    }
    if (take_name(r, name) != LOSS_OK)
        return r->error->status;
    const int k = loss_tensor_find(r->loss, name);
    if (k >= 0) {
        *mask |= UINT32_C(1) << k;
        return LOSS_OK;
    }
    struct loss_nearest search = {.name = name};
    for (int j = 0; j < loss_tensor_specs(r->loss); j++)
        loss_nearest_try(&search, r->loss->tensors[j].name);
    return invalid(r, "%s has no tensor '%s'%s%s%s", r->loss->name, json_quote(name, quote),
                   search.best ? "; did you mean '" : "", search.best ? search.best : "", search.best ? "'?" : "");
}

static enum loss_status read_name_list(struct reader *r, uint32_t *mask)
{
    const char *const start = r->at;
    r->at = json_blank(r->at + 1);
    size_t i = 0;
    for (bool more = *r->at != ']'; more; i++) {
        r->at = json_blank(r->at);
        if (read_name(r, i, start, mask) != LOSS_OK)
            return r->error->status;
        r->at = json_blank(r->at);
        if (*r->at != ',' && *r->at != ']')
            return unexpected(r, r->at, "',' or ']'");
        more = *r->at == ',';
        r->at += more;
    }
    r->at++;
    return LOSS_OK;
}

/* Reads which tensors are meant: true is the predictions. */
static enum loss_status read_names(struct reader *r, uint32_t *mask)
{
    const char *const start = r->at;
    if (*start == '[')
        return read_name_list(r, mask);
    json_t *const value = small_value(r, names_expected);
    if (!value)
        return r->error->status;
    enum loss_status status = LOSS_OK;
    if (json_is_boolean(value)) {
        *mask = json_is_true(value) ? loss_predictions(r->loss) : 0;
    } else {
        r->at = start;
        status = wrong_type(r, names_expected);
    }
    json_decref(value);
    return status;
}

static enum loss_status read_grad(struct reader *r)
{
    return read_names(r, &r->out->request.grad);
}

static enum loss_status read_hess(struct reader *r)
{
    return read_names(r, &r->out->request.hess);
}

static enum loss_status read_number(struct reader *r, struct loss_value *value, bool integral)
{
    const char *const start = r->at;
    if (!integral) {
        const char *end = number_read_f64(start, &value->number);
        if (!end)
            return wrong_type(r, "a number");
        if (isinf(value->number))
            return invalid(r, "%s is out of range", r->key);
        r->at = end;
        return LOSS_OK;
    }
    switch (number_read_i64(start, &value->integer, &r->at)) {
    case NUMBER_OK:
        value->number = (double)value->integer;
        return LOSS_OK;
    case NUMBER_NONE:
    case NUMBER_FRACTION:
        r->at = start;
        return wrong_type(r, "a whole number");
    case NUMBER_RANGE:
        break;
    }
    return invalid(r, "%s is out of range", r->key);
}

static enum loss_status read_choice(struct reader *r, const struct loss_param_spec *spec, struct loss_value *value)
{
    int count = 0;
    while (spec->choices[count])
        count++;
    const int chosen = choice(r, spec->choices, count);
    if (chosen < 0)
        return r->error->status;
    *value = (struct loss_value){chosen, chosen};
    return LOSS_OK;
}

static enum loss_status read_param(struct reader *r, int k)
{
    struct loss_value *value = &r->out->request.param[k];
    if (r->loss->params[k].type == LOSS_CHOICE)
        return read_choice(r, &r->loss->params[k], value);
    if (r->loss->params[k].type != LOSS_BOOLEAN)
        return read_number(r, value, r->loss->params[k].type == LOSS_INTEGER);
    const bool yes = strncmp(r->at, "true", 4) == 0;
    if (!yes && strncmp(r->at, "false", 5) != 0)
        return wrong_type(r, "true or false");
    *value = (struct loss_value){yes, yes};
    r->at += yes ? 4 : 5;
    return LOSS_OK;
}

/* ---- fields --------------------------------------------------------------------------------------------------------- */

/* A tensor that is null, as Python's json makes of None, is left out; the plan says if it is missed. Within a tensor null is
 * NaN. */
static bool take_null(struct reader *r)
{
    const bool is_null = strncmp(r->at, "null", 4) == 0;
    r->at += is_null ? 4 : 0;
    return is_null;
}

/* Finds a tensor and points the request's `place` at it. */
static enum loss_status read_tensor(struct reader *r, struct source *found, const struct loss_tensor **place)
{
    if (take_null(r))
        return LOSS_OK;
    if (tensor_json_scan(&found->json, r->at, r->body, r->end, r->path, &r->at, r->error) != LOSS_OK)
        return r->error->status;
    found->swapped = false;
    found->tensor = (struct loss_tensor){.dtype = found->json.dtype, .rank = found->json.rank};
    memcpy(found->tensor.shape, found->json.shape, sizeof found->tensor.shape);
    *place = &found->tensor;
    return LOSS_OK;
}

static enum loss_status read_grad_output(struct reader *r)
{
    return read_tensor(r, &r->out->grad_output, &r->out->request.grad_output);
}

static enum loss_status read_sample_weight(struct reader *r)
{
    return read_tensor(r, &r->out->sample_weight, &r->out->request.sample_weight);
}

/* The fields that every loss has. */
static const struct {
    const char *name;
    enum loss_status (*read)(struct reader *r);
} common[] = {
    {"reduction", read_reduction},         {"grad", read_grad},   {"hess", read_hess},        {"grad_output", read_grad_output},
    {"sample_weight", read_sample_weight}, {"dtype", read_dtype}, {"encoding", read_encoding}};
enum { COMMON_COUNT = sizeof common / sizeof common[0] };

static enum loss_status unknown_field(struct reader *r)
{
    char quote[JSON_QUOTE];
    struct loss_nearest search = {.name = r->key};
    if (strcmp(r->key, "size_average") == 0 || strcmp(r->key, "reduce") == 0)
        return json_malformed(r->error, r->body, r->at, r->path, "%s is deprecated in PyTorch and not taken; use reduction",
                              r->key);
    for (int k = 0; k < loss_tensor_specs(r->loss); k++)
        loss_nearest_try(&search, r->loss->tensors[k].name);
    for (int k = 0; k < loss_param_specs(r->loss); k++)
        loss_nearest_try(&search, r->loss->params[k].name);
    for (int k = 0; k < COMMON_COUNT; k++)
        loss_nearest_try(&search, common[k].name);
    return json_malformed(r->error, r->body, r->at, r->path, "%s has no field '%s'%s%s%s", r->loss->name,
                          json_quote(r->key, quote), search.best ? "; did you mean '" : "", search.best ? search.best : "",
                          search.best ? "'?" : "");
}

/* Notes in a bit set that a field was met; false if it was before. */
static bool first(uint32_t *seen, int k)
{
    const uint32_t bit = UINT32_C(1) << k;
    const bool is_first = !(*seen & bit);
    *seen |= bit;
    return is_first;
}

static enum loss_status read_field(struct reader *r)
{
    const int tensor = loss_tensor_find(r->loss, r->key), param = loss_param_find(r->loss, r->key);
    int field = 0;
    while (field < COMMON_COUNT && strcmp(common[field].name, r->key) != 0)
        field++;
    if (tensor < 0 && param < 0 && field == COMMON_COUNT)
        return unknown_field(r);
    if (!(tensor >= 0  ? first(&r->seen_tensors, tensor)
          : param >= 0 ? first(&r->seen_params, param)
                       : first(&r->seen_common, field)))
        return json_malformed(r->error, r->body, r->at, r->path, "there are two fields '%s'", r->key);
    return tensor >= 0  ? read_tensor(r, &r->out->tensor[tensor], &r->out->request.tensor[tensor])
           : param >= 0 ? read_param(r, param)
                        : common[field].read(r);
}

/* Reads a key and what stands behind it, up to the value. */
static enum loss_status read_key(struct reader *r)
{
    const char *at;
    r->path[0] = '\0';
    r->at = json_blank(r->at);
    if (*r->at != '"')
        return unexpected(r, r->at, "a field name in quotes");
    const char *end = json_skip_string(r->at, &at);
    if (!end)
        return unexpected(r, at, "the rest of a string");
    if (!json_decode_string(r->at, end, r->key, sizeof r->key))
        return json_malformed(r->error, r->body, r->at, "", "the name of a field has more than %d bytes, or is no text",
                              KEY_SIZE - 1);
    json_pointer_add(r->path, sizeof r->path, r->key);
    r->at = json_blank(end);
    if (*r->at != ':')
        return unexpected(r, r->at, "':'");
    r->at = json_blank(r->at + 1);
    return LOSS_OK;
}

static enum loss_status read_object(struct reader *r)
{
    if (strncmp(r->at, "\xef\xbb\xbf", 3) == 0)
        return json_malformed(r->error, r->body, r->at, "",
                              "the body begins with a byte order mark, which JSON does not allow");
    r->at = json_blank(r->at);
    if (*r->at != '{')
        return unexpected(r, r->at, "'{'");
    r->at = json_blank(r->at + 1);
    for (bool more = *r->at != '}' || !++r->at; more; r->at++) {
        if (read_key(r) != LOSS_OK || read_field(r) != LOSS_OK)
            return r->error->status;
        r->at = json_blank(r->at);
        if (*r->at != ',' && *r->at != '}')
            return unexpected(r, r->at, "',' or '}'");
        more = *r->at == ',';
    }
    r->path[0] = '\0';
    r->at = json_blank(r->at);
    return r->at == r->end ? LOSS_OK : unexpected(r, r->at, "the end");
}

/* Answers come in the form in which the first prediction came. */
static enum tensor_form form_of_predictions(const struct evaluation *e, const struct loss_descriptor *loss)
{
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        if (loss->tensors[k].prediction && e->request.tensor[k])
            return e->tensor[k].json.form;
    return FORM_NESTED;
}

enum loss_status request_json_read(struct evaluation *e, struct loss_error *error)
{
    const struct loss_descriptor *const loss = e->request.loss;
    struct reader reader = {.out = e, .loss = loss, .body = e->body, .end = e->body + e->len, .at = e->body, .error = error};
    if (read_object(&reader) != LOSS_OK)
        return error->status;
    if (!reader.has_encoding)
        e->encoding = form_of_predictions(e, loss);
    return LOSS_OK;
}
