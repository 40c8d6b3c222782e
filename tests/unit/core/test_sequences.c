/* ctc, in cases that the golden cases do not cover. */
#include "suites.h"
#include "support/batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- NaN ---- */

/* Two sequences of STEPS steps and CLASSES classes. The first has the labels 1, 2; the second has
   fewer steps and the label 1. */
enum { STEPS = 5, BATCH = 2, CLASSES = 4, SECOND_STEPS = 3 };

/* Writes a number in a floating-point dtype. All dtypes represent powers of two and NaN. */
static void store(void *data, enum loss_dtype dtype, size_t i, double value)
{
    const bool nan = isnan(value);
    const float single = (float)value;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    const uint32_t exponent = (bits >> 23 & 0xff) - 127 + 15;
    switch (dtype) {
    case LOSS_FLOAT64:
        ((double *)data)[i] = value;
        break;
    case LOSS_FLOAT32:
        ((float *)data)[i] = single;
        break;
    case LOSS_FLOAT16:
        ((uint16_t *)data)[i] = (uint16_t)(nan ? 0x7e00 : (bits >> 31 << 15 | exponent << 10));
        break;
    default:
        ((uint16_t *)data)[i] = (uint16_t)(nan ? 0x7fc0 : bits >> 16);
        break;
    }
}

/* A batch with one special number, at one step and class of one sequence. Targets are padded or
   concatenated. */
struct spoilt {
    enum loss_dtype dtype;
    bool concatenated, zero_infinity, grad;
    size_t step, sequence, class;
    double at; /* the number */
};

static double log_probs[STEPS * BATCH * CLASSES];
static int64_t padded[] = {1, 2, 1, 0}, concatenated[] = {1, 2, 1}, steps[] = {STEPS, SECOND_STEPS},
               lengths[] = {2, 1};

/* Runs the batch, which the caller clears. */
static void run_spoilt(const struct spoilt *s, struct batch *batch)
{
    for (size_t i = 0; i < STEPS * BATCH * CLASSES; i++)
        store(log_probs, s->dtype, i, -2);
    store(log_probs, s->dtype, (s->step * BATCH + s->sequence) * CLASSES + s->class, s->at);
    const struct loss_tensor
        input = {.data = log_probs, .dtype = s->dtype, .rank = 3, .shape = {STEPS, BATCH, CLASSES}},
        rows = {.data = padded, .dtype = LOSS_INT64, .rank = 2, .shape = {BATCH, 2}},
        one_row = {.data = concatenated, .dtype = LOSS_INT64, .rank = 1, .shape = {3}},
        input_lengths = {.data = steps, .dtype = LOSS_INT64, .rank = 1, .shape = {BATCH}},
        target_lengths = {.data = lengths, .dtype = LOSS_INT64, .rank = 1, .shape = {BATCH}};
    const struct loss_descriptor *ctc = loss_find("ctc");
    *batch = (struct batch){0};
    loss_request_init(&batch->request, ctc);
    batch->request.tensor[0] = &input;
    batch->request.tensor[1] = s->concatenated ? &one_row : &rows;
    batch->request.tensor[2] = &input_lengths;
    batch->request.tensor[3] = &target_lengths;
    batch->request.param[loss_param_find(ctc, "zero_infinity")] =
        (struct loss_value){s->zero_infinity, s->zero_infinity};
    batch->request.reduction = LOSS_SUM;
    batch->request.dtype = LOSS_FLOAT64;
    batch->request.grad = s->grad;
    ck_assert_int_eq(batch_run(batch, 1), LOSS_OK);
}

