#include "local.h"
#include "content/response.h"
#include "evaluation/json_response.h"
#include "evaluation/loss_lookup.h"
#include "evaluation/multi_loss.h"
#include "evaluation/query_string.h"
#include "v1/v1.h"
#include "worker.h"

#include <fenv.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct call {
    struct local_call shown; /* first */
    bool several;            /* `multi_loss` is used, else `evaluation` */
    union {
        struct evaluation evaluation;
        struct multi_loss multi_loss;
    };
    struct attached_tensors attached;
    struct loss_tensor *tensor; /* owned */
    struct quota quota;
    bool cancel;
    int threads;
    bool failed;
    struct worker_job job;
};

static struct call *call_of(struct local_call *shown)
{
    return (struct call *)shown;
}

static struct evaluation *evaluation_at(struct call *call, size_t i)
{
    return call->several ? &call->multi_loss.entry[i]->evaluation : &call->evaluation;
}

/* ---- Errors ---- */

/* Copies an error. Byte offsets in the text of a request mean nothing to the caller, who passed
   none, so they are removed from messages. */
static void export_error(const struct loss_error *error, struct local_error *out)
{
    out->status = response_status(error->status);
    snprintf(out->message, sizeof out->message, "%s", error->message);
    snprintf(out->pointer, sizeof out->pointer, "%s", error->path);
    char *const last = error->offset < 0 ? NULL : strrchr(out->message, '(');
    if (last && last > out->message && strncmp(last, "(byte ", strlen("(byte ")) == 0)
        last[-1] = '\0';
}

/* ---- Limits ---- */

static bool reserve(struct quota *quota, size_t bytes)
{
    (void)quota, (void)bytes;
    return true;
}

static void release(struct quota *quota, size_t bytes)
{
    (void)quota, (void)bytes;
}

/* ---- Tensors ---- */

static bool is_contiguous(const struct loss_tensor *tensor)
{
    ptrdiff_t expected = 1;
    bool contiguous = true;
    for (int axis = tensor->rank - 1; axis >= 0; axis--) {
        const size_t size = tensor->shape[axis];
        if (size == 0)
            return true;
        contiguous &= size == 1 || tensor->stride[axis] == expected;
        expected = (ptrdiff_t)((size_t)expected * size);
    }
    return contiguous;
}

/* Reads the tensor described at `numbers`. Returns the number of integers that describe it; 0 if it
   has too many dimensions. */
static size_t import_tensor(const int64_t *numbers, struct loss_tensor *out)
{
    enum { ADDRESS, DTYPE, RANK, SHAPE };
    static const char nothing = 0;
    const size_t rank = (size_t)numbers[RANK];
    if (rank > LOSS_MAX_RANK)
        return 0;
    *out = (struct loss_tensor){.data = (void *)(intptr_t)numbers[ADDRESS],
                                .dtype = (enum loss_dtype)numbers[DTYPE],
                                .rank = (int)rank};
    if (!out->data) /* of an empty array */
        out->data = (void *)(uintptr_t)&nothing;
    const int64_t size = (int64_t)loss_dtype_size(out->dtype);
    for (size_t axis = 0; axis < rank; axis++) {
        out->shape[axis] = (size_t)numbers[SHAPE + axis];
        out->stride[axis] = (ptrdiff_t)(numbers[SHAPE + rank + axis] / size);
    }
    out->strided = !is_contiguous(out);
    return SHAPE + 2 * rank;
}

static enum loss_status import_operands(struct call *call, const struct local_operands *operands,
                                        struct loss_error *error)
{
    const int64_t *numbers = operands->numbers;
    const char *name = operands->names;
    char path[64];
    for (size_t i = 0; i < operands->count; i++) {
        const size_t read = import_tensor(numbers, &call->tensor[i]);
        snprintf(path, sizeof path, "/%s", name);
        if (read == 0)
            return loss_fail_at(error, LOSS_MALFORMED, path, "%s: shape has more than %d numbers",
                                name, LOSS_MAX_RANK);
        numbers += read;
        name += strlen(name) + 1;
    }
    return LOSS_OK;
}

/* ---- Planning ---- */

/* Makes the attached tensors those of the request. `name` is the first of their names. */
static enum loss_status read_tensors(struct call *call, struct fields *fields, const char *name)
{
    struct evaluation *const e = &call->evaluation;
    fields->json.body = NULL; /* errors have no offsets */
    for (size_t i = 0; i < call->attached.count; i++, name += strlen(name) + 1) {
        object_reader_set_key(&fields->json, name);
        const int k = fields_find(e->request.loss, name);
        if (k < 0 || k >= EVALUATION_TENSORS)
            return fields_unknown(fields, "tensor");
        evaluation_attach(&e->tensor[k], &call->tensor[i], FORM_NESTED);
        *evaluation_place(e, k) = &e->tensor[k].tensor;
    }
    return LOSS_OK;
}

