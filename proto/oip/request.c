/* The JSON of an infer request, scanned by hand, and the bytes behind it. */
#include "oip/request.h"
#include "evaluation/request_fields.h"
#include "formats/dtype_names.h"
#include "number/number.h"
#include "json/scanner.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    VALUE_SIZE = 512,   /* of a parameter, as text */
    NAME_SIZE = 64,     /* a longer name can be none of ours */
    SHAPE_TEXT = 64,    /* bytes of a shape in messages */
    LENGTH_DIGITS = 18, /* any number of so many digits fits 64 bits */
};

/* An input as the JSON has it. */
struct input {
    size_t index; /* among the inputs */
    const char *at;
    uint32_t seen; /* members that were read */
    char name[NAME_SIZE];
    struct loss_tensor tensor; /* its shape and dtype */
    bool has_data, is_binary;
    size_t bytes; /* if it is binary */
    struct tensor_json json;
};

struct reader {
    struct fields fields;
    struct oip_asked *asked;
    const char *next; /* in the body: the bytes of the next binary input */
    const char *body_end;
    bool has_length; /* there was an Inference-Header-Content-Length */
    uint32_t seen;   /* members of the request that were read */
    struct input *input;
    struct oip_output *output; /* that is being read */
    uint32_t output_seen;      /* members of it that were read */
    bool says[OIP_OUTPUTS];    /* whether an output says that it is binary, or not */
    bool all_binary;           /* what is to be where it does not */
};

/* ---- small things ---- */

__attribute__((format(printf, 3, 4))) static enum loss_status
malformed(struct fields *f, const char *at, const char *format, ...)
{
    char message[sizeof f->error->message - 32];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return json_malformed(f->error, f->body, at, f->path, "%s", message);
}

const char *oip_output_name(const struct loss_descriptor *loss, enum oip_kind kind, int tensor,
                            char *text)
{
    if (kind == OIP_LOSS)
        return strcpy(text, "loss");
    snprintf(text, OIP_NAME, "%s_%s", kind == OIP_GRAD ? "grad" : "hess",
             loss->tensors[tensor].name);
    return text;
}

/* Moves behind a null. */
static bool take_null(struct fields *f)
{
    const bool is_null = strncmp(f->at, "null", 4) == 0;
    f->at += is_null ? 4 : 0;
    return is_null;
}

/* Takes the string at the cursor and moves behind it; one that is too long is cut short, which
 * makes it none of ours. */
static enum loss_status take_string(struct fields *f, const char *expected, char *text, size_t size)
{
    const char *at = f->at, *const end = *at == '"' ? json_skip_string(at, &at) : NULL;
    if (!end)
        return fields_unexpected(f, at, expected);
    if (!json_decode_string(f->at, end, text, size))
        snprintf(text, size, "%.*s", (int)(size - 1), f->at + 1);
    f->at = end;
    return LOSS_OK;
}

static enum loss_status take_boolean(struct fields *f, bool *value)
{
    *value = strncmp(f->at, "true", 4) == 0;
    if (!*value && strncmp(f->at, "false", 5) != 0)
        return malformed(f, f->at, "%s must be true or false", f->key);
    f->at += *value ? 4 : 5;
    return LOSS_OK;
}

/* The place of the key among names, which NULL ends; -1 with the error filled if it is none of
   them, or was read before. `what` has such members. */
static int member(struct fields *f, const char *const names[], uint32_t *seen, const char *what)
{
    char quote[JSON_QUOTE], meant[LOSS_MEANT_TEXT];
    struct loss_nearest search = {.name = f->key};
    for (int i = 0; names[i]; i++) {
        loss_nearest_try(&search, names[i]);
        if (strcmp(names[i], f->key) == 0 && !(*seen >> i & 1)) {
            *seen |= UINT32_C(1) << i;
            return i;
        }
    }
    if (search.distance == 0 && search.best) {
        malformed(f, f->at, "%s has two fields '%s'", what, f->key);
        return -1;
    }
    malformed(f, f->at, "%s has no field '%s'%s", what, json_quote(f->key, quote),
              loss_nearest_text(&search, "'", "'", NULL, meant));
    return -1;
}

/* ---- inputs ---- */

/* Fails at an input: "inputs[0] (target) ..." */
__attribute__((format(printf, 3, 4))) static enum loss_status
bad_input(struct reader *r, const struct input *input, const char *format, ...)
{
    char message[240], quote[JSON_QUOTE];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return malformed(&r->fields, input->at, "inputs[%zu]%s%s%s %s", input->index,
                     input->name[0] ? " (" : "", json_quote(input->name, quote),
                     input->name[0] ? ")" : "", message);
}

