/* The library, where the golden cases do not reach: threads, dtypes, strides, errors and their
   messages. */
#include "suites.h"
#include "support/batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Short requests ---- */

static struct loss_tensor vector(void *data, enum loss_dtype dtype, size_t n)
{
    return (struct loss_tensor){.data = data, .dtype = dtype, .rank = 1, .shape = {n}};
}

static struct loss_tensor matrix(void *data, enum loss_dtype dtype, size_t rows, size_t columns)
{
    return (struct loss_tensor){.data = data, .dtype = dtype, .rank = 2, .shape = {rows, columns}};
}

/* Returns a request for a loss over two tensors, which are borrowed. */
static struct batch of(const char *loss, const struct loss_tensor *first,
                       const struct loss_tensor *second)
{
    struct batch batch = {0};
    ck_assert_ptr_nonnull(loss_find(loss));
    loss_request_init(&batch.request, loss_find(loss));
    batch.request.tensor[0] = first;
    batch.request.tensor[1] = second;
    return batch;
}

static void refused(struct batch *batch, const char *path, const char *message)
{
    ck_assert_int_eq(batch_run(batch, 1), LOSS_INVALID);
    ck_assert_str_eq(batch->error.path, path);
    ck_assert_str_eq(batch->error.message, message);
    batch_clear(batch);
}

static const double *grad(const struct batch *batch, int k)
{
    return batch->plan.grad[k].data;
}

/* ---- Threads ---- */

static void same_bits(const struct batch *a, const struct batch *b)
{
    ck_assert_mem_eq(&a->result.loss, &b->result.loss, sizeof a->result.loss);
    ck_assert_uint_eq(a->result.count, b->result.count);
    if (a->plan.reduction == LOSS_NONE)
        ck_assert_mem_eq(a->plan.output.data, b->plan.output.data,
                         loss_tensor_bytes(&a->plan.output));
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        if (a->plan.grad_mask >> k & 1)
            ck_assert_mem_eq(a->plan.grad[k].data, b->plan.grad[k].data,
                             loss_tensor_bytes(&a->plan.grad[k]));
        if (a->plan.hess_mask >> k & 1)
            ck_assert_mem_eq(a->plan.hess[k].data, b->plan.hess[k].data,
                             loss_tensor_bytes(&a->plan.hess[k]));
    }
}

/* _i is the loss's index. 200 000 elements are about twelve blocks, the last one incomplete. If
   each row is compared with all others, a tenth of them is as much work. */
START_TEST(any_number_of_threads_gives_the_same_bits)
{
    for (int reduction = 0; reduction < LOSS_REDUCTION_COUNT; reduction++)
        for (int dtype = LOSS_FLOAT64; dtype <= LOSS_FLOAT32; dtype++) {
            if (!(loss_at((size_t)_i)->reductions >> reduction & 1))
                continue;
            struct batch batch;
            batch_make(&batch, loss_at((size_t)_i), 200000, (enum loss_dtype)dtype, 1);
            if (batch.plan.elements > 1000000000) {
                batch_free(&batch);
                batch_make(&batch, loss_at((size_t)_i), 4000, (enum loss_dtype)dtype, 1);
            }
            batch_all_gradients(&batch);
            batch.request.reduction = (enum loss_reduction)reduction;
            ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
            ck_assert_uint_eq(batch.result.nonfinite, 0);
            for (int t = 0; t < 3; t++) {
                struct batch again = batch;
                ck_assert_int_eq(batch_run(&again, (const int[]){2, 3, 8}[t]), LOSS_OK);
                same_bits(&batch, &again);
                batch_clear(&again);
            }
            batch_free(&batch);
        }
}
END_TEST

START_TEST(every_instruction_set_gives_the_same_bits)
{
    for (int dtype = LOSS_FLOAT64; dtype <= LOSS_FLOAT32; dtype++)
        for (int reduction = LOSS_MEAN; reduction <= LOSS_NONE; reduction++) {
            struct batch best, batch;
            batch_make(&best, loss_at((size_t)_i), 4000, (enum loss_dtype)dtype, 23);
            batch_all_gradients(&best);
            best.request.reduction = (enum loss_reduction)reduction;
            best.request.hess =
                best.request.loss->hessian ? loss_predictions(best.request.loss) : 0;
            ck_assert_int_eq(batch_run(&best, 1), LOSS_OK);
            for (size_t i = 0; loss_isa_at(i); i++) {
                if (!loss_isa_choose(loss_isa_at(i)))
                    continue;
                batch = best;
                batch.request.loss = loss_at((size_t)_i);
                ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
                same_bits(&best, &batch);
                batch_clear(&batch);
            }
            batch_free(&best);
        }
}
END_TEST

START_TEST(broadcast_gradients_do_not_depend_on_threads)
{
    static float x[600 * 500], y[500];
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        x[i] = (float)(i * 2654435761u % 1000) / 7;
    const struct loss_tensor input = matrix(x, LOSS_FLOAT32, 600, 500),
                             target = vector(y, LOSS_FLOAT32, 500);
    struct batch one = of("mse", &input, &target), many;
    one.request.grad = 3;
    many = one;
    ck_assert_int_eq(batch_run(&one, 1), LOSS_OK);
    ck_assert_int_eq(batch_run(&many, 8), LOSS_OK);
    same_bits(&one, &many);
    batch_clear(&one);
    batch_clear(&many);
}
END_TEST

