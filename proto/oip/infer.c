/* POST /v2/models/{loss}/infer. */
#include "evaluation/loss_lookup.h"
#include "oip/oip.h"
#include "oip/response.h"
#include "json/scanner.h"

#include <string.h>

const struct loss_descriptor *oip_model_find(const char *model, const char *version,
                                             struct loss_error *error)
{
    char quote[JSON_QUOTE];
    const struct loss_descriptor *const loss = loss_lookup(model, loss_lookup_http_hint, error);
    if (!loss || !version || strcmp(version, "1") == 0)
        return loss;
    loss_fail(error, LOSS_NOT_FOUND, "there is no version '%s' of %s; there is version 1",
              json_quote(version, quote), loss->name);
    return NULL;
}

bool oip_infer_possible(const struct oip_request *request, struct response *response)
{
    struct loss_error error;
    response->errors = RESPONSE_OIP;
    if (oip_model_find(request->model, request->version, &error))
        return true;
    response_error(response, &error);
    return false;
}

/* Runs a planned evaluation and fills the response. */
static enum loss_status answer(const struct oip_output_selection *selection, struct evaluation *e,
                               struct response *response, struct loss_error *error)
{
    oip_response_prepare(e, selection, response);
    if (!response->body.failed &&
        (evaluation_decode(e, error) != LOSS_OK || evaluation_run(e, error) != LOSS_OK))
        return error->status;
    const double computed = evaluation_clock();
    if (!response->body.failed)
        oip_response_finish(e, selection, response);
    if (response->body.failed)
        return loss_fail(error, LOSS_UNAVAILABLE,
                         "insufficient memory for the response; retry later");
    response->status = response_status(LOSS_OK);
    response->decode_ms = e->decode_ms;
    response->compute_ms = e->compute_ms;
    response->elements = e->plan.elements;
    response->encode_ms = evaluation_clock() - computed;
    return LOSS_OK;
}

/* Returns the cost of reading the body and writing the response: as text, if one output is text. */
static size_t transport_work(struct evaluation *e, const struct oip_output_selection *selection)
{
    bool text = false;
    for (int i = 0; i < selection->outputs; i++)
        text |= !selection->output[i].binary;
    return evaluation_reading_work(e) + evaluation_writing_work(e, text);
}

void oip_infer(const struct oip_request *request, struct response *response)
{
    struct evaluation evaluation;
    struct oip_output_selection selection;
    struct loss_error error;
    response->errors = RESPONSE_OIP;
    const struct loss_descriptor *const loss =
        oip_model_find(request->model, request->version, &error);
    if (!loss) {
        response_error(response, &error);
        return;
    }
    evaluation_init(&evaluation, loss, request->body, request->len, request->threads);
    evaluation.quota = request->quota;
    enum loss_status status =
        oip_request_read(&evaluation, request->header_length, &selection, &error);
    if (status == LOSS_OK)
        status = evaluation_plan(&evaluation, &error);
    bool later = false;
    response->work = evaluation.plan.work;
    if (status == LOSS_OK)
        status = work_limits_check(&request->work, evaluation.plan.work,
                                   transport_work(&evaluation, &selection), &later, &error);
    if (status == LOSS_OK && !later)
        status = answer(&selection, &evaluation, response, &error);
    evaluation_free(&evaluation);
    if (status != LOSS_OK)
        response_error(response, &error);
}