static enum loss_status read_datatype(struct reader *r, struct input *input)
{
    char name[NAME_SIZE], quote[JSON_QUOTE];
    if (take_string(&r->fields, "the name of a datatype in quotes", name, sizeof name) != LOSS_OK)
        return r->fields.error->status;
    input->tensor.dtype = dtype_find(DTYPE_OIP, name);
    if (input->tensor.dtype != LOSS_ANY)
        return LOSS_OK;
    return bad_input(r, input,
                     "has datatype '%s'; FP64, FP32, FP16, BF16, INT64, INT32, INT16, INT8, "
                     "UINT64, UINT32, UINT16, UINT8 and "
                     "BOOL are taken",
                     json_quote(name, quote));
}

static enum loss_status read_input_parameter(struct fields *f, void *context)
{
    struct reader *const r = context;
    struct input *const input = r->input;
    int64_t bytes;
    const char *end;
    if (strncmp(f->key, "shared_memory_", strlen("shared_memory_")) == 0)
        return bad_input(r, input, "is in shared memory, which is not taken; send it in the body");
    if (strcmp(f->key, "binary_data_size") != 0)
        return fields_ignore_value(f);
    if (input->is_binary)
        return bad_input(r, input, "has two binary_data_size");
    if (number_read_i64(f->at, &bytes, &end) != NUMBER_OK || bytes < 0)
        return bad_input(r, input, "must have a whole number of bytes as binary_data_size");
    f->at = end;
    input->is_binary = true;
    input->bytes = (size_t)bytes;
    return LOSS_OK;
}

static enum loss_status read_data(struct reader *r, struct input *input, const char *path)
{
    struct fields *const f = &r->fields;
    if (take_null(f)) /* as KServe's client writes it beside binary data */
        return LOSS_OK;
    if (*f->at == '{')
        return fields_unexpected(f, f->at, "an array of numbers");
    input->has_data = true;
    return tensor_json_scan(&input->json, f->at, f->body, f->end, path, f->allowance, &f->at,
                            f->error);
}

static enum loss_status read_input_member(struct fields *f, void *context)
{
    static const char *const members[] = {"name", "shape", "datatype", "parameters", "data", NULL};
    struct reader *const r = context;
    struct input *const input = r->input;
    char what[NAME_SIZE], path[NAME_SIZE];
    snprintf(what, sizeof what, "inputs[%zu]", input->index);
    const int which = member(f, members, &input->seen, what);
    if (which < 0)
        return f->error->status;
    snprintf(path, sizeof path, "/inputs/%zu/%s", input->index, members[which]);
    switch (which) {
    case 0:
        return take_string(f, "the name of an input in quotes", input->name, sizeof input->name);
    case 1:
        return tensor_json_shape(&input->tensor, f->at, f->body, f->end, path, &f->at, f->error);
    case 2:
        return read_datatype(r, input);
    case 3:
        return take_null(f) ? LOSS_OK : fields_read_object(f, read_input_parameter, r);
    default:
        return read_data(r, input, path);
    }
}

/* Points a source at the bytes of an input, which are the next. */
static enum loss_status place_bytes(struct reader *r, const struct input *input,
                                    struct source *source)
{
    char shape[LOSS_SHAPE_TEXT];
    const size_t bytes = loss_tensor_bytes(&input->tensor), left = (size_t)(r->body_end - r->next);
    if (input->bytes != bytes)
        return bad_input(r, input, "has binary_data_size %zu; shape %.*s of %s takes %zu",
                         input->bytes, SHAPE_TEXT, loss_shape_text(&input->tensor, shape),
                         dtype_name(DTYPE_OIP, input->tensor.dtype), bytes);
    if (bytes > left && !r->has_length)
        return bad_input(r, input,
                         "has binary_data_size %zu, but without Inference-Header-Content-Length "
                         "all of the body is JSON",
                         bytes);
    if (bytes > left)
        return bad_input(
            r, input,
            "has %zu bytes behind the JSON, but %zu are left; expecting %zu additional bytes",
            bytes, left, bytes - left);
    source->tensor.data = (void *)(uintptr_t)r->next; /* which nobody writes to */
    r->next += bytes;
    return LOSS_OK;
}

