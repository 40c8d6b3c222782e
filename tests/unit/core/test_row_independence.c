/*
 * A term depends on its own numbers only: each row evaluated alone gives the bits that it gives in
 * a batch, and the sums of all rows, merged in any order, give the loss of the batch. Ordinary rows
 * have neighbors with soft labels, distant logits, subnormal and huge numbers, NaN and infinities.
 */
#include "suites.h"
#include "support/batch.h"
#include "support/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How a batch is laid out and evaluated. */
struct setting {
    enum loss_dtype dtype;
    enum loss_reduction reduction; /* LOSS_SUM: sums and gradients are compared, not terms */
    size_t elements, columns;
    bool strided; /* every second element */
    enum derivatives { LOSS_ALONE, PREDICTIONS, ALL_GRADIENTS } derivatives;
    bool weighted; /* with all optional tensors and sample weights */
};

struct rows {
    struct setting setting;
    struct batch batch;
    struct loss_tensor sample_weight;
    const char *option;
    double option_value;
    size_t count;
};

/* ---- Values ---- */

static double uniform(uint64_t *state)
{
    return (double)(random_bits(state) >> 11) * 0x1p-53;
}

enum row_kind { LABELS, SOFT, DEEP, SUBNORMAL, HUGE_NUMBERS, ENDS, WITH_NAN, WITH_INFINITY, KINDS };

/* At least half of the rows are ordinary. */
static enum row_kind kind_of_row(size_t row)
{
    return row % 2 ? LABELS : (enum row_kind)(row / 2 * 2654435761U % 4294967296U % KINDS);
}

/* Returns true for losses whose labels are 1 and -1. */
static bool has_signs(const char *loss)
{
    return strstr("cosine_embedding hinge_embedding soft_margin margin_ranking", loss) != NULL;
}

static double value_at(const char *loss, bool is_target, enum row_kind kind, uint64_t *state)
{
    const double u = uniform(state);
    const bool rare = uniform(state) < 0.3;
    if (is_target && has_signs(loss))
        return u < 0.5 ? 1 : -1;
    if (kind == WITH_NAN && rare)
        return NAN;
    if (kind == WITH_INFINITY && rare)
        return u < 0.5 ? INFINITY : -INFINITY;
    if (is_target && kind != SOFT)
        return u < 0.5;
    switch (kind) {
    case DEEP:
        return (u - 0.5) * 400;
    case SUBNORMAL:
        return u * 0x1p-130;
    case HUGE_NUMBERS:
        return (u - 0.5) * 1e30;
    case ENDS:
        return u < 0.5;
    default:
        return u;
    }
}

static void put_number(const struct loss_tensor *tensor, ptrdiff_t at, double value)
{
    const float single = (float)value;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    if (tensor->dtype == LOSS_FLOAT64)
        ((double *)tensor->data)[at] = value;
    else if (tensor->dtype == LOSS_FLOAT32)
        ((float *)tensor->data)[at] = single;
    else if (tensor->dtype == LOSS_FLOAT16)
        ((_Float16 *)tensor->data)[at] = (_Float16)value;
    else
        ((uint16_t *)tensor->data)[at] = (uint16_t)(isnan(value) ? 0x7fc0 : bits >> 16);
}

/* ---- Layout ---- */

/* The elements of one row of a tensor: `inner` consecutive ones in each of `outer` places. */
struct span {
    size_t outer, inner;
    int axis; /* -1 if all rows share the tensor */
};

/* Returns the elements of a row. `axis_of` gives the dimension of the terms for each axis. */
static struct span span_along(const struct loss_plan *plan, const signed char *axis_of,
                              const struct loss_tensor *tensor)
{
    struct span span = {1, 1, -1};
    for (int a = 0; a < tensor->rank; a++) {
        if (span.axis >= 0)
            span.inner *= tensor->shape[a];
        else if (axis_of[a] == 0 && tensor->shape[a] == plan->terms.shape[0])
            span.axis = a;
        else
            span.outer *= tensor->shape[a];
    }
    return span;
}

static struct span span_of(const struct loss_plan *plan, int k, const struct loss_tensor *tensor)
{
    static const signed char first[LOSS_MAX_RANK] = {0};
    /* ctc reads all target lengths for each term. */
    const bool lengths = strcmp(plan->loss->tensors[k].name, "target_lengths") == 0;
    return span_along(plan, lengths ? first : plan->axis[k], tensor);
}

