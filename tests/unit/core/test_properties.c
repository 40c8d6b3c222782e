/*
 * Properties of every loss, checked on batches made from its descriptor: gradients against central
 * differences for all options, Hessian diagonals against differences of gradients, sample weights,
 * order of the batch, sizes around those of chunks and blocks, half precision against float32.
 */
#include "suites.h"
#include "support/batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double sum_of(struct batch *batch)
{
    ck_assert_int_eq(batch_run(batch, 1), LOSS_OK);
    batch_clear(batch);
    return batch->result.loss;
}

/* Returns (L(x + h) - L(x - h)) / 2h for one element of tensor k. */
static double central_difference(struct batch *batch, int k, size_t element)
{
    double *x = (double *)batch->tensor[k].data + element;
    const double at = *x, h = 1e-5;
    *x = at + h;
    const double above = sum_of(batch);
    *x = at - h;
    const double below = sum_of(batch);
    *x = at;
    return (above - below) / (2 * h);
}

/* Returns false where PyTorch's gradient is not that of the value: that of ctc includes the
   log_softmax before it, a clamped variance has the gradient of an unclamped one, and Stirling's
   term has a step at 1. */
static bool gradient_is_of_the_value(const struct loss_descriptor *loss, int k, const char *option)
{
    static const struct {
        const char *loss, *tensor, *option; /* NULL is any */
    } exceptions[] = {{"ctc", "log_probs", NULL},
                      {"gaussian_nll", "var", "eps"},
                      {"poisson_nll", "target", "full"}};
    for (size_t i = 0; i < sizeof exceptions / sizeof exceptions[0]; i++)
        if (strcmp(loss->name, exceptions[i].loss) == 0 &&
            strcmp(loss->tensors[k].name, exceptions[i].tensor) == 0 &&
            (!exceptions[i].option || strcmp(option, exceptions[i].option) == 0))
            return false;
    return true;
}

static void check_slopes(struct batch *batch, const char *option)
{
    struct batch gradient = *batch;
    const struct loss_descriptor *loss = batch->request.loss;
    batch_all_gradients(&gradient);
    ck_assert_int_eq(batch_run(&gradient, 1), LOSS_OK);
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        if (!(gradient.request.grad >> k & 1) || !gradient_is_of_the_value(loss, k, option))
            continue;
        const size_t n = loss_tensor_elements(&batch->tensor[k]);
        for (size_t element = 0; element < n; element += 1 + n / 40) {
            const double slope = ((const double *)gradient.plan.grad[k].data)[element];
            const double measured = central_difference(batch, k, element);
            ck_assert_msg(fabs(slope - measured) <= 2e-5 * (1 + fabs(slope)),
                          "%s of %s (%s) at %zu: %.12g, measured %.12g", loss->tensors[k].name,
                          loss->name, option, element, slope, measured);
        }
    }
    batch_clear(&gradient);
}

START_TEST(gradients_are_the_slopes_of_the_value)
{
    struct batch batch;
    batch_make(&batch, loss_at((size_t)_i), 343, LOSS_FLOAT64, 7);
    batch.request.reduction = LOSS_SUM;
    check_slopes(&batch, "defaults");
    for (size_t option = 0; option < batch_options(loss_at((size_t)_i)); option++) {
        struct batch other = batch;
        for (int k = 0; k < loss_tensor_specs(other.request.loss); k++)
            other.request.tensor[k] = &other.tensor[k];
        const char *name = batch_set_option(&other, option);
        if (name)
            check_slopes(&other, name);
    }
    batch_free(&batch);
}
END_TEST

