/* Connectionist temporal classification. PyTorch: torch.nn.CTCLoss;
   aten/src/ATen/native/LossCTC.cpp. A. Graves et al., Connectionist temporal classification, 2006;
   equation numbers below refer to it. */
#include "kernel/loss_kernel.h"

#include <inttypes.h>
#include <stdio.h>

enum { LOG_PROBS, TARGETS, INPUT_LENGTHS, TARGET_LENGTHS };
enum { BLANK, ZERO_INFINITY };

/* One sequence of S labels. With blanks before, between and after them, they form the 2 S + 1
   states of a path. */
struct sequence {
    const loss_real *log_probs; /* [T][classes] */
    size_t steps, classes;      /* `steps` is T, the number of valid steps */
    const int64_t *labels;
    size_t states;
    int64_t blank;
    const struct loss_control *cancel;
};

/*
 * The working arrays of a sequence. A row has a number for each state, and MARGIN impossible states
 * before the first (of alpha) or after the last (of beta), so that no state needs special
 * treatment.
 *
 * The gradient reads alpha at all steps, from the last to the first. If the rows do not all fit,
 * only those of the last window of `window` steps are stored, and the first row of each earlier
 * window, from which the other rows of that window are computed again.
 */
struct lattice {
    size_t stride, window; /* numbers in a row; steps in a window */
    loss_real *rows;       /* [window]: alpha at step t is row t % window */
    loss_real *starts;     /* alpha at the first step of each window */
    loss_real *beta[2];
    loss_real *emit;  /* log-probability of each state at the current step */
    loss_real *skip;  /* nonzero if a path may reach the state from the second state before it,
                         skipping a blank between different labels */
    loss_real *share; /* [classes]: probability that the path has the class at the current step */
};
enum { MARGIN = 2 };

/* Maximum number of alpha values stored, 1 MiB. If there are more, alpha is computed twice. */
enum { STORED_ALPHA = 1 << 17 };

static int64_t label_of(const struct sequence *q, size_t state)
{
    return state % 2 ? q->labels[state / 2] : q->blank;
}

/* Returns log(exp(a) + exp(b) + exp(c)). */
static inline loss_real log_sum(loss_real a, loss_real b, loss_real c)
{
    const loss_real most = vmax(a, vmax(b, c)), top = most == -INFINITY ? 0 : most;
    return top + vlog(vexp_negative(a - top) + vexp_negative(b - top) + vexp_negative(c - top));
}

/* ---- Memory ---- */

static size_t square_root(size_t n)
{
    size_t root = (size_t)sqrt((loss_real)n);
    while (root * root < n)
        root++;
    return root;
}

/* Returns the count of alpha values that the gradient of a sequence stores in `rows` and `starts`;
   SIZE_MAX on overflow. */
static size_t stored_alpha(size_t steps, size_t stride)
{
    size_t all, windows;
    if (__builtin_mul_overflow((steps > 2 ? steps : 2) + 1, stride, &all) ||
        __builtin_mul_overflow(2 * square_root(steps) + 2, stride, &windows))
        return SIZE_MAX;
    const size_t min = windows > STORED_ALPHA ? windows : STORED_ALPHA;
    return all < min ? all : min;
}

/* Returns the maximum number of labels that can be aligned: one per step. */
static size_t most_labels(const struct loss_plan *plan)
{
    const struct loss_tensor *targets = &plan->tensor[TARGETS];
    const size_t steps = plan->tensor[LOG_PROBS].shape[0],
                 labels = targets->shape[targets->rank - 1];
    return labels < steps ? labels : steps;
}

static size_t classes_of(const struct loss_plan *plan)
{
    return plan->tensor[LOG_PROBS].shape[plan->tensor[LOG_PROBS].rank - 1];
}

static size_t alpha_size(const struct loss_plan *plan)
{
    const size_t stride = 2 * most_labels(plan) + 1 + MARGIN;
    return plan->grad_mask != 0 ? stored_alpha(plan->tensor[LOG_PROBS].shape[0], stride)
                                : 2 * stride;
}

/* Returns the size of a lattice: alpha, four rows, and the classes. */
static size_t scratch(const struct loss_plan *plan)
{
    const size_t stride = 2 * most_labels(plan) + 1 + MARGIN;
    size_t total;
    if (__builtin_add_overflow(alpha_size(plan), 4 * stride, &total) ||
        __builtin_add_overflow(total, classes_of(plan), &total))
        return SIZE_MAX;
    return total;
}