static enum loss_status plan_one(struct call *call, const char *loss, const char *query,
                                 const struct local_operands *operands, struct loss_error *error)
{
    struct evaluation *const e = &call->evaluation;
    struct fields fields;
    evaluation_init(e, loss_lookup(loss, loss_lookup_http_hint, error), "", 0);
    if (!e->request.loss)
        return error->status;
    e->attached = &call->attached;
    e->quota = &call->quota;
    fields_begin(&fields, e, error);
    if (query_string_read(&fields, query) != LOSS_OK ||
        import_operands(call, operands, error) != LOSS_OK ||
        read_tensors(call, &fields, operands->names) != LOSS_OK ||
        evaluation_plan(e, error) != LOSS_OK)
        return error->status;
    call->shown.losses = 1;
    call->shown.work = e->plan.work;
    return LOSS_OK;
}

static enum loss_status plan_several(struct call *call, const char *body, size_t len,
                                     const struct local_operands *operands,
                                     struct loss_error *error)
{
    struct multi_loss *const s = &call->multi_loss;
    call->several = true;
    multi_loss_init(s, body, len);
    s->attached = &call->attached;
    s->quota = &call->quota;
    if (import_operands(call, operands, error) != LOSS_OK || multi_loss_read(s, error) != LOSS_OK ||
        multi_loss_plan(s, error) != LOSS_OK)
        return error->status;
    call->shown.losses = s->count;
    call->shown.work = multi_loss_work(s);
    return LOSS_OK;
}

/* ---- Outputs ---- */

static void add_output(struct call *call, size_t loss, enum local_output_kind kind,
                       const char *name, const struct loss_tensor *tensor)
{
    struct local_output *const output = &call->shown.output[call->shown.outputs++];
    *output = (struct local_output){.name = name,
                                    .loss = (int32_t)loss,
                                    .kind = (int32_t)kind,
                                    .dtype = (int32_t)tensor->dtype,
                                    .rank = tensor->rank};
    for (int axis = 0; axis < tensor->rank; axis++)
        output->shape[axis] = (int64_t)tensor->shape[axis];
}

static void add_derivatives(struct call *call, size_t i, enum local_output_kind kind, uint32_t mask,
                            const struct loss_tensor derivative[])
{
    const struct loss_plan *const plan = &evaluation_at(call, i)->plan;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (mask >> k & 1)
            add_output(call, i, kind, plan->loss->tensors[k].name, &derivative[k]);
}

/* Returns the tensor of the plan that an output becomes. */
static struct loss_tensor *place_of(struct call *call, const struct local_output *output)
{
    struct loss_plan *const plan = &evaluation_at(call, (size_t)output->loss)->plan;
    if (output->kind == LOCAL_TERMS)
        return &plan->output;
    const int k = loss_tensor_find(plan->loss, output->name);
    return output->kind == LOCAL_GRAD ? &plan->grad[k] : &plan->hess[k];
}

/* Describes what the call will write. */
static enum loss_status describe_outputs(struct call *call, struct loss_error *error)
{
    struct local_call *const shown = &call->shown;
    enum { MOST = 1 + 2 * LOSS_MAX_TENSORS }; /* outputs of a loss */
    shown->output = malloc(shown->losses * MOST * sizeof *shown->output);
    shown->result = calloc(shown->losses, sizeof *shown->result);
    if (!shown->output || !shown->result)
        return quota_insufficient(error);
    for (size_t i = 0; i < shown->losses; i++) {
        const struct loss_plan *const plan = &evaluation_at(call, i)->plan;
        if (plan->reduction == LOSS_NONE)
            add_output(call, i, LOCAL_TERMS, "", &plan->output);
        add_derivatives(call, i, LOCAL_GRAD, plan->grad_mask, plan->grad);
        add_derivatives(call, i, LOCAL_HESS, plan->hess_mask, plan->hess);
    }
    return LOSS_OK;
}

/* ---- Calls ---- */

static void free_call(struct call *call)
{
    if (call->several)
        multi_loss_free(&call->multi_loss);
    else
        evaluation_free(&call->evaluation);
    for (size_t i = 0; call->shown.result && i < call->shown.losses; i++)
        free(call->shown.result[i].facts);
    free(call->shown.result);
    free(call->shown.output);
    free(call->tensor);
    free(call);
}

static struct call *new_call(size_t tensors)
{
    struct call *const call = malloc(sizeof *call);
    struct loss_tensor *const tensor = malloc((tensors + !tensors) * sizeof *tensor);
    if (!call || !tensor) {
        free(call);
        free(tensor);
        return NULL;
    }
    /* The union, which is large, stays uninitialized. */
    memset(&call->shown, 0, sizeof call->shown);
    memset(&call->job, 0, sizeof call->job);
    call->several = call->cancel = call->failed = false;
    call->threads = 1;
    call->tensor = tensor;
    call->attached = (struct attached_tensors){tensor, tensors};
    call->quota = (struct quota){.reserve = reserve, .release = release, .cancel = &call->cancel};
    return call;
}

