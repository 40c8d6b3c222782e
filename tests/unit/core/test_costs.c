/* The estimated cost of plans: that it grows with the work, and, if LOSSD_COSTS is set (make
   check-cost), that it matches the measured cost. */
#include "suites.h"
#include "support/batch.h"
#include "support/counted_malloc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- Growth ---- */

static double work_of(struct batch *batch)
{
    ck_assert_msg(loss_plan(&batch->plan, &batch->request, &batch->error) == LOSS_OK, "%s",
                  batch->error.message);
    return (double)batch->plan.work;
}

static double work_of_shape(const struct loss_descriptor *loss, size_t n, size_t columns,
                            bool gradients)
{
    struct batch batch;
    batch_make_vast(&batch, loss, n, columns, LOSS_FLOAT32);
    if (gradients)
        batch_all_gradients(&batch);
    const double work = work_of(&batch);
    batch_free(&batch);
    return work;
}

/* _i is the loss's index. Twice as many rows that are compared with each other cost four times as
   much. */
START_TEST(work_grows_with_the_elements)
{
    const struct loss_descriptor *const loss = loss_at((size_t)_i);
    const double growth = loss_tensor_find(loss, "query") >= 0 ? 4 : 2;
    for (int gradients = 0; gradients <= 1; gradients++)
        for (size_t columns = 8; columns <= 128; columns *= 4) {
            const double one = work_of_shape(loss, 128 * 128 * 8, columns, gradients),
                         two = work_of_shape(loss, 2 * 128 * 128 * 8, columns, gradients);
            ck_assert_msg(two > 0.95 * growth * one && two < 1.05 * growth * one,
                          "%s, %zu columns: %.0f, %.0f", loss->name, columns, one, two);
            ck_assert_double_gt(one, 128 * 128 * 8 / 8);
        }
}
END_TEST

START_TEST(work_grows_with_what_is_asked_for)
{
    struct batch batch;
    const struct loss_descriptor *const loss = loss_at((size_t)_i);
    batch_make(&batch, loss, 20000, LOSS_FLOAT32, 1);
    batch.request.reduction = LOSS_SUM;
    const double value = work_of(&batch);
    batch.request.reduction = LOSS_NONE;
    ck_assert_double_gt(work_of(&batch), value);
    batch.request.reduction = LOSS_SUM;
    batch.request.grad = loss_predictions(loss);
    const double gradient = work_of(&batch);
    ck_assert_double_ge(gradient, value);
    batch_all_gradients(&batch);
    ck_assert_double_ge(work_of(&batch), gradient);
    if (loss->hessian) {
        batch.request.hess = loss_predictions(loss);
        ck_assert_double_ge(work_of(&batch), gradient);
    }
    batch_free(&batch);
}
END_TEST

/* ---- Memory ---- */

enum {
    MEMORY_SPARE = 1 << 16, /* bytes by which the estimate may exceed twice the measured number */
    MEMORY_MOST = 1 << 20,  /* elements; plans with more take long and are skipped */
};

/* Checks that a run allocates at most the bytes that loss_run_bytes() states, and not far fewer. */
static void check_memory(struct batch *batch, int threads, const char *what)
{
    const char *const loss = batch->request.loss->name;
    if (batch->plan.elements > MEMORY_MOST)
        return;
    const enum loss_status status = batch_run(batch, threads);
    ck_assert_msg(status == LOSS_OK, "%s, %s: %s", loss, what, batch->error.message);
    const size_t stated = loss_run_bytes(&batch->plan, threads);
    counted_malloc_begin();
    const enum loss_status again = loss_run(&batch->plan, threads, &batch->result, &batch->error);
    const size_t taken = counted_malloc_end();
    ck_assert_int_eq(again, LOSS_OK);
    ck_assert_uint_gt(taken, 0);
    ck_assert_msg(stated >= taken && stated <= 2 * taken + MEMORY_SPARE,
                  "%s, %s, %d threads: %zu bytes, not the %zu stated", loss, what, threads, taken,
                  stated);
    batch_clear(batch);
}

