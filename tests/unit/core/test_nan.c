/*
 * If a term reads NaN, it is NaN and counted; terms that do not read it do not change. Every tensor
 * of every loss gets one NaN, in every dtype, layout, instruction set and kernel.
 */
#include "suites.h"
#include "support/batch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GRAD_OUTPUT = LOSS_MAX_TENSORS, SAMPLE_WEIGHT, OPERANDS };

/* How a batch is laid out and evaluated. */
struct setting {
    enum loss_dtype dtype; /* of all floats */
    bool strided;          /* reversed, every second element */
    size_t elements, columns;
    bool grad, hess;
    unsigned pattern; /* which NaN */
};

/* ---- Numbers of any dtype ---- */

/* NaNs: quiet, all bits set, signalling. */
enum { PATTERNS = 3 };
static uint64_t nan_bits(enum loss_dtype dtype, unsigned pattern)
{
    static const uint64_t bits[LOSS_DTYPE_COUNT][PATTERNS] = {
        [LOSS_FLOAT64] = {UINT64_C(0x7ff8000000000000), UINT64_C(0xffffffffffffffff),
                          UINT64_C(0x7ff0000000000001)},
        [LOSS_FLOAT32] = {0x7fc00000, 0xffffffff, 0x7f800001},
        [LOSS_FLOAT16] = {0x7e00, 0xffff, 0x7c01},
        [LOSS_BFLOAT16] = {0x7fc0, 0xffff, 0x7f81},
    };
    return bits[dtype][pattern];
}

/* The bits of a number that is 0, or has few bits and is between 2^-14 and 2. */
static uint64_t bits_of_number(enum loss_dtype dtype, double value)
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

static void put(const struct loss_tensor *tensor, size_t element, uint64_t bits)
{
    memcpy(place(tensor, element), &bits, loss_dtype_size(tensor->dtype));
}

/* ---- Batches ---- */

struct sweep {
    struct batch batch;
    struct setting setting;
    double *value[OPERANDS]; /* the values of the operands */
    void *block[OPERANDS];
    struct loss_tensor grad_output, sample_weight;
};

static struct loss_tensor *operand(struct sweep *sweep, int k)
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

/* Stores a tensor of floats in the layout of the setting, filled with numbers. */
static void lay_out(struct sweep *sweep, int k, const char *name)
{
    struct loss_tensor *const tensor = operand(sweep, k);
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
        put(tensor, i, bits_of_number(tensor->dtype, sweep->value[k][i]));
    }
}

static void sweep_make(struct sweep *sweep, const struct loss_descriptor *loss,
                       struct setting setting)
{
    *sweep = (struct sweep){.setting = setting};
    struct batch *const batch = &sweep->batch;
    batch_make_columns(batch, loss, setting.elements, setting.columns, LOSS_FLOAT32, 3);
    batch->request.reduction = LOSS_NONE;
    for (int k = 0; k < loss_tensor_specs(loss); k++) {
        if (batch->plan.indexed[k])
            continue;
        free(batch->tensor[k].data);
        lay_out(sweep, k, loss->tensors[k].name);
        batch->tensor[k].data = operand(sweep, k)->data;
    }
    if (setting.grad)
        batch_all_gradients(batch);
    batch->request.hess = setting.hess && loss->hessian ? loss_predictions(loss) : 0;
}

static void sweep_free(struct sweep *sweep)
{
    for (int k = 0; k < OPERANDS; k++) {
        if (sweep->block[k] && k < LOSS_MAX_TENSORS)
            sweep->batch.tensor[k].data = NULL;
        free(sweep->block[k]);
        free(sweep->value[k]);
    }
    batch_free(&sweep->batch);
}

/* Returns the terms as doubles, owned by the caller. Counts those that are not finite in
   `nonfinite`, like the library. */
static double *terms_of(struct sweep *sweep, size_t *nonfinite)
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

/* Returns true if term t lies along element e of tensor k, by the axes of the plan. */
static bool lies_along(const struct loss_plan *plan, int k, size_t e, size_t t)
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
   nothing if its label is ignored; of the class weights, that of its label, unless labels are
   smoothed; in nll only the number of its label. */
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

/* Rows of classes, each with one label. */
static bool is_of_labels(const struct batch *batch)
{
    return batch->plan.indexed[1] && batch->tensor[1].rank == 1;
}

/* Returns true if term t of dice reads weight e: that of its channel, if more than one channel
   counts. */