static void fill(loss_real *x, size_t n, loss_real value)
{
    for (size_t i = 0; i < n; i++)
        x[i] = value;
}

/* Divides the block's scratch memory into a lattice, and fills the parts that are the same for all
   steps. */
static struct lattice make_lattice(const struct loss_block *b, const struct sequence *q, bool grad)
{
    const size_t stride = q->states + MARGIN, room = alpha_size(b->plan);
    struct lattice l = {.stride = stride, .window = 2};
    if (grad)
        l.window = q->steps <= room / stride - 1 ? q->steps : square_root(q->steps);
    l.window = l.window < 2 ? 2 : l.window;
    l.rows = b->scratch;
    l.starts = l.rows + l.window * stride;
    l.beta[0] = b->scratch + room;
    l.beta[1] = l.beta[0] + stride;
    l.emit = l.beta[1] + stride;
    l.skip = l.emit + stride;
    l.share = l.skip + stride;
    for (size_t t = 0; t < l.window; t++)
        fill(l.rows + t * stride, MARGIN, -INFINITY);
    for (int k = 0; k < 2; k++)
        fill(l.beta[k] + q->states, MARGIN, -INFINITY);
    for (size_t s = 0; s < stride; s++)
        l.skip[s] = s >= 2 && s < q->states && s % 2 && label_of(q, s) != label_of(q, s - 2);
    return l;
}

static loss_real *alpha_at(const struct lattice *l, size_t t)
{
    return l->rows + t % l->window * l->stride;
}

/* ---- Recursions ---- */

static void load_emissions(const struct sequence *q, const struct lattice *l, size_t t)
{
    const loss_real *const x = q->log_probs + t * q->classes;
    const loss_real blank = x[q->blank];
    for (size_t s = 0; s < q->states; s++)
        l->emit[s] = s % 2 ? x[q->labels[s / 2]] : blank;
}

/* Computes alpha at step t, equations 5 to 8: the log-probability of all path prefixes that end in
   each state. */
static void forward(const struct sequence *q, const struct lattice *l, size_t t)
{
    loss_real *const now = alpha_at(l, t) + MARGIN;
    load_emissions(q, l, t);
    if (t == 0) {
        for (size_t s = 0; s < q->states; s++)
            now[s] = s < 2 ? l->emit[s] : -INFINITY;
        return;
    }
    const loss_real *const last = alpha_at(l, t - 1) + MARGIN;
    for (struct slice slice = {0}; slice_next(&slice, q->states, q->cancel);)
#pragma GCC ivdep
        for (size_t s = slice.first; s < slice.end; s++) {
            const loss_real over = last[(ptrdiff_t)s - 2];
            now[s] = l->emit[s] +
                     log_sum(last[s], last[(ptrdiff_t)s - 1], l->skip[s] != 0 ? over : -INFINITY);
        }
}

/* Computes alpha at steps [first, end). If `keep`, stores the first row of each window. */
static void forward_to(const struct sequence *q, const struct lattice *l, size_t first, size_t end,
                       bool keep)
{
    for (size_t t = first; t < end && !cancel_requested(q->cancel); t++) {
        forward(q, l, t);
        if (keep && t % l->window == 0)
            memcpy(l->starts + t / l->window * l->stride, alpha_at(l, t),
                   l->stride * sizeof(loss_real));
    }
}

/* Returns the log-probability of all paths. */
static loss_real log_probability(const struct sequence *q, const struct lattice *l)
{
    if (q->steps == 0)
        return q->states == 1 ? 0 : -INFINITY;
    const loss_real *const end = alpha_at(l, q->steps - 1) + MARGIN + q->states;
    return log_sum(end[-1], q->states > 1 ? end[-2] : -INFINITY, -INFINITY);
}

/* Computes beta at step t from the next step, equations 9 to 11: the log-probability of all path
   suffixes that start in each state. */
static void backward(const struct sequence *q, const struct lattice *l, size_t t)
{
    loss_real *const now = l->beta[t % 2];
    const loss_real *const later = l->beta[(t + 1) % 2];
    load_emissions(q, l, t);
    if (t + 1 == q->steps) {
        for (size_t s = 0; s < q->states; s++)
            now[s] = s + 2 >= q->states ? l->emit[s] : -INFINITY;
        return;
    }
    for (struct slice slice = {0}; slice_next(&slice, q->states, q->cancel);)
#pragma GCC ivdep
        for (size_t s = slice.first; s < slice.end; s++) {
            const loss_real over = later[s + 2];
            now[s] = l->emit[s] +
                     log_sum(later[s], later[s + 1], l->skip[s + 2] != 0 ? over : -INFINITY);
        }
}