START_TEST(stated_memory_suffices_for_several_losses)
{
    enum { MANY = 8, ROWS = 10 };
    struct batch batch[MANY];
    const struct loss_plan *plan[MANY];
    struct loss_result result[MANY];
    struct loss_error error;
    size_t stated = 0, failed;
    for (size_t i = 0; i < MANY; i++) {
        batch_make(&batch[i], loss_at(i), ROWS, LOSS_FLOAT32, 1);
        ck_assert_int_eq(batch_run(&batch[i], 1), LOSS_OK);
        plan[i] = &batch[i].plan;
        stated += loss_run_bytes(plan[i], 2);
    }
    counted_malloc_begin();
    const enum loss_status status = loss_run_all(plan, MANY, 2, result, &failed, &error);
    const size_t taken = counted_malloc_end();
    ck_assert_int_eq(status, LOSS_OK);
    ck_assert_msg(taken <= stated, "%zu bytes, not the %zu stated", taken, stated);
    for (size_t i = 0; i < MANY; i++)
        batch_free(&batch[i]);
}
END_TEST

/* Checks every reduction, with and without derivatives and sample weights. */
static void check_memory_of_requests(struct batch *batch, int threads, const char *what)
{
    static const float one = 1;
    const struct loss_descriptor *const loss = batch->request.loss;
    for (int reduction = 0; reduction < LOSS_REDUCTION_COUNT; reduction++) {
        if (!(loss->reductions >> reduction & 1))
            continue;
        batch->request.reduction = (enum loss_reduction)reduction;
        batch->request.grad = batch->request.hess = 0;
        check_memory(batch, threads, what);
        batch_all_gradients(batch);
        batch->request.hess = loss->hessian ? loss_predictions(loss) : 0;
        check_memory(batch, threads, what);
        struct loss_tensor weight =
            batch->plan.terms; /* the same number for all terms, which needs no memory */
        weight.dtype = LOSS_FLOAT32;
        weight.strided = true;
        memset(weight.stride, 0, sizeof weight.stride);
        weight.data = (void *)(uintptr_t)&one;
        batch->request.sample_weight = &weight;
        check_memory(batch, threads, what);
        batch->request.sample_weight = NULL;
    }
}

/* _i is the loss's index. Operands are contiguous, or repeat a single number. */
START_TEST(stated_memory_is_what_is_taken)
{
    static const struct {
        const char *what;
        size_t n, columns;
    } shapes[] = {{"few rows", 343, 7}, {"many rows", 20000, 7}, {"long rows", 9000, 3000}};
    const struct loss_descriptor *const loss = loss_at((size_t)_i);
    const bool sequences = loss_tensor_find(loss, "log_probs") >= 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int dtype = LOSS_FLOAT64; dtype <= LOSS_FLOAT32; dtype++) {
            struct batch batch;
            const int threads = dtype == LOSS_FLOAT64 ? 1 : 3;
            if (sequences && shapes[i].columns * shapes[i].columns > shapes[i].n)
                continue;
            batch_make_columns(&batch, loss, shapes[i].n, shapes[i].columns, (enum loss_dtype)dtype,
                               1);
            check_memory_of_requests(&batch, threads, shapes[i].what);
            batch_free(&batch);
            batch_make_vast(&batch, loss, shapes[i].n, shapes[i].columns, (enum loss_dtype)dtype);
            check_memory_of_requests(&batch, threads, shapes[i].what);
            batch_free(&batch);
        }
}
END_TEST

/* Gradients of broadcast tensors are summed from those of the terms. */
START_TEST(stated_memory_of_shared_gradients_is_what_is_taken)
{
    double x[300] = {0}, y[200] = {0};
    const struct loss_tensor column = {.data = x,
                                       .dtype = LOSS_FLOAT64,
                                       .rank = 2,
                                       .shape = {300, 1}},
                             row = {.data = y, .dtype = LOSS_FLOAT64, .rank = 1, .shape = {200}};
    struct batch batch = {0};
    loss_request_init(&batch.request, loss_find("mse"));
    batch.request.tensor[0] = &column;
    batch.request.tensor[1] = &row;
    for (uint32_t grad = 0; grad < 4; grad++) {
        batch.request.grad = grad;
        check_memory(&batch, 2, "shared gradients");
    }
}
END_TEST