START_TEST(hessian_diagonals_are_the_slopes_of_the_gradient)
{
    const struct loss_descriptor *loss = loss_at((size_t)_i);
    struct batch batch;
    batch_make(&batch, loss, 343, LOSS_FLOAT64, 17);
    batch.request.reduction = LOSS_SUM;
    batch.request.grad = batch.request.hess = loss_predictions(loss);
    ck_assert_int_eq(batch_run(&batch, 2), loss->hessian ? LOSS_OK : LOSS_INVALID);
    for (int k = 0; k < LOSS_MAX_TENSORS && loss->hessian; k++) {
        const size_t n = batch.request.hess >> k & 1 ? loss_tensor_elements(&batch.tensor[k]) : 0;
        for (size_t element = 0; element < n; element += 1 + n / 40) {
            struct batch moved = batch;
            double *x = (double *)batch.tensor[k].data + element, slope[2];
            const double at = *x, h = 1e-6,
                         hess = ((const double *)batch.plan.hess[k].data)[element];
            for (int side = 0; side < 2; side++) {
                *x = at + (side ? h : -h);
                ck_assert_int_eq(batch_run(&moved, 1), LOSS_OK);
                slope[side] = ((const double *)moved.plan.grad[k].data)[element];
                batch_clear(&moved);
            }
            *x = at;
            const double measured = (slope[1] - slope[0]) / (2 * h);
            ck_assert_msg(fabs(hess - measured) <= 1e-6 * (1 + fabs(hess)),
                          "%s of %s at %zu: %.12g, measured %.12g", loss->tensors[k].name,
                          loss->name, element, hess, measured);
        }
    }
    batch_clear(&batch);
    batch_free(&batch);
}
END_TEST

/* Weights of 2 double a sum and its gradient and do not change a mean. Any weight multiplies its
   term. */
START_TEST(sample_weights_multiply_terms_and_divide_the_mean)
{
    struct batch batch;
    batch_make(&batch, loss_at((size_t)_i), 3430, LOSS_FLOAT64, 19);
    batch.request.reduction = LOSS_NONE;
    ck_assert_int_eq(batch_run(&batch, 2), LOSS_OK);
    const size_t n = loss_tensor_elements(&batch.plan.output), bytes = n * sizeof(double);
    double *plain = malloc(bytes), *weights = malloc(bytes);
    memcpy(plain, batch.plan.output.data, bytes);
    for (size_t i = 0; i < n; i++)
        weights[i] = (double)(i % 5) / 4;
    struct loss_tensor weight = batch.plan.terms;
    weight.dtype = LOSS_FLOAT64;
    weight.data = weights;
    batch_clear(&batch);
    batch.request.sample_weight = &weight;
    ck_assert_int_eq(batch_run(&batch, 2), LOSS_OK);
    for (size_t i = 0; i < n; i++)
        ck_assert_double_eq(((const double *)batch.plan.output.data)[i], plain[i] * weights[i]);
    batch_clear(&batch);

    for (int reduction = LOSS_MEAN; reduction <= LOSS_SUM; reduction++) {
        struct batch doubled = batch;
        for (size_t i = 0; i < n; i++)
            weights[i] = 2;
        batch.request.reduction = doubled.request.reduction = (enum loss_reduction)reduction;
        batch.request.grad = doubled.request.grad = 1;
        batch.request.sample_weight = NULL;
        doubled.request.sample_weight = &weight;
        ck_assert_int_eq(batch_run(&batch, 2), LOSS_OK);
        ck_assert_int_eq(batch_run(&doubled, 2), LOSS_OK);
        const double factor = reduction == LOSS_SUM ? 2 : 1;
        ck_assert_double_eq_tol(doubled.result.loss, factor * batch.result.loss,
                                1e-13 * fabs(doubled.result.loss) + 1e-300);
        for (size_t i = 0; i < loss_tensor_elements(&batch.plan.grad[0]); i++) {
            const double slope = ((const double *)batch.plan.grad[0].data)[i];
            ck_assert_double_eq_tol(((const double *)doubled.plan.grad[0].data)[i], factor * slope,
                                    1e-13 * fabs(slope) + 1e-300);
        }
        batch_clear(&doubled);
        batch_clear(&batch);
    }
    free(plain);
    free(weights);
    batch_free(&batch);
}
END_TEST

/* Reverses the first dimension of the terms by strides; no data moves. */
static void turn_around(struct batch *batch)
{
    for (int k = 0; k < loss_tensor_specs(batch->request.loss); k++) {
        struct loss_tensor *tensor = &batch->tensor[k];
        ptrdiff_t gap = 1;
        tensor->strided = true;
        for (int axis = tensor->rank - 1; axis >= 0; axis--) {
            tensor->stride[axis] = gap;
            gap *= (ptrdiff_t)tensor->shape[axis];
            /* Also reverse ctc's target_lengths: its axis is the batch, but the plan marks it
               LOSS_WITHIN, because each term reads all lengths. */
            if (batch->plan.axis[k][axis] != 0 &&
                strcmp(batch->request.loss->tensors[k].name, "target_lengths") != 0)
                continue;
            tensor->data = (char *)tensor->data +
                           (ptrdiff_t)(tensor->shape[axis] - 1) * tensor->stride[axis] * 8;
            tensor->stride[axis] = -tensor->stride[axis];
        }
    }
}

