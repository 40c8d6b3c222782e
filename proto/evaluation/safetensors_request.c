#include "evaluation/safetensors_request.h"
#include "formats/dtype_names.h"
#include "number/number.h"
#include "json/scanner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LENGTH = 8,           /* bytes of the header's length */
    HEADER_MAX = 1 << 20, /* bytes; more than a thousand times what a request needs */
    HEADER_SMALL = 4096,  /* bytes; shorter headers need no allocation */
    VALUE_SIZE = 512,     /* bytes of a metadata value, with its NUL */
    SHAPE_TEXT = 64,      /* bytes of a shape in messages */
};

/* A tensor of the header. */
struct entry {
    int tensor;               /* index in the evaluation */
    const char *at, *offsets; /* in the header: the last value read, and data_offsets */
    bool has_dtype, has_shape, has_offsets;
    struct loss_tensor is;
    size_t begin, end;
};

struct file {
    struct fields *fields;
    const char *start; /* a NUL-terminated copy of the length and the header, in which
                          fields->json.at moves */
    const char *data;  /* in the body */
    size_t data_len;
    uint32_t overridden; /* fields that the query has set */
    bool has_metadata;
    struct entry entry[EVALUATION_TENSORS];
    int entries;
};

/* ---- Values ---- */

static enum loss_status malformed_entry(struct file *file, const struct entry *entry,
                                        const char *message)
{
    struct fields *const f = file->fields;
    const char *const name = evaluation_tensor_name(f->out->request.loss, entry->tensor);
    object_reader_set_key(&f->json, name);
    return json_malformed(f->json.error, file->start, entry->at ? entry->at : f->json.at,
                          f->json.path, "%s: %s", name, message);
}

/* Reads an array of sizes. */
static enum loss_status take_sizes(struct file *file, const struct entry *entry, size_t *sizes,
                                   int max_count, int *count)
{
    struct fields *const f = file->fields;
    char message[OBJECT_KEY + 96], found[JSON_QUOTE];
    *count = 0;
    if (*f->json.at != '[')
        return object_reader_unexpected(&f->json, f->json.at, "an array");
    f->json.at = json_blank(f->json.at + 1, f->json.quota);
    for (bool more = *f->json.at != ']'; more;) {
        int64_t size;
        const char *end;
        f->json.at = json_blank(f->json.at, f->json.quota);
        if (number_read_i64(f->json.at, &size, &end) != NUMBER_OK || size < 0) {
            snprintf(message, sizeof message, "%s[%d] is %s; it must be an integer in [0, 2^63)",
                     f->json.key, *count, json_value_text(f->json.at, f->json.end, found));
            return malformed_entry(file, entry, message);
        }
        if (*count == max_count) {
            snprintf(message, sizeof message, "%s has more than %d numbers", f->json.key,
                     max_count);
            return malformed_entry(file, entry, message);
        }
        sizes[(*count)++] = (size_t)size;
        f->json.at = json_blank(end, f->json.quota);
        if (*f->json.at != ',' && *f->json.at != ']')
            return object_reader_unexpected(&f->json, f->json.at, "',' or ']'");
        more = *f->json.at == ',';
        f->json.at += more;
    }
    f->json.at++;
    return LOSS_OK;
}

static enum loss_status take_dtype(struct file *file, struct entry *entry)
{
    struct fields *const f = file->fields;
    char name[JSON_QUOTE], quote[JSON_QUOTE], message[192];
    if (object_reader_string(&f->json, "the name of a dtype in quotes", name, sizeof name) !=
        LOSS_OK)
        return f->json.error->status;
    entry->is.dtype = dtype_find(DTYPE_SAFETENSORS, name);
    if (entry->is.dtype == LOSS_ANY) {
        snprintf(
            message, sizeof message,
            "dtype '%s' is not supported; F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, "
            "U8 and BOOL are",
            json_quote(name, quote));
        return malformed_entry(file, entry, message);
    }
    return LOSS_OK;
}

/* ---- Tensors ---- */

static enum loss_status read_property(struct object_reader *json, void *context)
{
    struct file *const file = context;
    struct entry *const entry = &file->entry[file->entries];
    static const char *const known[] = {"dtype", "shape", "data_offsets"};
    bool *const has[] = {&entry->has_dtype, &entry->has_shape, &entry->has_offsets};
    char message[128], quote[JSON_QUOTE];
    int which = 0, count;
    while (which < 3 && strcmp(known[which], json->key) != 0)
        which++;
    entry->at = json->at;
    if (which == 3) {
        snprintf(message, sizeof message,
                 "unknown field '%s'; a tensor has dtype, shape and data_offsets",
                 json_quote(json->key, quote));
        return malformed_entry(file, entry, message);
    }
    if (*has[which]) {
        snprintf(message, sizeof message, "duplicate field '%s'", known[which]);
        return malformed_entry(file, entry, message);
    }
    *has[which] = true;
    if (which == 0)
        return take_dtype(file, entry);
    if (which == 1)
        return take_sizes(file, entry, entry->is.shape, LOSS_MAX_RANK, &entry->is.rank);
    size_t offsets[2];
    if (take_sizes(file, entry, offsets, 2, &count) != LOSS_OK)
        return json->error->status;
    if (count != 2) {
        snprintf(message, sizeof message,
                 "the length of data_offsets is %d; it must be 2, the start and end of the bytes",
                 count);
        return malformed_entry(file, entry, message);
    }
    entry->offsets = entry->at;
    entry->begin = offsets[0];
    entry->end = offsets[1];
    return LOSS_OK;
}