/* Plans with plan_several() if `loss` is NULL. The calling thread may round in any direction. */
static struct local_call *plan(const char *loss, const char *text, size_t len,
                               const struct local_operands *operands, struct local_error *out)
{
    struct loss_error error;
    fenv_t environment;
    struct call *const call = new_call(operands->count);
    if (!call) {
        quota_insufficient(&error);
        export_error(&error, out);
        return NULL;
    }
    fegetenv(&environment);
    fesetenv(FE_DFL_ENV);
    enum loss_status status = loss ? plan_one(call, loss, text, operands, &error)
                                   : plan_several(call, text, len, operands, &error);
    if (status == LOSS_OK)
        status = describe_outputs(call, &error);
    fesetenv(&environment);
    if (status == LOSS_OK)
        return &call->shown;
    export_error(&error, out);
    free_call(call);
    return NULL;
}

struct local_call *lossd_local_plan(const char *loss, const char *query,
                                    const struct local_operands *operands,
                                    struct local_error *error)
{
    return plan(loss, query, 0, operands, error);
}

struct local_call *lossd_local_plan_several(const char *body, size_t len,
                                            const struct local_operands *operands,
                                            struct local_error *error)
{
    return plan(NULL, body, len, operands, error);
}

void lossd_local_free(struct local_call *shown)
{
    struct call *const call = call_of(shown);
    __atomic_store_n(&call->cancel, true, __ATOMIC_RELAXED);
    worker_wait(&call->job, -1);
    free_call(call);
}

/* ---- Running ---- */

static enum loss_status evaluate(struct call *call, struct loss_error *error)
{
    if (call->several)
        return multi_loss_decode(&call->multi_loss, call->threads, error) == LOSS_OK
                   ? multi_loss_run(&call->multi_loss, error)
                   : error->status;
    call->evaluation.threads = call->threads;
    return evaluation_decode(&call->evaluation, error) == LOSS_OK
               ? evaluation_run(&call->evaluation, error)
               : error->status;
}

static enum loss_status export_results(struct call *call, struct loss_error *error)
{
    for (size_t i = 0; i < call->shown.losses; i++) {
        const struct evaluation *const e = evaluation_at(call, i);
        struct buffer facts = {0};
        buffer_text(&facts, "{");
        json_response_append_facts(e, &facts);
        buffer_append(&facts, "}", 2); /* and the NUL */
        call->shown.result[i] = (struct local_result){e->result.loss, facts.data};
        if (facts.failed)
            return quota_insufficient(error);
    }
    return LOSS_OK;
}

static void run(void *context)
{
    struct call *const call = context;
    static char nothing; /* the memory of an empty array */
    struct loss_error error;
    const double started = evaluation_clock();
    for (size_t i = 0; i < call->shown.outputs; i++) {
        void *const data = call->shown.output[i].data;
        place_of(call, &call->shown.output[i])->data = data ? data : &nothing;
    }
    call->failed = evaluate(call, &error) != LOSS_OK || export_results(call, &error) != LOSS_OK;
    if (call->failed)
        export_error(&error, &call->shown.error);
    call->shown.milliseconds = evaluation_clock() - started;
}

static enum local_state state(const struct call *call)
{
    return call->failed ? LOCAL_FAILED : LOCAL_SUCCEEDED;
}

enum local_state lossd_local_run(struct local_call *shown)
{
    struct call *const call = call_of(shown);
    fenv_t environment;
    fegetenv(&environment);
    fesetenv(FE_DFL_ENV);
    run(call);
    fesetenv(&environment);
    return state(call);
}

enum local_state lossd_local_start(struct local_call *shown, int threads, int milliseconds)
{
    struct call *const call = call_of(shown);
    struct loss_error error;
    call->threads = threads;
    call->job.run = run;
    call->job.context = call;
    if (worker_start(&call->job))
        return lossd_local_wait(shown, milliseconds);
    call->failed = true;
    loss_fail(&error, LOSS_UNAVAILABLE, "cannot create a thread");
    export_error(&error, &shown->error);
    return LOCAL_FAILED;
}

enum local_state lossd_local_wait(struct local_call *shown, int milliseconds)
{
    struct call *const call = call_of(shown);
    return worker_wait(&call->job, milliseconds) ? state(call) : LOCAL_RUNNING;
}

/* ---- The library ---- */

const char *lossd_local_version(void)
{
    return LOSS_VERSION;
}

static char *descriptions; /* NULL until they have been written, or if memory ran out */

static void describe_losses(void)
{
    struct response response = {.errors = RESPONSE_PROBLEM};
    v1_list(NULL, &response);
    buffer_append(&response.body, "", 1);
    if (response.status == response_status(LOSS_OK) && !response.body.failed)
        descriptions = response.body.data;
    else
        response_free(&response);
}

const char *lossd_local_losses(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, describe_losses);
    return descriptions;
}