/* Returns the row of an element, in row-major order. */
static size_t row_of(const struct span *span, size_t rows, size_t element)
{
    return span->axis < 0 ? 1 : element / span->inner % rows;
}

/* Replaces the numbers of a tensor, and its layout. */
static void fill(struct rows *rows, int k, uint64_t *state)
{
    struct loss_tensor *const tensor = &rows->batch.tensor[k];
    const struct loss_descriptor *const loss = rows->batch.request.loss;
    const struct span span = span_of(&rows->batch.plan, k, tensor);
    const size_t n = loss_tensor_elements(tensor);
    free(tensor->data);
    tensor->dtype = rows->setting.dtype;
    tensor->strided = rows->setting.strided;
    tensor->data = malloc(2 * n * loss_dtype_size(tensor->dtype));
    ck_assert_ptr_nonnull(tensor->data);
    ptrdiff_t stride = 2;
    for (int axis = tensor->rank - 1; axis >= 0; axis--) {
        tensor->stride[axis] = stride;
        stride *= (ptrdiff_t)tensor->shape[axis];
    }
    const bool is_target = strcmp(loss->tensors[k].name, "target") == 0;
    for (size_t i = 0; i < n; i++)
        put_number(tensor, (ptrdiff_t)(tensor->strided ? 2 * i : i),
                   value_at(loss->name, is_target,
                            span.axis < 0 ? LABELS : kind_of_row(row_of(&span, rows->count, i)),
                            state));
}

/* Returns a view of one row. */
static struct loss_tensor row_view(const struct loss_tensor *tensor, const struct span *span,
                                   size_t row)
{
    struct loss_tensor view = *tensor;
    if (span->axis < 0)
        return view;
    view.shape[span->axis] = 1;
    const size_t step = tensor->strided ? (size_t)tensor->stride[span->axis] : span->inner;
    view.data = (char *)tensor->data + row * step * loss_dtype_size(tensor->dtype);
    if (span->outer > 1 && !tensor->strided) { /* the row is not contiguous */
        view.strided = true;
        ptrdiff_t stride = 1;
        for (int axis = tensor->rank - 1; axis >= 0; axis--) {
            view.stride[axis] = stride;
            stride *= (ptrdiff_t)tensor->shape[axis];
        }
    }
    return view;
}

/* ---- Batches ---- */

static void rows_make(struct rows *rows, const struct loss_descriptor *loss, struct setting setting)
{
    uint64_t state = RANDOM_SEED;
    *rows = (struct rows){.setting = setting, .option = "defaults"};
    struct batch *const batch = &rows->batch;
    batch_make_columns(batch, loss, setting.elements, setting.columns, LOSS_FLOAT32, 5);
    rows->count = batch->plan.terms.shape[0];
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        if (!batch->plan.indexed[k])
            fill(rows, k, &state);
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        if (loss->tensors[k].optional && !setting.weighted)
            batch->request.tensor[k] = NULL;
    batch->request.reduction = setting.reduction;
    if (setting.derivatives == ALL_GRADIENTS)
        batch_all_gradients(batch);
    else if (setting.derivatives == PREDICTIONS)
        batch->request.grad = loss_predictions(loss);
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        batch->request.grad &= ~((uint32_t)!batch->request.tensor[k] << k);
    if (setting.weighted) {
        rows->sample_weight = batch_vector(malloc(rows->count * 4), LOSS_FLOAT32, rows->count);
        ck_assert_ptr_nonnull(rows->sample_weight.data);
        for (size_t i = 0; i < rows->count; i++)
            put_number(&rows->sample_weight, (ptrdiff_t)i, uniform(&state));
        batch->request.sample_weight = &rows->sample_weight;
    }
}

static void rows_free(struct rows *rows)
{
    free(rows->sample_weight.data);
    batch_free(&rows->batch);
}

/* Runs the batch. Replaces numbers for which the formula is undefined. */
static void run_batch(struct rows *rows)
{
    struct batch *const batch = &rows->batch;
    while (batch_run(batch, 1) != LOSS_OK) {
        ck_assert_msg(batch->error.status == LOSS_INVALID && batch->error.tensor >= 0 &&
                          !batch->plan.indexed[batch->error.tensor],
                      "%s: %s", batch->request.loss->name, batch->error.message);
        const struct loss_tensor *const tensor = &batch->tensor[batch->error.tensor];
        put_number(tensor, (ptrdiff_t)batch->error.element * (tensor->strided ? 2 : 1), 0.5);
        batch_clear(batch);
    }
}