/* _i enumerates dtype, layout of the targets and zero_infinity. */
START_TEST(nan_in_a_step_that_counts_makes_the_term_nan)
{
    const enum loss_dtype dtypes[] = {LOSS_FLOAT64, LOSS_FLOAT32, LOSS_FLOAT16, LOSS_BFLOAT16};
    const size_t count[] = {STEPS, SECOND_STEPS};
    struct spoilt s = {
        .dtype = dtypes[_i / 4], .concatenated = _i / 2 % 2, .zero_infinity = _i % 2, .at = NAN};
    for (s.grad = false;; s.grad = true) {
        for (s.sequence = 0; s.sequence < BATCH; s.sequence++)
            for (s.step = 0; s.step < count[s.sequence]; s.step++)
                for (s.class = 0; s.class <= 2 - s.sequence; s.class ++) {
                    struct batch batch;
                    run_spoilt(&s, &batch);
                    ck_assert_double_nan(batch.result.loss);
                    ck_assert_uint_eq(batch.result.nonfinite, 1);
                    const double *grad = batch.plan.grad[0].data;
                    for (size_t i = 0; s.grad && i < STEPS * BATCH * CLASSES; i++) {
                        const size_t t = i / CLASSES / BATCH, n = i / CLASSES % BATCH;
                        ck_assert_int_eq(isnan(grad[i]), n == s.sequence && t < count[n]);
                    }
                    batch_clear(&batch);
                }
        if (s.grad)
            break;
    }
}
END_TEST

START_TEST(nan_in_a_step_beyond_the_input_length_does_not_count)
{
    struct spoilt s = {
        .dtype = LOSS_FLOAT32, .concatenated = _i, .grad = true, .sequence = 1, .at = NAN};
    for (s.step = SECOND_STEPS; s.step < STEPS; s.step++) {
        struct batch batch;
        run_spoilt(&s, &batch);
        ck_assert(isfinite(batch.result.loss));
        ck_assert_uint_eq(batch.result.nonfinite, 0);
        batch_clear(&batch);
    }
}
END_TEST

/* An impossible alignment must not hide a NaN. Without NaN, zero_infinity makes the term 0. */
START_TEST(zero_infinity_replaces_infinity_and_never_nan)
{
    struct spoilt s = {.dtype = LOSS_FLOAT32, .zero_infinity = true, .grad = true, .at = -2};
    struct batch batch;
    steps[0] = 1; /* for two labels */
    run_spoilt(&s, &batch);
    ck_assert(isfinite(batch.result.loss));
    ck_assert_uint_eq(batch.result.nonfinite, 0);
    ck_assert_double_eq(((const double *)batch.plan.grad[0].data)[0], 0);
    batch_clear(&batch);
    s.at = NAN;
    for (s.class = 0; s.class <= 2; s.class ++) {
        run_spoilt(&s, &batch);
        ck_assert_double_nan(batch.result.loss);
        ck_assert_uint_eq(batch.result.nonfinite, 1);
        ck_assert_double_nan(((const double *)batch.plan.grad[0].data)[0]);
        batch_clear(&batch);
    }
    steps[0] = STEPS;
}
END_TEST

/* Label 2 at the first step, label 1 at the last one, and a class without label. */
START_TEST(infinity_beside_all_paths_does_not_count)
{
    static const struct {
        size_t step, class;
    } at[] = {{0, 2}, {STEPS - 1, 1}, {2, 3}};
    for (size_t k = 0; k < sizeof at / sizeof *at; k++) {
        const struct spoilt s = {.dtype = LOSS_FLOAT32,
                                 .grad = true,
                                 .step = at[k].step,
                                 .class = at[k].class,
                                 .at = INFINITY};
        struct batch batch;
        run_spoilt(&s, &batch);
        ck_assert(isfinite(batch.result.loss));
        const double *const grad = batch.plan.grad[0].data;
        for (size_t i = 0; i < STEPS * BATCH * CLASSES; i++)
            ck_assert_int_eq(isfinite(grad[i]), i != s.step * BATCH * CLASSES + s.class);
        batch_clear(&batch);
    }
}
END_TEST

/* Labels 1, 1 in three steps have the path 1, blank, 1. Label 1 at step 1 must not reach the other
   label 1 at step 2. */