/* Computes the probability that the path has each class at step t, equation 16. Overwrites `emit`.
 */
static void compute_share(const struct sequence *q, const struct lattice *l, size_t t,
                          loss_real loss)
{
    const loss_real *const alpha = alpha_at(l, t) + MARGIN, *const beta = l->beta[t % 2];
#pragma GCC ivdep
    for (size_t s = 0; s < q->states; s++) {
        const loss_real x = l->emit[s], both = alpha[s] + beta[s] - x + loss;
        l->emit[s] = x == -INFINITY ? 0 : vexp_negative(both);
    }
    fill(l->share, q->classes, 0);
    for (size_t s = 0; s < q->states; s++)
        l->share[label_of(q, s)] += l->emit[s];
}

/* Computes the gradient, exp(log_probs) - share. Like PyTorch's, it includes the gradient of the
   log_softmax that log_probs comes from. It is NaN for an impossible class, as in PyTorch. */
static void gradient(const struct sequence *q, const struct lattice *l, loss_real loss,
                     loss_real scale, loss_real *grad)
{
    for (size_t t = q->steps; t-- > 0 && !cancel_requested(q->cancel);) {
        const size_t start = t - t % l->window;
        const bool gone =
            (t + 1) % l->window == 0 && t + 1 < q->steps; /* overwritten by the next window */
        if (gone) {
            memcpy(alpha_at(l, start), l->starts + start / l->window * l->stride,
                   l->stride * sizeof(loss_real));
            forward_to(q, l, start + 1, t + 1, false);
        }
        backward(q, l, t);
        compute_share(q, l, t, loss);
        const loss_real *const x = q->log_probs + t * q->classes;
        for (size_t c = 0; c < q->classes; c++)
            grad[t * q->classes + c] = (x[c] == -INFINITY ? NAN : vexp(x[c]) - l->share[c]) * scale;
    }
}

/* ---- Terms ---- */

/* Returns true if any log-probability that the term reads is NaN, whether or not it is on a path.
   zero_infinity must not hide it. */
static bool reads_nan(const struct sequence *q)
{
    for (size_t t = 0; t < q->steps && !cancel_requested(q->cancel); t++) {
        const loss_real *const x = q->log_probs + t * q->classes;
        if (isnan(x[q->blank]))
            return true;
        for (size_t k = 0; k < q->states / 2; k++)
            if (isnan(x[q->labels[k]]))
                return true;
    }
    return false;
}

/* If the labels of all sequences are in one row, sets per_term_state to the index of the first
   label of each sequence. */
static void place_labels(struct loss_block *b)
{
    if (b->plan->tensor[TARGETS].rank != 1)
        return;
    const size_t all = b->elements_per_term[TARGETS];
    size_t before = 0;
    for (size_t i = 0; i < b->n; i++) {
        const int64_t length = b->index[TARGET_LENGTHS][i];
        b->per_term_state[i] = (loss_real)before;
        before += length < 0 ? 0 : (uint64_t)length > all - before ? all - before : (size_t)length;
    }
}

static size_t state_per_term(const struct loss_plan *plan)
{
    return plan->tensor[TARGETS].rank == 1;
}

static bool invalid(struct loss_block *b, size_t i, int tensor, size_t element)
{
    b->invalid = i;
    b->invalid_tensor = tensor;
    b->invalid_element = element;
    return false;
}

/* Reads the sequence of term i. Returns false if it is invalid. */
static bool read_sequence(struct loss_block *b, size_t i, struct sequence *q)
{
    const bool in_one_row = b->plan->tensor[TARGETS].rank == 1;
    const size_t before = in_one_row ? (size_t)b->per_term_state[b->first + i] : 0,
                 room = b->elements_per_term[TARGETS] - before;
    const int64_t steps = b->index[INPUT_LENGTHS][i * b->stride[INPUT_LENGTHS]],
                  length = b->index[TARGET_LENGTHS][b->first + i];
    q->classes = classes_of(b->plan);
    if (steps < 0 || (uint64_t)steps > b->plan->tensor[LOG_PROBS].shape[0])
        return invalid(b, i, INPUT_LENGTHS, 0);
    if (length < 0 || (uint64_t)length > room)
        return invalid(b, i, TARGET_LENGTHS, b->first + i);
    q->log_probs = b->in[LOG_PROBS] + i * b->stride[LOG_PROBS];
    q->steps = (size_t)steps;
    q->labels = b->index[TARGETS] + i * b->stride[TARGETS] + before;
    q->states = 2 * (size_t)length + 1;
    q->blank = b->param[BLANK].integer;
    q->cancel = b->cancel;
    for (size_t k = 0; k < (size_t)length; k++)
        if (q->labels[k] < 0 || (uint64_t)q->labels[k] >= q->classes)
            return invalid(b, i, TARGETS, before + k);
    return true;
}

