/* Connectionist temporal classification. PyTorch: torch.nn.CTCLoss; aten/src/ATen/native/LossCTC.cpp. A. Graves et al.,
   Connectionist temporal classification, 2006, whose equations are named below. */
#include "method.h"

#include <inttypes.h>
#include <stdio.h>

enum { LOG_PROBS, TARGETS, INPUT_LENGTHS, TARGET_LENGTHS };
enum { BLANK, ZERO_INFINITY };

/* One sequence. Its labels with a blank before, between and behind them are the 2 S + 1 states of a path. */
struct sequence {
    const real *log_probs; /* [T][classes] */
    size_t steps, classes; /* T: those that count */
    const int64_t *labels;
    size_t states;
    int64_t blank;
};

static int64_t label_of(const struct sequence *q, size_t state)
{
    return state % 2 ? q->labels[state / 2] : q->blank;
}

static real log_prob(const struct sequence *q, size_t t, size_t state)
{
    return q->log_probs[t * q->classes + (size_t)label_of(q, state)];
}

/* Whether a path may go from two states before to this one: over a blank between different labels. */
static bool may_skip(const struct sequence *q, size_t state)
{
    return state >= 2 && state % 2 && label_of(q, state) != label_of(q, state - 2);
}

/* log(exp(a) + exp(b) + exp(c)); NaN if one of them is. */
static real log_sum(real a, real b, real c)
{
    const real most = larger_of(a, larger_of(b, c));
    return most == -INFINITY ? a + b + c : most + log(exp(a - most) + exp(b - most) + exp(c - most));
}

/* The log-probabilities of all beginnings of paths that are in a state at a step, equations 5 to 8. Returns that of the whole.
 */
static real forward(const struct sequence *q, real *alpha)
{
    const size_t n = q->states;
    if (q->steps == 0)
        return n == 1 ? 0 : -INFINITY;
    for (size_t s = 0; s < n; s++)
        alpha[s] = s < 2 ? log_prob(q, 0, s) : -INFINITY;
    for (size_t t = 1; t < q->steps; t++) {
        const real *last = alpha + (t - 1) * n;
        for (size_t s = 0; s < n; s++)
            alpha[t * n + s] = log_prob(q, t, s) +
                               log_sum(last[s], s >= 1 ? last[s - 1] : -INFINITY, may_skip(q, s) ? last[s - 2] : -INFINITY);
    }
    const real *end = alpha + (q->steps - 1) * n;
    return log_sum(end[n - 1], n > 1 ? end[n - 2] : -INFINITY, -INFINITY);
}

/* Goes back one step with the log-probabilities of all ends of paths, equations 9 to 11; `later` is those of the next step, or
 * NULL. */
static void backward(const struct sequence *q, size_t t, const real *later, real *beta)
{
    const size_t n = q->states;
    for (size_t s = 0; s < n; s++) {
        if (!later)
            beta[s] = s + 2 >= n ? log_prob(q, t, s) : -INFINITY;
        else
            beta[s] = log_prob(q, t, s) + log_sum(later[s], s + 1 < n ? later[s + 1] : -INFINITY,
                                                  s + 2 < n && may_skip(q, s + 2) ? later[s + 2] : -INFINITY);
    }
}

/* exp(log_probs) - the probability that the path has the class at that step, equation 16: PyTorch's gradient, which folds in
   that of the log_softmax that made the log_probs. */
static void gradient(const struct sequence *q, const real *alpha, real *beta, real *posterior, real loss, real scale,
                     real *grad)
{
    const size_t n = q->states;
    for (size_t t = q->steps; t-- > 0;) {
        real *const now = beta + t % 2 * n;
        backward(q, t, t + 1 < q->steps ? beta + (t + 1) % 2 * n : NULL, now);
        for (size_t c = 0; c < q->classes; c++)
            posterior[c] = -INFINITY;
        for (size_t s = 0; s < n; s++) {
            real *each = &posterior[label_of(q, s)];
            *each = log_sum(*each, alpha[t * n + s] + now[s], -INFINITY);
        }
        for (size_t c = 0; c < q->classes; c++) {
            const real x = q->log_probs[t * q->classes + c];
            grad[t * q->classes + c] = (exp(x) - exp(posterior[c] + loss - x)) * scale;
        }
    }
}

/* Whether a log-probability that the term reads is NaN, on a path or not: zero_infinity must not hide it. */
static bool reads_nan(const struct sequence *q)
{
    for (size_t t = 0; t < q->steps; t++)
        for (size_t s = 0; s < q->states; s++)
            if (isnan(log_prob(q, t, s)))
                return true;
    return false;
}

static size_t classes_of(const struct loss_plan *plan)
{
    return plan->tensor[LOG_PROBS].shape[plan->tensor[LOG_PROBS].rank - 1];
}