START_TEST(infinity_does_not_skip_the_blank_between_equal_labels)
{
    const struct spoilt s = {.dtype = LOSS_FLOAT32, .step = 1, .class = 1, .at = INFINITY};
    struct batch batch;
    steps[0] = 3;
    padded[1] = 1;
    run_spoilt(&s, &batch);
    ck_assert(isfinite(batch.result.loss));
    batch_clear(&batch);
    steps[0] = STEPS;
    padded[1] = 2;
}
END_TEST

/* ---- Vast log-probabilities ---- */

/* Labels 1, 1. Every path includes a log-probability so large that adding the others does not
   change it. */
static const struct {
    size_t steps;
    float log_probs[4][2];
} vast[] = {{3, {{-0.5F, -1e30F}, {-2, -0.5F}, {-0.5F, -0.5F}}},
            {4, {{-1e30F, -2}, {-0.5F, -2}, {-2, -1e30F}, {-0.5F, -1e30F}}},
            {4, {{-1e30F, -2e30F}, {-3e30F, -2e29F}, {-2e28F, -1e30F}, {-0.5F, -7e29F}}}};
enum { VAST = sizeof vast / sizeof *vast };

/* The only path of the first sequence is 1, blank, 1. In each step of each sequence, the
   probabilities that a path has either class sum to 1. */
START_TEST(gradients_of_vast_log_probabilities_are_finite_and_consistent)
{
    static int64_t labels[] = {1, 1}, label_count[] = {2};
    float given[4][2];
    int64_t step_count[] = {(int64_t)vast[_i].steps};
    memcpy(given, vast[_i].log_probs, sizeof given);
    const struct loss_tensor
        input = {.data = given, .dtype = LOSS_FLOAT32, .rank = 2, .shape = {vast[_i].steps, 2}},
        targets = {.data = labels, .dtype = LOSS_INT64, .rank = 1, .shape = {2}},
        input_lengths = {.data = step_count, .dtype = LOSS_INT64, .rank = 1, .shape = {1}},
        target_lengths = {.data = label_count, .dtype = LOSS_INT64, .rank = 1, .shape = {1}};
    struct batch batch = {0};
    loss_request_init(&batch.request, loss_find("ctc"));
    const struct loss_tensor *const tensors[] = {&input, &targets, &input_lengths, &target_lengths};
    memcpy(batch.request.tensor, tensors, sizeof tensors);
    batch.request.reduction = LOSS_SUM;
    batch.request.dtype = LOSS_FLOAT64;
    batch.request.grad = 1;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    const double(*const grad)[2] = batch.plan.grad[0].data;
    for (size_t t = 0; t < vast[_i].steps; t++) {
        const double blank = exp((double)given[t][0]), label = exp((double)given[t][1]);
        ck_assert_double_eq_tol(grad[t][0] + grad[t][1], blank + label - 1, 1e-15);
        ck_assert_double_le(grad[t][0], blank);
        ck_assert_double_le(grad[t][1], label);
        if (_i == 0)
            ck_assert_double_eq_tol(grad[t][1], label - (t != 1), 1e-15);
    }
    batch_clear(&batch);
}
END_TEST

/* ---- Memory and time ---- */

/* A batch of sequences with the same number of labels, padded or concatenated. Owns its data. */
struct sequences {
    size_t steps, count, classes, labels;
    struct loss_tensor tensor[4];
    struct batch batch;
};

static double unit(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 11) * 0x1p-53;
}

