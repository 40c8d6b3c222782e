/* POST /v1/losses/{loss}, and /v1/evaluate for several of them: from the bytes of a request to the
 * bytes of its answer. */
#include "v1/v1.h"
#include "content/media_type.h"
#include "evaluation/json_request.h"
#include "evaluation/json_response.h"
#include "evaluation/loss_lookup.h"
#include "evaluation/multi_loss.h"
#include "evaluation/multipart_request.h"
#include "evaluation/query_string.h"
#include "evaluation/safetensors_request.h"
#include "evaluation/safetensors_response.h"
#include "json/scanner.h"

/* What the head of a request says of the formats. */
struct formats {
    enum media in, out;
};

static enum loss_status check_head(const struct v1_request *request, struct formats *formats,
                                   struct loss_error *error)
{
    char quote[JSON_QUOTE];
    if (!loss_lookup(request->loss, loss_lookup_http_hint, error) ||
        media_content(request->content_type, &formats->in, error) != LOSS_OK ||
        media_accept(request->accept,
                     formats->in == MEDIA_SAFETENSORS ? MEDIA_SAFETENSORS : MEDIA_JSON,
                     &formats->out, error) != LOSS_OK)
        return error->status;
    if (request->query && formats->in == MEDIA_JSON)
        return loss_fail(error, LOSS_MALFORMED,
                         "the query has '%s'; a JSON request has its fields in the body",
                         json_quote(request->query, quote));
    return LOSS_OK;
}

/* Starts reading a request that is not in JSON: what its query has. */
static enum loss_status read_query(const struct v1_request *v1, struct evaluation *e,
                                   struct fields *fields, struct loss_error *error)
{
    fields_begin(fields, e, error);
    return query_string_read(fields, v1->query);
}

bool v1_evaluate_possible(const struct v1_request *request, struct reply *reply)
{
    struct evaluation evaluation;
    struct fields fields;
    struct formats formats;
    struct loss_error error;
    enum loss_status status = check_head(request, &formats, &error);
    if (status == LOSS_OK && request->query) {
        evaluation_init(&evaluation, loss_find(request->loss), "", 0, 1);
        status = read_query(request, &evaluation, &fields, &error);
    }
    if (status != LOSS_OK)
        reply_problem(reply, &error);
    return status == LOSS_OK;
}

static enum loss_status read_request(const struct v1_request *v1, enum media format,
                                     struct evaluation *e, struct loss_error *error)
{
    struct fields fields;
    if (format == MEDIA_JSON)
        return json_request_read(e, error);
    if (read_query(v1, e, &fields, error) != LOSS_OK)
        return error->status;
    return format == MEDIA_FORM ? multipart_request_read(&fields, v1->content_type)
                                : safetensors_request_read(&fields);
}

static enum loss_status evaluate(const struct v1_request *v1, const struct formats *formats,
                                 struct evaluation *e, struct reply *reply,
                                 struct loss_error *error)
{
    const bool binary = formats->out != MEDIA_JSON;
    if (read_request(v1, formats->in, e, error) != LOSS_OK || evaluation_plan(e, error) != LOSS_OK)
        return error->status;
    bool later = false;
    const size_t transport = evaluation_reading_work(e) + evaluation_writing_work(e, !binary);
    reply->work = e->plan.work;
    if (work_admit(&v1->work, e->plan.work, transport, &later, error) != LOSS_OK)
        return error->status;
    if (later)
        return LOSS_OK; /* and no reply */
    if (binary)
        safetensors_response_prepare(e, &reply->body);
    if (!reply->body.failed &&
        (evaluation_decode(e, error) != LOSS_OK || evaluation_run(e, error) != LOSS_OK))
        return error->status;
    const double computed = evaluation_clock();
    if (!binary) {
        answer_json(e, &reply->body);
        buffer_text(&reply->body, "\n");
    } else if (!reply->body.failed) {
        safetensors_response_finish(e, &reply->body);
    }
    if (reply->body.failed)
        return loss_fail(error, LOSS_UNAVAILABLE,
                         "there is not enough memory for the answer at the moment");
    reply->status = reply_status(LOSS_OK);
    reply->content_type = media_name(formats->out);
    reply->decode_ms = e->decode_ms;
    reply->compute_ms = e->compute_ms;
    reply->elements = e->plan.elements;
    reply->encode_ms = evaluation_clock() - computed;
    return LOSS_OK;
}

void v1_evaluate(const struct v1_request *request, struct reply *reply)
{
    struct evaluation evaluation;
    struct formats formats;
    struct loss_error error;
    enum loss_status status = check_head(request, &formats, &error);
    if (status == LOSS_OK) {
        evaluation_init(&evaluation, loss_find(request->loss), request->body, request->len,
                        request->threads);
        evaluation.allowance = request->allowance;
        status = evaluate(request, &formats, &evaluation, reply, &error);
        evaluation_free(&evaluation);
    }
    if (status != LOSS_OK)
        reply_problem(reply, &error);
}

/* ---- several losses ---- */

static enum loss_status check_several(const struct v1_request *request, struct loss_error *error)
{
    struct formats formats;
    char quote[JSON_QUOTE];
    if (media_content(request->content_type, &formats.in, error) != LOSS_OK ||
        media_accept_json(request->accept, error) != LOSS_OK)
        return error->status;
    if (formats.in != MEDIA_JSON)
        return loss_fail(
            error, LOSS_UNSUPPORTED,
            "several losses are asked for in %s, in which tensors may be base64, and not in %s",
            media_name(MEDIA_JSON), media_name(formats.in));
    if (request->query)
        return loss_fail(error, LOSS_MALFORMED,
                         "the query has '%s'; a JSON request has its fields in the body",
                         json_quote(request->query, quote));
    return LOSS_OK;
}

bool v1_several_possible(const struct v1_request *request, struct reply *reply)
{
    struct loss_error error;
    if (check_several(request, &error) == LOSS_OK)
        return true;
    reply_problem(reply, &error);
    return false;
}

static enum loss_status evaluate_several(const struct v1_request *v1, struct several *several,
                                         struct reply *reply, struct loss_error *error)
{
    if (several_read(several, error) != LOSS_OK || several_plan(several, error) != LOSS_OK)
        return error->status;
    bool later = false;
    reply->work = several_work(several);
    if (work_admit(&v1->work, reply->work, several_transport_work(several), &later, error) !=
        LOSS_OK)
        return error->status;
    if (later)
        return LOSS_OK; /* and no reply */
    if (several_decode(several, error) != LOSS_OK || several_run(several, error) != LOSS_OK)
        return error->status;
    const double computed = evaluation_clock();
    several_answer(several, &reply->body);
    if (reply->body.failed)
        return loss_fail(error, LOSS_UNAVAILABLE,
                         "there is not enough memory for the answer at the moment");
    reply->status = reply_status(LOSS_OK);
    reply->content_type = media_name(MEDIA_JSON);
    reply->decode_ms = several->decode_ms;
    reply->compute_ms = several->compute_ms;
    reply->elements = several_elements(several);
    reply->encode_ms = evaluation_clock() - computed;
    return LOSS_OK;
}

void v1_several(const struct v1_request *request, struct reply *reply)
{
    struct several several;
    struct loss_error error;
    enum loss_status status = check_several(request, &error);
    if (status == LOSS_OK) {
        several_init(&several, request->body, request->len, request->threads);
        several.allowance = request->allowance;
        status = evaluate_several(request, &several, reply, &error);
        several_free(&several);
    }
    if (status != LOSS_OK)
        reply_problem(reply, &error);
}
