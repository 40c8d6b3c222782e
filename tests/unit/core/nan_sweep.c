#include "unit/core/nan_sweep.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Numbers of any dtype ---- */

uint64_t sweep_nan_bits(enum loss_dtype dtype, unsigned pattern)
{
    static const uint64_t bits[LOSS_DTYPE_COUNT][SWEEP_PATTERNS] = {
        [LOSS_FLOAT64] = {UINT64_C(0x7ff8000000000000), UINT64_C(0xffffffffffffffff),
                          UINT64_C(0x7ff0000000000001)},
        [LOSS_FLOAT32] = {0x7fc00000, 0xffffffff, 0x7f800001},
        [LOSS_FLOAT16] = {0x7e00, 0xffff, 0x7c01},
        [LOSS_BFLOAT16] = {0x7fc0, 0xffff, 0x7f81},
    };
    return bits[dtype][pattern];
}

uint64_t sweep_number_bits(enum loss_dtype dtype, double value)
{
    const float narrow = (float)value;
    uint64_t wide;
    uint32_t bits;
    memcpy(&wide, &value, sizeof wide);
    memcpy(&bits, &narrow, sizeof bits);
    if (dtype == LOSS_FLOAT64)
        return wide;
    if (dtype == LOSS_FLOAT32)
        return bits;
    if (dtype == LOSS_BFLOAT16)
        return bits >> 16;
    const uint32_t magnitude = bits & 0x7fffffff;
    return (bits >> 16 & 0x8000) | (magnitude == 0 ? 0 : (magnitude >> 13) - ((127 - 15) << 10));
}

static char *place(const struct loss_tensor *tensor, size_t element)
{
    const ptrdiff_t at = tensor->strided ? -2 * (ptrdiff_t)element : (ptrdiff_t)element;
    return (char *)tensor->data + at * (ptrdiff_t)loss_dtype_size(tensor->dtype);
}

void sweep_put(const struct loss_tensor *tensor, size_t element, uint64_t bits)
{
    memcpy(place(tensor, element), &bits, loss_dtype_size(tensor->dtype));
}

/* ---- Batches ---- */

struct loss_tensor *sweep_operand(struct sweep *sweep, int k)
{
    if (k == GRAD_OUTPUT)
        return &sweep->grad_output;
    return k == SAMPLE_WEIGHT ? &sweep->sample_weight : &sweep->batch.tensor[k];
}

/* Multiples of 1/8: labels 1 and -1 for the losses that have such labels, else between 0 and 1. */
static double number_at(const char *loss, const char *name, size_t i)
{
    static const char *const of_signs[] = {"cosine_embedding", "hinge_embedding", "soft_margin",
                                           "margin_ranking"};
    for (size_t s = 0; strcmp(name, "target") == 0 && s < sizeof of_signs / sizeof *of_signs; s++)
        if (strcmp(loss, of_signs[s]) == 0)
            return i % 3 ? 1 : -1;
    if (strcmp(name, "target") == 0 && i % 3 && strcmp(loss, "tweedie") != 0)
        return (double)(i % 2);
    return (double)(1 + (i * 5 + i / 7 + strlen(name)) % 7) / 8;
}

void sweep_lay_out(struct sweep *sweep, int k, const char *name)
{
    struct loss_tensor *const tensor = sweep_operand(sweep, k);
    const size_t n = loss_tensor_elements(tensor), size = loss_dtype_size(sweep->setting.dtype);
    tensor->dtype = sweep->setting.dtype;
    tensor->strided = sweep->setting.strided && tensor->rank > 0;
    char *const block = malloc(2 * n * size + size);
    sweep->block[k] = block;
    sweep->value[k] = malloc(n * sizeof(double) + 1);
    ck_assert(block && sweep->value[k]);
    tensor->data = tensor->strided && n > 0 ? block + 2 * (n - 1) * size : block;
    ptrdiff_t stride = -2;
    for (int axis = tensor->rank - 1; axis >= 0; axis--) {
        tensor->stride[axis] = stride;
        stride *= (ptrdiff_t)tensor->shape[axis];
    }
    for (size_t i = 0; i < n; i++) {
        sweep->value[k][i] = number_at(sweep->batch.request.loss->name, name, i);
        sweep_put(tensor, i, sweep_number_bits(tensor->dtype, sweep->value[k][i]));
    }
}

void sweep_make(struct sweep *sweep, const struct loss_descriptor *loss,
                struct sweep_setting setting)
{
    *sweep = (struct sweep){.setting = setting};
    struct batch *const batch = &sweep->batch;
    batch_make_columns(batch, loss, setting.elements, setting.columns, LOSS_FLOAT32, 3);
    batch->request.reduction = LOSS_NONE;
    for (int k = 0; k < loss_tensor_specs(loss); k++) {
        if (batch->plan.indexed[k])
            continue;
        free(batch->tensor[k].data);
        sweep_lay_out(sweep, k, loss->tensors[k].name);
        batch->tensor[k].data = sweep_operand(sweep, k)->data;
    }
    if (setting.grad)
        batch_all_gradients(batch);
    batch->request.hess = setting.hess && loss->hessian ? loss_predictions(loss) : 0;
}