/* Returns the first required field that a tensor does not have; NULL if it has all of them. */
static const char *missing_field(const struct entry *entry)
{
    if (!entry->has_dtype)
        return "dtype";
    if (!entry->has_shape)
        return "shape";
    return entry->has_offsets ? NULL : "data_offsets";
}

/* Checks that dtype, shape and offsets of a tensor match. */
static enum loss_status check_entry(struct file *file, const struct entry *entry)
{
    char message[256], shape[LOSS_SHAPE_TEXT];
    size_t count;
    const char *const missing = missing_field(entry);
    if (missing) {
        snprintf(message, sizeof message, "'%s' is missing", missing);
        return malformed_entry(file, entry, message);
    }
    if (!loss_tensor_count(&entry->is, &count)) {
        snprintf(message, sizeof message, "shape %.*s has more elements than can be addressed",
                 SHAPE_TEXT, loss_shape_text(&entry->is, shape));
        return malformed_entry(file, entry, message);
    }
    if (entry->begin > entry->end) {
        snprintf(message, sizeof message,
                 "data_offsets are [%zu, %zu]; the end must not be less than the start",
                 entry->begin, entry->end);
        return malformed_entry(file, entry, message);
    }
    if (entry->end > file->data_len) {
        snprintf(message, sizeof message, "data_offsets end at %zu; %zu bytes follow the header",
                 entry->end, file->data_len);
        return malformed_entry(file, entry, message);
    }
    if (entry->end - entry->begin != loss_tensor_bytes(&entry->is)) {
        snprintf(message, sizeof message,
                 "data_offsets [%zu, %zu] span %zu bytes; shape %.*s of %s takes %zu", entry->begin,
                 entry->end, entry->end - entry->begin, SHAPE_TEXT,
                 loss_shape_text(&entry->is, shape), dtype_name(DTYPE_SAFETENSORS, entry->is.dtype),
                 loss_tensor_bytes(&entry->is));
        return malformed_entry(file, entry, message);
    }
    return LOSS_OK;
}

static enum loss_status read_tensor(struct file *file, int k)
{
    struct fields *const f = file->fields;
    struct entry *const entry = &file->entry[file->entries];
    *entry = (struct entry){.tensor = k};
    if (!fields_first(f, k))
        return json_malformed(f->json.error, file->start, f->json.at, f->json.path,
                              "duplicate tensor '%s'", f->json.key);
    if (object_reader_members(&f->json, read_property, file) != LOSS_OK ||
        check_entry(file, entry) != LOSS_OK)
        return f->json.error->status;
    entry->at = entry->offsets;
    file->entries++;
    return LOSS_OK;
}

/* ---- Metadata ---- */

static enum loss_status read_metadatum(struct object_reader *json, void *context)
{
    const struct file *const file = context;
    const char *const start = json->at;
    char value[VALUE_SIZE], quote[JSON_QUOTE];
    if (object_reader_string(json, "a string, like all metadata,", value, sizeof value) != LOSS_OK)
        return json->error->status;
    if (strcmp(json->key, "format") == 0) /* Hugging Face's libraries write their framework */
        return LOSS_OK;
    if (!json_decode_string(start, json->at, value, sizeof value)) /* it is truncated */
        return object_reader_malformed(json, start,
                                       "%s has more than %d bytes, or is not valid text",
                                       json_quote(json->key, quote), VALUE_SIZE - 1);
    if (fields_read_plain(file->fields, json->key, value, file->overridden) == LOSS_OK)
        return LOSS_OK;
    json->error->offset = start - file->start;
    return json->error->status;
}

static enum loss_status read_member(struct object_reader *json, void *context)
{
    struct file *const file = context;
    const bool is_metadata = strcmp(json->key, "__metadata__") == 0;
    if (is_metadata && file->has_metadata)
        return object_reader_malformed(json, json->at, "duplicate '__metadata__'");
    if (is_metadata) {
        file->has_metadata = true;
        if (object_reader_null(json)) /* some writers write null if there is no metadata */
            return LOSS_OK;
        return object_reader_members(json, read_metadatum, file);
    }
    const int k = fields_find(file->fields->out->request.loss, json->key);
    if (k >= EVALUATION_TENSORS)
        return object_reader_malformed(
            json, json->at, "%s is not a tensor: send it in the query or in __metadata__",
            json->key);
    return k < 0 ? fields_unknown(file->fields, "tensor") : read_tensor(file, k);
}

/* ---- File ---- */

