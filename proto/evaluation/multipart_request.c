#include "evaluation/multipart_request.h"
#include "content/multipart.h"
#include "formats/npy.h"
#include "json/scanner.h"

#include <string.h>

enum { VALUE_SIZE = 512 };

static enum loss_status read_file(struct fields *f, int k, const struct multipart_part *part)
{
    struct evaluation *const e = f->out;
    if (!fields_first(f, k))
        return json_malformed(f->json.error, e->body, part->data, f->json.path,
                              "duplicate part '%s'", f->json.key);
    struct source *const source = &e->tensor[k];
    if (npy_read(&source->tensor, &source->swapped, part->data, part->len, f->json.key, e->body,
                 f->json.error) != LOSS_OK)
        return f->json.error->status;
    *evaluation_place(e, k) = &source->tensor;
    return LOSS_OK;
}

static enum loss_status read_text(struct fields *f, const struct multipart_part *part,
                                  uint32_t overridden)
{
    char value[VALUE_SIZE];
    const char *const body = f->out->body;
    if (part->len >= sizeof value || memchr(part->data, '\0', part->len))
        return json_malformed(f->json.error, body, part->data, f->json.path,
                              "%s contains a NUL byte, or has more than %d bytes", part->name,
                              VALUE_SIZE - 1);
    memcpy(value, part->data, part->len);
    value[part->len] = '\0';
    if (fields_read_plain(f, part->name, value, overridden) == LOSS_OK)
        return LOSS_OK;
    f->json.error->offset = part->data - body;
    return f->json.error->status;
}

static enum loss_status read_part(struct fields *f, const struct multipart_part *part,
                                  uint32_t overridden)
{
    const int field = fields_find(f->out->request.loss, part->name);
    object_reader_set_key(&f->json, part->name);
    f->json.at = part->data;
    if (field < 0)
        return fields_unknown(f, "field");
    const bool is_file = part->is_file || npy_begins(part->data, part->len);
    if (is_file && field >= EVALUATION_TENSORS)
        return json_malformed(f->json.error, f->out->body, part->data, f->json.path,
                              "%s is not a tensor: send it as text, not as a file", f->json.key);
    if (is_file && (overridden >> field & 1))
        return LOSS_OK;
    /* A grad_output may be a number in text; other tensors must be files. */
    if (is_file || (field < EVALUATION_TENSORS && field != EVALUATION_GRAD_OUTPUT))
        return read_file(f, field, part);
    return read_text(f, part, overridden);
}

enum loss_status multipart_request_read(struct fields *fields, const char *content_type)
{
    struct evaluation *const e = fields->out;
    const uint32_t overridden = fields->seen;
    struct multipart form;
    struct multipart_part part;
    bool more;
    fields->seen = 0;
    if (multipart_begin(&form, content_type, e->body, e->len, fields->json.error) != LOSS_OK)
        return fields->json.error->status;
    while (multipart_next(&form, &part, &more) == LOSS_OK) {
        if (!more) {
            fields->seen |= overridden;
            return LOSS_OK;
        }
        if (read_part(fields, &part, overridden) != LOSS_OK)
            break;
    }
    return fields->json.error->status;
}
