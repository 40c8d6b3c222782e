/*
 * What must hold for every loss of the table, checked on batches made from its descriptor: gradients against central
 * differences, order of the batch, sizes around the edges of chunks and blocks, half precision against single.
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

/* (L(x + h) - L(x - h)) / 2h for one element of tensor k. */
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

/* PyTorch's gradient of ctc is not that of its value: it folds in that of the log_softmax in front. */
static bool gradient_is_of_the_value(const struct loss_descriptor *loss)
{
    return strcmp(loss->name, "ctc") != 0;
}

START_TEST(gradients_are_the_slopes_of_the_value)
{
    struct batch batch, gradient;
    batch_make(&batch, loss_at((size_t)_i), 343, LOSS_FLOAT64, 7);
    batch.request.reduction = LOSS_SUM;
    gradient = batch;
    batch_all_gradients(&gradient);
    ck_assert_int_eq(batch_run(&gradient, 1), LOSS_OK);
    for (int k = 0; k < LOSS_MAX_TENSORS && gradient_is_of_the_value(loss_at((size_t)_i)); k++) {
        if (!(gradient.request.grad >> k & 1))
            continue;
        const size_t n = loss_tensor_elements(&batch.tensor[k]);
        for (size_t element = 0; element < n; element += 1 + n / 40) {
            const double slope = ((const double *)gradient.plan.grad[k].data)[element];
            const double measured = central_difference(&batch, k, element);
            ck_assert_msg(fabs(slope - measured) <= 1e-6 * (1 + fabs(slope)), "%s of %s at %zu: %.12g, measured %.12g",
                          loss_at((size_t)_i)->tensors[k].name, loss_at((size_t)_i)->name, element, slope, measured);
        }
    }
    batch_clear(&gradient);
    batch_free(&batch);
}
END_TEST

/* Turns the first dimension of the terms around, by strides: nothing moves. */
static void turn_around(struct batch *batch)
{
    for (int k = 0; k < loss_tensor_specs(batch->request.loss); k++) {
        struct loss_tensor *tensor = &batch->tensor[k];
        ptrdiff_t gap = 1;
        tensor->strided = true;
        for (int axis = tensor->rank - 1; axis >= 0; axis--) {
            tensor->stride[axis] = gap;
            gap *= (ptrdiff_t)tensor->shape[axis];
            /* The lengths of ctc's targets run along the batch, though all of them lie within each term. */
            if (batch->plan.axis[k][axis] != 0 && strcmp(batch->request.loss->tensors[k].name, "target_lengths") != 0)
                continue;
            tensor->data = (char *)tensor->data + (ptrdiff_t)(tensor->shape[axis] - 1) * tensor->stride[axis] * 8;
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
    const size_t n = loss_tensor_elements(&batch.plan.output), first = batch.plan.output.shape[0], rest = n / first;
    const double *there = batch.plan.output.data, *back = turned.plan.output.data;
    for (size_t i = 0; i < first; i++)
        ck_assert_mem_eq(there + i * rest, back + (first - 1 - i) * rest, rest * sizeof *there);
    batch_clear(&turned);
    batch_free(&batch);
}
END_TEST

/* A chunk is 512 elements, a block 32 chunks, a row 7. */
START_TEST(sizes_around_every_edge_add_up)
{
    static const size_t sizes[] = {0, 7, 49, 504, 511, 512, 518, 3577, 16380, 16387, 16394, 32767, 32781};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct batch batch;
        batch_make(&batch, loss_at((size_t)_i), sizes[s], LOSS_FLOAT64, 5);
        batch.request.reduction = LOSS_NONE;
        ck_assert_int_eq(batch_run(&batch, 2), LOSS_OK);
        const size_t n = loss_tensor_elements(&batch.plan.output);
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += ((const double *)batch.plan.output.data)[i];
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

/* Rounds a float to eight bits of its fraction and gives its bits in half precision, which then holds it exactly. */
static uint16_t to_half(float *value, enum loss_dtype dtype)
{
    uint32_t bits;
    memcpy(&bits, value, sizeof bits);
    bits &= 0xffff0000u;
    memcpy(value, &bits, sizeof bits);
    if (dtype == LOSS_BFLOAT16)
        return (uint16_t)(bits >> 16);
    return (uint16_t)(((bits >> 23) - 127 + 15) << 10 | (bits >> 13 & 0x3ff)); /* between 1/4 and 1: normal, positive */
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
                ck_assert_mem_eq(single.plan.grad[k].data, half.plan.grad[k].data, loss_tensor_bytes(&single.plan.grad[k]));
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
    const TTest *const tests[] = {gradients_are_the_slopes_of_the_value, the_order_of_the_batch_does_not_matter,
                                  sizes_around_every_edge_add_up, half_precision_computes_as_single};
    static const char *const names[] = {"slopes", "order", "sizes", "halves"};
    Suite *suite = suite_create("properties");
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        TCase *tcase = tcase_create(names[i]);
        tcase_set_timeout(tcase, 60);
        tcase_add_loop_test(tcase, tests[i], 0, (int)loss_count());
        suite_add_tcase(suite, tcase);
    }
    return suite;
}
