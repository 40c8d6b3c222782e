/*
 * Parts of a batch: for every loss, the exact sums of the parts give the result of the whole batch,
 * and with the divisor of the whole batch, the parts have its gradients.
 */
#include "evaluation/sha256.h"
#include "loss.h"
#include "suites.h"
#include "support/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ELEMENTS = 600, MAX_PARTS = 7 };

/* A whole batch. */
struct whole {
    struct batch batch;
    signed char axis[LOSS_MAX_TENSORS]; /* of each tensor's samples; -1 if all parts share it */
    size_t samples;
    double divisor; /* of the whole batch */
};

/* Returns samples [first, end) of tensor k, without copying them. */
static struct loss_tensor samples_of(const struct whole *whole, int k, size_t first, size_t end)
{
    struct loss_tensor tensor = whole->batch.tensor[k];
    const int axis = whole->axis[k];
    ptrdiff_t stride = 1;
    if (axis < 0)
        return tensor;
    tensor.strided = true;
    for (int i = tensor.rank - 1; i >= 0; i--) {
        tensor.stride[i] = stride;
        stride *= (ptrdiff_t)tensor.shape[i];
    }
    tensor.shape[axis] = end - first;
    tensor.data =
        (char *)tensor.data + first * (size_t)tensor.stride[axis] * loss_dtype_size(tensor.dtype);
    return tensor;
}

/* Checks that the gradient of a part with respect to tensor k has the bits of the whole one. */
static void check_grad(const struct whole *whole, int k, size_t first, size_t end, const char *part)
{
    const struct loss_tensor *const grad = &whole->batch.plan.grad[k];
    const size_t size = loss_dtype_size(grad->dtype);
    size_t outer = 1, inner = 1;
    for (int i = 0; i < grad->rank; i++)
        *(i < whole->axis[k] ? &outer : &inner) *= i == whole->axis[k] ? 1 : grad->shape[i];
    for (size_t i = 0; i < outer; i++) {
        const char *const wanted =
            (const char *)grad->data + (i * whole->samples + first) * inner * size;
        ck_assert_mem_eq(part + i * (end - first) * inner * size, wanted,
                         (end - first) * inner * size);
    }
}

static double sum_of(const struct loss_integer *integer)
{
    return loss_partial_result(&(struct loss_partial){.sum = *integer}, LOSS_SUM).loss;
}

/* Evaluates samples [first, end), and adds them to `total`; or if it is NULL, checks the gradients.
 */
static void evaluate(const struct whole *whole, size_t first, size_t end,
                     struct loss_partial *total)
{
    struct loss_tensor tensor[LOSS_MAX_TENSORS];
    struct loss_request request = whole->batch.request;
    struct loss_plan plan;
    struct loss_partial part;
    struct loss_result result;
    struct loss_error error;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (request.tensor[k]) {
            tensor[k] = samples_of(whole, k, first, end);
            request.tensor[k] = &tensor[k];
        }
    request.partial = total;
    request.has_divisor = !total && request.reduction != LOSS_SUM;
    request.divisor = whole->divisor;
    request.grad = total ? 0 : request.grad;
    ck_assert_msg(loss_plan(&plan, &request, &error) == LOSS_OK, "%s", error.message);
    plan.partial = &part;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (plan.grad_mask >> k & 1)
            ck_assert_ptr_nonnull(plan.grad[k].data = malloc(loss_tensor_bytes(&plan.grad[k]) + 1));
    ck_assert_msg(loss_run(&plan, 1, &result, &error) == LOSS_OK, "%s", error.message);
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (plan.grad_mask >> k & 1) {
            check_grad(whole, k, first, end, plan.grad[k].data);
            free(plan.grad[k].data);
        }
    if (!total)
        return;
    ck_assert(loss_partial_add(total, &part));
    struct loss_partial weights;
    plan.partial = &weights;
    ck_assert_msg(loss_run_weights(&plan, 1, &error) == LOSS_OK, "%s", error.message);
    ck_assert_double_eq(sum_of(&weights.weight), sum_of(&part.weight));
    ck_assert(weights.weighed == part.weighed && weights.terms == 0 && weights.sum.limbs == 0);
}

