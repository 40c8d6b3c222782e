/* POST /v1/losses/{loss}: from the bytes of a request to the bytes of its answer. */
#include "v1.h"
#include "json_text.h"
#include "media.h"
#include "pages.h"
#include "request_json.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

enum {
    ALIGNMENT = 64,     /* of every array in the arena: a cache line, and the widest vector */
    SMALL_ARENA = 4096, /* bytes that are taken from the stack */
    /* A few bytes of text can ask for a broadcast of any size. It may make this many loss terms, or so many for each byte of
       the body, whichever is more. Terms that are not broadcast are no more than the numbers that were sent. */
    BROADCAST_TERMS = 1 << 22,
    BROADCAST_TERMS_A_BYTE = 16,
};

/* One evaluation under way. */
struct evaluation {
    const struct v1_request *v1;
    struct request_json json;
    struct loss_plan plan;
    struct loss_result result;
    void *small;       /* SMALL_ARENA bytes */
    void *arena;       /* owned: all operands and outputs where they do not fit into those; else NULL */
    size_t arena_size; /* bytes of it */
};

static double milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

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

/* ---- memory --------------------------------------------------------------------------------------------------------- */

/* Calls visit for each array that the plan needs a buffer for. */
static bool each_buffer(struct evaluation *e, bool (*visit)(struct loss_tensor *tensor, void *context), void *context)
{
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if ((e->plan.present[k] && !visit(&e->plan.tensor[k], context)) ||
            ((e->plan.grad_mask >> k & 1) && !visit(&e->plan.grad[k], context)) ||
            ((e->plan.hess_mask >> k & 1) && !visit(&e->plan.hess[k], context)))
            return false;
    return (!e->plan.has_grad_output || visit(&e->plan.grad_output, context)) &&
           (!e->plan.has_sample_weight || visit(&e->plan.sample_weight, context)) &&
           (e->plan.reduction != LOSS_NONE || visit(&e->plan.output, context));
}

static bool add_size(struct loss_tensor *tensor, void *context)
{
    size_t *total = context;
    size_t padded;
    return !__builtin_add_overflow(loss_tensor_bytes(tensor), ALIGNMENT - 1, &padded) &&
           !__builtin_add_overflow(*total, padded / ALIGNMENT * ALIGNMENT, total);
}