static bool is_channel_weight_read(const struct sweep *sweep, size_t e, size_t t)
{
    const size_t channels = sweep->batch.tensor[0].shape[1];
    return channels > 1 && t % channels == e;
}

/* Returns true if a term must be NaN when element e of tensor k is. */
static bool *readers(struct sweep *sweep, int k, size_t e, const double *before)
{
    const struct loss_plan *const plan = &sweep->batch.plan;
    const struct loss_descriptor *const loss = plan->loss;
    const char *const name = loss->tensors[k].name;
    const size_t n = loss_tensor_elements(&plan->terms);
    bool *const reads = malloc(n + 1);
    put(operand(sweep, k), e,
        bits_of_number(sweep->setting.dtype, sweep->value[k][e] == 0.5 ? 0.75 : 0.5));
    double *const moved = terms_of(sweep, NULL);
    for (size_t t = 0; t < n; t++) {
        const bool changes = moved[t] != before[t], along = lies_along(plan, k, e, t);
        reads[t] = along || reads_all(loss->name, name);
        if (strcmp(loss->name, "ctc") == 0) /* the classes of its labels, at the steps that count */
            reads[t] = changes;
        else if (is_of_labels(&sweep->batch))
            reads[t] = along && row_reads(sweep, k, e, t);
        else if (strcmp(loss->name, "multilabel_margin") == 0)
            reads[t] = along && plan->tensor[k].shape[1] > 1;
        else if (strcmp(loss->name, "dice") == 0 && strcmp(name, "weight") == 0)
            reads[t] = is_channel_weight_read(sweep, e, t);
        ck_assert_msg(reads[t] || !changes, "%s: %s changes term %zu", loss->name, name, t);
    }
    free(moved);
    return reads;
}

/* ---- Sweep ---- */

/* Returns true if a term did not change. In float32, a NaN row makes the other rows of its block be
   computed in double, whose last bits differ. */
static bool is_unchanged(const struct sweep *sweep, double before, double after)
{
    if (sweep->batch.plan.dtype == LOSS_FLOAT32)
        return fabs(after - before) <= 1e-6 * fabs(before);
    return memcmp(&before, &after, sizeof after) == 0;
}

static void check_terms(const struct sweep *sweep, const char *name, size_t e, const double *before,
                        const double *after, const bool *reads)
{
    const char *const loss = sweep->batch.request.loss->name;
    for (size_t t = 0; t < loss_tensor_elements(&sweep->batch.plan.terms); t++)
        ck_assert_msg(
            reads[t] ? isnan(after[t]) : is_unchanged(sweep, before[t], after[t]),
            "%s (%s%s%s): NaN in %s at %zu: term %zu is %g, it was %g", loss,
            loss_dtype_name(sweep->setting.dtype), sweep->setting.strided ? ", strided" : "",
            sweep->setting.grad ? ", with gradient" : "", name, e, t, after[t], before[t]);
}

/* The same request, reduced: the loss is NaN and the same number of terms is counted. */
static void check_reduced(struct sweep *sweep, const char *name, size_t nans)
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
    put(operand(sweep, k), e, nan_bits(sweep->setting.dtype, sweep->setting.pattern));
    double *const after = terms_of(sweep, &nonfinite);
    check_terms(sweep, name, e, before, after, reads);
    for (size_t t = 0; t < loss_tensor_elements(&sweep->batch.plan.terms); t++)
        nans += reads[t];
    ck_assert_uint_eq(nonfinite, nans);
    check_reduced(sweep, name, nans);
    put(operand(sweep, k), e, bits_of_number(sweep->setting.dtype, sweep->value[k][e]));
    free(after);
    free(reads);
}

/* One NaN at a time, in the first, a middle and the last element of each tensor. */
static void check_tensors(struct sweep *sweep)
{
    size_t nonfinite;
    double *const before = terms_of(sweep, &nonfinite);
    ck_assert_msg(nonfinite == 0, "%s is not finite to begin with",
                  sweep->batch.request.loss->name);
    for (int k = 0; k < loss_tensor_specs(sweep->batch.request.loss); k++) {
        const size_t n = sweep->value[k] ? loss_tensor_elements(&sweep->batch.tensor[k]) : 0;
        for (size_t i = 0; n > 0 && i < 3; i++)
            check_element(sweep, k, i * (n - 1) / 2, before);
    }
    free(before);
}