/* _i is the number of threads: the error always names the first invalid element. */
/* Overwrites the results of a run. */
static void spoil(struct batch *batch)
{
    batch->result = (struct loss_result){-1, 1, 1};
    if (batch->plan.reduction == LOSS_NONE)
        memset(batch->plan.output.data, 0xa5, loss_tensor_bytes(&batch->plan.output));
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (batch->plan.grad_mask >> k & 1)
            memset(batch->plan.grad[k].data, 0xa5, loss_tensor_bytes(&batch->plan.grad[k]));
}

enum { MANY = 64 };

/* _i is a reduction. All losses that have it are evaluated at once: some share a grid, some do not.
 */
START_TEST(losses_evaluated_together_give_the_bits_that_each_gives_alone)
{
    static struct batch alone[MANY], together[MANY];
    const struct loss_plan *plan[MANY];
    struct loss_result result[MANY];
    struct loss_error error;
    size_t n = 0, failed;
    for (size_t i = 0; i < loss_count(); i++) {
        if (!(loss_at(i)->reductions >> _i & 1))
            continue;
        ck_assert_uint_lt(n, MANY);
        batch_make(&alone[n], loss_at(i), 4000, i % 3 ? LOSS_FLOAT32 : LOSS_FLOAT64, 1);
        batch_all_gradients(&alone[n]);
        alone[n].request.reduction = (enum loss_reduction)_i;
        ck_assert_int_eq(batch_run(&alone[n], 1), LOSS_OK);
        together[n] = alone[n];
        ck_assert_int_eq(batch_run(&together[n], 1), LOSS_OK);
        spoil(&together[n]);
        plan[n] = &together[n].plan;
        n++;
    }
    for (int threads = 1; threads <= 3; threads += 2) {
        ck_assert_int_eq(loss_run_all(plan, n, threads, result, &failed, &error), LOSS_OK);
        for (size_t i = 0; i < n; i++) {
            together[i].result = result[i];
            same_bits(&alone[i], &together[i]);
            spoil(&together[i]);
        }
    }
    for (size_t i = 0; i < n; i++) {
        batch_clear(&together[i]);
        batch_free(&alone[i]);
    }
}
END_TEST

START_TEST(of_losses_evaluated_together_the_first_that_fails_is_named)
{
    const float good[] = {0.5F, 0.25F}, bad[] = {0.5F, 1.5F}, target[] = {1, 0};
    struct loss_tensor tensor[] = {
        {.data = (void *)(uintptr_t)good, .dtype = LOSS_FLOAT32, .rank = 1, .shape = {2}},
        {.data = (void *)(uintptr_t)bad, .dtype = LOSS_FLOAT32, .rank = 1, .shape = {2}},
        {.data = (void *)(uintptr_t)target, .dtype = LOSS_FLOAT32, .rank = 1, .shape = {2}}};
    struct loss_plan plan[4];
    const struct loss_plan *plans[] = {&plan[0], &plan[1], &plan[2], &plan[3]};
    struct loss_result result[4];
    struct loss_error error;
    size_t failed = 99;
    for (int i = 0; i < 4; i++) {
        struct loss_request request;
        loss_request_init(&request, loss_find(i == 0 ? "mse" : "bce"));
        request.tensor[0] = &tensor[i < 2 ? 0 : 1];
        request.tensor[1] = &tensor[2];
        ck_assert_int_eq(loss_plan(&plan[i], &request, &error), LOSS_OK);
    }
    ck_assert_int_eq(loss_run_all(plans, 4, 1, result, &failed, &error), LOSS_INVALID);
    ck_assert_uint_eq(failed, 2);
    ck_assert_int_eq(error.element, 1);
    ck_assert_int_eq(loss_run_all(plans, 2, 2, result, &failed, &error), LOSS_OK);
    ck_assert_int_eq(loss_run_all(plans, 0, 2, result, &failed, &error), LOSS_OK);
}
END_TEST

START_TEST(the_first_bad_element_is_named)
{
    enum { N = 100000 };
    static double x[N];
    static int64_t y[N];
    y[77777] = 1;
    y[55555] = -7;
    const struct loss_tensor input = matrix(x, LOSS_FLOAT64, N, 1),
                             target = vector(y, LOSS_INT64, N);
    struct batch batch = of("cross_entropy", &input, &target);
    ck_assert_int_eq(batch_run(&batch, _i), LOSS_INVALID);
    ck_assert_str_eq(batch.error.message,
                     "target[55555] is -7; class indices must be in [0, 1), or -100 to be ignored");
    ck_assert_str_eq(batch.error.path, "/target/55555");
    ck_assert_int_eq(batch.error.tensor, 1);
    ck_assert_int_eq(batch.error.element, 55555);
    /* Also of many invalid elements within a block. */
    batch_clear(&batch);
    for (int i = 1234; i < N; i++)
        y[i] = -7;
    ck_assert_int_eq(batch_run(&batch, _i), LOSS_INVALID);
    ck_assert_int_eq(batch.error.element, 1234);
    batch_clear(&batch);
}
END_TEST

/* ---- Operands ---- */