/* l = -log of the probability of all paths of the labels. The mean first divides it by the number
   of labels. */
static void evaluate(const struct sequence *q, struct loss_block *b, size_t i)
{
    loss_real *const grad =
        b->grad[LOG_PROBS] ? b->grad[LOG_PROBS] + i * b->elements_per_term[LOG_PROBS] : NULL;
    const size_t labels = q->states / 2;
    const loss_real share = b->plan->reduction == LOSS_MEAN && labels > 0 ? (loss_real)labels : 1;
    struct lattice l = {0};
    loss_real loss = INFINITY; /* no path exists if there are more labels than steps */
    if (reads_nan(q)) {
        loss = NAN;
    } else if (labels <= q->steps) {
        l = make_lattice(b, q, grad != NULL);
        forward_to(q, &l, 0, q->steps, grad != NULL);
        loss = -log_probability(q, &l);
    }
    const bool zeroed = b->param[ZERO_INFINITY].integer && loss == INFINITY;
    b->term[i] = zeroed ? 0 : loss / share;
    if (!grad)
        return;
    fill(grad, b->elements_per_term[LOG_PROBS], 0);
    if (isfinite(loss))
        gradient(q, &l, loss, b->scale[i] / share, grad);
    else if (!zeroed)
        fill(grad, q->steps * q->classes, NAN);
}

static void ctc_kernel(struct loss_block *b)
{
    for (size_t i = 0; i < b->n && !cancel_requested(b->cancel); i++) {
        struct sequence q;
        if (!read_sequence(b, i, &q))
            return;
        evaluate(&q, b, i);
    }
}

/* ---- Cost ---- */

/* Returns the states of all steps of all sequences, or the number of log-probabilities if it is
   larger. */
static size_t elements(const struct loss_plan *plan)
{
    const size_t labels = loss_tensor_elements(&plan->tensor[TARGETS]),
                 batch = loss_tensor_elements(&plan->terms),
                 given = loss_tensor_elements(&plan->tensor[LOG_PROBS]),
                 steps = plan->tensor[LOG_PROBS].shape[0];
    size_t most, states;
    if (__builtin_mul_overflow(batch, most_labels(plan), &most))
        return SIZE_MAX;
    if (__builtin_mul_overflow(labels < most ? labels : most, 2, &states) ||
        __builtin_add_overflow(states, batch, &states) ||
        __builtin_mul_overflow(states, steps, &states))
        return SIZE_MAX;
    return states > given ? states : given;
}

/* The gradient adds the backward recursion and an exponential for each log-probability; alpha is
   computed twice if it does not fit. */
static struct loss_cost cost_of(const struct loss_plan *plan)
{
    const size_t steps = plan->tensor[LOG_PROBS].shape[0],
                 stride = 2 * most_labels(plan) + 1 + MARGIN;
    const loss_real again = plan->grad_mask != 0 && alpha_size(plan) / stride <= steps ? 6 : 0;
    return (struct loss_cost){300, 6, 16 + again, 16 + again};
}

static void expected(const struct loss_plan *plan, int tensor, char *text, size_t size)
{
    const struct loss_tensor *targets = &plan->tensor[TARGETS];
    if (tensor == TARGETS)
        snprintf(text, size, "class indices must be in [0, %zu)", classes_of(plan));
    else if (tensor == INPUT_LENGTHS)
        snprintf(text, size, "lengths must be in [0, %zu], the number of steps",
                 plan->tensor[LOG_PROBS].shape[0]);
    else
        snprintf(text, size, "lengths must be in [0, %zu], the number of labels%s",
                 targets->shape[targets->rank - 1],
                 targets->rank == 1 ? ", and sum to at most that" : "");
}