/* Holds the JSON data of an input against its shape. */
static enum loss_status place_json(struct reader *r, struct input *input, struct source *source)
{
    char declared[LOSS_SHAPE_TEXT], found[LOSS_SHAPE_TEXT];
    struct tensor_json *const json = &input->json;
    struct loss_tensor data = {.rank = json->rank};
    memcpy(data.shape, json->shape, sizeof data.shape);
    if (!tensor_json_fits(json, &input->tensor))
        return bad_input(r, input, "has data of shape %.*s where its shape is %.*s", SHAPE_TEXT,
                         loss_shape_text(&data, found), SHAPE_TEXT,
                         loss_shape_text(&input->tensor, declared));
    json->dtype = input->tensor.dtype;
    json->rank = input->tensor.rank;
    memcpy(json->shape, input->tensor.shape, sizeof json->shape);
    source->json = *json;
    return LOSS_OK;
}

/* Which tensor of the evaluation an input is; -1 with the error filled. */
static int find_tensor(struct reader *r, const struct input *input)
{
    struct fields *const f = &r->fields;
    const int k = field_find(f->out->request.loss, input->name);
    fields_set_key(f, input->name);
    if (k >= EVALUATION_TENSORS)
        bad_input(r, input, "is no tensor: it goes into the parameters");
    else if (k >= 0 && fields_first(f, k))
        return k;
    else if (k >= 0)
        bad_input(r, input, "is there twice");
    else {
        f->at = input->at;
        fields_unknown(f, "input");
    }
    return -1;
}

static enum loss_status read_input(struct fields *f, size_t index, void *context)
{
    struct reader *const r = context;
    struct input input = {.index = index, .at = f->at};
    size_t count;
    r->input = &input;
    if (fields_read_object(f, read_input_member, r) != LOSS_OK)
        return f->error->status;
    if ((input.seen & 7) != 7)
        return bad_input(r, &input, "has no %s",
                         !(input.seen & 1)   ? "name"
                         : !(input.seen & 2) ? "shape"
                                             : "datatype");
    if (!loss_tensor_count(&input.tensor, &count))
        return bad_input(r, &input, "has more elements than can be addressed");
    if (input.has_data == input.is_binary)
        return bad_input(r, &input,
                         input.has_data ? "has both data and binary_data_size"
                                        : "has neither data nor binary_data_size");
    const char *const behind = f->at;
    const int k = find_tensor(r, &input);
    if (k < 0)
        return f->error->status;
    struct evaluation *const e = f->out;
    struct source *const source = &e->tensor[k];
    source->tensor = input.tensor;
    source->swapped = false;
    *evaluation_place(e, k) = &source->tensor;
    f->at = behind;
    return input.is_binary ? place_bytes(r, &input, source) : place_json(r, &input, source);
}

/* ---- outputs ---- */

static bool find_output(const struct loss_descriptor *loss, const char *name,
                        struct oip_output *output)
{
    output->kind = strncmp(name, "grad_", 5) == 0   ? OIP_GRAD
                   : strncmp(name, "hess_", 5) == 0 ? OIP_HESS
                                                    : OIP_LOSS;
    output->tensor = output->kind == OIP_LOSS ? 0 : loss_tensor_find(loss, name + 5);
    return output->kind == OIP_LOSS ? strcmp(name, "loss") == 0 : output->tensor >= 0;
}

static enum loss_status unknown_output(struct reader *r, const char *at, const char *name)
{
    const struct loss_descriptor *const loss = r->fields.out->request.loss;
    char candidates[OIP_OUTPUTS][OIP_NAME], quote[JSON_QUOTE], meant[LOSS_MEANT_TEXT];
    struct loss_nearest search = {.name = name};
    int count = 0;
    loss_nearest_try(&search, oip_output_name(loss, OIP_LOSS, 0, candidates[count++]));
    for (int k = 0; k < loss_tensor_specs(loss); k++) {
        loss_nearest_try(&search, oip_output_name(loss, OIP_GRAD, k, candidates[count++]));
        loss_nearest_try(&search, oip_output_name(loss, OIP_HESS, k, candidates[count++]));
    }
    return malformed(&r->fields, at, "%s has no output '%s'%s", loss->name, json_quote(name, quote),
                     loss_nearest_text(&search, "'", "'", NULL, meant));
}

static enum loss_status read_output_name(struct reader *r)
{
    struct fields *const f = &r->fields;
    const char *const at = f->at;
    char name[NAME_SIZE];
    if (take_string(f, "the name of an output in quotes", name, sizeof name) != LOSS_OK)
        return f->error->status;
    if (!find_output(f->out->request.loss, name, r->output))
        return unknown_output(r, at, name);
    for (const struct oip_output *other = r->asked->output; other < r->output; other++)
        if (other->kind == r->output->kind && other->tensor == r->output->tensor)
            return malformed(f, at, "output '%s' is asked for twice", name);
    return LOSS_OK;
}

