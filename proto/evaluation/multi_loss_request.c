/*
 * Reading a request for several losses. Which losses there are may stand behind the tensors, so
 * fields outside `losses` are found first, and tensors among them scanned, and read for each loss
 * once the losses are known.
 */
#include "evaluation/json_request.h"
#include "evaluation/loss_lookup.h"
#include "evaluation/multi_loss.h"
#include "json/scanner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY = 64 }; /* bytes of a key, with its NUL: a longer one can be none of ours */

struct several_shared {
    char key[KEY];
    const char *at; /* its value */
    bool is_tensor, there, used;
    struct source source; /* of a tensor that is there */
};

/* The head of a request while it is read. */
struct head {
    struct several *several;
    int shared;         /* how many fields there are */
    const char *losses; /* the value of `losses`, NULL until it was met */
};

static enum loss_status no_memory(struct loss_error *error)
{
    return loss_fail(error, LOSS_UNAVAILABLE,
                     "there is not enough memory for this request at the moment");
}

/* ---- fields outside `losses` ---- */

/* Whether a name is that of a tensor, of whatever loss: then it is one of all. */
static bool is_tensor_name(const char *name)
{
    for (size_t i = 0; i < loss_count(); i++)
        if (evaluation_tensor_find(loss_at(i), name) >= 0)
            return true;
    return false;
}

static enum loss_status read_shared(struct fields *f, void *context)
{
    struct head *const head = context;
    struct several_shared *const all = head->several->shared;
    const bool is_losses = strcmp(f->key, "losses") == 0;
    bool twice = is_losses && head->losses;
    for (int i = 0; i < head->shared; i++)
        twice |= strcmp(all[i].key, f->key) == 0;
    if (twice)
        return json_malformed(f->error, f->body, f->at, f->path, "there are two fields '%s'",
                              f->key);
    if (is_losses) {
        head->losses = f->at;
        return fields_skip_value(f);
    }
    if (head->shared == SEVERAL_SHARED || strlen(f->key) >= KEY)
        return json_malformed(f->error, f->body, f->at, f->path,
                              "there is no field of that name, or there are more than %d",
                              SEVERAL_SHARED);
    struct several_shared *const shared = &all[head->shared++];
    memcpy(shared->key, f->key, strlen(f->key) + 1);
    shared->at = f->at;
    shared->used = shared->there = false;
    shared->is_tensor = is_tensor_name(f->key);
    return shared->is_tensor ? request_json_tensor(f, &shared->source, &shared->there)
                             : fields_skip_value(f);
}

/* Reads a field for a loss that has it. */
static enum loss_status take_shared(struct fields *f, struct several_entry *entry,
                                    const struct several_shared *shared, int place, int field)
{
    struct evaluation *const e = f->out;
    f->at = shared->at;
    fields_set_key(f, shared->key);
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
        return f->error->status;
    f->at = json_blank(f->at, f->allowance);
    return *f->at == ',' || *f->at == '}' ? LOSS_OK : fields_unexpected(f, f->at, "',' or '}'");
}

/* ---- `losses` ---- */

/* Reads the name at `at`, a JSON string, and moves behind it. */
static enum loss_status read_name(struct fields *f, const struct loss_descriptor **loss)
{
    char name[KEY];
    const char *at, *const end = *f->at == '"' ? json_skip_string(f->at, &at) : NULL;
    if (!end && *f->at != '"')
        return json_malformed(f->error, f->body, f->at, f->path,
                              "the name of a loss must be a string");
    if (!end)
        return fields_unexpected(f, at, "the rest of a string");
    if (!json_decode_string(f->at, end, name, sizeof name))
        snprintf(name, sizeof name, "%.*s", (int)(end - f->at - 2), f->at + 1); /* which is none */
    *loss = loss_lookup(name, loss_lookup_http_hint, f->error);
    if (!*loss) {
        snprintf(f->error->path, sizeof f->error->path, "%s", f->path);
        return f->error->status = LOSS_INVALID; /* it is the body that is wrong, not the path */
    }
    f->at = end;
    return LOSS_OK;
}

/* Looks for the field that says which loss it is. */
static enum loss_status find_name(struct fields *f, void *context)
{
    const struct loss_descriptor **const loss = context;
    if (strcmp(f->key, "loss") != 0)
        return fields_skip_value(f);
    if (*loss)
        return json_malformed(f->error, f->body, f->at, f->path, "there are two fields 'loss'");
    return read_name(f, loss);
}

static enum loss_status read_own(struct fields *f, void *context)
{
    return strcmp(f->key, "loss") == 0 ? fields_skip_value(f) : request_json_field(f, context);
}

/* Sets an error's pointer below the entry. */
static enum loss_status in_entry(size_t i, struct loss_error *error)
{
    char path[sizeof error->path];
    snprintf(path, sizeof path, "/losses/%zu%.160s", i, error->path);
    memcpy(error->path, path, sizeof path);
    return error->status;
}