static void check_setting(size_t place, struct setting setting)
{
    struct sweep sweep;
    sweep_make(&sweep, loss_at(place), setting);
    check_tensors(&sweep);
    sweep_free(&sweep);
}

/* ---- Tests ---- */

/* _i is the loss's index in all of them. */
START_TEST(nan_reaches_the_terms_that_read_it_in_every_dtype_and_layout)
{
    static const enum loss_dtype dtypes[] = {LOSS_FLOAT64, LOSS_FLOAT32, LOSS_FLOAT16,
                                             LOSS_BFLOAT16};
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++)
        for (unsigned how = 0; how < 8; how++)
            check_setting((size_t)_i, (struct setting){.dtype = dtypes[d],
                                                       .strided = how & 1,
                                                       .elements = 343,
                                                       .columns = 7,
                                                       .grad = how & 2,
                                                       .hess = how & 4,
                                                       .pattern = (unsigned)(how + d) % PATTERNS});
}
END_TEST

START_TEST(nan_reaches_terms_of_long_rows_and_of_many_blocks)
{
    static const size_t sizes[][2] = {{2 * 60 * 60, 60}, {20000, 7}, {900, 1}, {2 * 30 * 30, 30}};
    const bool costly = strcmp(loss_at((size_t)_i)->name, "info_nce") ==
                        0; /* every query is compared with every key */
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (unsigned how = 0; how < 4; how++)
            check_setting((size_t)_i,
                          (struct setting){.dtype = how & 1 ? LOSS_FLOAT64 : LOSS_FLOAT32,
                                           .elements = costly ? 4 * sizes[s][1] : sizes[s][0],
                                           .columns = sizes[s][1],
                                           .grad = how & 2,
                                           .pattern = (how + (unsigned)s) % PATTERNS});
}
END_TEST

START_TEST(nan_reaches_terms_on_every_instruction_set)
{
    char chosen[64];
    snprintf(chosen, sizeof chosen, "%s", loss_isa());
    for (size_t i = 0; loss_isa_at(i); i++) {
        if (!loss_isa_choose(loss_isa_at(i)))
            continue;
        for (unsigned how = 0; how < 4; how++)
            for (unsigned pattern = 0; pattern < PATTERNS; pattern++)
                check_setting((size_t)_i,
                              (struct setting){.dtype = how & 1 ? LOSS_FLOAT64 : LOSS_FLOAT32,
                                               .elements = 343,
                                               .columns = 7,
                                               .grad = how & 2,
                                               .pattern = pattern});
    }
    ck_assert(loss_isa_choose(chosen));
}
END_TEST

START_TEST(nan_reaches_terms_whatever_the_parameters)
{
    const struct loss_descriptor *const loss = loss_at((size_t)_i);
    const struct setting setting = {
        .dtype = LOSS_FLOAT32, .elements = 343, .columns = 7, .grad = true};
    for (size_t option = 0; option < batch_options(loss); option++) {
        struct sweep sweep;
        sweep_make(&sweep, loss, setting);
        if (batch_set_option(&sweep.batch, option))
            check_tensors(&sweep);
        sweep_free(&sweep);
    }
}
END_TEST

/* Class probabilities instead of labels, for losses that accept either. */
START_TEST(nan_reaches_terms_of_class_probabilities)
{
    for (unsigned how = 0; how < 4; how++) {
        struct sweep sweep;
        sweep_make(&sweep, loss_find("cross_entropy"),
                   (struct setting){.dtype = how & 1 ? LOSS_FLOAT64 : LOSS_FLOAT32,
                                    .elements = 70,
                                    .columns = how & 2 ? 35 : 7,
                                    .pattern = how % PATTERNS});
        free(sweep.batch.tensor[1].data);
        sweep.batch.tensor[1] = sweep.batch.tensor[0];
        lay_out(&sweep, 1, "probabilities");
        check_tensors(&sweep);
        sweep_free(&sweep);
    }
}
END_TEST

/* Adds one operand of the terms' shape to the request. */
static void add_operand(struct sweep *sweep, int k)
{
    struct loss_tensor *const tensor = operand(sweep, k);
    *tensor = sweep->batch.plan.terms;
    lay_out(sweep, k, "weights");
    if (k == GRAD_OUTPUT)
        sweep->batch.request.grad_output = tensor;
    else
        sweep->batch.request.sample_weight = tensor;
}

