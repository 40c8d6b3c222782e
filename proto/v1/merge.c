/* POST /v1/merge: merges partial results of parts of one batch. */
#include "evaluation/partial.h"
#include "v1/v1.h"

struct merge {
    struct prepared prepared;
    struct partial_merger merger;
    uint32_t seen;       /* bit set of the members that have been read */
    struct partial part; /* the partial result that is being read */
};

static enum loss_status validate_head(struct request_view *view, struct loss_error *error)
{
    if (media_type_parse(view->content_type, &view->in, error) != LOSS_OK ||
        media_type_accept_json(view->accept, error) != LOSS_OK)
        return error->status;
    if (view->in != MEDIA_JSON)
        return loss_fail(error, LOSS_UNSUPPORTED, "the body must be %s, not %s",
                         media_type_name(MEDIA_JSON), media_type_name(view->in));
    return v1_check_no_query(view, error);
}

/* Moves error->path below the partial result at `index`. */
static enum loss_status in_partial(size_t index, struct loss_error *error)
{
    return object_reader_below(error, "/partials/%zu", index);
}

static enum loss_status read_partial(struct object_reader *json, size_t index, void *context)
{
    struct merge *const merge = context;
    if (index == PARTIAL_MAX)
        return loss_fail_at(json->error, LOSS_INVALID, "/partials",
                            "partials has more than %d entries; merge them in groups, and then the "
                            "results",
                            PARTIAL_MAX);
    if (partial_read(json, &merge->part) != LOSS_OK ||
        partial_merger_add(&merge->merger, &merge->part, json->error) != LOSS_OK)
        return in_partial(index, json->error);
    return LOSS_OK;
}

static enum loss_status read_member(struct object_reader *json, void *context)
{
    static const char *const members[] = {"partials", NULL};
    struct merge *const merge = context;
    if (object_reader_find(json, members, &merge->seen, "the request") < 0)
        return json->error->status;
    if (*json->at != '[')
        return object_reader_wrong_type(json, "a list of partial results");
    return object_reader_elements(json, read_partial, merge);
}

static enum loss_status prepare(struct prepared *prepared, const struct request_view *view,
                                struct loss_error *error)
{
    struct merge *const merge = (struct merge *)prepared;
    struct object_reader json;
    partial_merger_init(&merge->merger, view->quota);
    merge->part = (struct partial){.rows.quota = view->quota};
    merge->seen = 0;
    object_reader_begin(&json, view->body, view->len, view->quota, error);
    if (object_reader_document(&json, read_member, merge) != LOSS_OK)
        return error->status;
    if (merge->merger.count == 0)
        return loss_fail_at(error, LOSS_INVALID, "/partials",
                            "partials is missing or empty; it must be a list of partial results");
    prepared->transport = view->len;
    return LOSS_OK;
}

static enum loss_status decode(struct prepared *prepared, int threads, struct response *response,
                               struct loss_error *error)
{
    (void)prepared, (void)threads, (void)response, (void)error; /* prepare() has read everything */
    return LOSS_OK;
}

static enum loss_status run(struct prepared *prepared, struct loss_error *error)
{
    struct partial_overlap overlap;
    return partial_merger_finish(&((struct merge *)prepared)->merger, &overlap, error) == LOSS_OK
               ? LOSS_OK
               : in_partial(overlap.second, error);
}

static void encode(struct prepared *prepared, struct response *response)
{
    response->content_type = media_type_name(MEDIA_JSON);
    partial_merger_append(&((struct merge *)prepared)->merger, &response->body);
}

static void free_merge(struct prepared *prepared)
{
    struct merge *const merge = (struct merge *)prepared;
    partial_merger_free(&merge->merger);
    partial_free(&merge->part);
}

const struct handler v1_merge = {
    .errors = RESPONSE_PROBLEM,
    .size = sizeof(struct merge),
    .validate_head = validate_head,
    .prepare = prepare,
    .decode = decode,
    .run = run,
    .encode = encode,
    .free = free_merge,
};