START_TEST(every_dtype_is_read_as_the_number_it_stands_for)
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
        const struct loss_tensor input = vector(data[dtype], (enum loss_dtype)dtype, 3),
                                 target = vector(zero, LOSS_FLOAT64, 3);
        struct batch batch = of("mse", &input, &target);
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
        const struct loss_tensor from = vector((void *)(uintptr_t)wide[i].data, wide[i].dtype, 3),
                                 to = vector(zero, LOSS_FLOAT64, 3);
        struct batch l1 = of("l1", &from, &to);
        l1.request.reduction = LOSS_SUM;
        ck_assert_int_eq(batch_run(&l1, 1), LOSS_OK);
        ck_assert_double_eq(l1.result.loss, wide[i].sum);
    }
    uint8_t bytes[] = {0, 255, 7};
    const struct loss_tensor target = vector(zero, LOSS_FLOAT64, 3);
    struct loss_tensor input = vector(bytes, LOSS_UINT8, 3);
    struct batch batch = of("l1", &input, &target);
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
        struct batch batch = of("l1", &input, &target);
        ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
        if (i < 6)
            ck_assert_double_eq(batch.result.loss, expected[i]);
        else
            ck_assert_double_nan(batch.result.loss);
    }
}
END_TEST

START_TEST(strided_and_unaligned_operands_are_walked_in_place)
{
    /* a 2 x 3 matrix stored by columns, and its rows in reverse, at an odd address */
    const double columns[] = {1, 4, 2, 5, 3, 6}, rows[] = {3, 2, 1, 6, 5, 4};
    char odd[sizeof rows + 1];
    memcpy(odd + 1, rows, sizeof rows);
    struct loss_tensor input = matrix((void *)(uintptr_t)columns, LOSS_FLOAT64, 2, 3),
                       target = matrix(odd + 1, LOSS_FLOAT64, 2, 3);
    input.strided = target.strided = true;
    memcpy(input.stride, (ptrdiff_t[]){1, 2}, 2 * sizeof(ptrdiff_t));
    memcpy(target.stride, (ptrdiff_t[]){3, -1}, 2 * sizeof(ptrdiff_t));
    target.data = odd + 1 + 2 * sizeof(double);
    struct batch batch = of("l1", &input, &target);
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
        ck_assert_double_eq_tol(grad(&batch, 0)[i], 2 * (double)(i % 3 - 2) / 6, 1e-16);
    batch_clear(&batch);
}
END_TEST

START_TEST(rows_of_classes_may_be_strided)
{
    /* (N, C, d) = (2, 3, 2), like in PyTorch, against the same logits in shape (N * d, C) */
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
                             labels = matrix(y, LOSS_INT64, 2, 2),
                             flat = matrix(moved, LOSS_FLOAT64, 4, 3),
                             flat_labels = vector(y, LOSS_INT64, 4);
    struct batch a = of("cross_entropy", &deep, &labels),
                 b = of("cross_entropy", &flat, &flat_labels);
    a.request.grad = b.request.grad = 1;
    ck_assert_int_eq(batch_run(&a, 1), LOSS_OK);
    ck_assert_int_eq(batch_run(&b, 1), LOSS_OK);
    ck_assert_double_eq(a.result.loss, b.result.loss);
    for (int n = 0; n < 2; n++)
        for (int c = 0; c < 3; c++)
            for (int d = 0; d < 2; d++)
                ck_assert_double_eq(grad(&a, 0)[(n * 3 + c) * 2 + d],
                                    grad(&b, 0)[(n * 2 + d) * 3 + c]);
    batch_clear(&a);
    batch_clear(&b);
}
END_TEST

START_TEST(broadcast_gradients_are_summed_to_the_shape_of_their_tensor)
{
    double x[] = {1, 2}, y[] = {10, 20, 30};
    const struct loss_tensor input = matrix(x, LOSS_FLOAT64, 2, 1),
                             target = vector(y, LOSS_FLOAT64, 3);
    struct batch batch = of("mse", &input, &target);
    batch.request.grad = 3;
    batch.request.reduction = LOSS_SUM;
    ck_assert_int_eq(batch_run(&batch, 2), LOSS_OK);
    ck_assert_uint_eq(batch.result.count, 6);
    for (int i = 0; i < 2; i++)
        ck_assert_double_eq(grad(&batch, 0)[i], 2 * (3 * x[i] - 60));
    for (int i = 0; i < 3; i++)
        ck_assert_double_eq(grad(&batch, 1)[i], -2 * (3 - 2 * y[i]));
    ck_assert_ptr_nonnull(batch.plan.warning[0]);
    batch_clear(&batch);
}
END_TEST

START_TEST(the_gradient_of_a_number_broadcast_to_nothing_is_zero)
{
    float number = 3;
    const struct loss_tensor input = {.data = &number,
                                      .dtype = LOSS_FLOAT32,
                                      .rank = 2,
                                      .shape = {0, 5}},
                             target = {.data = &number, .dtype = LOSS_FLOAT32};
    struct batch batch = of("mse", &input, &target);
    batch.request.grad = 3;
    batch.request.reduction = LOSS_SUM;
    ck_assert_int_eq(batch_run(&batch, 2), LOSS_OK);
    ck_assert_double_eq(batch.result.loss, 0);
    ck_assert_float_eq(*(const float *)batch.plan.grad[1].data, 0);
    batch_clear(&batch);
}
END_TEST