static void check_parts(struct whole *whole, size_t parts)
{
    struct loss_partial total = {.weighed = whole->batch.request.reduction == LOSS_MEAN &&
                                            whole->batch.plan.has_term_weights};
    for (size_t i = 0; i < parts; i++)
        evaluate(whole, i * whole->samples / parts, (i + 1) * whole->samples / parts, &total);
    const struct loss_result result = loss_partial_result(&total, whole->batch.request.reduction);
    ck_assert_mem_eq(&result.loss, &whole->batch.result.loss, sizeof result.loss);
    ck_assert_uint_eq(result.count, whole->batch.result.count);
    ck_assert_uint_eq(result.nonfinite, whole->batch.result.nonfinite);
    whole->divisor = 1;
    if (total.weighed)
        whole->divisor = sum_of(&total.weight);
    else if (whole->batch.request.reduction == LOSS_MEAN)
        whole->divisor = (double)total.terms;
    else if (whole->batch.request.reduction == LOSS_BATCHMEAN)
        whole->divisor = (double)total.samples;
    for (size_t i = 0; i < parts; i++)
        evaluate(whole, i * whole->samples / parts, (i + 1) * whole->samples / parts, NULL);
}

static void check_loss(const struct loss_descriptor *loss, enum loss_dtype dtype,
                       enum loss_reduction reduction)
{
    struct whole whole;
    struct batch *const batch = &whole.batch;
    batch_make(batch, loss, ELEMENTS, dtype, 1);
    batch->request.reduction = reduction;
    batch->request.grad = loss_predictions(loss);
    batch->request.partial = true;
    const enum loss_status status = loss_plan(&batch->plan, &batch->request, &batch->error);
    ck_assert_int_eq(status == LOSS_OK, strcmp(loss->name, "info_nce") != 0);
    memcpy(whole.axis, batch->plan.sample_axis, sizeof whole.axis);
    for (int k = 0; k < loss_tensor_specs(loss) && status == LOSS_OK; k++)
        if (batch->plan.present[k] && whole.axis[k] != LOSS_SHARED)
            ck_assert_int_eq(whole.axis[k], loss_sample_axis(loss, k, batch->plan.tensor[k].rank));
    batch->request.partial = false;
    if (status == LOSS_OK) {
        ck_assert_msg(batch_run(batch, 2) == LOSS_OK, "%s", batch->error.message);
        whole.samples = batch->plan.terms.shape[0];
        check_parts(&whole, 1);
        check_parts(&whole, 2);
        check_parts(&whole, MAX_PARTS);
        batch_clear(batch);
    }
    batch_free(batch);
}

/* _i is the index of the loss. */
START_TEST(parts_of_every_loss_have_the_result_of_the_whole_batch)
{
    const struct loss_descriptor *const loss = loss_at((size_t)_i);
    for (int reduction = 0; reduction < LOSS_REDUCTION_COUNT; reduction++)
        if (reduction != LOSS_NONE && (loss->reductions >> reduction & 1)) {
            check_loss(loss, LOSS_FLOAT32, (enum loss_reduction)reduction);
            check_loss(loss, LOSS_FLOAT64, (enum loss_reduction)reduction);
        }
}
END_TEST

START_TEST(sums_that_are_too_large_are_rejected)
{
    struct loss_partial large = {.sum = {.exponent = 1086, .limbs = 1, .limb = {1}}}, total = large;
    ck_assert(loss_partial_add(&(struct loss_partial){.terms = 1}, &large));
    ck_assert(!loss_partial_add(&total, &large));
    total = (struct loss_partial){.samples = LOSS_COUNT_LIMIT - 1};
    ck_assert(loss_partial_add(&total, &(struct loss_partial){.terms = LOSS_COUNT_LIMIT - 1}));
    ck_assert(!loss_partial_add(&total, &(struct loss_partial){.samples = 1}));
    ck_assert(!loss_partial_add(&(struct loss_partial){.terms = 0},
                                &(struct loss_partial){.weighed = true}));
}
END_TEST

START_TEST(sha256_has_the_published_values)
{
    static const struct {
        const char *text;
        size_t repeated;
        const char *hash;
    } cases[] = {
        {"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"aaaaaaaaaa", 100000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sha256 hash;
        char text[SHA256_TEXT];
        sha256_begin(&hash);
        for (size_t k = 0; k < cases[i].repeated; k++)
            sha256_add(&hash, cases[i].text, strlen(cases[i].text));
        sha256_end(&hash, text);
        ck_assert_str_eq(text, cases[i].hash);
    }
}
END_TEST

Suite *parts_suite(void)
{
    Suite *suite = suite_create("parts");
    TCase *tcase = SUITE_ADD(suite, "parts", sums_that_are_too_large_are_rejected,
                             sha256_has_the_published_values);
    tcase_add_loop_test(tcase, parts_of_every_loss_have_the_result_of_the_whole_batch, 0,
                        (int)loss_count());
    return suite;
}