/* Few numbers that broadcast to many terms, and their gradient. */
START_TEST(broadcasting_is_counted)
{
    const struct loss_tensor column = {.dtype = LOSS_FLOAT32, .rank = 2, .shape = {3000, 1}},
                             row = {.dtype = LOSS_FLOAT32, .rank = 1, .shape = {3000}};
    struct batch batch = {0};
    loss_request_init(&batch.request, loss_find("mse"));
    batch.request.tensor[0] = &column;
    batch.request.tensor[1] = &row;
    const double value = work_of(&batch);
    ck_assert_double_gt(value, 3000 * 3000 / 2);
    batch.request.grad = 1;
    ck_assert_double_gt(work_of(&batch), value);
}
END_TEST

/* A request that kept an I/O thread busy for a third of a second, one that took a quarter of an
   hour, and one whose work overflows. */
START_TEST(reported_requests_cost_what_they_take)
{
    const struct loss_tensor log_probs = {.dtype = LOSS_FLOAT32, .rank = 3, .shape = {15500, 1, 1}},
                             labels = {.dtype = LOSS_INT64, .rank = 1, .shape = {1000}},
                             lengths = {.dtype = LOSS_INT64, .rank = 1, .shape = {1}};
    struct batch batch = {0};
    loss_request_init(&batch.request, loss_find("ctc"));
    const struct loss_tensor *const ctc[] = {&log_probs, &labels, &lengths, &lengths};
    memcpy(batch.request.tensor, ctc, sizeof ctc);
    ck_assert_double_gt(work_of(&batch), 5e7); /* about a tenth of a second */

    const struct loss_tensor vectors = {.dtype = LOSS_FLOAT32, .rank = 2, .shape = {65536, 128}};
    batch = (struct batch){0};
    loss_request_init(&batch.request, loss_find("info_nce"));
    batch.request.tensor[0] = batch.request.tensor[1] = &vectors;
    batch.request.grad = 3;
    ck_assert_double_gt(work_of(&batch), 2e11);

    const struct loss_tensor long_vectors = {
        .dtype = LOSS_INT8, .rank = 2, .shape = {65536, (size_t)1 << 40}};
    batch.request.tensor[0] = batch.request.tensor[1] = &long_vectors;
    batch.request.grad = 0;
    work_of(&batch);
    ck_assert_uint_eq(batch.plan.work, SIZE_MAX);
}
END_TEST

/* ---- Measurement ---- */

/* The work of a case: long enough to measure, short enough for thousands. */
#define CASE_WORK 1e6
enum { REPETITIONS = 9, MOST_CASES = 20000 };

struct measured {
    char name[120];
    double ratio; /* nanoseconds for each unit of work */
};
static struct measured measured[MOST_CASES];
static size_t cases;

static double cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Measures a batch, and records the ratio. */
static void measure(struct batch *batch, const char *what, size_t columns)
{
    double best = INFINITY;
    ck_assert_msg(batch_run(batch, 1) == LOSS_OK, "%s", batch->error.message);
    for (int i = 0; i < REPETITIONS; i++) {
        const double started = cpu_ns();
        loss_run(&batch->plan, 1, &batch->result, &batch->error);
        best = fmin(best, cpu_ns() - started);
    }
    ck_assert_uint_lt(cases, MOST_CASES);
    struct measured *const m = &measured[cases++];
    m->ratio = best / (double)batch->plan.work;
    snprintf(m->name, sizeof m->name, "%s, %s, %s, %zu columns, %s%s%s", batch->plan.loss->name,
             what, loss_dtype_name(batch->plan.dtype), columns,
             loss_reduction_name(batch->plan.reduction), batch->plan.grad_mask ? ", gradients" : "",
             batch->plan.hess_mask ? ", Hessian" : "");
    batch_clear(batch);
}

/* Measures the value, with and without the gradients of the predictions. */
static void measure_usual(struct batch *batch, const char *what, size_t columns)
{
    batch->request.reduction = LOSS_MEAN;
    measure(batch, what, columns);
    batch->request.grad = loss_predictions(batch->request.loss);
    measure(batch, what, columns);
    batch->request.grad = 0;
}