START_TEST(nan_in_a_sample_weight_reaches_its_term)
{
    for (int dtype = LOSS_FLOAT64; dtype <= LOSS_BFLOAT16; dtype++) {
        struct sweep sweep;
        sweep_make(&sweep, loss_at((size_t)_i),
                   (struct setting){.dtype = (enum loss_dtype)dtype,
                                    .strided = dtype % 2,
                                    .elements = 343,
                                    .columns = 7});
        add_operand(&sweep, SAMPLE_WEIGHT);
        double *const before = terms_of(&sweep, NULL);
        const size_t n = loss_tensor_elements(&sweep.batch.plan.terms);
        bool *const reads = calloc(n, sizeof *reads);
        for (size_t i = 0; i < 3; i++) {
            const size_t t = i * (n - 1) / 2;
            put(&sweep.sample_weight, t, nan_bits(sweep.setting.dtype, (unsigned)i % PATTERNS));
            reads[t] = true;
            double *const after = terms_of(&sweep, NULL);
            check_terms(&sweep, "sample_weight", t, before, after, reads);
            check_reduced(&sweep, "sample_weight", 1);
            free(after);
            put(&sweep.sample_weight, t,
                bits_of_number(sweep.setting.dtype, sweep.value[SAMPLE_WEIGHT][t]));
            reads[t] = false;
        }
        free(reads);
        free(before);
        sweep_free(&sweep);
    }
}
END_TEST

/* Element e of tensor k's gradient. */
static double gradient_at(const struct batch *batch, int k, size_t e)
{
    return batch->plan.dtype == LOSS_FLOAT64 ? ((const double *)batch->plan.grad[k].data)[e]
                                             : (double)((const float *)batch->plan.grad[k].data)[e];
}

/* Makes the term of element 0 ignored. Returns false if the loss ignores no terms. */
static bool ignore_first_term(struct batch *batch)
{
    const struct loss_descriptor *const loss = batch->request.loss;
    const int ignore_index = loss_param_find(loss, "ignore_index"),
              background = loss_param_find(loss, "include_background");
    if (ignore_index >= 0) {
        ((int64_t *)batch->tensor[1].data)[0] = -1;
        batch->request.param[ignore_index] = (struct loss_value){-1, -1};
    } else if (background >= 0) { /* one sample, whose first channel is the background */
        for (int k = 0; k < 2; k++) {
            batch->tensor[k].shape[1] = batch->tensor[k].shape[0];
            batch->tensor[k].shape[0] = 1;
        }
        batch->request.tensor[2] = NULL;
        batch->request.param[background] = (struct loss_value){0, 0};
    }
    return ignore_index >= 0 || background >= 0;
}

/* The results of a request whose first sample weight has the bits `bits`: the loss or the first
   term, and the sum of all gradients. */
static void results_with(struct sweep *sweep, uint64_t bits, double result[2])
{
    struct batch *const batch = &sweep->batch;
    put(&sweep->sample_weight, 0, bits);
    ck_assert_msg(batch_run(batch, 1) == LOSS_OK, "%s", batch->error.message);
    ck_assert_uint_eq(batch->result.nonfinite, 0);
    result[0] = batch->result.loss;
    if (batch->plan.reduction == LOSS_NONE)
        result[0] = batch->plan.dtype == LOSS_FLOAT64 ? *(double *)batch->plan.output.data
                                                      : *(float *)batch->plan.output.data;
    result[1] = 0;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        for (size_t e = 0;
             batch->plan.grad_mask >> k & 1 && e < loss_tensor_elements(&batch->plan.grad[k]); e++)
            result[1] += gradient_at(batch, k, e);
    batch_clear(batch);
}

static void check_ignored_weight(struct sweep *sweep)
{
    const struct loss_descriptor *const loss = sweep->batch.request.loss;
    ck_assert_int_eq(loss_plan(&sweep->batch.plan, &sweep->batch.request, &sweep->batch.error),
                     LOSS_OK);
    add_operand(sweep, SAMPLE_WEIGHT);
    for (int r = 0; r < LOSS_REDUCTION_COUNT; r++) {
        double expected[2], result[2];
        if (!(loss->reductions >> r & 1))
            continue;
        sweep->batch.request.reduction = (enum loss_reduction)r;
        results_with(sweep, 0, expected);
        results_with(sweep, nan_bits(sweep->setting.dtype, 0), result);
        for (size_t i = 0; i < 2; i++)
            ck_assert_msg(result[i] == expected[i], "%s, %s: %g, not %g", loss->name,
                          loss_reduction_name((enum loss_reduction)r), result[i], expected[i]);
    }
}

