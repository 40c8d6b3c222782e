#include "oip/request.h"
#include "oip/request_reader.h"
#include "json/scanner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    VALUE_SIZE = 512,   /* bytes of a parameter as text, with its NUL */
    LENGTH_DIGITS = 18, /* decimal digits of a length; all such numbers fit in 64 bits */
};

/* ---- Parameters ---- */

/* Returns true for parameters of the protocol that a loss does not use. */
static bool is_foreign(const char *name)
{
    static const char *const names[] = {"sequence_id", "sequence_start", "sequence_end", "priority",
                                        "timeout",     "headers",        "content_type"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return strncmp(name, "triton_", strlen("triton_")) == 0;
}

/* Reads a string, a number or a literal as plain text. */
static enum loss_status take_scalar(struct object_reader *json, char *text, size_t size)
{
    const char *const at = json->at;
    char quote[JSON_QUOTE];
    if (*at == '[' || *at == '{')
        return object_reader_malformed(
            json, at, "%s is %s; it must be a string, a number or a boolean, like all parameters",
            json->key, json_value_text(at, json->end, text));
    if (object_reader_validate(json) != LOSS_OK)
        return json->error->status;
    const size_t len = (size_t)(json->at - at);
    if (*at == '"' ? json_decode_string(at, json->at, text, size) : len < size) {
        if (*at != '"')
            snprintf(text, size, "%.*s", (int)len, at);
        return LOSS_OK;
    }
    return object_reader_malformed(json, at, "%s has more than %zu bytes, or is not valid text",
                                   json_quote(json->key, quote), size - 1);
}

/* Reads a parameter of the loss or a common one. Numbers and booleans may be strings, because some
   clients support no other type. */
static enum loss_status read_parameter(struct object_reader *json, void *context)
{
    struct oip_reader *const r = context;
    char value[VALUE_SIZE];
    const char *const start = json->at;
    if (strcmp(json->key, "binary_data_output") == 0)
        return object_reader_boolean(json, "true or false", &r->all_binary);
    if (is_foreign(json->key))
        return object_reader_validate(json);
    if (strcmp(json->key, "grad") == 0 || strcmp(json->key, "hess") == 0)
        return object_reader_malformed(
            json, start, "%s is not a parameter here: request the outputs %s_<tensor>", json->key,
            json->key);
    if (strcmp(json->key, "encoding") == 0)
        return object_reader_malformed(json, start,
                                       "encoding is not a parameter here: use binary_data and "
                                       "binary_data_output to choose how outputs are sent");
    if (take_scalar(json, value, sizeof value) != LOSS_OK)
        return json->error->status;
    if (fields_read_plain(&r->fields, json->key, value, 0) == LOSS_OK)
        return LOSS_OK;
    json->error->offset = start - json->body;
    return json->error->status;
}

/* ---- The request ---- */

static enum loss_status read_id(struct oip_reader *r)
{
    struct object_reader *const json = &r->fields.json;
    const char *at = json->at;
    if (object_reader_null(json))
        return LOSS_OK;
    r->selection->id = at;
    json->at = *at == '"' ? json_skip_string(at, &at) : NULL;
    if (!json->at)
        return object_reader_unexpected(json, at, "a string as id");
    r->selection->id_len = (size_t)(json->at - r->selection->id);
    return LOSS_OK;
}

enum { MEMBER_ID, MEMBER_INPUTS, MEMBER_OUTPUTS, MEMBER_PARAMETERS };

static enum loss_status read_member(struct object_reader *json, void *context)
{
    /* KServe's client adds model_name, which is also in the path. */
    static const char *const members[] = {"id",         "inputs",        "outputs", "parameters",
                                          "model_name", "model_version", NULL};
    struct oip_reader *const r = context;
    switch (object_reader_find(json, members, &r->seen, "the request")) {
    case -1:
        return json->error->status;
    case MEMBER_ID:
        return read_id(r);
    case MEMBER_INPUTS:
        return object_reader_elements(json, oip_read_input, r);
    case MEMBER_OUTPUTS:
        return object_reader_null(json) ? LOSS_OK
                                        : object_reader_elements(json, oip_read_output, r);
    case MEMBER_PARAMETERS:
        return object_reader_null(json) ? LOSS_OK : object_reader_members(json, read_parameter, r);
    default:
        return object_reader_validate(json);
    }
}

/* Sets *len to the number of bytes of the body that are JSON. */
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
            "Inference-Header-Content-Length is '%s'; it must be 1 to %d decimal digits",
            json_quote(header, quote), LENGTH_DIGITS);
    *len = strtoull(header, NULL, 10);
    if (*len == 0)
        return loss_fail(error, LOSS_MALFORMED,
                         "Inference-Header-Content-Length is 0; a loss has more than one input, so "
                         "the request needs JSON");
    if (*len > e->len)
        return loss_fail(error, LOSS_MALFORMED,
                         "Inference-Header-Content-Length is %zu, but the body has %zu bytes", *len,
                         e->len);
    return LOSS_OK;
}

/* Checks that the JSON has the length in the header, and that the last input ends at the end of the
   body. */
static enum loss_status check_ends(struct oip_reader *r)
{
    struct object_reader *const json = &r->fields.json;
    json->path[0] = '\0';
    while (json->at < json->end &&
           (*json->at == ' ' || *json->at == '\n' || *json->at == '\r' || *json->at == '\t'))
        json->at++;
    if (json->at > json->end)
        return loss_fail(
            json->error, LOSS_MALFORMED,
            "the JSON ends at byte %zu of the body, but Inference-Header-Content-Length is %zu",
            (size_t)(json->at - json->body), (size_t)(json->end - json->body));
    if (json->at < json->end)
        return object_reader_unexpected(
            json, json->at,
            r->has_length ? "only white space up to Inference-Header-Content-Length" : "the end");
    if (r->next == r->body_end)
        return LOSS_OK;
    return object_reader_malformed(
        json, r->next,
        "unexpected additional input data: %zu bytes follow the data of the last input",
        (size_t)(r->body_end - r->next));
}

enum loss_status oip_request_read(struct evaluation *e, const char *header_length,
                                  struct oip_output_selection *selection, struct loss_error *error)
{
    size_t len;
    *selection = (struct oip_output_selection){.id = NULL};
    if (json_length(e, header_length, &len, error) != LOSS_OK)
        return error->status;
    struct oip_reader r = {.selection = selection,
                           .next = e->body + len,
                           .body_end = e->body + e->len,
                           .has_length = header_length};
    struct object_reader *const json = &r.fields.json;
    fields_begin(&r.fields, e, error);
    json->end = e->body + len; /* the NUL is at body_end, not here: the scanner may move past `end`,
                                  but stops at the first invalid byte, and check_ends() rejects
                                  JSON that is too long */
    json->at = json_begin(json->at, json->quota);
    if (object_reader_members(json, read_member, &r) != LOSS_OK)
        return error->status;
    if (!(r.seen >> MEMBER_INPUTS & 1))
        return object_reader_malformed(json, json->end, "the request has no inputs");
    if (check_ends(&r) != LOSS_OK)
        return error->status;
    oip_default_outputs(&r);
    return LOSS_OK;
}