/* Finds out which loss entry i is, a name or an object, and moves behind it. */
static enum loss_status identify(struct fields *f, size_t i, const struct loss_descriptor **loss)
{
    const char *const start = f->at;
    *loss = NULL;
    f->path[0] = '\0';
    if (*f->at == '"') {
        if (read_name(f, loss) != LOSS_OK)
            return in_entry(i, f->error);
        return LOSS_OK;
    }
    if (*f->at != '{') {
        json_malformed(f->error, f->body, f->at, "",
                       "losses[%zu] must be the name of a loss, or an object with it", i);
        return in_entry(i, f->error);
    }
    if (fields_read_object(f, find_name, loss) != LOSS_OK)
        return in_entry(i, f->error);
    if (*loss)
        return LOSS_OK;
    json_malformed(f->error, f->body, start, "",
                   "losses[%zu] has no field 'loss', the name of a loss", i);
    return in_entry(i, f->error);
}

/* Reads entry i, of that loss, at `at`, with what it sets itself and what it does not. */
static enum loss_status read_entry(struct fields *f, struct head *head, size_t i,
                                   const struct loss_descriptor *loss)
{
    struct several *const s = head->several;
    struct several_entry *const entry = s->entry[i] = malloc(sizeof *entry);
    if (!entry)
        return no_memory(f->error);
    s->count++;
    evaluation_init(&entry->evaluation, loss, s->body, s->len, s->threads);
    memset(entry->shares, -1, sizeof entry->shares);
    entry->own = 0;
    struct fields own;
    fields_begin(&own, &entry->evaluation, f->error);
    own.at = f->at;
    if (*own.at == '{' && fields_read_object(&own, read_own, NULL) != LOSS_OK) {
        in_entry(i, f->error);
        return several_blame(s, i, f->error);
    }
    entry->own = own.seen;
    for (int k = 0; k < head->shared; k++) {
        struct several_shared *const shared = &s->shared[k];
        const int field = field_find(loss, shared->key);
        shared->used |= field >= 0;
        if (field >= 0 && !(entry->own >> field & 1) &&
            take_shared(&own, entry, shared, k, field) != LOSS_OK)
            return several_blame(s, i, f->error);
    }
    request_json_finish(&own);
    return LOSS_OK;
}

static enum loss_status count_entry(struct fields *f, size_t i, void *context)
{
    *(size_t *)context = i + 1;
    return fields_skip_value(f);
}

/* Finds how many entries there are. */
static enum loss_status count_losses(struct fields *f, size_t *count)
{
    *count = 0;
    fields_set_key(f, "losses");
    if (*f->at != '[')
        return json_malformed(
            f->error, f->body, f->at, f->path,
            "losses must be a list of names of losses, or of objects with a field 'loss'");
    if (fields_read_list(f, count_entry, count) != LOSS_OK)
        return f->error->status;
    if (*count == 0 || *count > SEVERAL_MAX)
        return loss_fail_at(f->error, LOSS_INVALID, f->path,
                            "losses has %zu entries; it must have from 1 to %d", *count,
                            SEVERAL_MAX);
    return LOSS_OK;
}

/* Reads entry i, and moves behind it. */
static enum loss_status read_listed(struct fields *f, size_t i, void *context)
{
    const struct loss_descriptor *loss;
    const char *const start = f->at;
    if (identify(f, i, &loss) != LOSS_OK)
        return f->error->status;
    const char *const end = f->at;
    f->at = start;
    if (read_entry(f, context, i, loss) != LOSS_OK)
        return f->error->status;
    f->at = end;
    return LOSS_OK;
}

static enum loss_status read_losses(struct fields *f, struct head *head)
{
    struct several *const s = head->several;
    size_t count;
    f->at = head->losses;
    if (count_losses(f, &count) != LOSS_OK)
        return f->error->status;
    s->entry = malloc(count * sizeof(struct several_entry *));
    if (!s->entry)
        return no_memory(f->error);
    f->at = head->losses;
    return fields_read_list(f, read_listed, head);
}

/* ---- the whole ---- */

/* A field outside `losses` that none of them has. */
static enum loss_status blame_unused(struct fields *f, const struct several *s,
                                     const struct several_shared *shared)
{
    char quote[JSON_QUOTE], meant[LOSS_MEANT_TEXT];
    struct loss_nearest search = {.name = shared->key};
    f->at = shared->at;
    fields_set_key(f, shared->key);
    if (fields_deprecated(f))
        return f->error->status;
    for (size_t i = 0; i < s->count; i++)
        fields_try_names(&search, s->entry[i]->evaluation.request.loss);
    loss_nearest_try(&search, "losses");
    return json_malformed(f->error, f->body, f->at, f->path,
                          "none of these losses has a field '%s'%s", json_quote(shared->key, quote),
                          loss_nearest_text(&search, "'", "'", NULL, meant));
}

enum loss_status several_read(struct several *s, struct loss_error *error)
{
    struct head head = {.several = s};
    struct fields fields;
    s->shared = malloc(SEVERAL_SHARED * sizeof *s->shared);
    if (!s->shared)
        return no_memory(error);
    fields_begin_body(&fields, s->body, s->len, s->allowance, error);
    if (request_json_envelope(&fields, read_shared, &head) != LOSS_OK)
        return error->status;
    if (!head.losses)
        return loss_fail_at(
            error, LOSS_INVALID, "/losses",
            "losses is missing: a list of names of losses, or of objects with a field 'loss'");
    if (read_losses(&fields, &head) != LOSS_OK)
        return error->status;
    for (int k = 0; k < head.shared; k++)
        if (!s->shared[k].used)
            return blame_unused(&fields, s, &s->shared[k]);
    return LOSS_OK;
}