void sweep_free(struct sweep *sweep)
{
    for (int k = 0; k < OPERANDS; k++) {
        if (sweep->block[k] && k < LOSS_MAX_TENSORS)
            sweep->batch.tensor[k].data = NULL;
        free(sweep->block[k]);
        free(sweep->value[k]);
    }
    batch_free(&sweep->batch);
}

double *sweep_terms(struct sweep *sweep, size_t *nonfinite)
{
    struct batch *const batch = &sweep->batch;
    ck_assert_msg(batch_run(batch, 1) == LOSS_OK, "%s: %s", batch->request.loss->name,
                  batch->error.message);
    const size_t n = loss_tensor_elements(&batch->plan.output);
    double *const terms = malloc(n * sizeof *terms + 1);
    for (size_t i = 0; i < n; i++)
        terms[i] = batch->plan.dtype == LOSS_FLOAT64
                       ? ((const double *)batch->plan.output.data)[i]
                       : (double)((const float *)batch->plan.output.data)[i];
    if (nonfinite)
        *nonfinite = batch->result.nonfinite;
    batch_clear(batch);
    return terms;
}

/* ---- Which terms read what ---- */

bool sweep_lies_along(const struct loss_plan *plan, int k, size_t e, size_t t)
{
    size_t term[LOSS_MAX_RANK];
    for (int d = plan->terms.rank - 1; d >= 0; d--) {
        term[d] = t % plan->terms.shape[d];
        t /= plan->terms.shape[d];
    }
    for (int axis = plan->tensor[k].rank - 1; axis >= 0; axis--) {
        const size_t at = e % plan->tensor[k].shape[axis];
        const int d = plan->axis[k][axis];
        e /= plan->tensor[k].shape[axis];
        if (d != LOSS_WITHIN && plan->tensor[k].shape[axis] != 1 && term[d] != at)
            return false;
    }
    return true;
}

static double param_of(const struct sweep *sweep, const char *name)
{
    const int k = loss_param_find(sweep->batch.request.loss, name);
    return k < 0 ? NAN : sweep->batch.request.param[k].number;
}

/* Returns true if term t, a row of classes with a label, reads element e of tensor k. It reads
   nothing if its label is ignored. It reads the class weight of its label, or all of them if labels
   are smoothed. In nll, it reads only the number of its label. */
static bool row_reads(const struct sweep *sweep, int k, size_t e, size_t t)
{
    const struct batch *const batch = &sweep->batch;
    const char *const loss = batch->request.loss->name, *const tensor =
                                                            batch->request.loss->tensors[k].name;
    const int64_t label = ((const int64_t *)batch->tensor[1].data)[t];
    const size_t classes = batch->tensor[0].shape[1];
    if ((double)label == param_of(sweep, "ignore_index"))
        return false;
    if (strcmp(tensor, "weight") == 0)
        return (size_t)label == e || param_of(sweep, "label_smoothing") > 0;
    if (strcmp(loss, "nll") == 0)
        return (size_t)label == e % classes;
    return strcmp(loss, "multi_margin") != 0 || classes > 1;
}

/* info_nce compares every query with every key. */
static bool reads_all(const char *loss, const char *tensor)
{
    return strcmp(loss, "info_nce") == 0 && strcmp(tensor, "key") == 0;
}

/* Returns true if the batch consists of rows of classes, each with one label. */
static bool is_of_labels(const struct batch *batch)
{
    return batch->plan.indexed[1] && batch->tensor[1].rank == 1;
}

/* Returns true if term t of dice reads weight e: that of its channel, if there is more than one
   channel. */
static bool is_channel_weight_read(const struct sweep *sweep, size_t e, size_t t)
{
    const size_t channels = sweep->batch.tensor[0].shape[1];
    return channels > 1 && t % channels == e;
}

/* Returns for each term whether it must be NaN if element e of tensor k is. The caller frees the
   array. */
