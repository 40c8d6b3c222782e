/*
 * Tests the library of the Python package (clients/python/native) through its C interface, so that
 * the sanitizers see it, and so that each of its allocations can fail. The Python tests compare its
 * results and errors with those of a server.
 */
#include "local.h"
#include "suites.h"
#include "support/counted_malloc.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COUNT = 200000, MANY = 1000 };

static float input[COUNT], target[COUNT], gradient[2][COUNT];
static struct local_error error;

/* Two float32 vectors of `count` elements, the second one in reverse order. */
static struct local_operands operands_of(int64_t count, int64_t numbers[10])
{
    const int64_t size = sizeof(float);
    const int64_t values[10] = {(int64_t)(intptr_t)input,
                                LOSS_FLOAT32,
                                1,
                                count,
                                size,
                                (int64_t)(intptr_t)&target[count - 1],
                                LOSS_FLOAT32,
                                1,
                                count,
                                -size};
    memcpy(numbers, values, sizeof values);
    return (struct local_operands){"input\0target", numbers, 2};
}

static void fill(void)
{
    for (int i = 0; i < COUNT; i++) {
        input[i] = (float)(i % 7) - 3;
        target[i] = (float)(i % 5);
    }
}

/* Plans `query` for `count` elements, with all gradients in `gradient`. */
static struct local_call *plan(const char *query, int64_t count)
{
    int64_t numbers[10];
    const struct local_operands operands = operands_of(count, numbers);
    struct local_call *const call = lossd_local_plan("huber", query, &operands, &error);
    for (size_t i = 0; call && i < call->outputs; i++)
        call->output[i].data = gradient[i];
    return call;
}

static struct local_call *plan_several(int64_t count)
{
    static const char body[] =
        "{\"input\":0,\"target\":1,\"grad\":true,\"losses\":[\"mse\",\"l1\"]}";
    int64_t numbers[10];
    const struct local_operands operands = operands_of(count, numbers);
    struct local_call *const call = lossd_local_plan_several(body, strlen(body), &operands, &error);
    for (size_t i = 0; call && i < call->outputs; i++)
        call->output[i].data = gradient[i];
    return call;
}

static enum local_state finish(struct local_call *call, enum local_state state)
{
    while (state == LOCAL_RUNNING)
        state = lossd_local_wait(call, 1000);
    return state;
}

START_TEST(calls_write_results_and_outputs)
{
    struct local_call *call = plan("delta=2&reduction=sum&grad=true&hess=input", 3);
    ck_assert_ptr_nonnull(call);
    ck_assert_uint_eq(call->outputs, 2);
    ck_assert_int_eq(call->output[1].kind, LOCAL_HESS);
    ck_assert_str_eq(call->output[1].name, "input");
    ck_assert_int_eq(call->output[0].shape[0], 3);
    ck_assert_int_eq(lossd_local_run(call), LOCAL_SUCCEEDED);
    /* (-3, -2, -1) - (2, 1, 0) */
    ck_assert_double_eq(call->result[0].loss, 2 * (5 - 1.0) + 2 * (3 - 1.0) + 0.5);
    ck_assert_str_eq(call->result[0].facts,
                     "{\"reduction\":\"sum\",\"dtype\":\"float32\",\"count\":3}");
    ck_assert_float_eq(gradient[0][0], -2);
    ck_assert_float_eq(gradient[0][2], -1);
    ck_assert_float_eq(gradient[1][2], 1);
    lossd_local_free(call);
    call = plan_several(3);
    ck_assert_uint_eq(call->losses, 2);
    ck_assert_int_eq(finish(call, lossd_local_start(call, 2, 0)), LOCAL_SUCCEEDED);
    ck_assert_double_eq(call->result[0].loss, (25 + 9 + 1) / 3.0);
    ck_assert_double_eq(call->result[1].loss, 3);
    lossd_local_free(call);
}
END_TEST

START_TEST(invalid_requests_have_status_pointer_and_no_offset)
{
    int64_t numbers[2 * (3 + 2 * 17)] = {(int64_t)(intptr_t)input, LOSS_FLOAT32, 17};
    const struct local_operands deep = {"input", numbers, 1};
    ck_assert_ptr_null(lossd_local_plan("mse", "", &deep, &error));
    ck_assert_int_eq(error.status, 400);
    ck_assert_str_eq(error.message, "input: shape has more than 16 numbers");
    ck_assert_ptr_null(plan("delta=-1", 3));
    ck_assert_int_eq(error.status, 422);
    ck_assert_str_eq(error.pointer, "/delta");
    ck_assert_ptr_null(lossd_local_plan("hubert", "", &deep, &error));
    ck_assert_int_eq(error.status, 404);
    const struct local_operands none = {"", numbers, 0};
    static const char body[] = "{\"losses\":[\"mse\"],\"inptu\":0}";
    ck_assert_ptr_null(lossd_local_plan_several(body, strlen(body), &none, &error));
    ck_assert_int_eq(error.status, 400);
    ck_assert_str_eq(error.message,
                     "none of these losses has a field 'inptu'; did you mean 'input'?");
    static const char index[] = "{\"losses\":[\"mse\"],\"input\":0}";
    ck_assert_ptr_null(lossd_local_plan_several(index, strlen(index), &none, &error));
    ck_assert_str_eq(error.message, "input is 0; it must be the index of an attached tensor");
}
END_TEST

