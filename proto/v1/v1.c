/* POST /v1/losses/{loss}, and POST /v1/evaluate for several losses. */
#include "v1/v1.h"
#include "evaluation/json_request.h"
#include "evaluation/json_response.h"
#include "evaluation/loss_lookup.h"
#include "evaluation/multi_loss.h"
#include "evaluation/multipart_request.h"
#include "evaluation/query_string.h"
#include "evaluation/safetensors_request.h"
#include "evaluation/safetensors_response.h"
#include "json/scanner.h"

enum loss_status v1_check_no_query(const struct request_view *view, struct loss_error *error)
{
    char quote[JSON_QUOTE];
    if (view->query)
        return loss_fail(error, LOSS_MALFORMED,
                         "the query has '%s'; a JSON request has its fields in the body",
                         json_quote(view->query, quote));
    return LOSS_OK;
}

/* ---- One loss ---- */

struct single {
    struct prepared prepared;
    enum media_type out;
    struct evaluation evaluation;
};

static enum loss_status read_query(const struct request_view *view, struct evaluation *e,
                                   struct fields *fields, struct loss_error *error)
{
    fields_begin(fields, e, error);
    return query_string_read(fields, view->query);
}

static enum loss_status validate_head(struct request_view *view, struct loss_error *error)
{
    view->descriptor = loss_lookup(view->loss, loss_lookup_http_hint, error);
    if (!view->descriptor || media_type_parse(view->content_type, &view->in, error) != LOSS_OK ||
        media_type_accept(view->accept,
                          view->in == MEDIA_SAFETENSORS ? MEDIA_SAFETENSORS : MEDIA_JSON,
                          &view->out, error) != LOSS_OK)
        return error->status;
    if (view->in == MEDIA_JSON)
        return v1_check_no_query(view, error);
    if (!view->query)
        return LOSS_OK;
    struct evaluation evaluation;
    struct fields fields;
    evaluation_init(&evaluation, view->descriptor, "", 0);
    return read_query(view, &evaluation, &fields, error);
}

static enum loss_status read_request(const struct request_view *view, struct evaluation *e,
                                     struct loss_error *error)
{
    struct fields fields;
    if (view->in == MEDIA_JSON)
        return json_request_read(e, error);
    if (read_query(view, e, &fields, error) != LOSS_OK)
        return error->status;
    return view->in == MEDIA_MULTIPART ? multipart_request_read(&fields, view->content_type)
                                       : safetensors_request_read(&fields);
}

static enum loss_status prepare(struct prepared *prepared, const struct request_view *view,
                                struct loss_error *error)
{
    struct single *const single = (struct single *)prepared;
    struct evaluation *const e = &single->evaluation;
    single->out = view->out;
    evaluation_init(e, view->descriptor, view->body, view->len);
    e->quota = view->quota;
    if (read_request(view, e, error) != LOSS_OK || evaluation_plan(e, error) != LOSS_OK)
        return error->status;
    prepared->work = e->plan.work;
    prepared->transport =
        evaluation_reading_work(e) + evaluation_writing_work(e, view->out == MEDIA_JSON);
    prepared->elements = e->plan.elements;
    return LOSS_OK;
}

static enum loss_status decode(struct prepared *prepared, int threads, struct response *response,
                               struct loss_error *error)
{
    struct single *const single = (struct single *)prepared;
    single->evaluation.threads = threads;
    if (single->out != MEDIA_JSON)
        safetensors_response_prepare(&single->evaluation, &response->body);
    if (response->body.failed)
        return loss_fail(error, LOSS_UNAVAILABLE,
                         "insufficient memory for the response; retry later");
    return evaluation_decode(&single->evaluation, error);
}

static enum loss_status run(struct prepared *prepared, struct loss_error *error)
{
    return evaluation_run(&((struct single *)prepared)->evaluation, error);
}

static void encode(struct prepared *prepared, struct response *response)
{
    struct single *const single = (struct single *)prepared;
    response->content_type = media_type_name(single->out);
    if (single->out == MEDIA_JSON) {
        json_response_append(&single->evaluation, &response->body);
        buffer_text(&response->body, "\n");
    } else {
        safetensors_response_finish(&single->evaluation, &response->body);
    }
}

static void free_single(struct prepared *prepared)
{
    evaluation_free(&((struct single *)prepared)->evaluation);
}

const struct handler v1_evaluate = {
    .errors = RESPONSE_PROBLEM,
    .size = sizeof(struct single),
    .validate_head = validate_head,
    .prepare = prepare,
    .decode = decode,
    .run = run,
    .encode = encode,
    .free = free_single,
};

/* ---- Several losses ---- */

struct multi {
    struct prepared prepared;
    struct multi_loss several;
};

static enum loss_status validate_multi_head(struct request_view *view, struct loss_error *error)
{
    if (media_type_parse(view->content_type, &view->in, error) != LOSS_OK ||
        media_type_accept_json(view->accept, error) != LOSS_OK)
        return error->status;
    if (view->in != MEDIA_JSON)
        return loss_fail(
            error, LOSS_UNSUPPORTED,
            "requests for several losses must be %s, not %s; JSON tensors may be base64",
            media_type_name(MEDIA_JSON), media_type_name(view->in));
    return v1_check_no_query(view, error);
}

static enum loss_status prepare_multi(struct prepared *prepared, const struct request_view *view,
                                      struct loss_error *error)
{
    struct multi_loss *const several = &((struct multi *)prepared)->several;
    multi_loss_init(several, view->body, view->len);
    several->quota = view->quota;
    if (multi_loss_read(several, error) != LOSS_OK || multi_loss_plan(several, error) != LOSS_OK)
        return error->status;
    prepared->work = multi_loss_work(several);
    prepared->transport = multi_loss_transport_work(several);
    prepared->elements = multi_loss_elements(several);
    return LOSS_OK;
}

static enum loss_status decode_multi(struct prepared *prepared, int threads,
                                     struct response *response, struct loss_error *error)
{
    (void)response;
    return multi_loss_decode(&((struct multi *)prepared)->several, threads, error);
}

static enum loss_status run_multi(struct prepared *prepared, struct loss_error *error)
{
    return multi_loss_run(&((struct multi *)prepared)->several, error);
}

static void encode_multi(struct prepared *prepared, struct response *response)
{
    response->content_type = media_type_name(MEDIA_JSON);
    multi_loss_append_json(&((struct multi *)prepared)->several, &response->body);
}

static void free_multi(struct prepared *prepared)
{
    multi_loss_free(&((struct multi *)prepared)->several);
}

const struct handler v1_evaluate_many = {
    .errors = RESPONSE_PROBLEM,
    .size = sizeof(struct multi),
    .validate_head = validate_multi_head,
    .prepare = prepare_multi,
    .decode = decode_multi,
    .run = run_multi,
    .encode = encode_multi,
    .free = free_multi,
};
