/* Operands: dtypes, strides, broadcasting. */
#include "suites.h"
#include "support/batch.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

START_TEST(every_dtype_is_read_as_its_number)
{
    double f64[] = {1, -2, 0};
    float f32[] = {1, -2, 0};
    uint16_t f16[] = {0x3c00, 0xc000, 0x8000}, bf16[] = {0x3f80, 0xc000, 0x0000};
    int64_t i64[] = {1, -2, 0};
    int32_t i32[] = {1, -2, 0};
    int16_t i16[] = {1, -2, 0};
    int8_t i8[] = {1, -2, 0};
    double zero[3] = {0};
    void *const data[] = {
        [LOSS_FLOAT64] = f64, [LOSS_FLOAT32] = f32, [LOSS_FLOAT16] = f16, [LOSS_BFLOAT16] = bf16,
        [LOSS_INT64] = i64,   [LOSS_INT32] = i32,   [LOSS_INT16] = i16,   [LOSS_INT8] = i8};
    for (int dtype = LOSS_FLOAT64; dtype <= LOSS_INT8; dtype++) {
        const struct loss_tensor input = batch_vector(data[dtype], (enum loss_dtype)dtype, 3),
                                 target = batch_vector(zero, LOSS_FLOAT64, 3);
        struct batch batch = batch_of("mse", &input, &target);
        batch.request.reduction = LOSS_SUM;
        ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
        ck_assert_double_eq(batch.result.loss, 5);
    }
    uint64_t u64[] = {0, UINT64_MAX, 7};
    uint32_t u32[] = {0, UINT32_MAX, 7};
    uint16_t u16[] = {0, UINT16_MAX, 7};
    const struct {
        const void *data;
        enum loss_dtype dtype;
        double sum;
    } wide[] = {
        {u64, LOSS_UINT64, 0x1p64}, {u32, LOSS_UINT32, 0x1p32 + 6}, {u16, LOSS_UINT16, 0x1p16 + 6}};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++) {
        const struct loss_tensor from = batch_vector((void *)(uintptr_t)wide[i].data, wide[i].dtype,
                                                     3),
                                 to = batch_vector(zero, LOSS_FLOAT64, 3);
        struct batch l1 = batch_of("l1", &from, &to);
        l1.request.reduction = LOSS_SUM;
        ck_assert_int_eq(batch_run(&l1, 1), LOSS_OK);
        ck_assert_double_eq(l1.result.loss, wide[i].sum);
    }
    uint8_t bytes[] = {0, 255, 7};
    const struct loss_tensor target = batch_vector(zero, LOSS_FLOAT64, 3);
    struct loss_tensor input = batch_vector(bytes, LOSS_UINT8, 3);
    struct batch batch = batch_of("l1", &input, &target);
    batch.request.reduction = LOSS_SUM;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq(batch.result.loss, 262);
    input.dtype = LOSS_BOOL;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq(batch.result.loss, 2);
}
END_TEST

START_TEST(half_precision_covers_subnormals_infinities_and_nan)
{
    uint16_t x[] = {0x0001, 0x03ff, 0x0400, 0x7bff, 0x7c00, 0xfc00, 0x7e00};
    const double expected[] = {0x1p-24, 0x3ffp-24, 0x1p-14, 65504, INFINITY, INFINITY};
    float zero = 0;
    for (size_t i = 0; i < 7; i++) {
        const struct loss_tensor input = {.data = &x[i], .dtype = LOSS_FLOAT16},
                                 target = {.data = &zero, .dtype = LOSS_FLOAT32};
        struct batch batch = batch_of("l1", &input, &target);
        ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
        if (i < 6)
            ck_assert_double_eq(batch.result.loss, expected[i]);
        else
            ck_assert_double_nan(batch.result.loss);
    }
}
END_TEST

START_TEST(strided_and_unaligned_operands_are_read_in_place)
{
    /* a 2 x 3 matrix stored by columns, and its rows in reverse, at an odd address */
    const double columns[] = {1, 4, 2, 5, 3, 6}, rows[] = {3, 2, 1, 6, 5, 4};
    char odd[sizeof rows + 1];
    memcpy(odd + 1, rows, sizeof rows);
    struct loss_tensor input = batch_matrix((void *)(uintptr_t)columns, LOSS_FLOAT64, 2, 3),
                       target = batch_matrix(odd + 1, LOSS_FLOAT64, 2, 3);
    input.strided = target.strided = true;
    memcpy(input.stride, (ptrdiff_t[]){1, 2}, 2 * sizeof(ptrdiff_t));
    memcpy(target.stride, (ptrdiff_t[]){3, -1}, 2 * sizeof(ptrdiff_t));
    target.data = odd + 1 + 2 * sizeof(double);
    struct batch batch = batch_of("l1", &input, &target);
    batch.request.grad = 1;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq(batch.result.loss, 0);
    batch_clear(&batch);

    batch.request.loss = loss_find("mse");
    target.stride[1] = 0; /* 3 for the first row, 6 for the second */
    target.data = odd + 1;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq(batch.result.loss, (4 + 1 + 0 + 4 + 1 + 0) / 6.0);
    for (int i = 0; i < 6; i++)
        ck_assert_double_eq_tol(batch_grad(&batch, 0)[i], 2 * (double)(i % 3 - 2) / 6, 1e-16);
    batch_clear(&batch);
}
END_TEST

