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
    loss_fail(error, LOSS_NOT_FOUND, "no such version '%s' of %s; the only version is 1",
              json_quote(version, quote), loss->name);
    return NULL;
}

struct inference {
    struct prepared prepared;
    struct oip_output_selection selection;
    struct evaluation evaluation;
};

static enum loss_status validate_head(struct request_view *view, struct loss_error *error)
{
    view->descriptor = oip_model_find(view->loss, view->version, error);
    return view->descriptor ? LOSS_OK : error->status;
}

/* Returns true if a requested output is to be text. */
static bool has_text_output(const struct oip_output_selection *selection)
{
    bool text = false;
    for (int i = 0; i < selection->outputs; i++)
        text |= !selection->output[i].binary;
    return text;
}

static enum loss_status prepare(struct prepared *prepared, const struct request_view *view,
                                struct loss_error *error)
{
    struct inference *const inference = (struct inference *)prepared;
    struct evaluation *const e = &inference->evaluation;
    evaluation_init(e, view->descriptor, view->body, view->len);
    e->quota = view->quota;
    if (oip_request_read(e, view->inference_header, &inference->selection, error) != LOSS_OK ||
        evaluation_plan(e, error) != LOSS_OK)
        return error->status;
    prepared->work = e->plan.work;
    prepared->transport = evaluation_reading_work(e) +
                          evaluation_writing_work(e, has_text_output(&inference->selection));
    prepared->elements = e->plan.elements;
    return LOSS_OK;
}

static enum loss_status decode(struct prepared *prepared, int threads, struct response *response,
                               struct loss_error *error)
{
    struct inference *const inference = (struct inference *)prepared;
    inference->evaluation.threads = threads;
    oip_response_prepare(&inference->evaluation, &inference->selection, response);
    if (response->body.failed)
        return loss_fail(error, LOSS_UNAVAILABLE,
                         "insufficient memory for the response; retry later");
    return evaluation_decode(&inference->evaluation, error);
}

static enum loss_status run(struct prepared *prepared, struct loss_error *error)
{
    return evaluation_run(&((struct inference *)prepared)->evaluation, error);
}

static void encode(struct prepared *prepared, struct response *response)
{
    struct inference *const inference = (struct inference *)prepared;
    oip_response_finish(&inference->evaluation, &inference->selection, response);
}

static void free_inference(struct prepared *prepared)
{
    evaluation_free(&((struct inference *)prepared)->evaluation);
}

const struct handler oip_infer = {
    .errors = RESPONSE_OIP,
    .size = sizeof(struct inference),
    .validate_head = validate_head,
    .prepare = prepare,
    .decode = decode,
    .run = run,
    .encode = encode,
    .free = free_inference,
};
