/* Invalid requests, and the paths and messages of their errors. */
#include "suites.h"
#include "support/batch.h"

#include <math.h>
#include <stdbool.h>

/* Runs a loss over rows of three classes, with and without gradients. It must fail with this path,
   or succeed if the path is empty. */
static void expect_of_classes(const char *loss, const struct loss_tensor *target, const char *path)
{
    float x[] = {0.5f, -1, 2, 0, 1, -0.5f};
    const struct loss_tensor input = batch_matrix(x, LOSS_FLOAT32, 2, 3);
    for (unsigned gradients = 0; gradients < 2; gradients++) {
        struct batch batch = batch_of(loss, &input, target);
        batch.request.grad = gradients;
        const enum loss_status status = batch_run(&batch, 1);
        ck_assert_msg(status == (*path ? LOSS_INVALID : LOSS_OK), "%s: %d %s", loss, status,
                      batch.error.message);
        if (*path)
            ck_assert_str_eq(batch.error.path, path);
        batch_clear(&batch);
    }
}

/* A kernel that accepted one more class would write past its arrays. */
START_TEST(class_indices_just_outside_their_range_are_refused)
{
    static const char *const one_label[] = {"cross_entropy", "nll", "multi_margin"};
    static const int64_t wrong[] = {3, -1, 4, INT64_MAX, INT64_MIN},
                         wrong_of_several[] = {3, -2, 4, INT64_MAX, INT64_MIN};
    int64_t label[] = {2, 0}, several[] = {2, 0, 1, 1, -1, -1};
    const struct loss_tensor labels = batch_vector(label, LOSS_INT64, 2),
                             rows = batch_matrix(several, LOSS_INT64, 2, 3);
    for (size_t i = 0; i < sizeof one_label / sizeof *one_label; i++) {
        label[1] = 0;
        expect_of_classes(one_label[i], &labels, "");
        for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
            label[1] = wrong[k];
            expect_of_classes(one_label[i], &labels, "/target/1");
        }
    }
    expect_of_classes("multilabel_margin", &rows, "");
    for (size_t k = 0; k < sizeof wrong_of_several / sizeof *wrong_of_several; k++) {
        several[4] = wrong_of_several[k];
        expect_of_classes("multilabel_margin", &rows, "/target/1/1");
        several[4] = -1;
        several[2] = wrong_of_several[k]; /* with every class listed */
        expect_of_classes("multilabel_margin", &rows, "/target/0/2");
        several[2] = 1;
    }
}
END_TEST

START_TEST(shapes_that_do_not_fit_are_refused)
{
    const struct loss_tensor three = batch_vector(NULL, LOSS_FLOAT32, 3),
                             four = batch_vector(NULL, LOSS_FLOAT32, 4),
                             rows = batch_matrix(NULL, LOSS_FLOAT32, 2, 3),
                             row = batch_matrix(NULL, LOSS_FLOAT32, 1, 3),
                             column = batch_matrix(NULL, LOSS_FLOAT32, 3, 1),
                             number = {.dtype = LOSS_FLOAT32},
                             labels = batch_vector(NULL, LOSS_INT64, 3),
                             two_labels = batch_vector(NULL, LOSS_INT64, 2),
                             two = batch_vector(NULL, LOSS_FLOAT32, 2);
    struct batch batch = batch_of("mse", &three, &four);
    batch_refused(&batch, "/target",
                  "target has shape (4,); it does not broadcast with (3,) of input");
    batch = batch_of("margin_ranking", &row, &column);
    batch.request.tensor[2] = &rows;
    batch_refused(
        &batch, "/target",
        "target has shape (2, 3); it does not broadcast with (3, 3) of the tensors before it");
    batch = batch_of("bce", &rows, &three);
    batch_refused(&batch, "/target", "target has shape (3,); it must match input, (2, 3)");
    batch = batch_of("bce", &three, &three);
    batch.request.tensor[2] = &rows;
    batch_refused(&batch, "/weight",
                  "weight has shape (2, 3); it must broadcast to that of the loss terms, (3,)");
    batch = batch_of("cross_entropy", &number, &number);
    batch_refused(&batch, "/input",
                  "input has shape (); it must be (C), (N, C) or (N, C, d1, ...)");
    batch = batch_of("cross_entropy", &rows, &labels);
    batch_refused(
        &batch, "/target",
        "target has shape (3,); it must be (2,) for class indices or (2, 3) for probabilities");
    batch = batch_of("nll", &rows, &labels);
    batch_refused(&batch, "/target", "target has shape (3,); it must be (2,) for class indices");
    static const char *const weighted[] = {"cross_entropy", "nll", "multi_margin"};
    for (size_t i = 0; i < sizeof weighted / sizeof *weighted; i++) {
        batch = batch_of(weighted[i], &rows, &two_labels);
        batch.request.tensor[2] = &four;
        batch_refused(&batch, "/weight",
                      "weight has shape (4,); it must be (3,), a weight for each class");
        batch = batch_of(weighted[i], &rows, &two_labels);
        batch.request.tensor[2] = &two;
        batch_refused(&batch, "/weight",
                      "weight has shape (2,); it must be (3,), a weight for each class");
    }
    batch = batch_of("cosine_embedding", &rows, &three);
    batch.request.tensor[2] = &three;
    batch_refused(&batch, "/input2", "input2 has shape (3,); it must match input1, (2, 3)");
    batch = batch_of("cosine_embedding", &rows, &rows);
    batch.request.tensor[2] = &three;
    batch_refused(&batch, "/target",
                  "target has shape (3,); it must be (2,), a label for each pair");
}
END_TEST

