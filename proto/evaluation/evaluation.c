#include "evaluation/evaluation.h"
#include "memory/block_cache.h"
#include "parallel.h"
#include "json/scanner.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    ALIGNMENT = 64, /* of every array in the arena: a cache line, and the widest vector */
    /* A few bytes of text can request a broadcast of any size. Broadcasting may produce at most
       this many loss terms, or BROADCAST_TERMS_PER_BYTE per byte of the body, whichever is larger.
       Without broadcasting, there are never more terms than numbers in the body. */
    BROADCAST_TERMS = 1 << 22,
    BROADCAST_TERMS_PER_BYTE = 16,
    /* Costs in units of loss_plan.work: of reading a byte of text, of writing a number as text, and
       of writing it as binary data. */
    TEXT_BYTE_WORK = 1,
    TEXT_NUMBER_WORK = 25,
    NUMBER_WORK = 1,
    PIECE = 1 << 18, /* bytes per copy task; a multiple of every element size */
};

double evaluation_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

void evaluation_init(struct evaluation *e, const struct loss_descriptor *loss, const char *body,
                     size_t len)
{
    e->body = body;
    e->len = len;
    e->threads = 1;
    e->quota = NULL;
    e->attached = NULL;
    loss_request_init(&e->request, loss);
    e->encoding = FORM_NESTED;
    e->has_offset = false;
    e->offset = 0;
    e->arena = NULL;
    e->arena_size = e->taken = 0;
}

void evaluation_free(struct evaluation *e)
{
    block_cache_free(e->arena, e->arena_size);
    e->arena = NULL;
    quota_release(e->quota, e->taken);
    e->taken = 0;
}

/* ---- Names ---- */

const char *evaluation_tensor_name(const struct loss_descriptor *loss, int k)
{
    if (k == EVALUATION_GRAD_OUTPUT)
        return "grad_output";
    return k == EVALUATION_SAMPLE_WEIGHT ? "sample_weight" : loss->tensors[k].name;
}

int evaluation_tensor_find(const struct loss_descriptor *loss, const char *name)
{
    for (int k = LOSS_MAX_TENSORS; k < EVALUATION_TENSORS; k++)
        if (strcmp(evaluation_tensor_name(loss, k), name) == 0)
            return k;
    return loss_tensor_find(loss, name);
}

void evaluation_attach(struct source *source, const struct loss_tensor *tensor,
                       enum tensor_form form)
{
    source->tensor = *tensor;
    source->swapped = false;
    source->json = (struct tensor_json){.form = form,
                                        .is_object = form == FORM_BASE64,
                                        .dtype = tensor->dtype,
                                        .rank = tensor->rank};
    memcpy(source->json.shape, tensor->shape, sizeof source->json.shape);
}

const struct loss_tensor **evaluation_place(struct evaluation *e, int k)
{
    if (k == EVALUATION_GRAD_OUTPUT)
        return &e->request.grad_output;
    return k == EVALUATION_SAMPLE_WEIGHT ? &e->request.sample_weight : &e->request.tensor[k];
}

/* ---- Planning ---- */

static enum loss_status check_size(const struct loss_plan *plan, size_t len,
                                   struct loss_error *error)
{
    const size_t terms = loss_tensor_elements(&plan->terms);
    const size_t max_terms = len > BROADCAST_TERMS / BROADCAST_TERMS_PER_BYTE
                                 ? len * BROADCAST_TERMS_PER_BYTE
                                 : BROADCAST_TERMS;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (terms <= max_terms ||
            (plan->present[k] && loss_tensor_elements(&plan->tensor[k]) >= terms))
            return LOSS_OK;
    return loss_fail(error, LOSS_INVALID,
                     "broadcasting expands this request to %zu loss terms; the limit is %zu", terms,
                     max_terms);
}

struct loss_tensor *evaluation_operand(struct evaluation *e, int k)
{
    if (k == EVALUATION_GRAD_OUTPUT)
        return e->plan.has_grad_output ? &e->plan.grad_output : NULL;
    if (k == EVALUATION_SAMPLE_WEIGHT)
        return e->plan.has_sample_weight ? &e->plan.sample_weight : NULL;
    return e->plan.present[k] ? &e->plan.tensor[k] : NULL;
}

/* Checks the rows of a part of a batch. */
static enum loss_status check_offset(const struct evaluation *e, struct loss_error *error)
{
    if (!e->has_offset)
        return LOSS_OK;
    if (!e->plan.has_partial)
        return loss_fail_at(error, LOSS_INVALID, "/offset",
                            "offset is the first row of a part of a batch; set partial to true");
    if (e->plan.terms.shape[0] >= LOSS_COUNT_LIMIT - e->offset)
        return loss_fail_at(error, LOSS_INVALID, "/offset",
                            "offset is %" PRIu64 " and the part has %zu rows; the sum must be less "
                            "than 2^53",
                            e->offset, e->plan.terms.shape[0]);
    return LOSS_OK;
}