static enum loss_status shape(struct loss_plan *plan, struct loss_error *error)
{
    const struct loss_tensor *log_probs = &plan->tensor[LOG_PROBS],
                             *targets = &plan->tensor[TARGETS];
    const bool batched = log_probs->rank == 3;
    if (!batched && log_probs->rank != 2)
        return loss_shape_error(plan, error, LOG_PROBS,
                                "it must be (T, N, C), or (T, C) for a single sequence");
    const size_t batch = batched ? log_probs->shape[1] : 1;
    plan->terms = (struct loss_tensor){.rank = batched, .shape = {batch}};
    if (targets->rank != 1 && !(batched && targets->rank == 2 && targets->shape[0] == batch))
        return loss_shape_error(plan, error, TARGETS,
                                batched ? "it must be (%zu, S), or (S) for all labels in one row"
                                        : "it must be (S)",
                                batch);
    for (int k = INPUT_LENGTHS; k <= TARGET_LENGTHS; k++)
        if (plan->tensor[k].rank > 1 || loss_tensor_elements(&plan->tensor[k]) != batch ||
            (batched && plan->tensor[k].rank == 0))
            return loss_shape_error(plan, error, k,
                                    batched ? "it must be (%zu,), a length for each sequence"
                                            : "it must be (), one length",
                                    batch);
    const int64_t blank = plan->param[BLANK].integer;
    if (blank < 0 || (uint64_t)blank >= classes_of(plan))
        return loss_fail_at(error, LOSS_INVALID, "/blank",
                            "blank is %" PRId64 "; it must be a class index, in [0, %zu)", blank,
                            classes_of(plan));

    /* Every term reads all target lengths, because the lengths of the preceding sequences determine
       where its labels begin. */
    plan->axis[LOG_PROBS][0] = plan->axis[LOG_PROBS][log_probs->rank - 1] = LOSS_WITHIN;
    plan->axis[TARGETS][targets->rank - 1] = plan->axis[TARGET_LENGTHS][0] = LOSS_WITHIN;
    plan->axis[INPUT_LENGTHS][0] = batched ? 0 : LOSS_WITHIN;
    return LOSS_OK; /* the other axes correspond to dimension 0 of the terms */
}

/* Four steps of two sequences of three classes. The labels are 1, 2, and in the first three steps
   of the second sequence, 1. */
static const double example_log_probs[] = {
    -1.204,  -0.5108, -2.3026, -0.3567, -1.6094, -2.3026, -0.6931, -1.204,
    -1.6094, -1.6094, -0.3567, -2.3026, -1.6094, -2.3026, -0.3567, -0.6931,
    -1.204,  -1.6094, -0.5108, -1.6094, -1.6094, -1.0986, -1.0986, -1.0986,
};

static const struct loss_example example = {
    .tensors = {[LOG_PROBS] = {3, {4, 2, 3}, example_log_probs},
                [TARGETS] = {2, {2, 2}, NUMBERS(1, 2, 1, 0)},
                [INPUT_LENGTHS] = {1, {2}, NUMBERS(4, 3)},
                [TARGET_LENGTHS] = {1, {2}, NUMBERS(2, 1)}},
    .params = {[BLANK] = {true, {0, 0}}, [ZERO_INFINITY] = {true, {1, 1}}},
};

const struct loss_descriptor loss_ctc = {
    .name = "ctc",
    .aliases = {"CTCLoss", "ctc_loss"},
    .title = "Connectionist temporal classification",
    .doc =
        "For sequences whose labels are not aligned to the steps: the negative log-probability of "
        "all paths that yield the labels after repeats and blanks are removed. Like PyTorch's, "
        "the gradient includes that of the log_softmax before it.",
    .formula = "l = -log sum over alignments of prod_t p_t; mean divides each by its number of "
               "labels first",
    .reductions = MEAN_SUM_NONE,
    .tensors =
        {
            [LOG_PROBS] = {"log_probs", "log-probabilities of the classes at each step",
                           "(T, N, C) or (T, C)", LOSS_REAL, .prediction = true,
                           .differentiable = true},
            [TARGETS] = {"targets", "class indices of the labels, without blanks",
                         "(N, S), or (S) for all labels in one row", LOSS_INDEX},
            [INPUT_LENGTHS] = {"input_lengths", "number of valid steps", "(N) or ()", LOSS_INDEX},
            [TARGET_LENGTHS] = {"target_lengths", "number of labels", "(N) or ()", LOSS_INDEX},
        },
    .params =
        {
            [BLANK] = {"blank", "class index of the blank", LOSS_INTEGER},
            [ZERO_INFINITY] = {"zero_infinity",
                               "an impossible alignment counts as 0, with gradient 0",
                               LOSS_BOOLEAN},
        },
    .example = &example,
    .method =
        &(const struct loss_method){
            .shape = shape,
            .start = place_labels,
            .kernel_f64 = ctc_kernel,
            .state_per_term = state_per_term,
            .scratch = scratch,
            .elements = elements,
            .cost_of = cost_of,
            .expected = expected,
        },
};