static void make_sequences(struct sequences *s, bool in_one_row, enum loss_dtype dtype)
{
    uint64_t state = 7;
    const size_t probabilities = s->steps * s->count * s->classes, labels = s->count * s->labels;
    float *const x = malloc(probabilities * sizeof *x);
    int64_t *const y = malloc((labels + 1) * sizeof *y), *const counts =
                                                             malloc(2 * s->count * sizeof *counts);
    ck_assert(x && y && counts);
    for (size_t i = 0; i < probabilities; i++)
        x[i] = (float)(-0.5 - 3 * unit(&state));
    for (size_t i = 0; i < labels; i++)
        y[i] = 1 + (int64_t)(unit(&state) * (double)(s->classes - 1));
    for (size_t i = 0; i < s->count; i++) {
        counts[i] = (int64_t)s->steps;
        counts[s->count + i] = (int64_t)s->labels;
    }
    s->tensor[0] =
        (struct loss_tensor){x, LOSS_FLOAT32, 3, {s->steps, s->count, s->classes}, false, {0}};
    s->tensor[1] = in_one_row
                       ? (struct loss_tensor){y, LOSS_INT64, 1, {labels}, false, {0}}
                       : (struct loss_tensor){y, LOSS_INT64, 2, {s->count, s->labels}, false, {0}};
    s->tensor[2] = (struct loss_tensor){counts, LOSS_INT64, 1, {s->count}, false, {0}};
    s->tensor[3] = (struct loss_tensor){counts + s->count, LOSS_INT64, 1, {s->count}, false, {0}};
    s->batch = (struct batch){0};
    loss_request_init(&s->batch.request, loss_find("ctc"));
    for (int k = 0; k < 4; k++)
        s->batch.request.tensor[k] = &s->tensor[k];
    s->batch.request.reduction = LOSS_SUM;
    s->batch.request.dtype = dtype;
    s->batch.request.grad = 1;
}

static void free_sequences(struct sequences *s)
{
    batch_clear(&s->batch);
    for (int k = 0; k < 3; k++)
        free(s->tensor[k].data);
}

static double log_add(double a, double b)
{
    const double max = fmax(a, b);
    return isinf(max) ? max : max + log(exp(a - max) + exp(b - max));
}

/* Returns the class of a state of sequence n. */
static size_t class_of(const struct sequences *s, size_t n, size_t state)
{
    return state % 2 ? (size_t)((const int64_t *)s->tensor[1].data)[n * s->labels + state / 2] : 0;
}

static double log_prob_of(const struct sequences *s, size_t t, size_t n, size_t class)
{
    return ((const float *)s->tensor[0].data)[(t * s->count + n) * s->classes + class];
}

/* Computes the recursions of Graves et al. (2006) over the whole lattice: from the first step if
   `forward`, else from the last. The caller frees the result. */
static double *lattice_of(const struct sequences *s, size_t n, bool forward)
{
    const size_t states = 2 * s->labels + 1;
    double *const lattice = malloc(s->steps * states * sizeof *lattice);
    ck_assert_ptr_nonnull(lattice);
    for (size_t i = 0; i < s->steps; i++) {
        const size_t t = forward ? i : s->steps - 1 - i;
        for (size_t k = 0; k < states; k++) {
            const size_t state = forward ? k : states - 1 - k;
            double all = i == 0 && k < 2 ? 0 : -INFINITY;
            for (size_t back = 0; i > 0 && back <= 2 && back <= k; back++) {
                const size_t from = forward ? state - back : state + back;
                if (back < 2 || (state % 2 && class_of(s, n, from) != class_of(s, n, state)))
                    all = log_add(all, lattice[(forward ? t - 1 : t + 1) * states + from]);
            }
            lattice[t * states + state] = all + log_prob_of(s, t, n, class_of(s, n, state));
        }
    }
    return lattice;
}

/* Compares a sequence's gradient with that of the lattices. Returns its loss. */
static double check_gradient(const struct sequences *s, size_t n)
{
    const size_t states = 2 * s->labels + 1;
    double *const alpha = lattice_of(s, n, true), *const beta = lattice_of(s, n, false);
    double share[64], worst = 0;
    const double *const grad = s->batch.plan.grad[0].data;
    const double loss = -log_add(alpha[s->steps * states - 1],
                                 states > 1 ? alpha[s->steps * states - 2] : -INFINITY);
    for (size_t t = 0; t < s->steps; t++) {
        memset(share, 0, sizeof share);
        for (size_t k = 0; k < states; k++) {
            const size_t class = class_of(s, n, k);
            share[class] += exp(alpha[t * states + k] + beta[t * states + k] -
                                log_prob_of(s, t, n, class) + loss);
        }
        for (size_t c = 0; c < s->classes; c++)
            worst = fmax(worst, fabs(exp(log_prob_of(s, t, n, c)) - share[c] -
                                     grad[(t * s->count + n) * s->classes + c]));
    }
    ck_assert_double_le(worst, 1e-9);
    free(alpha);
    free(beta);
    return loss;
}