/* Numbers are used in place, aligned or not: misaligned numbers make loss_run() twice as slow, but
   copying them takes as long and needs memory. Only byte-swapped numbers are copied. */
enum loss_status evaluation_plan(struct evaluation *e, struct loss_error *error)
{
    const enum loss_status status = loss_plan(&e->plan, &e->request, error);
    if (status != LOSS_OK)
        return status;
    for (int k = 0; k < EVALUATION_TENSORS; k++)
        if (evaluation_operand(e, k) && e->tensor[k].tensor.data && e->tensor[k].swapped)
            evaluation_operand(e, k)->data = NULL;
    e->plan.partial = &e->sums;
    for (int k = 0; k < LOSS_MAX_TENSORS && e->plan.has_partial; k++)
        snprintf(e->hash[k], SHA256_TEXT, "%0*d", SHA256_TEXT - 1, 0); /* until it is known */
    if (check_offset(e, error) != LOSS_OK)
        return error->status;
    return e->attached ? LOSS_OK : check_size(&e->plan, e->len, error);
}

/* ---- Memory ---- */

/* Calls `visit` for each array that needs memory, until it returns false; then returns false. */
static bool each_buffer(struct evaluation *e,
                        bool (*visit)(struct loss_tensor *tensor, void *context), void *context)
{
    struct loss_plan *plan = &e->plan;
    for (int k = 0; k < EVALUATION_TENSORS; k++) {
        struct loss_tensor *const tensor = evaluation_operand(e, k);
        if (tensor && !tensor->data && !visit(tensor, context))
            return false;
    }
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (((plan->grad_mask >> k & 1) && !plan->grad[k].data &&
             !visit(&plan->grad[k], context)) ||
            ((plan->hess_mask >> k & 1) && !plan->hess[k].data && !visit(&plan->hess[k], context)))
            return false;
    return plan->reduction != LOSS_NONE || plan->output.data || visit(&plan->output, context);
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

/* ---- Work ---- */

size_t evaluation_reading_work(struct evaluation *e)
{
    size_t bytes = 0;
    for (int k = 0; k < EVALUATION_TENSORS; k++)
        if (evaluation_operand(e, k) && !e->tensor[k].tensor.data)
            bytes += (size_t)(e->tensor[k].json.end - e->tensor[k].json.text);
    return bytes * TEXT_BYTE_WORK;
}

size_t evaluation_writing_work(const struct evaluation *e, bool text)
{
    const struct loss_plan *const plan = &e->plan;
    size_t numbers = plan->reduction == LOSS_NONE ? loss_tensor_elements(&plan->output) : 0, work;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        if (plan->grad_mask >> k & 1)
            numbers += loss_tensor_elements(&plan->grad[k]);
        if (plan->hess_mask >> k & 1)
            numbers += loss_tensor_elements(&plan->hess[k]);
    }
    return __builtin_mul_overflow(numbers, (size_t)(text ? TEXT_NUMBER_WORK : NUMBER_WORK), &work)
               ? SIZE_MAX
               : work;
}

/* Reserves memory for the arena and for running the plan. */
static bool take(struct evaluation *e, size_t arena)
{
    size_t bytes;
    if (__builtin_add_overflow(arena, loss_run_bytes(&e->plan, e->threads), &bytes) ||
        !quota_reserve(e->quota, bytes))
        return false;
    e->taken = bytes;
    return true;
}

static enum loss_status allocate(struct evaluation *e, struct loss_error *error)
{
    size_t total = ALIGNMENT; /* to align the first array */
    const bool possible = each_buffer(e, add_size, &total),
               small = possible && total <= sizeof e->small;
    const bool taken = possible && take(e, small ? 0 : total);
    if (taken && !small)
        e->arena = block_cache_resize(NULL, 0, total);
    if (!taken || (!small && !e->arena))
        return quota_insufficient(error);
    e->arena_size = total;
    char *next = small ? e->small : e->arena;
    next += -(uintptr_t)next % ALIGNMENT;
    each_buffer(e, set_place, &next);
    return LOSS_OK;
}

/* ---- Decoding ---- */

/* Writes the JSON Pointer of tensor k to `path` of PATH_SIZE bytes, and returns it. */
enum { PATH_SIZE = 64 };
static const char *operand_path(const struct evaluation *e, int k, char *path)
{
    path[0] = '\0';
    json_pointer_add(path, PATH_SIZE, evaluation_tensor_name(e->plan.loss, k));
    return path;
}

