/* Cancellation of every loss, in the middle of its most expensive shapes. */
#include "suites.h"
#include "support/batch.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

/* Each evaluation would take at least LONG_WORK units of work, several seconds, and must end within
   SOON_MS after it is cancelled. Kernels check every few milliseconds. The time is the CPU time of
   the process, so that a busy machine does not matter. */
#define LONG_WORK 3e9
#if defined __SANITIZE_THREAD__ || defined __SANITIZE_ADDRESS__ /* up to ten times slower */
enum { BEGIN_MS = 20, SOON_MS = 5000 };
#else
enum { BEGIN_MS = 20, SOON_MS = 250 };
#endif

static double cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void wait_ms(double ms)
{
    nanosleep(
        &(struct timespec){.tv_sec = (time_t)(ms / 1e3), .tv_nsec = (long)(ms * 1e6) % 1000000000},
        NULL);
}

/* ---- Shapes ---- */

/* Row lengths, and numbers of elements: with gradients, whose buffers take memory; without
   gradients, if those are too little work. */
static const struct {
    const char *name;
    size_t columns, with_gradients, without;
} shapes[] = {
    {"short rows", 7, (size_t)1 << 21, (size_t)1 << 33},
    {"long rows", (size_t)1 << 17, (size_t)1 << 22, (size_t)1 << 33},
    {"one row", (size_t)1 << 24, (size_t)1 << 24, (size_t)1 << 33},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* ctc's sequences have as many steps and classes as columns. info_nce compares all rows with each
   other. */
static size_t columns_of(const struct loss_descriptor *loss, size_t shape)
{
    const bool sequences = loss_tensor_find(loss, "log_probs") >= 0;
    return sequences && shape > 0 ? (size_t)1 << (9 + shape) : shapes[shape].columns;
}

static size_t elements_of(const struct loss_descriptor *loss, size_t shape, size_t n)
{
    const size_t columns = columns_of(loss, shape);
    if (loss_tensor_find(loss, "query") >= 0)
        return columns < 1024 ? 60000 * columns : 64 * columns;
    return loss_tensor_find(loss, "log_probs") >= 0 ? 64 * columns * columns : n;
}

/* Makes the most expensive evaluation of a loss in a shape: with all gradients if that is long
   work, else without gradients but with more elements. */
static void make(struct batch *batch, const struct loss_descriptor *loss, size_t shape,
                 enum loss_dtype dtype)
{
    batch_make_vast(batch, loss, elements_of(loss, shape, shapes[shape].with_gradients),
                    columns_of(loss, shape), dtype);
    batch_all_gradients(batch);
    ck_assert_int_eq(loss_plan(&batch->plan, &batch->request, &batch->error), LOSS_OK);
    if ((double)batch->plan.work >= LONG_WORK)
        return;
    batch_free(batch);
    batch_make_vast(batch, loss, elements_of(loss, shape, shapes[shape].without),
                    columns_of(loss, shape), dtype);
    ck_assert_int_eq(loss_plan(&batch->plan, &batch->request, &batch->error), LOSS_OK);
}

/* ---- Cancelled evaluations ---- */

struct evaluation {
    struct batch batch;
    int threads;
    bool cancel, asked; /* atomic */
    enum loss_status status;
    double ended;
};

static void *evaluate(void *argument)
{
    struct evaluation *e = argument;
    struct loss_plan *plan = &e->batch.plan;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (plan->grad_mask >> k & 1)
            plan->grad[k].data = malloc(loss_tensor_bytes(&plan->grad[k]) + 1);
    plan->control = (struct loss_control){.cancel = &e->cancel, .heartbeat = &e->asked};
    e->status = loss_run(plan, e->threads, &e->batch.result, &e->batch.error);
    e->ended = cpu_ms();
    return NULL;
}

/* Sets the heartbeat of an evaluation. Returns the milliseconds until it is reset; at least SOON_MS
   if it is not. */
static double time_to_progress(struct evaluation *e)
{
    const double began = cpu_ms();
    __atomic_store_n(&e->asked, true, __ATOMIC_RELAXED);
    while (__atomic_load_n(&e->asked, __ATOMIC_RELAXED) && cpu_ms() - began < SOON_MS)
        wait_ms(1);
    return cpu_ms() - began;
}

/* _i enumerates losses, and for each loss dtypes and shapes. */
START_TEST(every_loss_shows_progress_and_gives_up_soon)
{
    const struct loss_descriptor *const loss = loss_at((size_t)_i / 2 / SHAPES);
    const size_t shape = (size_t)_i / 2 % SHAPES;
    for (int threads = 1; threads <= 3; threads += 2) {
        struct evaluation e = {.threads = threads};
        pthread_t thread;
        make(&e.batch, loss, shape, _i % 2 ? LOSS_FLOAT64 : LOSS_FLOAT32);
        if ((double)e.batch.plan.work >= LONG_WORK) {
            ck_assert_int_eq(pthread_create(&thread, NULL, evaluate, &e), 0);
            wait_ms(BEGIN_MS);
            ck_assert_msg(time_to_progress(&e) < SOON_MS, "%s, %s, %d threads: no progress",
                          loss->name, shapes[shape].name, threads);
            const double asked = cpu_ms();
            __atomic_store_n(&e.cancel, true, __ATOMIC_RELAXED);
            pthread_join(thread, NULL);
            ck_assert_msg(e.status == LOSS_CANCELLED, "%s, %s: %d", loss->name, shapes[shape].name,
                          e.status);
            ck_assert_msg(e.ended - asked < SOON_MS, "%s, %s, %d threads: cancelled after %.0f ms",
                          loss->name, shapes[shape].name, threads, e.ended - asked);
        }
        batch_free(&e.batch);
    }
}
END_TEST

/* ---- Every mode ---- */

enum { MODE_BEGIN_MS = 4, MODE_BYTES = 1 << 28 };

/* If a term of dice is a channel of the whole batch, exchanges samples and channels, so that there
   are as many terms as there were samples. */
static void spread_channels(struct batch *batch)
{
    const int k = loss_param_find(batch->request.loss, "batch");
    if (k < 0 || !batch->request.param[k].integer)
        return;
    const size_t samples = batch->tensor[0].shape[0], channels = batch->tensor[0].shape[1];
    for (int i = 0; i < 2; i++) {
        batch->tensor[i].shape[0] = channels;
        batch->tensor[i].shape[1] = samples;
    }
    batch->tensor[2].shape[0] = samples;
}

/* Cancels an evaluation while it runs. Returns false if it is not long work or needs much memory.
 */
static bool cancel_mode(struct evaluation *e, const char *mode, const char *shape)
{
    const struct loss_descriptor *const loss = e->batch.request.loss;
    struct loss_plan *const plan = &e->batch.plan;
    pthread_t thread;
    spread_channels(&e->batch);
    ck_assert_int_eq(loss_plan(plan, &e->batch.request, &e->batch.error), LOSS_OK);
    const size_t output = loss_tensor_bytes(&plan->output);
    if ((double)plan->work < LONG_WORK || loss_run_bytes(plan, e->threads) > MODE_BYTES)
        return false;
    /* Pages that are not written to use no memory. */
    plan->output.data = mmap(NULL, output, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ck_assert_ptr_ne(plan->output.data, MAP_FAILED);
    ck_assert_int_eq(pthread_create(&thread, NULL, evaluate, e), 0);
    wait_ms(MODE_BEGIN_MS);
    const double asked = cpu_ms();
    __atomic_store_n(&e->cancel, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    ck_assert_msg(e->status == LOSS_CANCELLED, "%s, %s, %s: %d", loss->name, mode, shape,
                  e->status);
    ck_assert_msg(e->ended - asked < SOON_MS, "%s, %s, %s: cancelled after %.0f ms", loss->name,
                  mode, shape, e->ended - asked);
    munmap(plan->output.data, output);
    plan->output.data = NULL;
    return true;
}

/* The modes of a loss are its reductions, then the values of its booleans and choices. Sets one
   that is not the default and returns its name; NULL if there is no such mode. */
static const char *set_mode(struct batch *batch, size_t mode)
{
    const struct loss_descriptor *const loss = batch->request.loss;
    if (mode < LOSS_REDUCTION_COUNT) {
        batch->request.reduction = (enum loss_reduction)mode;
        return mode != LOSS_MEAN && loss->reductions >> mode & 1
                   ? loss_reduction_name(batch->request.reduction)
                   : NULL;
    }
    const char *const name = batch_set_option(batch, mode - LOSS_REDUCTION_COUNT);
    const int k = name ? loss_param_find(loss, name) : -1;
    const struct loss_param_spec *const spec = &loss->params[k < 0 ? 0 : k];
    const bool is_mode = k >= 0 && (spec->type == LOSS_BOOLEAN || spec->type == LOSS_CHOICE);
    return is_mode && batch->request.param[k].integer != spec->default_value.integer ? name : NULL;
}

/* _i is the loss's index. Tries the shapes with the longest rows first: there, a loop that does not
   check takes longest. */
START_TEST(every_mode_of_a_loss_gives_up_soon)
{
    const struct loss_descriptor *const loss = loss_at((size_t)_i);
    for (size_t mode = 0; mode < LOSS_REDUCTION_COUNT + batch_options(loss); mode++) {
        bool done = false;
        for (size_t shape = SHAPES; shape-- > 0 && !done;) {
            struct evaluation e = {.threads = 1};
            make(&e.batch, loss, shape, LOSS_FLOAT32);
            const char *const name = set_mode(&e.batch, mode);
            done = !name || cancel_mode(&e, name, shapes[shape].name);
            batch_free(&e.batch);
        }
        ck_assert_msg(done, "%s: mode %zu is not long work in any shape", loss->name, mode);
    }
}
END_TEST

/* Each loss has a shape that takes long; otherwise the first test would skip it. */
START_TEST(every_loss_has_a_shape_that_takes_long)
{
    double max = 0;
    for (size_t shape = 0; shape < SHAPES; shape++) {
        struct batch batch;
        make(&batch, loss_at((size_t)_i), shape, LOSS_FLOAT32);
        max = (double)batch.plan.work > max ? (double)batch.plan.work : max;
        batch_free(&batch);
    }
    ck_assert_double_ge(max, LONG_WORK);
}
END_TEST

START_TEST(what_is_given_up_beforehand_is_not_begun)
{
    for (size_t shape = 0; shape < SHAPES; shape++) {
        struct evaluation e = {.threads = 1, .cancel = true};
        make(&e.batch, loss_at((size_t)_i), shape, LOSS_FLOAT64);
        const double started = cpu_ms();
        evaluate(&e);
        ck_assert_int_eq(e.status, LOSS_CANCELLED);
        ck_assert_double_lt(e.ended - started, SOON_MS);
        batch_free(&e.batch);
    }
}
END_TEST

Suite *cancel_suite(void)
{
    Suite *suite = suite_create("cancel");
    TCase *tcase = tcase_create("giving_up");
    tcase_set_tags(tcase, TAG_SLOW);
    const int losses = (int)loss_count();
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, every_loss_shows_progress_and_gives_up_soon, 0, losses * 2 * SHAPES);
    tcase_add_loop_test(tcase, every_loss_has_a_shape_that_takes_long, 0, losses);
    tcase_add_loop_test(tcase, what_is_given_up_beforehand_is_not_begun, 0, losses);
    suite_add_tcase(suite, tcase);
    TCase *modes = tcase_create("giving_up_modes");
    tcase_add_loop_test(modes, every_mode_of_a_loss_gives_up_soon, 0, losses);
    suite_add_tcase(suite, modes);
    return suite;
}