START_TEST(rows_of_classes_may_be_strided)
{
    /* (N, C, d) = (2, 3, 2), as in PyTorch, against the same logits in shape (N * d, C) */
    double x[12], moved[12];
    int64_t y[] = {0, 2, 1, 1};
    for (int i = 0; i < 12; i++)
        x[i] = sin(i);
    for (int n = 0; n < 2; n++)
        for (int c = 0; c < 3; c++)
            for (int d = 0; d < 2; d++)
                moved[(n * 2 + d) * 3 + c] = x[(n * 3 + c) * 2 + d];
    const struct loss_tensor deep = {.data = x,
                                     .dtype = LOSS_FLOAT64,
                                     .rank = 3,
                                     .shape = {2, 3, 2}},
                             labels = batch_matrix(y, LOSS_INT64, 2, 2),
                             flat = batch_matrix(moved, LOSS_FLOAT64, 4, 3),
                             flat_labels = batch_vector(y, LOSS_INT64, 4);
    struct batch a = batch_of("cross_entropy", &deep, &labels),
                 b = batch_of("cross_entropy", &flat, &flat_labels);
    a.request.grad = b.request.grad = 1;
    ck_assert_int_eq(batch_run(&a, 1), LOSS_OK);
    ck_assert_int_eq(batch_run(&b, 1), LOSS_OK);
    ck_assert_double_eq(a.result.loss, b.result.loss);
    for (int n = 0; n < 2; n++)
        for (int c = 0; c < 3; c++)
            for (int d = 0; d < 2; d++)
                ck_assert_double_eq(batch_grad(&a, 0)[(n * 3 + c) * 2 + d],
                                    batch_grad(&b, 0)[(n * 2 + d) * 3 + c]);
    batch_clear(&a);
    batch_clear(&b);
}
END_TEST

/* Copies what is at index 0 of an axis to the other indices, or fills these with 0xff, which is NaN
   or -1. */
static void repeat_along(const struct loss_tensor *tensor, int axis, bool fill)
{
    size_t outer = 1, inner = loss_dtype_size(tensor->dtype);
    for (int a = 0; a < tensor->rank; a++)
        *(a < axis ? &outer : &inner) *= a == axis ? 1 : tensor->shape[a];
    for (size_t o = 0; o < outer; o++) {
        char *const first = (char *)tensor->data + o * tensor->shape[axis] * inner;
        for (size_t i = 1; i < tensor->shape[axis]; i++)
            if (fill)
                memset(first + i * inner, 0xff, inner);
            else
                memcpy(first + i * inner, first, inner);
    }
}

/* Does that along the axes of a bit set. */
static void repeat_axes(const struct loss_tensor *tensor, unsigned axes, bool fill)
{
    for (int axis = 0; axis < tensor->rank; axis++)
        if (axes >> axis & 1)
            repeat_along(tensor, axis, fill);
}

/* Gives a row-major tensor stride 0 along the axes of a bit set. */
static void share_axes(struct loss_tensor *tensor, unsigned axes)
{
    ptrdiff_t stride = 1;
    tensor->strided = true;
    for (int a = tensor->rank - 1; a >= 0; a--) {
        tensor->stride[a] = axes >> a & 1 ? 0 : stride;
        stride *= (ptrdiff_t)tensor->shape[a];
    }
}

static void expect_same_results(const struct batch *a, const struct batch *b, int k, unsigned axes)
{
    const struct loss_descriptor *const loss = a->request.loss;
    ck_assert_msg(memcmp(&a->result.loss, &b->result.loss, sizeof(double)) == 0,
                  "%s: %s with stride 0 along axes %#x: %.17g, not %.17g", loss->name,
                  loss->tensors[k].name, axes, b->result.loss, a->result.loss);
    for (int g = 0; g < LOSS_MAX_TENSORS; g++)
        if (a->plan.grad_mask >> g & 1)
            ck_assert_msg(memcmp(a->plan.grad[g].data, b->plan.grad[g].data,
                                 loss_tensor_bytes(&a->plan.grad[g])) == 0,
                          "%s: gradient of %s, with %s of stride 0 along axes %#x", loss->name,
                          loss->tensors[g].name, loss->tensors[k].name, axes);
}

/* Repeats tensor k along axes, as copies and with stride 0. Returns false if it lacks an axis. */
static bool check_repeated(const struct loss_descriptor *loss, enum loss_dtype dtype, int k,
                           unsigned axes)
{
    struct batch batch;
    batch_make(&batch, loss, 60, dtype, 1);
    batch_all_gradients(&batch);
    const bool has_axes = batch.request.tensor[k] && axes < 1u << batch.tensor[k].rank;
    if (has_axes) {
        repeat_axes(&batch.tensor[k], axes, false);
        ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
        struct batch shared = batch;
        shared.request.tensor[k] = &shared.tensor[k];
        share_axes(&shared.tensor[k], axes);
        repeat_axes(&batch.tensor[k], axes, true);
        ck_assert_int_eq(batch_run(&shared, 1), LOSS_OK);
        expect_same_results(&batch, &shared, k, axes);
        batch_clear(&shared);
    }
    batch_free(&batch);
    return has_axes;
}