static bool *readers(struct sweep *sweep, int k, size_t e, const double *before)
{
    const struct loss_plan *const plan = &sweep->batch.plan;
    const struct loss_descriptor *const loss = plan->loss;
    const char *const name = loss->tensors[k].name;
    const size_t n = loss_tensor_elements(&plan->terms);
    bool *const reads = malloc(n + 1);
    sweep_put(sweep_operand(sweep, k), e,
              sweep_number_bits(sweep->setting.dtype, sweep->value[k][e] == 0.5 ? 0.75 : 0.5));
    double *const moved = sweep_terms(sweep, NULL);
    for (size_t t = 0; t < n; t++) {
        const bool changes = moved[t] != before[t], along = sweep_lies_along(plan, k, e, t);
        reads[t] = along || reads_all(loss->name, name);
        if (strcmp(loss->name, "ctc") == 0) /* the classes of its labels, at the steps that count */
            reads[t] = changes;
        else if (is_of_labels(&sweep->batch))
            reads[t] = along && row_reads(sweep, k, e, t);
        else if (strcmp(loss->name, "multilabel_margin") == 0)
            reads[t] = along && plan->tensor[k].shape[1] > 1;
        else if (strcmp(loss->name, "dice") == 0 && strcmp(name, "weight") == 0)
            reads[t] = is_channel_weight_read(sweep, e, t);
        if (changes && !reads[t])
            ck_abort_msg("%s: %s changes term %zu", loss->name, name, t);
    }
    free(moved);
    return reads;
}

/* ---- Sweep ---- */

/* Returns true if a term did not change. In float32, a row with NaN causes the other rows of its
   block to be computed in double, whose last bits differ. */
static bool is_unchanged(const struct sweep *sweep, double before, double after)
{
    if (sweep->batch.plan.dtype == LOSS_FLOAT32)
        return fabs(after - before) <= 1e-6 * fabs(before);
    return memcmp(&before, &after, sizeof after) == 0;
}

/* Calls ck_abort_msg, because an assertion of libcheck makes a system call even if it holds, which
   takes longer than the computation of the terms. */
void sweep_check_terms(const struct sweep *sweep, const char *name, size_t e, const double *before,
                       const double *after, const bool *reads)
{
    const char *const loss = sweep->batch.request.loss->name;
    for (size_t t = 0; t < loss_tensor_elements(&sweep->batch.plan.terms); t++)
        if (reads[t] ? !isnan(after[t]) : !is_unchanged(sweep, before[t], after[t]))
            ck_abort_msg(
                "%s (%s%s%s): NaN in %s at %zu: term %zu is %g, it was %g", loss,
                loss_dtype_name(sweep->setting.dtype), sweep->setting.strided ? ", strided" : "",
                sweep->setting.grad ? ", with gradient" : "", name, e, t, after[t], before[t]);
}

void sweep_check_reduced(struct sweep *sweep, const char *name, size_t nans)
{
    for (int r = 0; r < LOSS_REDUCTION_COUNT; r++) {
        struct batch *const batch = &sweep->batch;
        if (r == LOSS_NONE || !(batch->request.loss->reductions >> r & 1))
            continue;
        batch->request.reduction = (enum loss_reduction)r;
        ck_assert_int_eq(batch_run(batch, 1), LOSS_OK);
        ck_assert_msg(batch->result.nonfinite == nans && isnan(batch->result.loss) == (nans > 0),
                      "%s (%s), %s: NaN in %s: the loss is %g, %zu are counted, not %zu",
                      batch->request.loss->name, loss_reduction_name((enum loss_reduction)r),
                      loss_dtype_name(sweep->setting.dtype), name, batch->result.loss,
                      batch->result.nonfinite, nans);
        batch_clear(batch);
    }
    sweep->batch.request.reduction = LOSS_NONE;
}

static void check_element(struct sweep *sweep, int k, size_t e, const double *before)
{
    const char *const name = sweep->batch.request.loss->tensors[k].name;
    bool *const reads = readers(sweep, k, e, before);
    size_t nonfinite, nans = 0;
    sweep_put(sweep_operand(sweep, k), e,
              sweep_nan_bits(sweep->setting.dtype, sweep->setting.pattern));
    double *const after = sweep_terms(sweep, &nonfinite);
    sweep_check_terms(sweep, name, e, before, after, reads);
    for (size_t t = 0; t < loss_tensor_elements(&sweep->batch.plan.terms); t++)
        nans += reads[t];
    ck_assert_uint_eq(nonfinite, nans);
    sweep_check_reduced(sweep, name, nans);
    sweep_put(sweep_operand(sweep, k), e,
              sweep_number_bits(sweep->setting.dtype, sweep->value[k][e]));
    free(after);
    free(reads);
}

void sweep_check_tensors(struct sweep *sweep)
{
    size_t nonfinite;
    double *const before = sweep_terms(sweep, &nonfinite);
    ck_assert_msg(nonfinite == 0, "%s is not finite to begin with",
                  sweep->batch.request.loss->name);
    for (int k = 0; k < loss_tensor_specs(sweep->batch.request.loss); k++) {
        const size_t n = sweep->value[k] ? loss_tensor_elements(&sweep->batch.tensor[k]) : 0;
        for (size_t i = 0; n > 0 && i < 3; i++)
            check_element(sweep, k, i * (n - 1) / 2, before);
    }
    free(before);
}
