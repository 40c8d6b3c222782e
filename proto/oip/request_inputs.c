#include "formats/dtype_names.h"
#include "number/number.h"
#include "oip/request_reader.h"
#include "json/scanner.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SHAPE_TEXT = 64 }; /* bytes of a shape in messages */

struct oip_input {
    size_t index; /* in the list `inputs` */
    const char *at;
    uint32_t seen; /* bit set of the members that have been read */
    char name[OIP_REQUEST_NAME];
    struct loss_tensor tensor; /* shape and dtype */
    bool has_data, is_binary;
    size_t bytes; /* binary_data_size */
    struct tensor_json json;
};

/* Fails at an input: "inputs[0] (target) ..." */
__attribute__((format(printf, 3, 4))) static enum loss_status
bad_input(struct oip_reader *r, const struct oip_input *input, const char *format, ...)
{
    char message[240], quote[JSON_QUOTE];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return object_reader_malformed(&r->fields.json, input->at, "inputs[%zu]%s%s%s %s", input->index,
                                   input->name[0] ? " (" : "", json_quote(input->name, quote),
                                   input->name[0] ? ")" : "", message);
}

static enum loss_status read_datatype(struct oip_reader *r, struct oip_input *input)
{
    char name[OIP_REQUEST_NAME], quote[JSON_QUOTE];
    if (object_reader_string(&r->fields.json, "the name of a datatype in quotes", name,
                             sizeof name) != LOSS_OK)
        return r->fields.json.error->status;
    input->tensor.dtype = dtype_find(DTYPE_OIP, name);
    if (input->tensor.dtype != LOSS_ANY)
        return LOSS_OK;
    return bad_input(r, input,
                     "has datatype '%s'; FP64, FP32, FP16, BF16, INT64, INT32, INT16, INT8, "
                     "UINT64, UINT32, UINT16, UINT8 and "
                     "BOOL are supported",
                     json_quote(name, quote));
}

static enum loss_status read_input_parameter(struct object_reader *json, void *context)
{
    struct oip_reader *const r = context;
    struct oip_input *const input = r->input;
    int64_t bytes;
    const char *end;
    char found[JSON_QUOTE];
    if (strncmp(json->key, "shared_memory_", strlen("shared_memory_")) == 0)
        return bad_input(r, input,
                         "is in shared memory, which is not supported; send it in the body");
    if (strcmp(json->key, "binary_data_size") != 0)
        return object_reader_validate(json);
    if (input->is_binary)
        return bad_input(r, input, "has a duplicate field 'binary_data_size'");
    if (number_read_i64(json->at, &bytes, &end) != NUMBER_OK || bytes < 0)
        return bad_input(r, input, "has binary_data_size %s; it must be a whole number of bytes",
                         json_value_text(json->at, json->end, found));
    json->at = end;
    input->is_binary = true;
    input->bytes = (size_t)bytes;
    return LOSS_OK;
}

static enum loss_status read_data(struct oip_reader *r, struct oip_input *input, const char *path)
{
    struct object_reader *const json = &r->fields.json;
    if (object_reader_null(json)) /* written by KServe's client for binary inputs */
        return LOSS_OK;
    if (*json->at == '{')
        return object_reader_unexpected(json, json->at, "an array of numbers");
    input->has_data = true;
    return tensor_json_scan(&input->json, json->at, json->body, json->end, path, json->quota,
                            &json->at, json->error);
}