/* _i enumerates losses, and for each loss both dtypes. */
START_TEST(repeated_indices_may_share_memory)
{
    const struct loss_descriptor *const loss = loss_at((size_t)_i / 2);
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        for (unsigned axes = 1; check_repeated(loss, _i % 2 ? LOSS_FLOAT64 : LOSS_FLOAT32, k, axes);
             axes++)
            ;
}
END_TEST

START_TEST(broadcast_gradients_are_summed_to_the_shape_of_their_tensor)
{
    double x[] = {1, 2}, y[] = {10, 20, 30};
    const struct loss_tensor input = batch_matrix(x, LOSS_FLOAT64, 2, 1),
                             target = batch_vector(y, LOSS_FLOAT64, 3);
    struct batch batch = batch_of("mse", &input, &target);
    batch.request.grad = 3;
    batch.request.reduction = LOSS_SUM;
    ck_assert_int_eq(batch_run(&batch, 2), LOSS_OK);
    ck_assert_uint_eq(batch.result.count, 6);
    for (int i = 0; i < 2; i++)
        ck_assert_double_eq(batch_grad(&batch, 0)[i], 2 * (3 * x[i] - 60));
    for (int i = 0; i < 3; i++)
        ck_assert_double_eq(batch_grad(&batch, 1)[i], -2 * (3 - 2 * y[i]));
    ck_assert_ptr_nonnull(batch.plan.warning[0]);
    batch_clear(&batch);
}
END_TEST

START_TEST(gradient_of_a_number_broadcast_to_no_elements_is_zero)
{
    float number = 3;
    const struct loss_tensor input = {.data = &number,
                                      .dtype = LOSS_FLOAT32,
                                      .rank = 2,
                                      .shape = {0, 5}},
                             target = {.data = &number, .dtype = LOSS_FLOAT32};
    struct batch batch = batch_of("mse", &input, &target);
    batch.request.grad = 3;
    batch.request.reduction = LOSS_SUM;
    ck_assert_int_eq(batch_run(&batch, 2), LOSS_OK);
    ck_assert_double_eq(batch.result.loss, 0);
    ck_assert_float_eq(*(const float *)batch.plan.grad[1].data, 0);
    batch_clear(&batch);
}
END_TEST

START_TEST(dtype_is_float64_only_if_the_predictions_are)
{
    double wide[] = {1};
    float narrow[] = {0};
    const struct loss_tensor w = batch_vector(wide, LOSS_FLOAT64, 1),
                             n = batch_vector(narrow, LOSS_FLOAT32, 1);
    struct batch batch = batch_of("mse", &n, &w);
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_int_eq(batch.plan.dtype, LOSS_FLOAT32);
    batch = batch_of("mse", &w, &n);
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_int_eq(batch.plan.dtype, LOSS_FLOAT64);
    batch.request.dtype = LOSS_FLOAT32;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_int_eq(batch.plan.dtype, LOSS_FLOAT32);
}
END_TEST

START_TEST(undeclared_dtypes_are_chosen_by_the_plan)
{
    const struct loss_tensor rows = batch_matrix(NULL, LOSS_ANY, 4, 3),
                             labels = batch_vector(NULL, LOSS_ANY, 4);
    struct batch batch = batch_of("cross_entropy", &rows, &labels);
    ck_assert_int_eq(loss_plan(&batch.plan, &batch.request, &batch.error), LOSS_OK);
    ck_assert_int_eq(batch.plan.tensor[0].dtype, LOSS_FLOAT32);
    ck_assert_int_eq(batch.plan.tensor[1].dtype, LOSS_INT64);
    batch = batch_of("cross_entropy", &rows, &rows);
    batch.request.dtype = LOSS_FLOAT64;
    ck_assert_int_eq(loss_plan(&batch.plan, &batch.request, &batch.error), LOSS_OK);
    ck_assert_int_eq(batch.plan.tensor[1].dtype, LOSS_FLOAT64);
}
END_TEST

Suite *core_operands_suite(void)
{
    Suite *suite = suite_create("core_operands");
    TCase *repeated = suite_add_case(suite, "repeated", 60, NULL, NULL);
    tcase_add_loop_test(repeated, repeated_indices_may_share_memory, 0, 2 * (int)loss_count());
    SUITE_ADD(suite, "operands", every_dtype_is_read_as_its_number,
              half_precision_covers_subnormals_infinities_and_nan,
              strided_and_unaligned_operands_are_read_in_place, rows_of_classes_may_be_strided,
              broadcast_gradients_are_summed_to_the_shape_of_their_tensor,
              gradient_of_a_number_broadcast_to_no_elements_is_zero,
              dtype_is_float64_only_if_the_predictions_are,
              undeclared_dtypes_are_chosen_by_the_plan);
    return suite;
}