/* Compares a row of a result with the same row evaluated alone. Returns the number of elements that
 * differ. NaNs are equal. */
static size_t differences(const struct loss_tensor *batch, const struct span *span, size_t row,
                          size_t rows, const struct loss_tensor *alone)
{
    size_t count = 0;
    for (size_t i = 0; i < span->outer * span->inner; i++) {
        const size_t at = (i / span->inner * rows + row) * span->inner + i % span->inner;
        double a, b;
        if (batch->dtype == LOSS_FLOAT64) {
            a = ((const double *)batch->data)[at];
            b = ((const double *)alone->data)[i];
        } else {
            a = (double)((const float *)batch->data)[at];
            b = (double)((const float *)alone->data)[i];
        }
        count += (isnan(a) && isnan(b)) ? 0 : (size_t)(memcmp(&a, &b, sizeof a) != 0);
    }
    return count;
}

struct found {
    size_t terms, gradients, rows;
    struct loss_partial sum; /* of all rows ... */
    bool indivisible;        /* ... unless the rows cannot be parts of a batch */
};

/* Evaluates a part of a batch, and adds its sums. */
static void add_sums(const struct loss_request *request, struct found *found)
{
    struct loss_request part = *request;
    struct loss_plan plan;
    struct loss_partial partial;
    struct loss_result result;
    struct loss_error error;
    part.partial = true;
    part.grad = 0;
    found->indivisible = loss_plan(&plan, &part, &error) != LOSS_OK;
    if (found->indivisible) {
        ck_assert_str_eq(error.path, "/partial");
        return;
    }
    plan.partial = &partial;
    ck_assert_msg(loss_run(&plan, 1, &result, &error) == LOSS_OK, "%s", error.message);
    ck_assert(loss_partial_add(&found->sum, &partial));
}

static void check_row(struct rows *rows, size_t row, struct found *found)
{
    static const signed char first_axis[LOSS_MAX_RANK] = {0};
    struct batch *const batch = &rows->batch;
    const struct loss_plan *const plan = &batch->plan;
    struct batch alone = {.request = batch->request};
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        if (!batch->request.tensor[k])
            continue;
        const struct span span = span_of(plan, k, &batch->tensor[k]);
        alone.tensor[k] = row_view(&batch->tensor[k], &span, row);
        alone.request.tensor[k] = &alone.tensor[k];
    }
    struct loss_tensor weight = {0};
    if (rows->setting.weighted) {
        const struct span span = {1, 1, 0};
        weight = row_view(&rows->sample_weight, &span, row);
        alone.request.sample_weight = &weight;
    }
    ck_assert_msg(batch_run(&alone, 1) == LOSS_OK, "%s, %s: row %zu alone: %s",
                  batch->request.loss->name, rows->option, row, alone.error.message);
    size_t terms = 0, gradients = 0;
    if (plan->reduction == LOSS_NONE) {
        const struct span span = span_along(plan, first_axis, &plan->output);
        terms = differences(&plan->output, &span, row, rows->count, &alone.plan.output);
    }
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        if (!(plan->grad_mask >> k & 1))
            continue;
        const struct span span = span_of(plan, k, &batch->tensor[k]);
        if (span.axis >= 0)
            gradients += differences(&plan->grad[k], &span, row, rows->count, &alone.plan.grad[k]);
    }
    if (plan->reduction == LOSS_SUM)
        add_sums(&alone.request, found);
    found->terms += terms;
    found->gradients += gradients;
    found->rows += terms + gradients > 0;
    batch_clear(&alone);
}