START_TEST(the_order_of_the_batch_does_not_matter)
{
    struct batch batch;
    batch_make(&batch, loss_at((size_t)_i), 3430, LOSS_FLOAT64, 11);
    batch.request.reduction = LOSS_NONE;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    struct batch turned = batch;
    for (int k = 0; k < loss_tensor_specs(turned.request.loss); k++)
        turned.request.tensor[k] = &turned.tensor[k];
    turn_around(&turned);
    ck_assert_int_eq(batch_run(&turned, 1), LOSS_OK);
    const size_t n = loss_tensor_elements(&batch.plan.output), first = batch.plan.output.shape[0],
                 rest = n / first;
    const double *there = batch.plan.output.data, *back = turned.plan.output.data;
    for (size_t i = 0; i < n; i++) /* a term that sums over all rows may be rounded differently */
        ck_assert_double_eq_tol(there[i], back[(first - 1 - i / rest) * rest + i % rest],
                                1e-14 * fabs(there[i]) + 1e-300);
    batch_clear(&turned);
    batch_free(&batch);
}
END_TEST

/* A chunk has 1024 elements, a block 16 chunks, a row 7. Sizes that take long are left out. */
START_TEST(sizes_around_every_edge_add_up)
{
    static const size_t sizes[] = {0,    7,    49,    1015,  1022,  1029,  2044,
                                   2051, 7154, 16380, 16387, 16394, 32767, 32781};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct batch batch;
        batch_make(&batch, loss_at((size_t)_i), sizes[s], LOSS_FLOAT64, 5);
        if (batch.plan.elements > 10000000) {
            batch_free(&batch);
            continue;
        }
        batch.request.reduction = LOSS_NONE;
        ck_assert_int_eq(batch_run(&batch, 2), LOSS_OK);
        const size_t n = loss_tensor_elements(&batch.plan.output);
        const double sum = batch_sum_of_terms(&batch);
        batch_clear(&batch);
        batch.request.reduction = LOSS_SUM;
        ck_assert_double_eq_tol(sum_of(&batch), sum, 1e-11 * fabs(sum) + 1e-300);
        ck_assert_uint_eq(batch.result.count, n);
        batch.request.reduction = LOSS_MEAN;
        ck_assert(n > 0 ? isfinite(sum_of(&batch)) : isnan(sum_of(&batch)));
        batch_free(&batch);
    }
}
END_TEST

/* For random shapes, the terms add up to the sum, the mean is the sum divided by the number of
   terms, and the gradients match central differences. */
START_TEST(properties_hold_for_random_shapes)
{
    uint32_t state = 12345;
    for (unsigned seed = 0; seed < 24; seed++) {
        state = state * 1664525u + 1013904223u;
        const size_t columns = 2 + state / 65536 % 13, n = columns * (1 + state / 4096 % 50);
        struct batch batch;
        batch_make_columns(&batch, loss_at((size_t)_i), n, columns, LOSS_FLOAT64, seed);
        batch.request.reduction = LOSS_NONE;
        ck_assert_int_eq(batch_run(&batch, 2), LOSS_OK);
        const size_t terms = loss_tensor_elements(&batch.plan.output);
        const double sum = batch_sum_of_terms(&batch);
        batch_clear(&batch);
        batch.request.reduction = LOSS_SUM;
        ck_assert_double_eq_tol(sum_of(&batch), sum, 1e-12 * fabs(sum) + 1e-300);
        if (terms > 0 && seed < 6)
            check_slopes(&batch, "random shape");
        batch.request.reduction = LOSS_MEAN;
        const double mean = sum_of(&batch);
        /* The mean depends on class weights and, in ctc, lengths. */
        if (terms > 0 && !batch.plan.has_term_weights &&
            strcmp(batch.request.loss->name, "ctc") != 0)
            ck_assert_double_eq_tol(mean, sum / (double)terms, 1e-12 * fabs(mean) + 1e-300);
        batch_free(&batch);
    }
}
END_TEST

/* The first row of each tensor in turn is used for all rows: by broadcasting, if the loss allows
   it, and by copying. */