START_TEST(sizes_that_overflow_are_refused)
{
    const struct loss_tensor huge = batch_matrix(NULL, LOSS_FLOAT32, SIZE_MAX / 2, 3),
                             one = {.dtype = LOSS_FLOAT32},
                             tall = batch_matrix(NULL, LOSS_FLOAT32, SIZE_MAX >> 12, 1),
                             wide = batch_matrix(NULL, LOSS_FLOAT32, 1, SIZE_MAX >> 12);
    struct batch batch = batch_of("mse", &huge, &one);
    batch_refused(&batch, "/input", "input has too many elements to address");
    const struct loss_tensor just = batch_matrix(NULL, LOSS_FLOAT32, (size_t)PTRDIFF_MAX / 8 + 1,
                                                 1); /* doubles would not fit */
    batch = batch_of("mse", &just, &one);
    batch_refused(&batch, "/input", "input has too many elements to address");
    batch = batch_of("mse", &tall, &wide);
    batch_refused(&batch, "", "the broadcast loss has too many terms to address");
}
END_TEST

START_TEST(missing_and_invalid_fields_are_reported)
{
    const struct loss_tensor x = batch_vector(NULL, LOSS_FLOAT32, 3),
                             labels = batch_vector(NULL, LOSS_INT32, 3),
                             rows = batch_matrix(NULL, LOSS_FLOAT32, 3, 2),
                             int_rows = batch_matrix(NULL, LOSS_INT32, 3, 2);
    struct batch batch = batch_of("mse", &x, NULL);
    batch_refused(&batch, "/target",
                  "target is missing: true values, of shape (*), broadcast against input");
    batch = batch_of("huber", &x, &x);
    batch.request.param[0].number = 0;
    batch_refused(&batch, "/delta", "delta is 0; it must be greater than 0");
    batch = batch_of("smooth_l1", &x, &x);
    batch.request.param[0].number = -1;
    batch_refused(&batch, "/beta", "beta is -1; it must be at least 0");
    batch.request.param[0].number = (double)NAN;
    batch_refused(&batch, "/beta", "beta is NaN; it must be a number");
    batch = batch_of("hinge_embedding", &x, &x); /* its margin may be any number */
    batch.request.param[0].number = (double)NAN;
    batch_refused(&batch, "/margin", "margin is NaN; it must be a number");
    batch = batch_of("cross_entropy", &rows, &labels);
    batch.request.param[1].number = 1.5;
    batch_refused(&batch, "/label_smoothing", "label_smoothing is 1.5; it must be in [0, 1]");
    batch = batch_of("mse", &x, &x);
    batch.request.reduction = LOSS_BATCHMEAN;
    batch_refused(&batch, "/reduction",
                  "mse has no reduction 'batchmean'; it must be 'mean', 'sum' or 'none'");
    batch = batch_of("mse", &x, &x);
    batch.request.dtype = LOSS_FLOAT16;
    batch_refused(&batch, "/dtype", "dtype is float16; losses are computed in float32 or float64");
    batch = batch_of("cross_entropy", &rows, &x);
    batch_refused(&batch, "/target", "target is float32; its dtype must be an integer or bool");
    batch = batch_of("cross_entropy", &rows, &int_rows);
    batch_refused(
        &batch, "/target",
        "target is int32 but has the input's shape; class probabilities are floating point");
    batch = batch_of("cross_entropy", &rows, &labels);
    batch.request.grad = 2;
    batch_refused(&batch, "/grad", "target contains class indices, which have no gradient");
    batch = batch_of("mse", &labels, &x);
    batch.request.grad = 1;
    batch_refused(&batch, "/grad", "input is int32; only floating point tensors have derivatives");
    batch = batch_of("bce", &x, &x);
    batch.request.grad = 4;
    batch_refused(&batch, "/grad", "bce has no gradient with respect to weight");
    batch = batch_of("cross_entropy", &rows, &rows);
    batch.request.param[0].integer = 1;
    batch_refused(&batch, "/ignore_index",
                  "ignore_index is 1; with class probabilities, it must be negative or null");
}
END_TEST