/* Makes the call that `i` chooses, in which allocation `failing` fails. Returns true if all
   succeeded. */
static bool survives(int i, size_t failing)
{
    counted_malloc_fail(failing);
    struct local_call *const call = i % 2 ? plan_several(COUNT) : plan("grad=true&partial=true", 9);
    enum local_state state = LOCAL_FAILED;
    if (call && i < 2)
        state = lossd_local_run(call);
    else if (call)
        state = finish(call, lossd_local_start(call, 2, 0));
    counted_malloc_fail(0);
    if (state == LOCAL_FAILED)
        ck_assert_int_eq(call ? call->error.status : error.status, 503);
    if (call)
        lossd_local_free(call);
    return state == LOCAL_SUCCEEDED;
}

START_TEST(failed_allocations_are_errors)
{
    size_t failing = 1;
    while (!survives(_i, failing))
        ck_assert_uint_lt(++failing, MANY);
    ck_assert_uint_gt(failing, 3);
    ck_assert(survives(_i, 0));
}
END_TEST

START_TEST(freeing_a_call_cancels_it)
{
    static float rows[30000 * 32];
    int64_t numbers[14] = {(int64_t)(intptr_t)rows, LOSS_FLOAT32, 2, 30000, 32, 128, 4};
    memcpy(numbers + 7, numbers, 7 * sizeof numbers[0]);
    const struct local_operands operands = {"query\0key", numbers, 2};
    struct local_call *const call = lossd_local_plan("info_nce", "", &operands, &error);
    ck_assert_ptr_nonnull(call);
    ck_assert_int_eq(lossd_local_start(call, 2, 10), LOCAL_RUNNING);
    lossd_local_free(call);
}
END_TEST

START_TEST(calls_run_after_a_fork)
{
    struct local_call *call = plan("", COUNT);
    ck_assert_int_eq(finish(call, lossd_local_start(call, 2, 0)), LOCAL_SUCCEEDED);
    const double loss = call->result[0].loss;
    lossd_local_free(call);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    call = plan("", COUNT);
    const enum local_state state = finish(call, lossd_local_start(call, 2, 0));
    const bool same = state == LOCAL_SUCCEEDED && call->result[0].loss == loss;
    lossd_local_free(call);
    if (child == 0)
        _exit(same ? 0 : 1);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(same && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

/* ---- Loops ---- */

void native_parallel_for(size_t n, int threads, void (*body)(void *context, size_t i, int thread),
                         void *context);

enum { LOOP = 3000, THREADS = 4 };

struct loop {
    atomic_int calls[LOOP], inside[THREADS]; /* of each thread: how many are in the body */
    atomic_int used;                         /* bit set of threads */
};

static void visit(void *context, size_t i, int thread)
{
    struct loop *const loop = context;
    ck_assert_int_lt(thread, THREADS);
    ck_assert_int_eq(atomic_fetch_add(&loop->inside[thread], 1), 0);
    atomic_fetch_add(&loop->calls[i], 1);
    atomic_fetch_or(&loop->used, 1 << thread);
    if (i == 0) /* the others do not wait for this one */
        usleep(20000);
    atomic_fetch_sub(&loop->inside[thread], 1);
}

/* Runs a loop of `n` indices. Returns the bit set of the threads that it used. */
static int run_loop(size_t n)
{
    struct loop loop = {0};
    native_parallel_for(n, THREADS, visit, &loop);
    for (size_t i = 0; i < LOOP; i++)
        ck_assert_int_eq(loop.calls[i], i < n);
    return loop.used;
}

static void *run_loops(void *context)
{
    (void)context;
    for (size_t n = 0; n < LOOP; n += 100)
        run_loop(n);
    return NULL;
}

START_TEST(loops_call_their_body_once_for_each_index)
{
    pthread_t thread[3];
    ck_assert_int_eq(run_loop(1), 1);
    ck_assert_int_ne(run_loop(LOOP) & ~1, 0); /* helpers join while a thread sleeps */
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, run_loops, NULL), 0);
    run_loops(NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        run_loops(NULL);
        _exit(run_loop(LOOP) > 1 ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

START_TEST(losses_are_described_once)
{
    const char *const text = lossd_local_losses();
    ck_assert_ptr_nonnull(strstr(text, "\"name\": \"mse\""));
    ck_assert_ptr_eq(text, lossd_local_losses());
    ck_assert_str_eq(lossd_local_version(), LOSS_VERSION);
}
END_TEST

Suite *native_suite(void)
{
    Suite *suite = suite_create("native");
    TCase *tcase = suite_add_case(suite, "native", 60, fill, NULL);
    CASE_ADD(tcase, calls_write_results_and_outputs,
             invalid_requests_have_status_pointer_and_no_offset, freeing_a_call_cancels_it,
             calls_run_after_a_fork, loops_call_their_body_once_for_each_index,
             losses_are_described_once);
    tcase_add_loop_test(tcase, failed_allocations_are_errors, 0, 4);
    return suite;
}