START_TEST(broadcast_operands_are_as_if_written_out)
{
    const struct loss_descriptor *loss = loss_at((size_t)_i);
    for (int k = 0; k < loss_tensor_specs(loss); k++) {
        struct batch written;
        batch_make(&written, loss, 3430, LOSS_FLOAT64, 29);
        struct loss_tensor row = written.tensor[k];
        const size_t rows = row.shape[0], len = row.rank == 2 ? row.shape[1] : 0;
        struct batch shared = written;
        for (int j = 0; j < loss_tensor_specs(loss); j++)
            shared.request.tensor[j] = &shared.tensor[j];
        shared.tensor[k].rank = 2;
        shared.tensor[k].shape[0] = 1;
        struct loss_plan plan;
        if (len == 0 || loss_plan(&plan, &shared.request, &shared.error) != LOSS_OK) {
            batch_free(&written);
            continue;
        }
        for (size_t i = 1; i < rows; i++)
            memcpy((double *)row.data + i * len, row.data, len * sizeof(double));
        written.request.reduction = shared.request.reduction = LOSS_SUM;
        batch_all_gradients(&written);
        shared.request.grad = written.request.grad;
        ck_assert_int_eq(batch_run(&written, 1), LOSS_OK);
        ck_assert_int_eq(batch_run(&shared, 2), LOSS_OK);
        ck_assert_double_eq_tol(shared.result.loss, written.result.loss,
                                1e-12 * fabs(written.result.loss));
        for (size_t c = 0; c < len && written.request.grad >> k & 1; c++) {
            double sum = 0, size = 0;
            for (size_t i = 0; i < rows; i++) {
                const double slope = ((const double *)written.plan.grad[k].data)[i * len + c];
                sum += slope;
                size += fabs(slope);
            }
            ck_assert_double_eq_tol(((const double *)shared.plan.grad[k].data)[c], sum,
                                    1e-12 * size + 1e-300);
        }
        batch_clear(&shared);
        batch_clear(&written);
        batch_free(&written);
    }
}
END_TEST

/* Puts gaps between the elements of every tensor, and misaligns them. */
static void spread(struct batch *batch, void *owned[])
{
    for (int k = 0; k < loss_tensor_specs(batch->request.loss); k++) {
        struct loss_tensor *tensor = &batch->tensor[k];
        const size_t size = loss_dtype_size(tensor->dtype), n = loss_tensor_elements(tensor);
        char *wide = owned[k] = malloc(3 * n * size + 1);
        for (size_t i = 0; i < n; i++)
            memcpy(wide + 1 + 3 * i * size, (char *)tensor->data + i * size, size);
        ptrdiff_t gap = 3;
        for (int axis = tensor->rank - 1; axis >= 0; axis--) {
            tensor->stride[axis] = gap;
            gap *= (ptrdiff_t)tensor->shape[axis];
        }
        tensor->strided = true;
        tensor->data = wide + 1;
        batch->request.tensor[k] = tensor;
    }
}

static void check_spread(struct batch *batch)
{
    struct batch gaps = *batch;
    void *owned[LOSS_MAX_TENSORS] = {NULL};
    spread(&gaps, owned);
    ck_assert_int_eq(batch_run(batch, 2), LOSS_OK);
    ck_assert_int_eq(batch_run(&gaps, 1), LOSS_OK);
    ck_assert_mem_eq(batch->plan.output.data, gaps.plan.output.data,
                     loss_tensor_bytes(&batch->plan.output));
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        if (batch->plan.grad_mask >> k & 1)
            ck_assert_mem_eq(batch->plan.grad[k].data, gaps.plan.grad[k].data,
                             loss_tensor_bytes(&batch->plan.grad[k]));
        if (batch->plan.hess_mask >> k & 1)
            ck_assert_mem_eq(batch->plan.hess[k].data, gaps.plan.hess[k].data,
                             loss_tensor_bytes(&batch->plan.hess[k]));
        free(owned[k]);
    }
    batch_clear(batch);
    batch_clear(&gaps);
}

/* Every number of elements around the width of a vector, a chunk and a block. Operands used in
   place give the same bits as copied ones. */