START_TEST(probabilities_outside_their_range_are_refused)
{
    float x[] = {0.5f, 0.25f, 1.5f, 0.5f}, y[4] = {0};
    const struct loss_tensor input = batch_matrix(x, LOSS_FLOAT32, 2, 2),
                             target = batch_matrix(y, LOSS_FLOAT32, 2, 2);
    struct batch batch = batch_of("bce", &input, &target);
    batch_refused(
        &batch, "/input/1/0",
        "input[1][0] is 1.5; probabilities must be in [0, 1] (use bce_with_logits for logits)");
    /* The index is that in the tensor, not in memory. */
    struct loss_tensor transposed = batch_matrix(x, LOSS_FLOAT32, 2, 2);
    transposed.strided = true;
    transposed.stride[0] = 1;
    transposed.stride[1] = 2;
    batch = batch_of("bce", &transposed, &target);
    batch_refused(
        &batch, "/input/0/1",
        "input[0][1] is 1.5; probabilities must be in [0, 1] (use bce_with_logits for logits)");
}
END_TEST

START_TEST(invalid_dtypes_ranks_reductions_and_masks_are_refused)
{
    float number = 0;
    const struct loss_tensor good = {.data = &number, .dtype = LOSS_FLOAT32},
                             odd = {.data = &number, .dtype = (enum loss_dtype)77},
                             deep = {.data = &number, .dtype = LOSS_FLOAT32, .rank = 99};
    struct batch batch = batch_of("mse", &good, &odd);
    batch_refused(&batch, "/target", "target has an unknown dtype");
    batch = batch_of("mse", &deep, &good);
    batch_refused(&batch, "/input", "input has 99 dimensions; at most 16 are supported");
    batch = batch_of("mse", &good, &good);
    batch.request.grad_output = &deep;
    batch_refused(&batch, "/grad_output",
                  "grad_output has 99 dimensions; at most 16 are supported");
    batch = batch_of("mse", &good, &good);
    batch.request.reduction = (enum loss_reduction)99;
    batch_refused(&batch, "/reduction", "unknown reduction");
    batch = batch_of("mse", &good, &good);
    batch.request.grad = 1u << 31;
    batch_refused(&batch, "/grad", "mse has no such tensor to differentiate");
    loss_request_init(&batch.request, NULL);
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_NOT_FOUND);
    ck_assert_int_eq(loss_warm_up(-1), 1);
}
END_TEST

Suite *core_refusals_suite(void)
{
    Suite *suite = suite_create("core_refusals");
    SUITE_ADD(suite, "refusals", class_indices_just_outside_their_range_are_refused,
              shapes_that_do_not_fit_are_refused, sizes_that_overflow_are_refused,
              missing_and_invalid_fields_are_reported,
              invalid_dtypes_ranks_reductions_and_masks_are_refused,
              probabilities_outside_their_range_are_refused);
    return suite;
}