static bool set_place(struct loss_tensor *tensor, void *context)
{
    char **next = context;
    tensor->data = *next;
    *next += (loss_tensor_bytes(tensor) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return true;
}

static enum loss_status allocate(struct evaluation *e, struct loss_error *error)
{
    size_t total = ALIGNMENT; /* for the first array to begin where it should */
    const bool possible = each_buffer(e, add_size, &total), small = possible && total <= SMALL_ARENA;
    if (possible && !small)
        e->arena = pages_resize(NULL, 0, total);
    if (!small && !e->arena)
        return loss_fail(error, LOSS_UNAVAILABLE, "there is not enough memory for this request at the moment");
    e->arena_size = total;
    char *next = small ? e->small : e->arena;
    next += -(uintptr_t)next % ALIGNMENT;
    each_buffer(e, set_place, &next);
    return LOSS_OK;
}

/* ---- evaluating ----------------------------------------------------------------------------------------------------- */

static enum loss_status check_size(const struct loss_plan *plan, size_t len, struct loss_error *error)
{
    const size_t terms = loss_tensor_elements(&plan->terms);
    const size_t most = len > BROADCAST_TERMS / BROADCAST_TERMS_A_BYTE ? len * BROADCAST_TERMS_A_BYTE : BROADCAST_TERMS;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (terms <= most || (plan->present[k] && loss_tensor_elements(&plan->tensor[k]) >= terms))
            return LOSS_OK;
    return loss_fail(error, LOSS_INVALID, "broadcasting makes %zu loss terms of this request; the most is %zu", terms, most);
}

static const char *field_path(const struct loss_descriptor *loss, int k, char *path)
{
    path[0] = '\0';
    json_pointer_add(path, 64, loss->tensors[k].name);
    return path;
}

static enum loss_status decode_one(const struct evaluation *e, const struct found_tensor *found,
                                   const struct loss_tensor *tensor, const char *path, struct loss_error *error)
{
    return tensor_json_decode(&found->json, tensor->dtype, tensor->data, e->v1->body, path, e->v1->threads, error);
}

static enum loss_status decode(const struct evaluation *e, struct loss_error *error)
{
    const struct loss_plan *plan = &e->plan;
    char path[64];
    enum loss_status status = LOSS_OK;
    for (int k = 0; k < LOSS_MAX_TENSORS && status == LOSS_OK; k++)
        if (plan->present[k])
            status = decode_one(e, &e->json.tensor[k], &plan->tensor[k], field_path(plan->loss, k, path), error);
    if (status == LOSS_OK && plan->has_grad_output)
        status = decode_one(e, &e->json.grad_output, &plan->grad_output, "/grad_output", error);
    if (status == LOSS_OK && plan->has_sample_weight)
        status = decode_one(e, &e->json.sample_weight, &plan->sample_weight, "/sample_weight", error);
    return status;
}

static enum loss_status run(struct evaluation *e, struct loss_error *error)
{
    char path[64];
    const enum loss_status status = loss_run(&e->plan, e->v1->threads, &e->result, error);
    /* The library names the element by its indices; the client may have written it otherwise. */
    if (status == LOSS_INVALID && error->element >= 0)
        tensor_json_point(&e->json.tensor[error->tensor].json, field_path(e->plan.loss, error->tensor, path),
                          (size_t)error->element, error);
    return status;
}

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
        tensor_json_encode(out, &derivative[k], e->json.encoding, e->v1->threads);
    }
    buffer_text(out, mask ? "}" : "");
}

static void encode(const struct evaluation *e, struct buffer *out)
{
    const struct loss_plan *plan = &e->plan;
    buffer_text(out, "{\"loss\":");
    if (plan->reduction == LOSS_NONE)
        tensor_json_encode(out, &plan->output, plan->output.rank == 0 ? FORM_NESTED : e->json.encoding, e->v1->threads);
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

static enum loss_status evaluate(struct evaluation *e, struct reply *reply, struct loss_error *error)
{
    const double start = milliseconds();
    if (check_head(e->v1, error) != LOSS_OK ||
        request_json_read(&e->json, v1_find(e->v1->loss, error), e->v1->body, e->v1->len, error) != LOSS_OK ||
        loss_plan(&e->plan, &e->json.request, error) != LOSS_OK || check_size(&e->plan, e->v1->len, error) != LOSS_OK)
        return error->status;
    if (e->v1->most_work > 0 && e->plan.work > e->v1->most_work)
        return LOSS_OK; /* and no reply */
    if (allocate(e, error) != LOSS_OK || decode(e, error) != LOSS_OK)
        return error->status;
    const double decoded = milliseconds();
    if (run(e, error) != LOSS_OK)
        return error->status;
    const double computed = milliseconds();
    encode(e, &reply->body);
    if (reply->body.failed)
        return loss_fail(error, LOSS_UNAVAILABLE, "there is not enough memory for the answer at the moment");
    reply->status = reply_status(LOSS_OK);
    reply->content_type = "application/json";
    reply->decode_ms = decoded - start;
    reply->compute_ms = computed - decoded;
    reply->encode_ms = milliseconds() - computed;
    return LOSS_OK;
}

void v1_evaluate(const struct v1_request *request, struct reply *reply)
{
    char small[SMALL_ARENA];
    struct evaluation evaluation = {.v1 = request, .small = small};
    struct loss_error error;
    if (evaluate(&evaluation, reply, &error) != LOSS_OK)
        reply_problem(reply, &error);
    pages_free(evaluation.arena, evaluation.arena_size);
}