START_TEST(float64_is_chosen_by_predictions_alone)
{
    double wide[] = {1};
    float narrow[] = {0};
    const struct loss_tensor w = vector(wide, LOSS_FLOAT64, 1), n = vector(narrow, LOSS_FLOAT32, 1);
    struct batch batch = of("mse", &n, &w);
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_int_eq(batch.plan.dtype, LOSS_FLOAT32);
    batch = of("mse", &w, &n);
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_int_eq(batch.plan.dtype, LOSS_FLOAT64);
    batch.request.dtype = LOSS_FLOAT32;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_int_eq(batch.plan.dtype, LOSS_FLOAT32);
}
END_TEST

START_TEST(undeclared_dtypes_are_settled_by_the_plan)
{
    const struct loss_tensor rows = matrix(NULL, LOSS_ANY, 4, 3),
                             labels = vector(NULL, LOSS_ANY, 4);
    struct batch batch = of("cross_entropy", &rows, &labels);
    ck_assert_int_eq(loss_plan(&batch.plan, &batch.request, &batch.error), LOSS_OK);
    ck_assert_int_eq(batch.plan.tensor[0].dtype, LOSS_FLOAT32);
    ck_assert_int_eq(batch.plan.tensor[1].dtype, LOSS_INT64);
    batch = of("cross_entropy", &rows, &rows);
    batch.request.dtype = LOSS_FLOAT64;
    ck_assert_int_eq(loss_plan(&batch.plan, &batch.request, &batch.error), LOSS_OK);
    ck_assert_int_eq(batch.plan.tensor[1].dtype, LOSS_FLOAT64);
}
END_TEST

/* ---- Values ---- */

START_TEST(reductions_hold_what_none_holds)
{
    struct batch batch;
    batch_make(&batch, loss_at((size_t)_i), 5000, LOSS_FLOAT64, 3);
    batch.request.reduction = LOSS_NONE;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    const size_t n = loss_tensor_elements(&batch.plan.output);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((const double *)batch.plan.output.data)[i];
    batch_clear(&batch);
    batch.request.reduction = LOSS_SUM;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq_tol(batch.result.loss, sum, 1e-11 * fabs(sum));
    ck_assert_uint_eq(batch.result.count, n);
    batch_free(&batch);
}
END_TEST

START_TEST(a_row_of_a_million_classes)
{
    enum { C = 1000000 };
    static double x[C];
    int64_t y = 123456;
    const struct loss_tensor input = vector(x, LOSS_FLOAT64, C),
                             target = {.data = &y, .dtype = LOSS_INT64};
    struct batch batch = of("cross_entropy", &input, &target);
    batch.request.grad = 1;
    ck_assert_int_eq(batch_run(&batch, 2), LOSS_OK);
    ck_assert_double_eq_tol(batch.result.loss, log(C), 1e-14);
    ck_assert_double_eq_tol(grad(&batch, 0)[y], 1e-6 - 1, 1e-15);
    ck_assert_double_eq_tol(grad(&batch, 0)[0], 1e-6, 1e-20);
    batch_clear(&batch);
}
END_TEST

START_TEST(a_nearly_certain_prediction_keeps_its_digits)
{
    /* 1 - q = 1 / (1 + e^40); PyTorch's gradient is 0 here */
    double x[] = {40, 0};
    int64_t y = 0;
    const struct loss_tensor input = vector(x, LOSS_FLOAT64, 2),
                             target = {.data = &y, .dtype = LOSS_INT64};
    struct batch batch = of("cross_entropy", &input, &target);
    batch.request.grad = 1;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq_tol(batch.result.loss, 4.248354255291589e-18, 1e-32);
    ck_assert_double_eq_tol(grad(&batch, 0)[0], -4.248354255291589e-18, 1e-32);
    batch_clear(&batch);
}
END_TEST

START_TEST(a_class_of_zero_probability_is_fine_unless_it_is_the_target)
{
    double x[] = {-INFINITY, 0, 1};
    int64_t y = 1;
    const struct loss_tensor input = vector(x, LOSS_FLOAT64, 3),
                             target = {.data = &y, .dtype = LOSS_INT64};
    struct batch batch = of("cross_entropy", &input, &target);
    batch.request.grad = 1;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq_tol(batch.result.loss, log1p(exp(1)), 1e-15);
    ck_assert_double_eq(grad(&batch, 0)[0], 0);
    batch_clear(&batch);
    y = 0;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_infinite(batch.result.loss);
    ck_assert_uint_eq(batch.result.nonfinite, 1);
    batch_clear(&batch);
}
END_TEST

START_TEST(ignored_targets_are_not_counted)
{
    double x[] = {0, 1, 2, 3, 4, 5};
    int64_t y[] = {0, -100, 1};
    const struct loss_tensor input = matrix(x, LOSS_FLOAT64, 3, 2),
                             target = vector(y, LOSS_INT64, 3);
    struct batch batch = of("nll", &input, &target);
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_uint_eq(batch.result.count, 2);
    ck_assert_double_eq(batch.result.loss, -(0 + 5) / 2.0);
}
END_TEST

