/* POST /v2/models/{loss}/infer: from the bytes of a request to the bytes of its answer. */
#include "evaluation/loss_lookup.h"
#include "oip/oip.h"
#include "oip/response.h"
#include "json/scanner.h"

#include <string.h>

const struct loss_descriptor *oip_find(const char *model, const char *version,
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

bool oip_infer_possible(const struct oip_request *request, struct reply *reply)
{
    struct loss_error error;
    reply->errors = REPLY_OIP;
    if (oip_find(request->model, request->version, &error))
        return true;
    reply_problem(reply, &error);
    return false;
}

/* Evaluates what has been planned. */
static enum loss_status answer(const struct oip_output_selection *selection, struct evaluation *e,
                               struct reply *reply, struct loss_error *error)
{
    oip_answer_prepare(e, selection, reply);
    if (!reply->body.failed &&
        (evaluation_decode(e, error) != LOSS_OK || evaluation_run(e, error) != LOSS_OK))
        return error->status;
    const double computed = evaluation_clock();
    if (!reply->body.failed)
        oip_answer_finish(e, selection, reply);
    if (reply->body.failed)
        return loss_fail(error, LOSS_UNAVAILABLE,
                         "there is not enough memory for the answer at the moment");
    reply->status = reply_status(LOSS_OK);
    reply->decode_ms = e->decode_ms;
    reply->compute_ms = e->compute_ms;
    reply->elements = e->plan.elements;
    reply->encode_ms = evaluation_clock() - computed;
    return LOSS_OK;
}

/* What reading the body and writing the answer cost: as text, if one output is to be text. */
static size_t transport_work(struct evaluation *e, const struct oip_output_selection *selection)
{
    bool text = false;
    for (int i = 0; i < selection->outputs; i++)
        text |= !selection->output[i].binary;
    return evaluation_reading_work(e) + evaluation_writing_work(e, text);
}

void oip_infer(const struct oip_request *request, struct reply *reply)
{
    struct evaluation evaluation;
    struct oip_output_selection selection;
    struct loss_error error;
    reply->errors = REPLY_OIP;
    const struct loss_descriptor *const loss = oip_find(request->model, request->version, &error);
    if (!loss) {
        reply_problem(reply, &error);
        return;
    }
    evaluation_init(&evaluation, loss, request->body, request->len, request->threads);
    evaluation.allowance = request->allowance;
    enum loss_status status = oip_read(&evaluation, request->header_length, &selection, &error);
    if (status == LOSS_OK)
        status = evaluation_plan(&evaluation, &error);
    bool later = false;
    reply->work = evaluation.plan.work;
    if (status == LOSS_OK)
        status = work_admit(&request->work, evaluation.plan.work,
                            transport_work(&evaluation, &selection), &later, &error);
    if (status == LOSS_OK && !later)
        status = answer(&selection, &evaluation, reply, &error);
    evaluation_free(&evaluation);
    if (status != LOSS_OK)
        reply_problem(reply, &error);
}
