/*
 * Reads a request for several losses. `losses` may come after the tensors, so the fields outside it
 * are first located (tensors are scanned), and read for each loss when the losses are known.
 */
#include "evaluation/json_request.h"
#include "evaluation/loss_lookup.h"
#include "evaluation/multi_loss.h"
#include "json/scanner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY = 64 }; /* bytes of a key with its NUL; no field has a longer key */

struct multi_loss_shared {
    char key[KEY];
    const char *at; /* its value */
    bool is_tensor, there, used;
    struct source source; /* if it is a tensor and present */
};

/* The request while its top level is read. */
struct head {
    struct multi_loss *multi_loss;
    int shared;         /* number of fields */
    const char *losses; /* the value of `losses`; NULL until it is found */
};

/* ---- Shared fields ---- */

/* Returns true if some loss has a tensor of that name. */
static bool is_tensor_name(const char *name)
{
    for (size_t i = 0; i < loss_count(); i++)
        if (evaluation_tensor_find(loss_at(i), name) >= 0)
            return true;
    return false;
}

static enum loss_status read_shared(struct object_reader *json, void *context)
{
    struct head *const head = context;
    struct multi_loss_shared *const all = head->multi_loss->shared;
    char quote[JSON_QUOTE];
    const bool is_losses = strcmp(json->key, "losses") == 0;
    bool twice = is_losses && head->losses;
    for (int i = 0; i < head->shared; i++)
        twice |= strcmp(all[i].key, json->key) == 0;
    if (twice)
        return object_reader_malformed(json, json->at, "duplicate field '%s'", json->key);
    if (is_losses) {
        head->losses = json->at;
        return object_reader_skip(json);
    }
    if (strlen(json->key) >= KEY)
        return object_reader_malformed(json, json->at, "no loss has a field '%s'",
                                       json_quote(json->key, quote));
    if (head->shared == MULTI_LOSS_SHARED)
        return object_reader_malformed(json, json->at,
                                       "the request has more than %d fields besides 'losses'",
                                       MULTI_LOSS_SHARED);
    struct multi_loss_shared *const shared = &all[head->shared++];
    memcpy(shared->key, json->key, strlen(json->key) + 1);
    shared->at = json->at;
    shared->used = shared->there = false;
    shared->is_tensor = is_tensor_name(json->key);
    return shared->is_tensor ? json_request_tensor(json, head->multi_loss->attached,
                                                   &shared->source, &shared->there)
                             : object_reader_skip(json);
}

/* Reads a shared field for a loss that accepts it. */
static enum loss_status take_shared(struct fields *f, struct multi_loss_entry *entry,
                                    const struct multi_loss_shared *shared, int place, int field)
{
    struct evaluation *const e = f->out;
    f->json.at = shared->at;
    object_reader_set_key(&f->json, shared->key);
    fields_first(f, field);
    if (shared->is_tensor) {
        if (!shared->there)
            return LOSS_OK;
        e->tensor[field] = shared->source;
        *evaluation_place(e, field) = &e->tensor[field].tensor;
        entry->shares[field] = (int8_t)place;
        return LOSS_OK;
    }
    if (fields_read_value(f, field) != LOSS_OK)
        return f->json.error->status;
    f->json.at = json_blank(f->json.at, f->json.quota);
    if (*f->json.at == ',' || *f->json.at == '}')
        return LOSS_OK;
    return object_reader_unexpected(&f->json, f->json.at, "',' or '}'");
}

/* ---- `losses` ---- */

/* Reads the name of a loss. */
static enum loss_status read_name(struct object_reader *json, const struct loss_descriptor **loss)
{
    char name[KEY], found[JSON_QUOTE];
    if (*json->at != '"')
        return object_reader_malformed(json, json->at,
                                       "the name of a loss is %s; it must be a string",
                                       json_value_text(json->at, json->end, found));
    const char *const start = json->at;
    if (object_reader_string(json, "a string", name, sizeof name) != LOSS_OK)
        return json->error->status;
    *loss = loss_lookup(name, loss_lookup_http_hint, json->error);
    if (*loss)
        return LOSS_OK;
    json->at = start;
    snprintf(json->error->path, sizeof json->error->path, "%s", json->path);
    return json->error->status = LOSS_INVALID; /* of the body, not of the path */
}

/* Finds the member that names the loss. */
static enum loss_status find_name(struct object_reader *json, void *context)
{
    const struct loss_descriptor **const loss = context;
    if (strcmp(json->key, "loss") != 0)
        return object_reader_skip(json);
    if (*loss)
        return object_reader_malformed(json, json->at, "duplicate field 'loss'");
    return read_name(json, loss);
}

static enum loss_status read_own(struct object_reader *json, void *context)
{
    return strcmp(json->key, "loss") == 0 ? object_reader_skip(json) : json_request_field(context);
}

/* Finds the loss of entry i, a name or an object, and moves past the entry. */
static enum loss_status identify(struct object_reader *json, size_t i,
                                 const struct loss_descriptor **loss)
{
    const char *const start = json->at;
    char found[JSON_QUOTE];
    *loss = NULL;
    json->path[0] = '\0';
    if (*json->at == '"') {
        if (read_name(json, loss) != LOSS_OK)
            return object_reader_below(json->error, "/losses/%zu", i);
        return LOSS_OK;
    }
    if (*json->at != '{') {
        object_reader_malformed(
            json, json->at,
            "losses[%zu] is %s; it must be the name of a loss, or an object with a field 'loss'", i,
            json_value_text(json->at, json->end, found));
        return object_reader_below(json->error, "/losses/%zu", i);
    }
    if (object_reader_members(json, find_name, loss) != LOSS_OK)
        return object_reader_below(json->error, "/losses/%zu", i);
    if (*loss)
        return LOSS_OK;
    json->path[0] = '\0';
    object_reader_malformed(json, start, "losses[%zu] lacks the field 'loss', the name of a loss",
                            i);
    return object_reader_below(json->error, "/losses/%zu", i);
}