START_TEST(the_upstream_gradient_multiplies)
{
    double x[] = {1, 2}, y[] = {0, 0}, up[] = {10, 100};
    const struct loss_tensor input = vector(x, LOSS_FLOAT64, 2),
                             target = vector(y, LOSS_FLOAT64, 2),
                             each = vector(up, LOSS_FLOAT64, 2),
                             one = {.data = up, .dtype = LOSS_FLOAT64};
    struct batch batch = of("mse", &input, &target);
    batch.request.grad = 1;
    batch.request.grad_output = &one;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq(grad(&batch, 0)[1], 2 * 2 * 10 / 2);
    batch_clear(&batch);
    batch.request.reduction = LOSS_NONE;
    batch.request.grad_output = &each;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq(grad(&batch, 0)[0], 2 * 10);
    ck_assert_double_eq(grad(&batch, 0)[1], 2 * 2 * 100);
    batch_clear(&batch);
    batch.request.reduction = LOSS_SUM;
    refused(&batch, "/grad_output",
            "grad_output has shape (2,); it must be a number, since the loss is one");
}
END_TEST

/* Added one by one, 1000 ones would not change 1e16. */
START_TEST(sums_keep_what_single_additions_lose)
{
    enum { ONES = 1000 };
    double x[ONES + 1] = {1e16}, zero = 0;
    for (int i = 1; i <= ONES; i++)
        x[i] = 1;
    const struct loss_tensor input = vector(x, LOSS_FLOAT64, ONES + 1),
                             target = {.data = &zero, .dtype = LOSS_FLOAT64};
    struct batch batch = of("l1", &input, &target);
    batch.request.reduction = LOSS_SUM;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq(batch.result.loss, 1e16 + ONES);
    batch_clear(&batch);
}
END_TEST

/* Like in PyTorch, a class whose score is exactly the margin below that of the label does not
   contribute to the gradient. */
START_TEST(margins_of_classes_have_slope_zero_at_their_kinks)
{
    double x[] = {1, 0, -3};
    int64_t label = 0, list[] = {0, -1, -1};
    const struct loss_tensor input = matrix(x, LOSS_FLOAT64, 1, 3),
                             one = vector(&label, LOSS_INT64, 1),
                             listed = matrix(list, LOSS_INT64, 1, 3);
    const struct loss_tensor *const target[] = {&one, &listed};
    for (int i = 0; i < 2; i++) {
        struct batch batch = of(i == 0 ? "multi_margin" : "multilabel_margin", &input, target[i]);
        batch.request.grad = 1;
        ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
        ck_assert_double_eq(batch.result.loss, 0);
        for (int c = 0; c < 3; c++)
            ck_assert_double_eq(grad(&batch, 0)[c], 0);
        batch_clear(&batch);
    }
}
END_TEST

START_TEST(the_upstream_gradient_may_be_strided)
{
    double x[] = {1, 1}, y[] = {0, 0}, up[] = {10, -1, 1000};
    const struct loss_tensor input = vector(x, LOSS_FLOAT64, 2),
                             target = vector(y, LOSS_FLOAT64, 2);
    struct loss_tensor each = vector(up, LOSS_FLOAT64, 2);
    each.strided = true;
    each.stride[0] = 2;
    struct batch batch = of("mse", &input, &target);
    batch.request.grad = 1;
    batch.request.grad_output = &each;
    batch.request.reduction = LOSS_NONE;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq(grad(&batch, 0)[0], 20);
    ck_assert_double_eq(grad(&batch, 0)[1], 2000);
    batch_clear(&batch);
}
END_TEST

/* Exact values by mpmath: 1 - cos of (1, 2, 3) and (1 + 1e-6, 2, 3) with eps = float32(1e-12). */
START_TEST(the_cosine_of_nearly_parallel_vectors_keeps_its_digits)
{
    double a[] = {1, 2, 3}, b[] = {1 + 1e-6, 2, 3}, y = 1;
    const struct loss_tensor first = vector(a, LOSS_FLOAT64, 3),
                             second = vector(b, LOSS_FLOAT64, 3),
                             label = {.data = &y, .dtype = LOSS_FLOAT64};
    struct batch batch = of("cosine_embedding", &first, &second);
    batch.request.tensor[2] = &label;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq_tol(batch.result.loss, 1.0459182660416237e-13,
                            1e-9 * 1.0459182660416237e-13);
    batch_clear(&batch);
}
END_TEST