START_TEST(vectors_of_every_size_give_the_bits_of_single_elements)
{
    const struct loss_descriptor *loss = loss_at((size_t)_i);
    for (size_t n = 0; n < 16400; n = n < 70      ? n + 1
                                      : n == 70   ? 1022
                                      : n < 1026  ? n + 1
                                      : n == 1026 ? 16383
                                                  : n + 1)
        for (int dtype = LOSS_FLOAT64; dtype <= LOSS_FLOAT32; dtype++) {
            struct batch batch;
            if (n > 16386 ||
                !batch_make_vector(&batch, loss, n, (enum loss_dtype)dtype, (unsigned)n))
                continue;
            batch_all_gradients(&batch);
            batch.request.reduction = LOSS_NONE;
            batch.request.hess = loss->hessian ? loss_predictions(loss) : 0;
            check_spread(&batch);
            batch_free(&batch);
        }
    for (int dtype = LOSS_FLOAT64; dtype <= LOSS_FLOAT32; dtype++) { /* rows */
        struct batch batch;
        batch_make(&batch, loss, 3430, (enum loss_dtype)dtype, 3);
        batch_all_gradients(&batch);
        batch.request.reduction = LOSS_NONE;
        check_spread(&batch);
        batch_free(&batch);
    }
}
END_TEST

/* Truncates the fraction of a float to seven bits, and returns its bits in float16 or bfloat16,
   which represent it exactly. */
static uint16_t to_half(float *value, enum loss_dtype dtype)
{
    uint32_t bits;
    memcpy(&bits, value, sizeof bits);
    bits &= 0xffff0000u;
    memcpy(value, &bits, sizeof bits);
    if (dtype == LOSS_BFLOAT16)
        return (uint16_t)(bits >> 16);
    return (uint16_t)(((bits >> 23) - 127 + 15) << 10 |
                      (bits >> 13 & 0x3ff)); /* between 1/4 and 1: normal, positive */
}

START_TEST(half_precision_computes_as_single)
{
    for (int dtype = LOSS_FLOAT16; dtype <= LOSS_BFLOAT16; dtype++) {
        struct batch single, half;
        batch_make(&single, loss_at((size_t)_i), 686, LOSS_FLOAT32, 13);
        single.request.dtype = LOSS_FLOAT32;
        batch_all_gradients(&single);
        half = single;
        for (int k = 0; k < loss_tensor_specs(half.request.loss); k++) {
            half.request.tensor[k] = &half.tensor[k];
            if (single.tensor[k].dtype != LOSS_FLOAT32)
                continue;
            const size_t n = loss_tensor_elements(&single.tensor[k]);
            uint16_t *narrow = malloc(n * sizeof *narrow + 1);
            for (size_t i = 0; i < n; i++)
                narrow[i] = to_half((float *)single.tensor[k].data + i, (enum loss_dtype)dtype);
            half.tensor[k].data = narrow;
            half.tensor[k].dtype = (enum loss_dtype)dtype;
        }
        ck_assert_int_eq(batch_run(&single, 1), LOSS_OK);
        ck_assert_int_eq(batch_run(&half, 1), LOSS_OK);
        ck_assert_mem_eq(&single.result.loss, &half.result.loss, sizeof single.result.loss);
        for (int k = 0; k < LOSS_MAX_TENSORS; k++)
            if (single.plan.grad_mask >> k & 1)
                ck_assert_mem_eq(single.plan.grad[k].data, half.plan.grad[k].data,
                                 loss_tensor_bytes(&single.plan.grad[k]));
        for (int k = 0; k < LOSS_MAX_TENSORS; k++)
            if (half.tensor[k].data != single.tensor[k].data)
                free(half.tensor[k].data);
        batch_clear(&half);
        batch_free(&single);
    }
}
END_TEST

Suite *properties_suite(void)
{
    const TTest *const tests[] = {gradients_are_the_slopes_of_the_value,
                                  hessian_diagonals_are_the_slopes_of_the_gradient,
                                  sample_weights_multiply_terms_and_divide_the_mean,
                                  the_order_of_the_batch_does_not_matter,
                                  sizes_around_every_edge_add_up,
                                  vectors_of_every_size_give_the_bits_of_single_elements,
                                  properties_hold_for_random_shapes,
                                  broadcast_operands_are_as_if_written_out,
                                  half_precision_computes_as_single};
    static const char *const names[] = {"slopes",  "diagonals", "weights",   "order", "sizes",
                                        "vectors", "shapes",    "broadcast", "halves"};
    Suite *suite = suite_create("properties");
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        TCase *tcase = tcase_create(names[i]);
        tcase_set_timeout(tcase, 60);
        tcase_add_loop_test(tcase, tests[i], 0, (int)loss_count());
        suite_add_tcase(suite, tcase);
    }
    return suite;
}