/* Reads entry i at the cursor: its own members, and the shared fields that it does not set. */
static enum loss_status read_entry(struct object_reader *json, struct head *head, size_t i,
                                   const struct loss_descriptor *loss)
{
    struct multi_loss *const s = head->multi_loss;
    struct multi_loss_entry *const entry = s->entry[i] = malloc(sizeof *entry);
    if (!entry)
        return quota_insufficient(json->error);
    s->count++;
    evaluation_init(&entry->evaluation, loss, s->body, s->len);
    entry->evaluation.attached = s->attached;
    memset(entry->shares, -1, sizeof entry->shares);
    entry->own = 0;
    struct fields own;
    fields_begin(&own, &entry->evaluation, json->error);
    own.json.at = json->at;
    if (*own.json.at == '{' && object_reader_members(&own.json, read_own, &own) != LOSS_OK) {
        object_reader_below(json->error, "/losses/%zu", i);
        return multi_loss_name_entry(s, i, json->error);
    }
    entry->own = own.seen;
    for (int k = 0; k < head->shared; k++) {
        struct multi_loss_shared *const shared = &s->shared[k];
        const int field = fields_find(loss, shared->key);
        shared->used |= field >= 0;
        if (field >= 0 && !(entry->own >> field & 1) &&
            take_shared(&own, entry, shared, k, field) != LOSS_OK)
            return multi_loss_name_entry(s, i, json->error);
    }
    json_request_finish(&own);
    return LOSS_OK;
}

static enum loss_status count_entry(struct object_reader *json, size_t i, void *context)
{
    *(size_t *)context = i + 1;
    return object_reader_skip(json);
}

/* Counts the entries. */
static enum loss_status count_losses(struct object_reader *json, size_t *count)
{
    char found[JSON_QUOTE];
    *count = 0;
    object_reader_set_key(json, "losses");
    if (*json->at != '[')
        return json_malformed(
            json->error, json->body, json->at, json->path,
            "losses is %s; it must be a list of names of losses, or of objects with a field 'loss'",
            json_value_text(json->at, json->end, found));
    if (object_reader_elements(json, count_entry, count) != LOSS_OK)
        return json->error->status;
    if (*count == 0 || *count > MULTI_LOSS_MAX)
        return loss_fail_at(json->error, LOSS_INVALID, json->path,
                            "losses has %zu entries; it must have from 1 to %d", *count,
                            MULTI_LOSS_MAX);
    return LOSS_OK;
}

/* Reads entry i and moves past it. */
static enum loss_status read_listed(struct object_reader *json, size_t i, void *context)
{
    const struct loss_descriptor *loss;
    const char *const start = json->at;
    if (identify(json, i, &loss) != LOSS_OK)
        return json->error->status;
    const char *const end = json->at;
    json->at = start;
    if (read_entry(json, context, i, loss) != LOSS_OK)
        return json->error->status;
    json->at = end;
    return LOSS_OK;
}

static enum loss_status read_losses(struct object_reader *json, struct head *head)
{
    struct multi_loss *const s = head->multi_loss;
    size_t count;
    json->at = head->losses;
    if (count_losses(json, &count) != LOSS_OK)
        return json->error->status;
    s->entry = malloc(count * sizeof(struct multi_loss_entry *));
    if (!s->entry)
        return quota_insufficient(json->error);
    json->at = head->losses;
    return object_reader_elements(json, read_listed, head);
}

/* ---- The request ---- */

/* Fails: none of the losses has this shared field. */
static enum loss_status fail_unused(struct object_reader *json, const struct multi_loss *s,
                                    const struct multi_loss_shared *shared)
{
    char quote[JSON_QUOTE], suggestion[LOSS_SUGGESTION_TEXT];
    struct loss_nearest search = {.name = shared->key};
    json->at = shared->at;
    object_reader_set_key(json, shared->key);
    if (fields_deprecated(json))
        return json->error->status;
    for (size_t i = 0; i < s->count; i++)
        fields_try_names(&search, s->entry[i]->evaluation.request.loss);
    loss_nearest_try(&search, "losses");
    return object_reader_malformed(json, json->at, "none of these losses has a field '%s'%s",
                                   json_quote(shared->key, quote),
                                   loss_nearest_text(&search, "'", "'", NULL, suggestion));
}

enum loss_status multi_loss_read(struct multi_loss *s, struct loss_error *error)
{
    struct head head = {.multi_loss = s};
    struct object_reader json;
    s->shared = malloc(MULTI_LOSS_SHARED * sizeof *s->shared);
    if (!s->shared)
        return quota_insufficient(error);
    object_reader_begin(&json, s->body, s->len, s->quota, error);
    if (object_reader_document(&json, read_shared, &head) != LOSS_OK)
        return error->status;
    if (!head.losses)
        return loss_fail_at(
            error, LOSS_INVALID, "/losses",
            "losses is missing; it must be a list of names of losses, or of objects with a field "
            "'loss'");
    if (read_losses(&json, &head) != LOSS_OK)
        return error->status;
    for (int k = 0; k < head.shared; k++)
        if (!s->shared[k].used)
            return fail_unused(&json, s, &s->shared[k]);
    return LOSS_OK;
}