/* Results of PyTorch 1.13 if infinities meet. */
START_TEST(infinities_flow_as_in_pytorch)
{
    double x[] = {-INFINITY, INFINITY, -1.5, -1.5, 2, 2},
           y[] = {1, 0, -INFINITY, INFINITY, -INFINITY, 0};
    double half = 0.5;
    const double terms[] = {NAN, INFINITY, -INFINITY, INFINITY, INFINITY, 2.1269280110429727};
    const struct loss_tensor input = vector(x, LOSS_FLOAT64, 6),
                             target = vector(y, LOSS_FLOAT64, 6),
                             one = {.data = &half, .dtype = LOSS_FLOAT64};
    struct batch batch = of("bce_with_logits", &input, &target);
    batch.request.reduction = LOSS_NONE;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    for (int i = 0; i < 6; i++) {
        const double term = ((const double *)batch.plan.output.data)[i];
        ck_assert_msg(isnan(terms[i]) ? isnan(term) : term == terms[i], "%d: %g", i, term);
    }
    batch_clear(&batch);
    double log_prob[] = {1, -INFINITY, -INFINITY}, p[] = {INFINITY, 0, 0.5};
    const double divergence[] = {NAN, NAN, INFINITY};
    const struct loss_tensor kl_input = vector(log_prob, LOSS_FLOAT64, 3),
                             kl_target = vector(p, LOSS_FLOAT64, 3);
    batch = of("kl_div", &kl_input, &kl_target);
    batch.request.reduction = LOSS_NONE;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    for (int i = 0; i < 3; i++) {
        const double term = ((const double *)batch.plan.output.data)[i];
        ck_assert_msg(isnan(divergence[i]) ? isnan(term) : term == divergence[i], "%d: %g", i,
                      term);
    }
    batch_clear(&batch);
    /* A single number is a batch of one. */
    batch = of("kl_div", &one, &one);
    batch.request.reduction = LOSS_BATCHMEAN;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
}
END_TEST

START_TEST(requests_that_are_nonsense_are_refused)
{
    float number = 0;
    const struct loss_tensor good = {.data = &number, .dtype = LOSS_FLOAT32},
                             odd = {.data = &number, .dtype = (enum loss_dtype)77},
                             deep = {.data = &number, .dtype = LOSS_FLOAT32, .rank = 99};
    struct batch batch = of("mse", &good, &odd);
    refused(&batch, "/target", "target has an unknown dtype");
    batch = of("mse", &deep, &good);
    refused(&batch, "/input", "input has 99 dimensions; at most 16 are supported");
    batch = of("mse", &good, &good);
    batch.request.grad_output = &deep;
    refused(&batch, "/grad_output", "grad_output has 99 dimensions; at most 16 are supported");
    batch = of("mse", &good, &good);
    batch.request.reduction = (enum loss_reduction)99;
    refused(&batch, "/reduction", "unknown reduction");
    batch = of("mse", &good, &good);
    batch.request.grad = 1u << 31;
    refused(&batch, "/grad", "mse has no such tensor to differentiate");
    loss_request_init(&batch.request, NULL);
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_NOT_FOUND);
    ck_assert_int_eq(loss_warm_up(-1), 1);
}
END_TEST

START_TEST(terms_that_overflow_float32_are_counted_where_they_are_given_out)
{
    float x[] = {1e30f, 1}, y[] = {0, 0};
    const struct loss_tensor input = vector(x, LOSS_FLOAT32, 2),
                             target = vector(y, LOSS_FLOAT32, 2);
    struct batch batch = of("mse", &input, &target);
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_uint_eq(batch.result.nonfinite, 0);
    ck_assert_double_eq_tol(batch.result.loss, (double)1e30f * (double)1e30f / 2, 1e44);
    batch.request.reduction = LOSS_NONE;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_uint_eq(batch.result.nonfinite, 1);
    batch_clear(&batch);
}
END_TEST

/* ---- Errors ---- */

