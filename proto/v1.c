/* POST /v1/losses/{loss}: from the bytes of a request to the bytes of its answer. */
#include "v1.h"
#include "json_text.h"
#include "media.h"
#include "request_json.h"

const struct loss_descriptor *v1_find(const char *name, struct loss_error *error)
{
    char quote[JSON_QUOTE];
    const struct loss_descriptor *loss = loss_find(name);
    if (loss)
        return loss;
    struct loss_nearest search = {.name = name};
    for (size_t i = 0; i < loss_count(); i++) {
        loss_nearest_try(&search, loss_at(i)->name);
        for (int k = 0; k < LOSS_MAX_ALIASES && loss_at(i)->aliases[k]; k++)
            loss_nearest_try(&search, loss_at(i)->aliases[k]);
    }
    loss_fail(error, LOSS_NOT_FOUND, "there is no loss '%s'%s%s%s; GET /v1/losses lists them", json_quote(name, quote),
              search.best ? "; did you mean '" : "", search.best ? search.best : "", search.best ? "'?" : "");
    return NULL;
}

static enum loss_status check_head(const struct v1_request *request, struct loss_error *error)
{
    char quote[JSON_QUOTE];
    if (!v1_find(request->loss, error) || media_check_content(request->content_type, error) != LOSS_OK ||
        media_check_accept(request->accept, error) != LOSS_OK)
        return error->status;
    if (request->query)
        return loss_fail(error, LOSS_MALFORMED, "the query has '%s'; a JSON request has its fields in the body",
                         json_quote(request->query, quote));
    return LOSS_OK;
}

bool v1_evaluate_possible(const struct v1_request *request, struct reply *reply)
{
    struct loss_error error;
    if (check_head(request, &error) == LOSS_OK)
        return true;
    reply_problem(reply, &error);
    return false;
}

/* ---- answering ------------------------------------------------------------------------------------------------------- */

/* What buffer_printf would do, several times as fast: it counts in a small answer. */
static void append_texts(struct buffer *out, const char *first, const char *second, const char *third)
{
    buffer_text(out, first);
    buffer_text(out, second);
    buffer_text(out, third);
}

/* Writes the derivatives in `mask` as a field. */
static void encode_derivatives(const struct evaluation *e, const char *field, uint32_t mask,
                               const struct loss_tensor derivative[], struct buffer *out)
{
    for (int k = 0, written = 0; k < LOSS_MAX_TENSORS; k++) {
        if (!(mask >> k & 1))
            continue;
        if (written++ == 0)
            append_texts(out, ",\"", field, "\":{\"");
        else
            buffer_text(out, ",\"");
        append_texts(out, e->plan.loss->tensors[k].name, "\":", "");
        tensor_json_encode(out, &derivative[k], e->encoding, e->threads);
    }
    buffer_text(out, mask ? "}" : "");
}

static void encode(const struct evaluation *e, struct buffer *out)
{
    const struct loss_plan *plan = &e->plan;
    buffer_text(out, "{\"loss\":");
    if (plan->reduction == LOSS_NONE)
        tensor_json_encode(out, &plan->output, plan->output.rank == 0 ? FORM_NESTED : e->encoding, e->threads);
    else
        json_append_number(out, e->result.loss);
    append_texts(out, ",\"reduction\":\"", loss_reduction_name(plan->reduction), "\",\"dtype\":\"");
    buffer_text(out, loss_dtype_name(plan->dtype));
    buffer_printf(out, "\",\"count\":%zu", e->result.count);
    if (e->result.nonfinite > 0)
        buffer_printf(out, ",\"nonfinite\":%zu", e->result.nonfinite);
    for (int i = 0; i < LOSS_MAX_WARNINGS && plan->warning[i]; i++) {
        buffer_text(out, i == 0 ? ",\"warnings\":[" : ",");
        json_append_string(out, plan->warning[i]);
    }
    buffer_text(out, plan->warning[0] ? "]" : "");
    encode_derivatives(e, "grad", plan->grad_mask, plan->grad, out);
    encode_derivatives(e, "hess", plan->hess_mask, plan->hess, out);
    buffer_text(out, "}\n");
}

static enum loss_status evaluate(const struct v1_request *v1, struct evaluation *e, struct reply *reply,
                                 struct loss_error *error)
{
    if (request_json_read(e, error) != LOSS_OK || evaluation_plan(e, error) != LOSS_OK)
        return error->status;
    if (v1->most_work > 0 && e->plan.work > v1->most_work)
        return LOSS_OK; /* and no reply */
    if (evaluation_decode(e, error) != LOSS_OK || evaluation_run(e, error) != LOSS_OK)
        return error->status;
    const double computed = evaluation_clock();
    encode(e, &reply->body);
    if (reply->body.failed)
        return loss_fail(error, LOSS_UNAVAILABLE, "there is not enough memory for the answer at the moment");
    reply->status = reply_status(LOSS_OK);
    reply->content_type = "application/json";
    reply->decode_ms = e->decode_ms;
    reply->compute_ms = e->compute_ms;
    reply->encode_ms = evaluation_clock() - computed;
    return LOSS_OK;
}

void v1_evaluate(const struct v1_request *request, struct reply *reply)
{
    struct evaluation evaluation;
    struct loss_error error;
    enum loss_status status = check_head(request, &error);
    if (status == LOSS_OK) {
        evaluation_init(&evaluation, v1_find(request->loss, &error), request->body, request->len, request->threads);
        status = evaluate(request, &evaluation, reply, &error);
        evaluation_free(&evaluation);
    }
    if (status != LOSS_OK)
        reply_problem(reply, &error);
}