/* Steps and labels: few, many, as many labels as steps, none; and such that alpha is stored in
   windows, whole or not. */
static const struct {
    size_t steps, count, classes, labels;
} shapes_of_sequences[] = {{1, 2, 3, 1},      {2, 1, 3, 0},     {1, 1, 2, 0},     {7, 3, 5, 3},
                           {40, 2, 40, 36},   {900, 2, 7, 80},  {2500, 3, 9, 20}, {600, 1, 8, 250},
                           {1024, 2, 4, 100}, {1600, 40, 4, 30}};
enum { SHAPES_OF_SEQUENCES = sizeof shapes_of_sequences / sizeof shapes_of_sequences[0] };

START_TEST(gradients_are_those_of_the_whole_lattice)
{
    const size_t shape = (size_t)_i / 2;
    struct sequences s = {.steps = shapes_of_sequences[shape].steps,
                          .count = shapes_of_sequences[shape].count,
                          .classes = shapes_of_sequences[shape].classes,
                          .labels = shapes_of_sequences[shape].labels};
    make_sequences(&s, _i % 2, LOSS_FLOAT64);
    ck_assert_int_eq(batch_run(&s.batch, 2), LOSS_OK);
    double loss = 0;
    for (size_t n = 0; n < s.count; n++)
        loss += check_gradient(&s, n);
    ck_assert_double_le(fabs(loss - s.batch.result.loss), 1e-10 * fabs(loss));
    batch_clear(&s.batch);
    const double with_gradient = s.batch.result.loss;
    s.batch.request.grad = 0;
    ck_assert_int_eq(batch_run(&s.batch, 2), LOSS_OK);
    ck_assert_double_eq(s.batch.result.loss, with_gradient);
    free_sequences(&s);
}
END_TEST

/* An ordinary batch of speech: the allocated memory does not grow with the total number of labels.
 */
START_TEST(concatenated_targets_take_no_more_memory_than_a_sequence)
{
    struct sequences s = {.steps = 1000, .count = 256, .classes = 32, .labels = 60};
    make_sequences(&s, true, LOSS_FLOAT32);
    ck_assert_int_eq(loss_plan(&s.batch.plan, &s.batch.request, &s.batch.error), LOSS_OK);
    const size_t operands = loss_tensor_bytes(&s.batch.plan.tensor[0]);
    ck_assert_uint_lt(loss_run_bytes(&s.batch.plan, 64), 64 * ((size_t)2 << 20) + 2 * operands);
    ck_assert_int_eq(batch_run(&s.batch, 2), LOSS_OK);
    ck_assert(isfinite(s.batch.result.loss));
    free_sequences(&s);
}
END_TEST

/* Finding a sequence's labels does not count those before it again, which would take a minute here.
 */
START_TEST(many_short_sequences_take_no_time)
{
    struct sequences s = {.steps = 1, .count = 400000, .classes = 2, .labels = 1};
    make_sequences(&s, true, LOSS_FLOAT32);
    const clock_t started = clock();
    ck_assert_int_eq(batch_run(&s.batch, 1), LOSS_OK);
    ck_assert_double_lt((double)(clock() - started) / CLOCKS_PER_SEC, 5);
    free_sequences(&s);
}
END_TEST

