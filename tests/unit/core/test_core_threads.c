/* Results do not depend on the number of threads, the instruction set, or other losses that are
 * evaluated together. */
#include "suites.h"
#include "support/batch.h"

#include <string.h>

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

/* _i is the loss's index. 200 000 elements are about twelve blocks, the last one incomplete. Losses
   that compare each row with all others get 4000. */
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
    const struct loss_tensor input = batch_matrix(x, LOSS_FLOAT32, 600, 500),
                             target = batch_vector(y, LOSS_FLOAT32, 500);
    struct batch one = batch_of("mse", &input, &target), many;
    one.request.grad = 3;
    many = one;
    ck_assert_int_eq(batch_run(&one, 1), LOSS_OK);
    ck_assert_int_eq(batch_run(&many, 8), LOSS_OK);
    same_bits(&one, &many);
    batch_clear(&one);
    batch_clear(&many);
}
END_TEST

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

/* _i is a reduction. All losses that have it are evaluated at once: some share a grid of chunks and
   blocks, some do not. */
START_TEST(losses_evaluated_together_give_the_same_bits_as_alone)
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

START_TEST(first_of_several_losses_that_fails_is_reported)
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

/* _i is the number of threads: the error always names the first invalid element. */
START_TEST(first_invalid_element_is_reported)
{
    enum { N = 100000 };
    static double x[N];
    static int64_t y[N];
    y[77777] = 1;
    y[55555] = -7;
    const struct loss_tensor input = batch_matrix(x, LOSS_FLOAT64, N, 1),
                             target = batch_vector(y, LOSS_INT64, N);
    struct batch batch = batch_of("cross_entropy", &input, &target);
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

Suite *core_threads_suite(void)
{
    Suite *suite = suite_create("core_threads");
    TCase *threads = SUITE_ADD(suite, "threads", broadcast_gradients_do_not_depend_on_threads);
    tcase_set_tags(threads, TAG_SLOW);
    tcase_set_timeout(threads, 60);
    tcase_add_loop_test(threads, any_number_of_threads_gives_the_same_bits, 0, (int)loss_count());
    tcase_add_loop_test(threads, every_instruction_set_gives_the_same_bits, 0, (int)loss_count());
    TCase *elements = suite_add_case(suite, "bad_elements", 60, NULL, NULL);
    tcase_add_loop_test(elements, first_invalid_element_is_reported, 1, 5);
    TCase *together = SUITE_ADD(suite, "together", first_of_several_losses_that_fails_is_reported);
    tcase_add_loop_test(together, losses_evaluated_together_give_the_same_bits_as_alone, 0,
                        LOSS_REDUCTION_COUNT);
    return suite;
}