static int by_place(const void *a, const void *b)
{
    const struct entry *const x = a, *const y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

/* Writes to `message` that the bytes of entry `i` do not begin at `expected`, the end of the bytes
   of the previous entry, or 0 if there is none. */
static void describe_gap(const struct file *file, int i, size_t expected, char *message,
                         size_t size)
{
    const size_t begin = file->entry[i].begin;
    if (i == 0) {
        snprintf(message, size, "its bytes begin at %zu; those of the first tensor must begin at 0",
                 begin);
        return;
    }
    const char *const previous =
        evaluation_tensor_name(file->fields->out->request.loss, file->entry[i - 1].tensor);
    snprintf(message, size,
             begin < expected ? "its bytes begin at %zu, before %zu, where those of %s end"
                              : "its bytes begin at %zu; there is a gap after %zu, where those of "
                                "%s end",
             begin, expected, previous);
}

/* Checks that every byte belongs to exactly one tensor. */
static enum loss_status check_layout(struct file *file)
{
    char message[192];
    size_t at = 0;
    qsort(file->entry, (size_t)file->entries, sizeof *file->entry, by_place);
    for (int i = 0; i < file->entries; i++) {
        const struct entry *const entry = &file->entry[i];
        if (entry->begin != at) {
            describe_gap(file, i, at, message, sizeof message);
            return malformed_entry(file, entry, message);
        }
        at = entry->end;
    }
    if (at == file->data_len)
        return LOSS_OK;
    struct loss_error *const error = file->fields->json.error;
    loss_fail(error, LOSS_MALFORMED, "the last %zu bytes of the file belong to no tensor",
              file->data_len - at);
    error->offset = (file->data - file->fields->out->body) + (int64_t)at;
    return LOSS_MALFORMED;
}

static void set_sources(struct file *file)
{
    struct evaluation *const e = file->fields->out;
    for (int i = 0; i < file->entries; i++) {
        const struct entry *const entry = &file->entry[i];
        struct source *const source = &e->tensor[entry->tensor];
        if (file->overridden >> entry->tensor & 1)
            continue;
        source->tensor = entry->is;
        source->tensor.data = (void *)(uintptr_t)(file->data + entry->begin); /* never written to */
        source->swapped = false;
        *evaluation_place(e, entry->tensor) = &source->tensor;
    }
}

static enum loss_status read_header(struct file *file)
{
    struct fields *const f = file->fields;
    f->json.body = file->start;
    f->json.at = file->start + LENGTH;
    f->json.path[0] = '\0';
    if (object_reader_members(&f->json, read_member, file) != LOSS_OK)
        return f->json.error->status;
    f->json.path[0] = '\0';
    f->json.at = json_blank(f->json.at, f->json.quota);
    return f->json.at == f->json.end
               ? check_layout(file)
               : object_reader_unexpected(&f->json, f->json.at, "the end of the header");
}

/* Reads the length of the header. */
static enum loss_status measure(const struct evaluation *e, size_t *len, struct loss_error *error)
{
    uint64_t header = 0;
    if (e->len >= LENGTH)
        memcpy(&header, e->body, sizeof header); /* little-endian, as is this machine */
    *len = (size_t)header;
    if (e->len >= LENGTH && header <= e->len - LENGTH && header <= HEADER_MAX)
        return LOSS_OK;
    if (e->len < LENGTH)
        loss_fail(error, LOSS_MALFORMED,
                  "a safetensors file begins with 8 bytes, the length of its header; the body has "
                  "%zu (byte 0)",
                  e->len);
    else if (header > e->len - LENGTH)
        loss_fail(error, LOSS_MALFORMED,
                  "the header is declared to have %" PRIu64
                  " bytes, but %zu follow (byte 0); a safetensors file was expected",
                  header, e->len - LENGTH);
    else
        loss_fail(error, LOSS_MALFORMED,
                  "the header has %" PRIu64 " bytes; the limit is %d (byte 0)", header, HEADER_MAX);
    error->offset = 0;
    return LOSS_MALFORMED;
}

enum loss_status safetensors_request_read(struct fields *fields)
{
    struct evaluation *const e = fields->out;
    char small[HEADER_SMALL], *copy = small;
    size_t len;
    if (measure(e, &len, fields->json.error) != LOSS_OK)
        return fields->json.error->status;
    if (len > sizeof small - LENGTH - 1 && !(copy = malloc(LENGTH + len + 1)))
        return quota_insufficient(fields->json.error);
    memcpy(copy, e->body, LENGTH + len);
    copy[LENGTH + len] = '\0';
    struct file file = {.fields = fields,
                        .start = copy,
                        .data = e->body + LENGTH + len,
                        .overridden = fields->seen};
    file.data_len = e->len - LENGTH - len;
    fields->seen = 0;
    fields->json.end = copy + LENGTH + len;
    const enum loss_status status = read_header(&file);
    if (status == LOSS_OK)
        set_sources(&file);
    fields->seen |= file.overridden;
    if (copy != small)
        free(copy);
    return status;
}