/* Ignored terms ignore their weights: loss and gradients are as if the weights were 0. */
START_TEST(nan_in_a_sample_weight_of_an_ignored_term_is_not_read)
{
    size_t losses = 0;
    for (size_t i = 0; i < 2 * loss_count(); i++) {
        struct sweep sweep;
        const enum loss_dtype dtype = i % 2 ? LOSS_FLOAT64 : LOSS_FLOAT32;
        sweep_make(&sweep, loss_at(i / 2),
                   (struct setting){.dtype = dtype, .elements = 343, .columns = 7, .grad = true});
        if (ignore_first_term(&sweep.batch)) {
            check_ignored_weight(&sweep);
            losses++;
        }
        sweep_free(&sweep);
    }
    ck_assert_uint_eq(losses, 2 * 3); /* cross_entropy, nll, dice */
}
END_TEST

/* Terms do not read the upstream gradient. It reaches those gradients of its term that are not 0.
 */
START_TEST(nan_in_the_upstream_gradient_reaches_the_gradients_of_its_term)
{
    const struct loss_descriptor *const loss = loss_at((size_t)_i);
    if (strcmp(loss->name, "info_nce") == 0) /* whose keys are shared by all terms */
        return;
    for (int dtype = LOSS_FLOAT64; dtype <= LOSS_FLOAT32; dtype++) {
        struct sweep sweep;
        sweep_make(
            &sweep, loss,
            (struct setting){
                .dtype = (enum loss_dtype)dtype, .elements = 343, .columns = 7, .grad = true});
        add_operand(&sweep, GRAD_OUTPUT);
        struct batch plain = sweep.batch;
        ck_assert_int_eq(batch_run(&plain, 1), LOSS_OK);
        const size_t t = loss_tensor_elements(&plain.plan.terms) / 2;
        put(&sweep.grad_output, t, nan_bits(sweep.setting.dtype, 1));
        ck_assert_int_eq(batch_run(&sweep.batch, 1), LOSS_OK);
        ck_assert_uint_eq(sweep.batch.result.nonfinite, 0);
        for (int k = 0; k < LOSS_MAX_TENSORS; k++)
            for (size_t e = 0;
                 plain.plan.grad_mask >> k & 1 && e < loss_tensor_elements(&plain.plan.grad[k]);
                 e++) {
                const double was = gradient_at(&plain, k, e), is = gradient_at(&sweep.batch, k, e);
                if (!lies_along(&plain.plan, k, e, t))
                    ck_assert_msg(is == was || (isnan(is) && isnan(was)),
                                  "%s: %s[%zu] is %g, it was %g", loss->name, loss->tensors[k].name,
                                  e, is, was);
                else
                    ck_assert_msg(isnan(is) || was == 0, "%s: %s[%zu] is %g", loss->name,
                                  loss->tensors[k].name, e, is);
            }
        batch_clear(&plain);
        sweep_free(&sweep);
    }
}
END_TEST

Suite *nan_suite(void)
{
    const TTest *const tests[] = {nan_reaches_the_terms_that_read_it_in_every_dtype_and_layout,
                                  nan_reaches_terms_of_long_rows_and_of_many_blocks,
                                  nan_reaches_terms_on_every_instruction_set,
                                  nan_reaches_terms_whatever_the_parameters,
                                  nan_in_a_sample_weight_reaches_its_term,
                                  nan_in_the_upstream_gradient_reaches_the_gradients_of_its_term};
    static const char *const names[] = {"dtypes",     "blocks",         "sets",
                                        "parameters", "sample_weights", "upstream"};
    Suite *suite = suite_create("nan");
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        TCase *tcase = tcase_create(names[i]);
        tcase_set_timeout(tcase, 120);
        if (tests[i] == nan_reaches_terms_of_long_rows_and_of_many_blocks ||
            tests[i] == nan_reaches_terms_on_every_instruction_set)
            tcase_set_tags(tcase, TAG_SLOW);
        tcase_add_loop_test(tcase, tests[i], 0, (int)loss_count());
        suite_add_tcase(suite, tcase);
    }
    SUITE_ADD(suite, "probabilities", nan_reaches_terms_of_class_probabilities);
    SUITE_ADD(suite, "ignored", nan_in_a_sample_weight_of_an_ignored_term_is_not_read);
    return suite;
}