static void check(struct rows *rows)
{
    static const char *const derivatives[] = {"", ", gradients of predictions", ", gradients"};
    const struct setting *const setting = &rows->setting;
    struct found found = {0};
    if (rows->batch.plan.terms.rank == 0) /* ctc takes a matrix of one column as one sequence */
        return;
    run_batch(rows);
    ck_assert_uint_gt(rows->count, 1);
    for (size_t row = rows->count; row > 0; row--)
        check_row(rows, row - 1, &found);
    const double loss = rows->batch.result.loss,
                 merged = loss_partial_result(&found.sum, LOSS_SUM).loss;
    ck_assert_msg(found.indivisible || (isnan(loss) && isnan(merged)) ||
                      memcmp(&loss, &merged, sizeof loss) == 0,
                  "%s, %s: the loss is %a, that of the rows %a", rows->batch.request.loss->name,
                  rows->option, loss, merged);
    ck_assert_msg(found.rows == 0,
                  "%s, %s = %g, %s%s%s, %zu columns, reduction %s%s: %zu of %zu rows differ (%zu "
                  "terms, %zu gradients)",
                  rows->batch.request.loss->name, rows->option, rows->option_value,
                  loss_dtype_name(setting->dtype), setting->strided ? ", strided" : "",
                  setting->weighted ? ", weights" : "", setting->columns,
                  loss_reduction_name(setting->reduction), derivatives[setting->derivatives],
                  found.rows, rows->count, found.terms, found.gradients);
    batch_clear(&rows->batch);
}

/* ---- Tests: _i is the index of the loss ---- */

/* Returns NULL for info_nce, which compares all rows with each other. */
static const struct loss_descriptor *loss_of(int index)
{
    const struct loss_descriptor *const loss = loss_at((size_t)index);
    return strcmp(loss->name, "info_nce") == 0 ? NULL : loss;
}

START_TEST(row_alone_has_the_bits_of_a_batch_in_every_dtype_and_layout)
{
    static const enum loss_dtype dtypes[] = {LOSS_FLOAT64, LOSS_FLOAT32, LOSS_FLOAT16,
                                             LOSS_BFLOAT16};
    static const size_t columns[] = {1, 5, 40}, elements[] = {1280, 1280, 3200};
    static const enum derivatives derivatives[] = {
        [0] = LOSS_ALONE, [1] = ALL_GRADIENTS, [4] = PREDICTIONS, [5] = ALL_GRADIENTS};
    const struct loss_descriptor *const loss = loss_of(_i);
    for (size_t d = 0; loss && d < sizeof dtypes / sizeof *dtypes; d++)
        for (unsigned how = 0; how < 3 * 16; how++) {
            struct rows rows;
            rows_make(&rows, loss,
                      (struct setting){.dtype = dtypes[d],
                                       .reduction = how & 4 ? LOSS_SUM : LOSS_NONE,
                                       .elements = elements[how / 16],
                                       .columns = columns[how / 16],
                                       .strided = how & 2,
                                       .derivatives = derivatives[how & 5],
                                       .weighted = how & 8});
            check(&rows);
            rows_free(&rows);
        }
}
END_TEST

START_TEST(row_alone_has_the_bits_of_a_batch_whatever_the_parameters)
{
    const struct loss_descriptor *const loss = loss_of(_i);
    for (size_t option = 0; loss && option < batch_options(loss); option++)
        for (unsigned how = 0; how < 4; how++) {
            struct rows rows;
            rows_make(&rows, loss,
                      (struct setting){.dtype = how & 1 ? LOSS_FLOAT64 : LOSS_FLOAT32,
                                       .elements = 640,
                                       .columns = 5,
                                       .reduction = how & 2 ? LOSS_SUM : LOSS_NONE,
                                       .derivatives = PREDICTIONS});
            const char *const name = batch_set_option(&rows.batch, option);
            const bool pools = name && strcmp(loss->name, "dice") == 0 && /* one term per channel */
                               strcmp(name, "batch") == 0 &&
                               rows.batch.request.param[loss_param_find(loss, "batch")].integer;
            if (name && !pools) {
                rows.option = name;
                rows.option_value = rows.batch.request.param[loss_param_find(loss, name)].number;
                check(&rows);
            }
            rows_free(&rows);
        }
}
END_TEST

Suite *row_independence_suite(void)
{
    Suite *suite = suite_create("row_independence");
    const int losses = (int)loss_count();
    TCase *tcase = tcase_create("row_independence");
    tcase_add_loop_test(tcase, row_alone_has_the_bits_of_a_batch_in_every_dtype_and_layout, 0,
                        losses);
    tcase_add_loop_test(tcase, row_alone_has_the_bits_of_a_batch_whatever_the_parameters, 0,
                        losses);
    suite_add_tcase(suite, tcase);
    return suite;
}