/* Where the labels of term `t` begin: in a row of their own, or behind those of the terms before it. */
static size_t labels_before(const struct loss_block *b, size_t t, size_t all)
{
    size_t before = 0;
    for (size_t i = 0; i < t; i++) {
        const int64_t length = b->index[TARGET_LENGTHS][i];
        before += length < 0 ? 0 : (uint64_t)length > all - before ? all - before : (size_t)length;
    }
    return before;
}

static bool invalid(struct loss_block *b, size_t i, int tensor, size_t element)
{
    b->invalid = i;
    b->invalid_tensor = tensor;
    b->invalid_element = element;
    return false;
}

/* Finds the sequence of term i, whose labels begin at `labels` of `room`; false if it cannot be. */
static bool take_sequence(struct loss_block *b, size_t i, size_t labels, size_t room, size_t row, struct sequence *q)
{
    const int64_t steps = b->index[INPUT_LENGTHS][i * b->row[INPUT_LENGTHS]], length = b->index[TARGET_LENGTHS][b->first + i];
    if (steps < 0 || (uint64_t)steps > b->len[LOG_PROBS] / q->classes)
        return invalid(b, i, INPUT_LENGTHS, 0);
    if (length < 0 || (uint64_t)length > room)
        return invalid(b, i, TARGET_LENGTHS, b->first + i);
    q->log_probs = b->in[LOG_PROBS] + i * b->row[LOG_PROBS];
    q->steps = (size_t)steps;
    q->labels = b->index[TARGETS] + row + labels;
    q->states = 2 * (size_t)length + 1;
    for (size_t k = 0; k < (size_t)length; k++)
        if (q->labels[k] < 0 || (uint64_t)q->labels[k] >= q->classes)
            return invalid(b, i, TARGETS, labels + k);
    return true;
}

/* -log of the probability of all paths that spell the labels; mean divides it by their number first. */
static void evaluate(const struct sequence *q, struct loss_block *b, size_t i)
{
    real *alpha = b->scratch, *beta = alpha + q->steps * q->states, *posterior = beta + 2 * q->states;
    real *grad = b->grad[LOG_PROBS] ? b->grad[LOG_PROBS] + i * b->len[LOG_PROBS] : NULL;
    const size_t labels = q->states / 2;
    const real loss = reads_nan(q) ? NAN : -forward(q, alpha), share = b->plan->reduction == LOSS_MEAN && labels > 0 ? (real)labels : 1;
    const bool zeroed = b->param[ZERO_INFINITY].integer && loss == INFINITY;
    b->term[i] = zeroed ? 0 : loss / share;
    for (size_t k = 0; grad && k < b->len[LOG_PROBS]; k++)
        grad[k] = 0;
    if (grad && !zeroed)
        gradient(q, alpha, beta, posterior, loss, b->scale[i] / share, grad);
}

static void ctc_kernel(struct loss_block *b)
{
    const bool in_one_row = b->row[TARGETS] == 0;
    const size_t all = b->len[TARGETS];
    size_t before = in_one_row ? labels_before(b, b->first, all) : 0;
    struct sequence q = {.classes = classes_of(b->plan), .blank = b->param[BLANK].integer};
    for (size_t i = 0; i < b->n; i++) {
        if (!take_sequence(b, i, before, all - before, i * b->row[TARGETS], &q))
            return;
        evaluate(&q, b, i);
        before += in_one_row ? q.states / 2 : 0;
    }
}

static size_t scratch(const struct loss_plan *plan)
{
    const size_t steps = plan->tensor[LOG_PROBS].shape[0], labels = plan->tensor[TARGETS].shape[plan->tensor[TARGETS].rank - 1];
    size_t lattice;
    if (__builtin_mul_overflow(2 * labels + 1, steps + 2, &lattice) ||
        __builtin_add_overflow(lattice, classes_of(plan), &lattice))
        return SIZE_MAX; /* more than there can be */
    return lattice;
}

/* The states of all steps of all sequences, or the log-probabilities where these are more. */
static size_t elements(const struct loss_plan *plan)
{
    const size_t labels = loss_tensor_elements(&plan->tensor[TARGETS]), batch = loss_tensor_elements(&plan->terms),
                 given = loss_tensor_elements(&plan->tensor[LOG_PROBS]);
    size_t states;
    if (__builtin_mul_overflow(labels, 2, &states) || __builtin_add_overflow(states, batch, &states) ||
        __builtin_mul_overflow(states, plan->tensor[LOG_PROBS].shape[0], &states))
        return SIZE_MAX;
    return states > given ? states : given;
}

static struct loss_cost cost_of(const struct loss_plan *plan)
{
    (void)plan;
    return (struct loss_cost){100, 18, 55, 55};
}

