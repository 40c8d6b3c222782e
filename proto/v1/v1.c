/* POST /v1/losses/{loss} and POST /v1/evaluate. */
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

/* The formats of request and response. */
struct formats {
    enum media_type in, out;
};

static enum loss_status check_head(const struct v1_request *request, struct formats *formats,
                                   struct loss_error *error)
{
    char quote[JSON_QUOTE];
    if (!loss_lookup(request->loss, loss_lookup_http_hint, error) ||
        media_type_parse(request->content_type, &formats->in, error) != LOSS_OK ||
        media_type_accept(request->accept,
                          formats->in == MEDIA_SAFETENSORS ? MEDIA_SAFETENSORS : MEDIA_JSON,
                          &formats->out, error) != LOSS_OK)
        return error->status;
    if (request->query && formats->in == MEDIA_JSON)
        return loss_fail(error, LOSS_MALFORMED,
                         "the query has '%s'; a JSON request has its fields in the body",
                         json_quote(request->query, quote));
    return LOSS_OK;
}

/* Starts reading a request that is not JSON, with its query. */
static enum loss_status read_query(const struct v1_request *v1, struct evaluation *e,
                                   struct fields *fields, struct loss_error *error)
{
    fields_begin(fields, e, error);
    return query_string_read(fields, v1->query);
}

bool v1_evaluate_possible(const struct v1_request *request, struct response *response)
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
        response_error(response, &error);
    return status == LOSS_OK;
}

static enum loss_status read_request(const struct v1_request *v1, enum media_type format,
                                     struct evaluation *e, struct loss_error *error)
{
    struct fields fields;
    if (format == MEDIA_JSON)
        return json_request_read(e, error);
    if (read_query(v1, e, &fields, error) != LOSS_OK)
        return error->status;
    return format == MEDIA_MULTIPART ? multipart_request_read(&fields, v1->content_type)
                                     : safetensors_request_read(&fields);
}

static enum loss_status evaluate(const struct v1_request *v1, const struct formats *formats,
                                 struct evaluation *e, struct response *response,
                                 struct loss_error *error)
{
    const bool binary = formats->out != MEDIA_JSON;
    if (read_request(v1, formats->in, e, error) != LOSS_OK || evaluation_plan(e, error) != LOSS_OK)
        return error->status;
    bool later = false;
    const size_t transport = evaluation_reading_work(e) + evaluation_writing_work(e, !binary);
    response->work = e->plan.work;
    if (work_limits_check(&v1->work, e->plan.work, transport, &later, error) != LOSS_OK)
        return error->status;
    if (later)
        return LOSS_OK; /* status 0: repeat on the executor */
    if (binary)
        safetensors_response_prepare(e, &response->body);
    if (!response->body.failed &&
        (evaluation_decode(e, error) != LOSS_OK || evaluation_run(e, error) != LOSS_OK))
        return error->status;
    const double computed = evaluation_clock();
    if (!binary) {
        json_response_append(e, &response->body);
        buffer_text(&response->body, "\n");
    } else if (!response->body.failed) {
        safetensors_response_finish(e, &response->body);
    }
    if (response->body.failed)
        return loss_fail(error, LOSS_UNAVAILABLE,
                         "insufficient memory for the response; retry later");
    response->status = response_status(LOSS_OK);
    response->content_type = media_type_name(formats->out);
    response->decode_ms = e->decode_ms;
    response->compute_ms = e->compute_ms;
    response->elements = e->plan.elements;
    response->encode_ms = evaluation_clock() - computed;
    return LOSS_OK;
}

void v1_evaluate(const struct v1_request *request, struct response *response)
{
    struct evaluation evaluation;
    struct formats formats;
    struct loss_error error;
    enum loss_status status = check_head(request, &formats, &error);
    if (status == LOSS_OK) {
        evaluation_init(&evaluation, loss_find(request->loss), request->body, request->len,
                        request->threads);
        evaluation.quota = request->quota;
        status = evaluate(request, &formats, &evaluation, response, &error);
        evaluation_free(&evaluation);
    }
    if (status != LOSS_OK)
        response_error(response, &error);
}

/* ---- Several losses ---- */

static enum loss_status check_many(const struct v1_request *request, struct loss_error *error)
{
    struct formats formats;
    char quote[JSON_QUOTE];
    if (media_type_parse(request->content_type, &formats.in, error) != LOSS_OK ||
        media_type_accept_json(request->accept, error) != LOSS_OK)
        return error->status;
    if (formats.in != MEDIA_JSON)
        return loss_fail(
            error, LOSS_UNSUPPORTED,
            "requests for several losses must be in %s, in which tensors may be base64, not in %s",
            media_type_name(MEDIA_JSON), media_type_name(formats.in));
    if (request->query)
        return loss_fail(error, LOSS_MALFORMED,
                         "the query has '%s'; a JSON request has its fields in the body",
                         json_quote(request->query, quote));
    return LOSS_OK;
}

bool v1_evaluate_many_possible(const struct v1_request *request, struct response *response)
{
    struct loss_error error;
    if (check_many(request, &error) == LOSS_OK)
        return true;
    response_error(response, &error);
    return false;
}

static enum loss_status evaluate_many(const struct v1_request *v1, struct multi_loss *m,
                                      struct response *response, struct loss_error *error)
{
    if (multi_loss_read(m, error) != LOSS_OK || multi_loss_plan(m, error) != LOSS_OK)
        return error->status;
    bool later = false;
    response->work = multi_loss_work(m);
    if (work_limits_check(&v1->work, response->work, multi_loss_transport_work(m), &later, error) !=
        LOSS_OK)
        return error->status;
    if (later)
        return LOSS_OK; /* status 0: repeat on the executor */
    if (multi_loss_decode(m, error) != LOSS_OK || multi_loss_run(m, error) != LOSS_OK)
        return error->status;
    const double computed = evaluation_clock();
    multi_loss_append_json(m, &response->body);
    if (response->body.failed)
        return loss_fail(error, LOSS_UNAVAILABLE,
                         "insufficient memory for the response; retry later");
    response->status = response_status(LOSS_OK);
    response->content_type = media_type_name(MEDIA_JSON);
    response->decode_ms = m->decode_ms;
    response->compute_ms = m->compute_ms;
    response->elements = multi_loss_elements(m);
    response->encode_ms = evaluation_clock() - computed;
    return LOSS_OK;
}

void v1_evaluate_many(const struct v1_request *request, struct response *response)
{
    struct multi_loss multi_loss;
    struct loss_error error;
    enum loss_status status = check_many(request, &error);
    if (status == LOSS_OK) {
        multi_loss_init(&multi_loss, request->body, request->len, request->threads);
        multi_loss.quota = request->quota;
        status = evaluate_many(request, &multi_loss, response, &error);
        multi_loss_free(&multi_loss);
    }
    if (status != LOSS_OK)
        response_error(response, &error);
}