/* Runs a loss over rows of three classes, with or without gradients. */
static void expect_of_classes(const char *loss, const struct loss_tensor *target, const char *path)
{
    float x[] = {0.5f, -1, 2, 0, 1, -0.5f};
    const struct loss_tensor input = matrix(x, LOSS_FLOAT32, 2, 3);
    for (unsigned gradients = 0; gradients < 2; gradients++) {
        struct batch batch = of(loss, &input, target);
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
    const struct loss_tensor labels = vector(label, LOSS_INT64, 2),
                             rows = matrix(several, LOSS_INT64, 2, 3);
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
    const struct loss_tensor three = vector(NULL, LOSS_FLOAT32, 3),
                             four = vector(NULL, LOSS_FLOAT32, 4),
                             rows = matrix(NULL, LOSS_FLOAT32, 2, 3),
                             number = {.dtype = LOSS_FLOAT32}, labels = vector(NULL, LOSS_INT64, 3),
                             two_labels = vector(NULL, LOSS_INT64, 2),
                             two = vector(NULL, LOSS_FLOAT32, 2);
    struct batch batch = of("mse", &three, &four);
    refused(&batch, "/target", "target has shape (4,); it does not broadcast with (3,) of input");
    batch = of("bce", &rows, &three);
    refused(&batch, "/target", "target has shape (3,); it must be that of input, (2, 3)");
    batch = of("bce", &three, &three);
    batch.request.tensor[2] = &rows;
    refused(&batch, "/weight",
            "weight has shape (2, 3); it must broadcast to that of the loss terms, (3,)");
    batch = of("cross_entropy", &number, &number);
    refused(&batch, "/input", "input has shape (); it must be (C), (N, C) or (N, C, d1, ...)");
    batch = of("cross_entropy", &rows, &labels);
    refused(&batch, "/target",
            "target has shape (3,); it must be (2,) for class indices or (2, 3) for probabilities");
    batch = of("nll", &rows, &labels);
    refused(&batch, "/target", "target has shape (3,); it must be (2,) for class indices");
    static const char *const weighted[] = {"cross_entropy", "nll", "multi_margin"};
    for (size_t i = 0; i < sizeof weighted / sizeof *weighted; i++) {
        batch = of(weighted[i], &rows, &two_labels);
        batch.request.tensor[2] = &four;
        refused(&batch, "/weight",
                "weight has shape (4,); it must be (3,), a weight for each class");
        batch = of(weighted[i], &rows, &two_labels);
        batch.request.tensor[2] = &two;
        refused(&batch, "/weight",
                "weight has shape (2,); it must be (3,), a weight for each class");
    }
    batch = of("cosine_embedding", &rows, &three);
    batch.request.tensor[2] = &three;
    refused(&batch, "/input2", "input2 has shape (3,); it must be that of input1, (2, 3)");
    batch = of("cosine_embedding", &rows, &rows);
    batch.request.tensor[2] = &three;
    refused(&batch, "/target", "target has shape (3,); it must be (2,), a label for each pair");
}
END_TEST

START_TEST(sizes_that_overflow_are_refused)
{
    const struct loss_tensor huge = matrix(NULL, LOSS_FLOAT32, SIZE_MAX / 2, 3),
                             one = {.dtype = LOSS_FLOAT32},
                             tall = matrix(NULL, LOSS_FLOAT32, SIZE_MAX >> 12, 1),
                             wide = matrix(NULL, LOSS_FLOAT32, 1, SIZE_MAX >> 12);
    struct batch batch = of("mse", &huge, &one);
    refused(&batch, "/input", "input has too many elements to address");
    const struct loss_tensor just =
        matrix(NULL, LOSS_FLOAT32, (size_t)PTRDIFF_MAX / 8 + 1, 1); /* doubles would not fit */
    batch = of("mse", &just, &one);
    refused(&batch, "/input", "input has too many elements to address");
    batch = of("mse", &tall, &wide);
    refused(&batch, "", "the broadcast loss has too many terms to address");
}
END_TEST

START_TEST(missing_and_impossible_fields_are_named)
{
    const struct loss_tensor x = vector(NULL, LOSS_FLOAT32, 3),
                             labels = vector(NULL, LOSS_INT32, 3),
                             rows = matrix(NULL, LOSS_FLOAT32, 3, 2),
                             int_rows = matrix(NULL, LOSS_INT32, 3, 2);
    struct batch batch = of("mse", &x, NULL);
    refused(&batch, "/target",
            "target is missing: true values, of shape (*), broadcast against input");
    batch = of("huber", &x, &x);
    batch.request.param[0].number = 0;
    refused(&batch, "/delta", "delta is 0; it must be greater than 0");
    batch = of("smooth_l1", &x, &x);
    batch.request.param[0].number = -1;
    refused(&batch, "/beta", "beta is -1; it must be at least 0");
    batch.request.param[0].number = (double)NAN;
    refused(&batch, "/beta", "beta must be a number");
    batch = of("hinge_embedding", &x, &x); /* its margin may be any number */
    batch.request.param[0].number = (double)NAN;
    refused(&batch, "/margin", "margin must be a number");
    batch = of("cross_entropy", &rows, &labels);
    batch.request.param[1].number = 1.5;
    refused(&batch, "/label_smoothing", "label_smoothing is 1.5; it must be in [0, 1]");
    batch = of("mse", &x, &x);
    batch.request.reduction = LOSS_BATCHMEAN;
    refused(&batch, "/reduction", "mse has no reduction 'batchmean'");
    batch = of("mse", &x, &x);
    batch.request.dtype = LOSS_FLOAT16;
    refused(&batch, "/dtype", "dtype is float16; losses are computed in float32 or float64");
    batch = of("cross_entropy", &rows, &x);
    refused(&batch, "/target", "target is float32; class indices are integers");
    batch = of("cross_entropy", &rows, &int_rows);
    refused(&batch, "/target",
            "target is int32 but has the input's shape; class probabilities are floating point");
    batch = of("cross_entropy", &rows, &labels);
    batch.request.grad = 2;
    refused(&batch, "/grad", "target contains class indices, which have no gradient");
    batch = of("mse", &labels, &x);
    batch.request.grad = 1;
    refused(&batch, "/grad", "input is int32; only floating point tensors have a gradient");
    batch = of("bce", &x, &x);
    batch.request.grad = 4;
    refused(&batch, "/grad", "bce has no gradient with respect to weight");
    batch = of("cross_entropy", &rows, &rows);
    batch.request.param[0].integer = 1;
    refused(&batch, "/ignore_index", "ignore_index is 1; it does not apply to class probabilities");
}
END_TEST

START_TEST(probabilities_outside_their_range_are_refused)
{
    float x[] = {0.5f, 0.25f, 1.5f, 0.5f}, y[4] = {0};
    const struct loss_tensor input = matrix(x, LOSS_FLOAT32, 2, 2),
                             target = matrix(y, LOSS_FLOAT32, 2, 2);
    struct batch batch = of("bce", &input, &target);
    refused(&batch, "/input/1/0",
            "input[1][0] is 1.5; probabilities must be in [0, 1] (use bce_with_logits for logits)");
    /* The index is that in the tensor, not in memory. */
    struct loss_tensor transposed = matrix(x, LOSS_FLOAT32, 2, 2);
    transposed.strided = true;
    transposed.stride[0] = 1;
    transposed.stride[1] = 2;
    batch = of("bce", &transposed, &target);
    refused(&batch, "/input/0/1",
            "input[0][1] is 1.5; probabilities must be in [0, 1] (use bce_with_logits for logits)");
}
END_TEST

/* ---- Table ---- */

START_TEST(losses_answer_to_pytorch_s_names)
{
    ck_assert_ptr_eq(loss_find("SmoothL1Loss"), loss_find("smooth_l1"));
    ck_assert_ptr_eq(loss_find("binary_cross_entropy_with_logits"), loss_find("bce_with_logits"));
    ck_assert_ptr_null(loss_find("MSE"));
    for (size_t i = 0; i < loss_count(); i++) {
        ck_assert_ptr_eq(loss_find(loss_at(i)->name), loss_at(i));
        for (int k = 0; k < LOSS_MAX_ALIASES && loss_at(i)->aliases[k]; k++)
            ck_assert_ptr_eq(loss_find(loss_at(i)->aliases[k]), loss_at(i));
    }
}
END_TEST

START_TEST(the_nearest_name_is_found)
{
    const struct {
        const char *name, *meant;
    } cases[] = {{"lable_smoothing", "label_smoothing"},
                 {"Weight", "weight"},
                 {"ignoreindex", "ignore_index"},
                 {"label", "label_smoothing"},
                 {"xyz", NULL},
                 {"", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loss_nearest search = {.name = cases[i].name};
        loss_nearest_try(&search, "label_smoothing");
        loss_nearest_try(&search, "weight");
        loss_nearest_try(&search, "ignore_index");
        if (cases[i].meant)
            ck_assert_str_eq(search.best, cases[i].meant);
        else
            ck_assert_ptr_null(search.best);
    }
}
END_TEST

/* Tensors that several losses share are read before the losses are known
   (proto/evaluation/multi_loss_request.c). */
START_TEST(a_name_is_that_of_tensors_or_that_of_parameters)
{
    for (size_t i = 0; i < loss_count(); i++)
        for (int k = 0; k < loss_param_specs(loss_at(i)); k++)
            for (size_t j = 0; j < loss_count(); j++)
                ck_assert_msg(
                    loss_tensor_find(loss_at(j), loss_at(i)->params[k].name) < 0,
                    "%s is a parameter of %s and a tensor of %s: give one of them another name",
                    loss_at(i)->params[k].name, loss_at(i)->name, loss_at(j)->name);
}
END_TEST

Suite *core_suite(void)
{
    Suite *suite = suite_create("core");
    TCase *threads = tcase_create("threads");
    tcase_set_tags(threads, TAG_SLOW);
    tcase_set_timeout(threads, 60);
    tcase_add_loop_test(threads, any_number_of_threads_gives_the_same_bits, 0, (int)loss_count());
    tcase_add_loop_test(threads, every_instruction_set_gives_the_same_bits, 0, (int)loss_count());
    tcase_add_test(threads, broadcast_gradients_do_not_depend_on_threads);
    suite_add_tcase(suite, threads);
    TCase *blame = tcase_create("bad_elements");
    tcase_add_loop_test(blame, the_first_bad_element_is_named, 1, 5);
    suite_add_tcase(suite, blame);
    TCase *together = tcase_create("together");
    tcase_add_loop_test(together, losses_evaluated_together_give_the_bits_that_each_gives_alone, 0,
                        LOSS_REDUCTION_COUNT);
    tcase_add_test(together, of_losses_evaluated_together_the_first_that_fails_is_named);
    suite_add_tcase(suite, together);
    SUITE_ADD(suite, "operands", every_dtype_is_read_as_the_number_it_stands_for,
              half_precision_covers_subnormals_infinities_and_nan,
              strided_and_unaligned_operands_are_walked_in_place, rows_of_classes_may_be_strided,
              broadcast_gradients_are_summed_to_the_shape_of_their_tensor,
              the_gradient_of_a_number_broadcast_to_nothing_is_zero,
              float64_is_chosen_by_predictions_alone, undeclared_dtypes_are_settled_by_the_plan);
    TCase *reductions = tcase_create("reductions");
    tcase_add_loop_test(reductions, reductions_hold_what_none_holds, 0, (int)loss_count());
    suite_add_tcase(suite, reductions);
    SUITE_ADD(suite, "values", a_row_of_a_million_classes,
              a_nearly_certain_prediction_keeps_its_digits,
              a_class_of_zero_probability_is_fine_unless_it_is_the_target,
              ignored_targets_are_not_counted, sums_keep_what_single_additions_lose,
              margins_of_classes_have_slope_zero_at_their_kinks, the_upstream_gradient_multiplies,
              the_upstream_gradient_may_be_strided,
              the_cosine_of_nearly_parallel_vectors_keeps_its_digits,
              terms_that_overflow_float32_are_counted_where_they_are_given_out,
              infinities_flow_as_in_pytorch);
    SUITE_ADD(suite, "refusals", class_indices_just_outside_their_range_are_refused,
              shapes_that_do_not_fit_are_refused, sizes_that_overflow_are_refused,
              missing_and_impossible_fields_are_named, requests_that_are_nonsense_are_refused,
              probabilities_outside_their_range_are_refused);
    SUITE_ADD(suite, "table", losses_answer_to_pytorch_s_names, the_nearest_name_is_found,
              a_name_is_that_of_tensors_or_that_of_parameters);
    return suite;
}