static void measure_requests(struct batch *batch, const char *what, size_t columns)
{
    const struct loss_descriptor *const loss = batch->request.loss;
    measure_usual(batch, what, columns);
    batch->request.reduction = LOSS_NONE;
    measure(batch, what, columns);
    batch->request.reduction = LOSS_MEAN;
    batch_all_gradients(batch);
    measure(batch, what, columns);
    batch->request.grad = 0;
    if (loss->hessian) {
        batch->request.hess = loss_predictions(loss);
        measure(batch, what, columns);
    }
    batch->request.hess = 0;
}

/* Returns the number of elements of whole rows that take at least CASE_WORK. */
static size_t elements_for(const struct loss_descriptor *loss, size_t columns)
{
    size_t n = (loss_tensor_find(loss, "log_probs") >= 0 ? columns * columns : columns) * 2;
    while (work_of_shape(loss, n, columns, false) < CASE_WORK)
        n *= 2;
    return n;
}

static void measure_loss(const struct loss_descriptor *loss, size_t columns, enum loss_dtype dtype)
{
    struct batch batch;
    batch_make_columns(&batch, loss, elements_for(loss, columns), columns, dtype, 1);
    measure_requests(&batch, "defaults", columns);
    for (size_t option = 0; columns == 7 && option < batch_options(loss); option++) {
        struct loss_value kept[LOSS_MAX_PARAMS];
        memcpy(kept, batch.request.param, sizeof kept);
        const char *const name = batch_set_option(&batch, option);
        if (name)
            measure_usual(&batch, name, columns);
        memcpy(batch.request.param, kept, sizeof kept);
    }
    batch_free(&batch);
}

static int by_ratio(const void *a, const void *b)
{
    const double x = ((const struct measured *)a)->ratio, y = ((const struct measured *)b)->ratio;
    return (x > y) - (x < y);
}

/* Ratios are relative to the median, which removes the machine's speed. */
START_TEST(work_is_what_is_measured)
{
    const size_t columns[] = {1, 2, 7, 33, 200, 1000};
    for (size_t i = 0; i < loss_count(); i++)
        for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
            for (int dtype = LOSS_FLOAT64; dtype <= LOSS_FLOAT32; dtype++)
                if (loss_tensor_find(loss_at(i), "log_probs") < 0 ||
                    (columns[c] > 1 && columns[c] <= 33)) /* sequences */
                    measure_loss(loss_at(i), columns[c], (enum loss_dtype)dtype);
    qsort(measured, cases, sizeof *measured, by_ratio);
    const double middle = measured[cases / 2].ratio;
    size_t wrong = 0;
    for (size_t i = 0; i < cases; i++) {
        const double ratio = measured[i].ratio / middle;
        if (ratio >= 1.0 / LOSS_WORK_FACTOR && ratio <= LOSS_WORK_FACTOR)
            continue;
        wrong++;
        printf("%6.2f times its work: %s\n", ratio, measured[i].name);
    }
    printf("%zu cases; a unit of work takes %.2f ns here\n", cases, middle);
    ck_assert_msg(wrong == 0,
                  "the measured cost of %zu of %zu cases is too far from that of their plans",
                  wrong, cases);
}
END_TEST

Suite *costs_suite(void)
{
    Suite *suite = suite_create("costs");
    TCase *table = tcase_create("costs_of_losses");
    tcase_add_loop_test(table, work_grows_with_the_elements, 0, (int)loss_count());
    tcase_add_loop_test(table, work_grows_with_what_is_asked_for, 0, (int)loss_count());
    tcase_add_loop_test(table, stated_memory_is_what_is_taken, 0, (int)loss_count());
    suite_add_tcase(suite, table);
    SUITE_ADD(suite, "costs_of_requests", stated_memory_of_shared_gradients_is_what_is_taken,
              stated_memory_suffices_for_several_losses, broadcasting_is_counted,
              reported_requests_cost_what_they_take);
    if (getenv("LOSSD_COSTS")) {
        TCase *measuring = tcase_create("costs_measured");
        tcase_set_timeout(measuring, 900);
        tcase_add_test(measuring, work_is_what_is_measured);
        suite_add_tcase(suite, measuring);
    }
    return suite;
}