static enum loss_status read_output_parameter(struct fields *f, void *context)
{
    struct reader *const r = context;
    if (strcmp(f->key, "binary_data") == 0) {
        r->says[r->asked->outputs] = true;
        return take_boolean(f, &r->output->binary);
    }
    if (strcmp(f->key, "classification") == 0 ||
        strncmp(f->key, "shared_memory_", strlen("shared_memory_")) == 0)
        return malformed(f, f->at, "outputs[%d] asks for %.40s, which is not given",
                         r->asked->outputs, f->key);
    return fields_ignore_value(f);
}

static enum loss_status read_output_member(struct fields *f, void *context)
{
    static const char *const members[] = {"name", "parameters", NULL};
    struct reader *const r = context;
    char what[NAME_SIZE];
    snprintf(what, sizeof what, "outputs[%d]", r->asked->outputs);
    const int which = member(f, members, &r->output_seen, what);
    if (which < 0)
        return f->error->status;
    if (which == 0)
        return read_output_name(r);
    return take_null(f) ? LOSS_OK : fields_read_object(f, read_output_parameter, r);
}

static enum loss_status read_output(struct fields *f, size_t index, void *context)
{
    struct reader *const r = context;
    struct loss_request *const request = &f->out->request;
    const char *const at = f->at;
    if (index == OIP_OUTPUTS)
        return malformed(f, at, "there are more than %d outputs", OIP_OUTPUTS);
    r->output = &r->asked->output[index];
    r->output_seen = 0;
    if (fields_read_object(f, read_output_member, r) != LOSS_OK)
        return f->error->status;
    if (!(r->output_seen & 1))
        return malformed(f, at, "outputs[%zu] has no name", index);
    if (r->output->kind != OIP_LOSS)
        *(r->output->kind == OIP_GRAD ? &request->grad : &request->hess) |= UINT32_C(1)
                                                                            << r->output->tensor;
    r->asked->outputs++;
    return LOSS_OK;
}

/* ---- parameters ---- */