static void expected(const struct loss_plan *plan, int tensor, char *text, size_t size)
{
    const struct loss_tensor *targets = &plan->tensor[TARGETS];
    if (tensor == TARGETS)
        snprintf(text, size, "class indices must be in [0, %zu)", classes_of(plan));
    else if (tensor == INPUT_LENGTHS)
        snprintf(text, size, "lengths must be in [0, %zu], the steps that there are", plan->tensor[LOG_PROBS].shape[0]);
    else
        snprintf(text, size, "lengths must be in [0, %zu], the labels that there are%s", targets->shape[targets->rank - 1],
                 targets->rank == 1 ? ", and add up to no more" : "");
}

static enum loss_status shape(struct loss_plan *plan, struct loss_error *error)
{
    const struct loss_tensor *log_probs = &plan->tensor[LOG_PROBS], *targets = &plan->tensor[TARGETS];
    const bool batched = log_probs->rank == 3;
    if (!batched && log_probs->rank != 2)
        return loss_misfit(plan, error, LOG_PROBS, "it must be (T, N, C), or (T, C) for a single sequence");
    const size_t batch = batched ? log_probs->shape[1] : 1;
    plan->terms = (struct loss_tensor){.rank = batched, .shape = {batch}};
    if (targets->rank != 1 && !(batched && targets->rank == 2 && targets->shape[0] == batch))
        return loss_misfit(plan, error, TARGETS,
                           batched ? "it must be (%zu, S), or (S) for all labels in one row" : "it must be (S)", batch);
    for (int k = INPUT_LENGTHS; k <= TARGET_LENGTHS; k++)
        if (plan->tensor[k].rank > 1 || loss_tensor_elements(&plan->tensor[k]) != batch ||
            (batched && plan->tensor[k].rank == 0))
            return loss_misfit(plan, error, k,
                               batched ? "it must be (%zu,), a length for each sequence" : "it must be (), one length", batch);
    const int64_t blank = plan->param[BLANK].integer;
    if (blank < 0 || (uint64_t)blank >= classes_of(plan))
        return loss_fail_at(error, LOSS_INVALID, "/blank", "blank is %" PRId64 "; it must be a class index, in [0, %zu)", blank,
                            classes_of(plan));

    /* Lengths of targets lie within every term, for where labels begin is told by those before. */
    plan->axis[LOG_PROBS][0] = plan->axis[LOG_PROBS][log_probs->rank - 1] = LOSS_WITHIN;
    plan->axis[TARGETS][targets->rank - 1] = plan->axis[TARGET_LENGTHS][0] = LOSS_WITHIN;
    plan->axis[INPUT_LENGTHS][0] = batched ? 0 : LOSS_WITHIN;
    return LOSS_OK; /* the other axes run along the first dimension of the terms, 0 */
}

/* Four steps of two sequences, three classes: the labels 1, 2 and, in the first three steps of the second one, 1. */
static const double example_log_probs[] = {
    -1.204,  -0.5108, -2.3026, -0.3567, -1.6094, -2.3026, -0.6931, -1.204,  -1.6094, -1.6094, -0.3567, -2.3026,
    -1.6094, -2.3026, -0.3567, -0.6931, -1.204,  -1.6094, -0.5108, -1.6094, -1.6094, -1.0986, -1.0986, -1.0986,
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
    .doc = "For sequences whose labels are not aligned to the steps: minus the log-probability of all paths that spell the "
           "labels once "
           "repeats and blanks are taken out. The gradient is PyTorch's, which folds in that of the log_softmax before it.",
    .formula = "l = -log sum over alignments of prod_t p_t; mean divides each by its number of labels first",
    .reductions = MEAN_SUM_NONE,
    .tensors =
        {
            [LOG_PROBS] = {"log_probs", "log-probabilities of the classes at each step", "(T, N, C) or (T, C)", LOSS_REAL,
                           .prediction = true, .differentiable = true},
            [TARGETS] = {"targets", "class indices of the labels, without blanks", "(N, S), or (S) for all labels in one row",
                         LOSS_INDEX},
            [INPUT_LENGTHS] = {"input_lengths", "how many steps count", "(N) or ()", LOSS_INDEX},
            [TARGET_LENGTHS] = {"target_lengths", "how many labels there are", "(N) or ()", LOSS_INDEX},
        },
    .params =
        {
            [BLANK] = {"blank", "class index of the blank", LOSS_INTEGER},
            [ZERO_INFINITY] = {"zero_infinity", "an impossible alignment counts as 0, with gradient 0", LOSS_BOOLEAN},
        },
    .example = &example,
    .method = &(
        const struct loss_method){.cost_of = cost_of, .shape = shape, .kernel = ctc_kernel, .scratch = scratch, .elements = elements, .expected = expected},
};