struct reversal {
    const char *from;
    char *to;
    size_t bytes; /* of all elements */
    size_t size;  /* of one element */
};

static void reverse_piece(void *context, size_t i, int thread)
{
    const struct reversal *r = context;
    const size_t at = i * PIECE, rest = r->bytes - at, bytes = rest < PIECE ? rest : PIECE;
    (void)thread;
    for (size_t element = at; element < at + bytes; element += r->size)
        for (size_t k = 0; k < r->size; k++)
            r->to[element + k] = r->from[element + r->size - 1 - k];
}

/* Copies numbers, reversing the bytes of each. */
static void reverse(const struct evaluation *e, const struct source *source,
                    const struct loss_tensor *tensor)
{
    struct reversal r = {source->tensor.data, tensor->data, loss_tensor_bytes(tensor),
                         loss_dtype_size(tensor->dtype)};
    parallel_for((r.bytes + PIECE - 1) / PIECE, e->threads, reverse_piece, &r);
}

enum loss_status evaluation_decode_operand(const struct evaluation *e, int k,
                                           const struct loss_tensor *tensor,
                                           struct loss_error *error)
{
    char path[PATH_SIZE];
    const struct source *const source = &e->tensor[k];
    if (!source->tensor.data)
        return tensor_json_decode(&source->json, tensor->dtype, tensor->data, e->body,
                                  operand_path(e, k, path), e->threads, e->quota, error);
    reverse(e, source, tensor);
    return LOSS_OK;
}

/* Adds the elements of a strided tensor to a hash, in row-major order. */
static void hash_strided(struct sha256 *hash, const struct loss_tensor *tensor)
{
    const size_t count = loss_tensor_elements(tensor), size = loss_dtype_size(tensor->dtype);
    for (size_t i = 0; i < count; i++) {
        size_t rest = i;
        ptrdiff_t offset = 0;
        for (int axis = tensor->rank - 1; axis >= 0; axis--) {
            offset += (ptrdiff_t)(rest % tensor->shape[axis]) * tensor->stride[axis];
            rest /= tensor->shape[axis];
        }
        sha256_add(hash, (const char *)tensor->data + offset * (ptrdiff_t)size, size);
    }
}

/* Computes the hashes of the tensors that all parts of the batch share. */
static void hash_shared(struct evaluation *e)
{
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        const struct loss_tensor *const tensor = &e->plan.tensor[k];
        struct sha256 hash;
        if (!e->plan.present[k] || e->plan.sample_axis[k] != LOSS_SHARED)
            continue;
        sha256_begin(&hash);
        if (tensor->strided)
            hash_strided(&hash, tensor);
        else
            sha256_add(&hash, tensor->data, loss_tensor_bytes(tensor));
        sha256_end(&hash, e->hash[k]);
    }
}

enum loss_status evaluation_decode(struct evaluation *e, struct loss_error *error)
{
    uint32_t missing = 0;
    for (int k = 0; k < EVALUATION_TENSORS; k++)
        if (evaluation_operand(e, k) && !evaluation_operand(e, k)->data)
            missing |= UINT32_C(1) << k;
    enum loss_status status = allocate(e, error);
    for (int k = 0; k < EVALUATION_TENSORS && status == LOSS_OK; k++) {
        if (quota_cancelled(e->quota))
            status = loss_fail(error, LOSS_CANCELLED, "the request was cancelled");
        else if (missing >> k & 1)
            status = evaluation_decode_operand(e, k, evaluation_operand(e, k), error);
    }
    if (status == LOSS_OK && e->plan.has_partial)
        hash_shared(e);
    return status;
}

/* ---- Running ---- */

void evaluation_point(const struct evaluation *e, struct loss_error *error)
{
    char path[PATH_SIZE];
    if (error->status != LOSS_INVALID || error->element < 0)
        return;
    const struct source *const source = &e->tensor[error->tensor];
    const char *const data = source->tensor.data;
    if (!data || e->attached)
        tensor_json_point(&source->json, operand_path(e, error->tensor, path),
                          (size_t)error->element, error);
    else if (!source->tensor.strided && data >= e->body && data <= e->body + e->len)
        error->offset =
            (data - e->body) + error->element * (int64_t)loss_dtype_size(source->tensor.dtype);
}

enum loss_status evaluation_run(struct evaluation *e, struct loss_error *error)
{
    e->plan.control = quota_control(e->quota);
    const enum loss_status status = loss_run(&e->plan, e->threads, &e->result, error);
    if (status != LOSS_OK)
        evaluation_point(e, error);
    return status;
}