/* Those of the protocol that mean nothing to a loss, or nothing to us. */
static bool is_foreign(const char *name)
{
    static const char *const names[] = {"sequence_id", "sequence_start", "sequence_end", "priority",
                                        "timeout",     "headers",        "content_type"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return strncmp(name, "triton_", strlen("triton_")) == 0;
}

/* Takes a string, a number or a word as plain text. */
static enum loss_status take_scalar(struct fields *f, char *text, size_t size)
{
    const char *const at = f->at;
    if (*at == '"')
        return take_string(f, "a string", text, size);
    if (*at == '[' || *at == '{')
        return malformed(f, at, "%s must be a string, a number or a boolean, as all parameters",
                         f->key);
    if (fields_ignore_value(f) != LOSS_OK)
        return f->error->status;
    snprintf(text, size, "%.*s", f->at - at < (ptrdiff_t)size ? (int)(f->at - at) : (int)size, at);
    return LOSS_OK;
}

/* A parameter of the loss, or a common one. Numbers and booleans may be strings too: not every
 * client has all types. */
static enum loss_status read_parameter(struct fields *f, void *context)
{
    struct reader *const r = context;
    char value[VALUE_SIZE];
    const char *const start = f->at, *const body = f->body, *const end = f->end;
    if (strcmp(f->key, "binary_data_output") == 0)
        return take_boolean(f, &r->all_binary);
    if (is_foreign(f->key))
        return fields_ignore_value(f);
    if (strcmp(f->key, "grad") == 0 || strcmp(f->key, "hess") == 0)
        return malformed(f, start, "%s is no parameter here: ask for the outputs %s_<tensor>",
                         f->key, f->key);
    if (strcmp(f->key, "encoding") == 0)
        return malformed(f, start,
                         "encoding is no parameter here: binary_data and binary_data_output say "
                         "how outputs are sent");
    if (take_scalar(f, value, sizeof value) != LOSS_OK)
        return f->error->status;
    const char *const behind = f->at;
    if (fields_read_plain(f, f->key, value, 0) != LOSS_OK) {
        f->error->offset = start - body;
        return f->error->status;
    }
    f->body = body;
    f->end = end;
    f->at = behind;
    return LOSS_OK;
}

/* ---- the request ---- */

static enum loss_status read_id(struct reader *r)
{
    struct fields *const f = &r->fields;
    const char *at = f->at;
    if (take_null(f))
        return LOSS_OK;
    r->asked->id = at;
    f->at = *at == '"' ? json_skip_string(at, &at) : NULL;
    if (!f->at)
        return fields_unexpected(f, at, "a string as id");
    r->asked->id_len = (size_t)(f->at - r->asked->id);
    return LOSS_OK;
}

enum { MEMBER_ID, MEMBER_INPUTS, MEMBER_OUTPUTS, MEMBER_PARAMETERS };

static enum loss_status read_member(struct fields *f, void *context)
{
    /* KServe's client adds model_name, which the path says too. */
    static const char *const members[] = {"id",         "inputs",        "outputs", "parameters",
                                          "model_name", "model_version", NULL};
    struct reader *const r = context;
    switch (member(f, members, &r->seen, "the request")) {
    case -1:
        return f->error->status;
    case MEMBER_ID:
        return read_id(r);
    case MEMBER_INPUTS:
        return fields_read_list(f, read_input, r);
    case MEMBER_OUTPUTS:
        return take_null(f) ? LOSS_OK : fields_read_list(f, read_output, r);
    case MEMBER_PARAMETERS:
        return take_null(f) ? LOSS_OK : fields_read_object(f, read_parameter, r);
    default:
        return fields_ignore_value(f);
    }
}

/* How many bytes of the body are JSON. */
static enum loss_status json_length(const struct evaluation *e, const char *header, size_t *len,
                                    struct loss_error *error)
{
    char quote[JSON_QUOTE];
    *len = e->len;
    if (!header)
        return LOSS_OK;
    const size_t digits = strspn(header, "0123456789");
    if (digits == 0 || digits > LENGTH_DIGITS ||
        header[digits + strspn(header + digits, " \t")] != '\0')
        return loss_fail(
            error, LOSS_MALFORMED,
            "Inference-Header-Content-Length is '%s'; it must be a number of plain digits",
            json_quote(header, quote));
    *len = strtoull(header, NULL, 10);
    if (*len == 0)
        return loss_fail(error, LOSS_MALFORMED,
                         "Inference-Header-Content-Length is 0; a loss has more than one input, so "
                         "the request needs its JSON");
    if (*len > e->len)
        return loss_fail(error, LOSS_MALFORMED,
                         "Inference-Header-Content-Length is %zu, but the body has %zu bytes", *len,
                         e->len);
    return LOSS_OK;
}

/* The JSON has been read: that it ends where the header says, and the bytes behind it where the
 * last input does. */
static enum loss_status check_ends(struct reader *r)
{
    struct fields *const f = &r->fields;
    f->path[0] = '\0';
    while (f->at < f->end && (*f->at == ' ' || *f->at == '\n' || *f->at == '\r' || *f->at == '\t'))
        f->at++;
    if (f->at > f->end)
        return loss_fail(f->error, LOSS_MALFORMED,
                         "the JSON ends at byte %zu of the body, where "
                         "Inference-Header-Content-Length says that it has %zu",
                         (size_t)(f->at - f->body), (size_t)(f->end - f->body));
    if (f->at < f->end)
        return fields_unexpected(
            f, f->at,
            r->has_length
                ? "the end of the JSON, of which Inference-Header-Content-Length says more"
                : "the end");
    if (r->next == r->body_end)
        return LOSS_OK;
    return malformed(
        f, r->next,
        "unexpected additional input data: %zu bytes are left behind those of the last input",
        (size_t)(r->body_end - r->next));
}

/* What is answered where the request says nothing. */
static void settle_outputs(struct reader *r)
{
    struct oip_asked *const asked = r->asked;
    if (asked->outputs == 0)
        asked->output[asked->outputs++] = (struct oip_output){.kind = OIP_LOSS};
    for (int i = 0; i < asked->outputs; i++)
        if (!r->says[i])
            asked->output[i].binary = r->all_binary;
}

enum loss_status oip_read(struct evaluation *e, const char *header_length, struct oip_asked *asked,
                          struct loss_error *error)
{
    size_t len;
    *asked = (struct oip_asked){.id = NULL};
    if (json_length(e, header_length, &len, error) != LOSS_OK)
        return error->status;
    struct reader r = {.asked = asked,
                       .next = e->body + len,
                       .body_end = e->body + e->len,
                       .has_length = header_length};
    struct fields *const f = &r.fields;
    fields_begin(f, e, error);
    f->end = e->body + len; /* the NUL is farther on: no sound JSON leads there, and unsound text is
                               never read beyond it */
    f->at = json_begin(f->at, f->allowance);
    if (fields_read_object(f, read_member, &r) != LOSS_OK)
        return error->status;
    if (!(r.seen >> MEMBER_INPUTS & 1))
        return malformed(f, f->end, "the request has no inputs");
    if (check_ends(&r) != LOSS_OK)
        return error->status;
    settle_outputs(&r);
    return LOSS_OK;
}