static enum loss_status read_input_member(struct object_reader *json, void *context)
{
    static const char *const members[] = {"name", "shape", "datatype", "parameters", "data", NULL};
    struct oip_reader *const r = context;
    struct oip_input *const input = r->input;
    char what[OIP_REQUEST_NAME], path[OIP_REQUEST_NAME];
    snprintf(what, sizeof what, "inputs[%zu]", input->index);
    const int which = object_reader_find(json, members, &input->seen, what);
    if (which < 0)
        return json->error->status;
    snprintf(path, sizeof path, "/inputs/%zu/%s", input->index, members[which]);
    switch (which) {
    case 0:
        return object_reader_string(json, "the name of an input in quotes", input->name,
                                    sizeof input->name);
    case 1:
        return tensor_json_shape(&input->tensor, json->at, json->body, json->end, path, &json->at,
                                 json->error);
    case 2:
        return read_datatype(r, input);
    case 3:
        return object_reader_null(json) ? LOSS_OK
                                        : object_reader_members(json, read_input_parameter, r);
    default:
        return read_data(r, input, path);
    }
}

/* Points a source at the next bytes after the JSON. */
static enum loss_status place_bytes(struct oip_reader *r, const struct oip_input *input,
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
            "has binary_data_size %zu, but only %zu bytes are left; expecting %zu additional bytes",
            bytes, left, bytes - left);
    source->tensor.data = (void *)(uintptr_t)r->next; /* never written to */
    r->next += bytes;
    return LOSS_OK;
}

/* Checks the JSON data of an input against its shape. */
static enum loss_status place_json(struct oip_reader *r, struct oip_input *input,
                                   struct source *source)
{
    char declared[LOSS_SHAPE_TEXT], found[LOSS_SHAPE_TEXT];
    struct tensor_json *const json = &input->json;
    struct loss_tensor data = {.rank = json->rank};
    memcpy(data.shape, json->shape, sizeof data.shape);
    if (!tensor_json_fits(json, &input->tensor))
        return bad_input(r, input, "has data of shape %.*s, but its shape is %.*s", SHAPE_TEXT,
                         loss_shape_text(&data, found), SHAPE_TEXT,
                         loss_shape_text(&input->tensor, declared));
    json->dtype = input->tensor.dtype;
    json->rank = input->tensor.rank;
    memcpy(json->shape, input->tensor.shape, sizeof json->shape);
    source->json = *json;
    return LOSS_OK;
}

/* Returns the index of the input's tensor; -1 on failure. */
static int find_tensor(struct oip_reader *r, const struct oip_input *input)
{
    struct object_reader *const json = &r->fields.json;
    const int k = fields_find(r->fields.out->request.loss, input->name);
    object_reader_set_key(json, input->name);
    if (k >= EVALUATION_TENSORS)
        bad_input(r, input, "is not a tensor: send it in the parameters");
    else if (k >= 0 && fields_first(&r->fields, k))
        return k;
    else if (k >= 0)
        bad_input(r, input, "appears twice");
    else {
        json->at = input->at;
        fields_unknown(&r->fields, "input");
    }
    return -1;
}

enum loss_status oip_read_input(struct object_reader *json, size_t index, void *context)
{
    struct oip_reader *const r = context;
    struct oip_input input = {.index = index, .at = json->at};
    size_t count;
    r->input = &input;
    if (object_reader_members(json, read_input_member, r) != LOSS_OK)
        return json->error->status;
    if (!(input.seen & 1))
        return bad_input(r, &input, "has no name");
    if (!(input.seen & 2))
        return bad_input(r, &input, "has no shape");
    if (!(input.seen & 4))
        return bad_input(r, &input, "has no datatype");
    if (!loss_tensor_count(&input.tensor, &count))
        return bad_input(r, &input, "has more elements than can be addressed");
    if (input.has_data == input.is_binary)
        return bad_input(r, &input,
                         input.has_data ? "has both data and binary_data_size"
                                        : "has neither data nor binary_data_size");
    const char *const end = json->at;
    const int k = find_tensor(r, &input);
    if (k < 0)
        return json->error->status;
    struct evaluation *const e = r->fields.out;
    struct source *const source = &e->tensor[k];
    source->tensor = input.tensor;
    source->swapped = false;
    *evaluation_place(e, k) = &source->tensor;
    json->at = end;
    return input.is_binary ? place_bytes(r, &input, source) : place_json(r, &input, source);
}