/* The error names the first invalid length. */
START_TEST(a_negative_length_among_concatenated_targets_is_named)
{
    struct sequences s = {.steps = 4, .count = 5, .classes = 4, .labels = 2};
    make_sequences(&s, true, LOSS_FLOAT64);
    int64_t *const counts = s.tensor[3].data;
    counts[2] = INT64_MIN;
    counts[4] = INT64_MAX;
    ck_assert_int_eq(batch_run(&s.batch, 2), LOSS_INVALID);
    ck_assert_str_eq(s.batch.error.path, "/target_lengths/2");
    ck_assert_str_eq(s.batch.error.message,
                     "target_lengths[2] is -9223372036854775808; lengths must be from 0 to the "
                     "number of labels, 10; their sum must not exceed it");
    batch_clear(&s.batch);
    counts[2] = 2;
    ck_assert_int_eq(batch_run(&s.batch, 2), LOSS_INVALID);
    ck_assert_str_eq(s.batch.error.path, "/target_lengths/4");
    free_sequences(&s);
}
END_TEST

/* _i is 1 if the targets are concatenated. A kernel that accepted a length that is one too large
   would read past the steps or labels. */
START_TEST(lengths_just_outside_what_there_is_are_named)
{
    enum { T = 4, LABELS = 2, COUNT = 3, INPUT_LENGTHS = 2, TARGET_LENGTHS = 3 };
    static const int64_t wrong_steps[] = {-1, T + 1, INT64_MIN, INT64_MAX},
                         wrong_labels[] = {-1, LABELS + 1, INT64_MIN, INT64_MAX};
    struct sequences s = {.steps = T, .count = COUNT, .classes = 4, .labels = LABELS};
    make_sequences(&s, _i, LOSS_FLOAT64);
    for (int k = INPUT_LENGTHS; k <= TARGET_LENGTHS; k++)
        for (int i = 0; i < 4; i++) {
            int64_t *const last = (int64_t *)s.tensor[k].data + COUNT - 1, before = *last;
            *last = k == INPUT_LENGTHS ? wrong_steps[i] : wrong_labels[i];
            ck_assert_msg(batch_run(&s.batch, 1) == LOSS_INVALID, "%lld is accepted",
                          (long long)*last);
            ck_assert_str_eq(s.batch.error.path,
                             k == INPUT_LENGTHS ? "/input_lengths/2" : "/target_lengths/2");
            batch_clear(&s.batch);
            *last = before;
        }
    ck_assert_int_eq(batch_run(&s.batch, 1), LOSS_OK);
    free_sequences(&s);
}
END_TEST

Suite *sequences_suite(void)
{
    Suite *suite = suite_create("sequences");
    TCase *nan = tcase_create("sequences_nan");
    tcase_add_loop_test(nan, nan_in_a_step_that_counts_makes_the_term_nan, 0, 16);
    tcase_add_loop_test(nan, nan_in_a_step_beyond_the_input_length_does_not_count, 0, 2);
    tcase_add_test(nan, zero_infinity_replaces_infinity_and_never_nan);
    tcase_add_test(nan, infinity_beside_all_paths_does_not_count);
    tcase_add_test(nan, infinity_does_not_skip_the_blank_between_equal_labels);
    suite_add_tcase(suite, nan);
    TCase *large = tcase_create("sequences_vast");
    tcase_add_loop_test(large, gradients_of_vast_log_probabilities_are_finite_and_consistent, 0,
                        VAST);
    suite_add_tcase(suite, large);
    TCase *lattice = tcase_create("sequences_lattice");
    tcase_add_loop_test(lattice, gradients_are_those_of_the_whole_lattice, 0,
                        2 * SHAPES_OF_SEQUENCES);
    suite_add_tcase(suite, lattice);
    SUITE_ADD(suite, "sequences_size", concatenated_targets_take_no_more_memory_than_a_sequence,
              many_short_sequences_take_no_time,
              a_negative_length_among_concatenated_targets_is_named);
    TCase *bounds = tcase_create("sequences_lengths");
    tcase_add_loop_test(bounds, lengths_just_outside_what_there_is_are_named, 0, 2);
    suite_add_tcase(suite, bounds);
    return suite;
}
