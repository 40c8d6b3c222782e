/* Connectionist temporal classification. PyTorch: torch.nn.CTCLoss;
   aten/src/ATen/native/LossCTC.cpp. A. Graves et al., Connectionist temporal classification, 2006;
   equation numbers below refer to it. */
#include "kernel/loss_kernel.h"
#include "kernel/row_search.h"

#include <float.h>
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

/* A number m 4^e of any magnitude, because probabilities of paths underflow. m is in [1, 2) after
   multiply(), e is a multiple of 1/2. 0 is m = 0 with the least e. */
struct number {
    loss_real m, e;
};

/* A row of numbers. */
struct row {
    loss_real *m, *e;
};

/*
 * The working arrays of a sequence. A row has a number for each state, and MARGIN impossible states
 * before the first (of alpha) or after the last (of beta), so that no state needs special
 * treatment. The probabilities of each step are divided by their maximum.
 *
 * The gradient reads alpha at all steps, from the last to the first. If the rows do not all fit,
 * only those of the last window of `window` steps are stored, and the first row of each earlier
 * window, from which the other rows of that window are computed again.
 */
struct lattice {
    size_t stride, window; /* numbers in a row; steps in a window */
    loss_real *rows;       /* [window]: alpha at step t is row t % window */
    loss_real *starts;     /* alpha at the first step of each window; NULL without gradient */
    struct row before;     /* alpha before the first step */
    struct row beta[2];
    struct row emit;  /* probability of each state at the current step */
    loss_real *skip;  /* nonzero if a path may reach the state from the second state before it,
                         skipping a blank between different labels */
    loss_real *share; /* [classes]: probability that the path has the class at the current step */
};
enum { MARGIN = 2, ROW_PARTS = 2 };

/* Loops over states go on to the next multiple of LANES, so that they have no remainder. */
enum { LANES = 8 };

static size_t padded(size_t n)
{
    return (n + LANES - 1) / LANES * LANES;
}

/* Maximum number of alpha's m and e stored, 1 MiB. If there are more, alpha is computed twice. */
enum { STORED_ALPHA = 1 << 17 };

static int64_t label_of(const struct sequence *q, size_t state)
{
    return state % 2 ? q->labels[state / 2] : q->blank;
}

/* ---- Numbers ---- */

#define LEAST (-DBL_MAX)
static const struct number ZERO = {0, LEAST}, ONE = {1, 0};

static inline struct number number_at(struct row row, size_t i)
{
    return (struct number){row.m[i], row.e[i]};
}

static inline void set_number(struct row row, size_t i, struct number value)
{
    row.m[i] = value.m;
    row.e[i] = value.e;
}

/* Returns 4^e for e <= 511; a number that is negligible, not 0, below -511. */
static inline loss_real power_of_four(loss_real e)
{
    return power_of_two(vmax(2 * e, -1022));
}

/* Returns exp(x) for x <= 0, and NaN with a finite e for infinite x. e has as many digits as x: m
   is 1 for a vast x. */
static inline struct number exponential(loss_real given)
{
    const bool infinite = given > 0;
    const loss_real x = infinite ? 0 : given, e = x * (0x1.71547652b82fep0 / 2);
    const bool vast = e < -0x1p50;
    const loss_real n = vast ? 0 : (2 * e + TO_INTEGER) - TO_INTEGER,
                    r = vast ? 0 : (x - n * LN2_HIGH) - n * LN2_LOW;
    const bool none = x == -(loss_real)INFINITY;
    const loss_real m = none ? 0 : 1 + (r + r * r * exp_tail(r));
    return (struct number){infinite ? (loss_real)NAN : m, vast ? vmax(e, LEAST) : n / 2};
}

static inline struct number add(struct number a, struct number b, struct number c)
{
    const loss_real most = vmax(a.e, vmax(b.e, c.e));
    return (struct number){(a.m * power_of_four(a.e - most) + b.m * power_of_four(b.e - most)) +
                               c.m * power_of_four(c.e - most),
                           most};
}

/* Returns a b; 0 if a is 0, even if b is NaN. */
static inline struct number multiply(struct number a, struct number b)
{
    const loss_real product = a.m * b.m, m = a.m == 0 ? 0 : product;
    const uint64_t biased = bits_of_double(m) >> 52;
    const loss_real exponent =
        double_of_bits(biased | UINT64_C(0x4330000000000000)) - (0x1p52 + 1023);
    return (struct number){m * power_of_two(-exponent), a.e + b.e + exponent / 2};
}

/* Returns log(x). Nothing cancels near 1. */
static loss_real log_of(struct number x)
{
    const bool large = x.m > 1.4142135623730951;
    const loss_real exponent = 2 * x.e + large;
    return exponent * LN2_HIGH + (vlog(large ? x.m / 2 : x.m) + exponent * LN2_LOW);
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
static size_t stored_alpha(size_t steps, size_t row)
{
    size_t all, windows;
    if (__builtin_mul_overflow((steps > 2 ? steps : 2) + 1, row, &all) ||
        __builtin_mul_overflow(2 * square_root(steps) + 2, row, &windows))
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

/* Returns the count of numbers of a row. */
static size_t row_length(const struct loss_plan *plan)
{
    return padded(2 * most_labels(plan) + 1) + MARGIN;
}

static size_t alpha_size(const struct loss_plan *plan)
{
    const size_t row = ROW_PARTS * row_length(plan);
    return plan->grad_mask != 0 ? stored_alpha(plan->tensor[LOG_PROBS].shape[0], row) : 2 * row;
}

/* Returns the size of a lattice: alpha, four other rows, `skip`, and the classes. */
static size_t scratch(const struct loss_plan *plan)
{
    size_t total;
    if (__builtin_mul_overflow(4 * ROW_PARTS + 1, row_length(plan), &total) ||
        __builtin_add_overflow(total, alpha_size(plan), &total) ||
        __builtin_add_overflow(total, classes_of(plan), &total))
        return SIZE_MAX;
    return total;
}

static void fill(loss_real *x, size_t n, loss_real value, const struct loss_control *cancel)
{
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        for (size_t i = s.first; i < s.end; i++)
            x[i] = value;
}

static void copy(loss_real *to, const loss_real *from, size_t n, const struct loss_control *cancel)
{
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        memcpy(to + s.first, from + s.first, slice_len(&s) * sizeof *to);
}

static struct row row_from(const struct lattice *l, loss_real *at)
{
    return (struct row){at, at + l->stride};
}

/* Sets the first n numbers of a row to 0. */
static void clear_row(struct row row, size_t n, const struct loss_control *cancel)
{
    fill(row.m, n, ZERO.m, cancel);
    fill(row.e, n, ZERO.e, cancel);
}

/* Divides the block's scratch memory into a lattice, and fills the parts that are the same for all
   steps. */
static struct lattice make_lattice(const struct loss_block *b, const struct sequence *q, bool grad)
{
    const size_t stride = padded(q->states) + MARGIN, row = ROW_PARTS * stride,
                 room = alpha_size(b->plan);
    struct lattice l = {.stride = stride, .window = 2};
    if (grad)
        l.window = q->steps <= room / row - 1 ? q->steps : square_root(q->steps);
    l.window = l.window < 2 ? 2 : l.window;
    l.rows = b->scratch;
    l.starts = grad ? l.rows + l.window * row : NULL;
    loss_real *const rest = b->scratch + room;
    l.before = row_from(&l, rest);
    l.beta[0] = row_from(&l, rest + row);
    l.beta[1] = row_from(&l, rest + 2 * row);
    l.emit = row_from(&l, rest + 3 * row);
    l.skip = rest + 4 * row;
    l.share = l.skip + stride;
    for (size_t t = 0; t < l.window; t++)
        clear_row(row_from(&l, l.rows + t * row), MARGIN, q->cancel);
    clear_row(l.before, stride, q->cancel);
    set_number(l.before, MARGIN, ONE);
    for (int k = 0; k < 2; k++)
        clear_row(l.beta[k], stride, q->cancel);
    set_number(l.beta[q->steps % 2], q->states - 1, ONE);
    for (struct slice slice = {0}; slice_next(&slice, stride, q->cancel);)
        for (size_t s = slice.first; s < slice.end; s++)
            l.skip[s] = s >= 2 && s < q->states && s % 2 && label_of(q, s) != label_of(q, s - 2);
    return l;
}

static loss_real *alpha_at(const struct lattice *l, size_t t)
{
    return l->rows + t % l->window * ROW_PARTS * l->stride;
}

/* ---- Recursions ---- */

/* Computes the probabilities of the states at step t, divided by their maximum. Returns its
   logarithm. An infinite probability becomes NaN, and affects only states that paths reach. */
static loss_real load_emissions(const struct sequence *q, const struct lattice *l, size_t t)
{
    const loss_real *const x = q->log_probs + t * q->classes;
    const struct row emit = l->emit;
    loss_real most = x[q->blank] < (loss_real)INFINITY ? x[q->blank] : -(loss_real)INFINITY;
    fill(emit.m, q->states, x[q->blank], q->cancel);
    for (struct slice slice = {0}; slice_next(&slice, q->states, q->cancel);)
        for (size_t s = slice.first + 1; s < slice.end; s += 2) {
            const loss_real label = x[q->labels[s / 2]];
            emit.m[s] = label;
            most = label > most && label < (loss_real)INFINITY ? label : most;
        }
    const loss_real top = most == -(loss_real)INFINITY ? 0 : most;
    for (size_t s = q->states; s < padded(q->states); s++)
        emit.m[s] = -(loss_real)INFINITY;
    for (struct slice slice = {0}; slice_next(&slice, padded(q->states), q->cancel);)
#pragma GCC ivdep
        for (size_t s = slice.first; s < slice.end; s++)
            set_number(emit, s, exponential(emit.m[s] - top));
    return top;
}

/* Computes alpha of states [first, end). The arrays do not overlap. */
static void forward_states(loss_real *restrict now_m, loss_real *restrict now_e,
                           const loss_real *restrict last_m, const loss_real *restrict last_e,
                           const loss_real *restrict emit_m, const loss_real *restrict emit_e,
                           const loss_real *restrict skip, size_t first, size_t end)
{
    for (size_t s = first; s < end; s++) {
        const loss_real skipped = last_m[s]; /* may be NaN */
        const struct number over = {skip[s] == 0 ? 0 : skipped, last_e[s] + (1 - skip[s]) * LEAST},
                            all = add((struct number){last_m[s + 2], last_e[s + 2]},
                                      (struct number){last_m[s + 1], last_e[s + 1]}, over),
                            next = multiply(all, (struct number){emit_m[s], emit_e[s]});
        now_m[s] = next.m;
        now_e[s] = next.e;
    }
}

/* Computes alpha at step t, equations 5 to 8: the probability of all path prefixes that end in each
   state. Alpha is divided by the maximum of each step so far; returns the logarithm of that of step
   t. */
static loss_real forward(const struct sequence *q, const struct lattice *l, size_t t)
{
    const struct row now = row_from(l, alpha_at(l, t)),
                     last = t == 0 ? l->before : row_from(l, alpha_at(l, t - 1)), emit = l->emit;
    const loss_real top = load_emissions(q, l, t);
    for (struct slice slice = {0}; slice_next(&slice, padded(q->states), q->cancel);)
        forward_states(now.m + MARGIN, now.e + MARGIN, last.m, last.e, emit.m, emit.e, l->skip,
                       slice.first, slice.end);
    return top;
}

/* Computes alpha at steps [first, end). Unless `divisor` is NULL, adds the logarithms of what alpha
   is divided by, and stores the first row of each window. */
static void forward_to(const struct sequence *q, const struct lattice *l, size_t first, size_t end,
                       struct sum *divisor)
{
    const size_t row = ROW_PARTS * l->stride;
    for (size_t t = first; t < end && !cancel_requested(q->cancel); t++) {
        const loss_real top = forward(q, l, t);
        if (divisor)
            sum_add(divisor, top);
        if (divisor && l->starts && t % l->window == 0)
            copy(l->starts + t / l->window * row, alpha_at(l, t), row, q->cancel);
    }
}

/* Returns the probability of all paths, divided like alpha. */
static struct number probability(const struct sequence *q, const struct lattice *l)
{
    if (q->steps == 0)
        return q->states == 1 ? ONE : ZERO;
    const struct row last = row_from(l, alpha_at(l, q->steps - 1));
    const size_t end = MARGIN + q->states;
    return add(number_at(last, end - 1), number_at(last, end - 2), ZERO);
}

/* Computes beta of states [first, end), and replaces `emit` by the probability of the paths through
   each state: m is in [1, 16), or 0. The arrays do not overlap. */
static void backward_states(loss_real *restrict now_m, loss_real *restrict now_e,
                            const loss_real *restrict later_m, const loss_real *restrict later_e,
                            loss_real *restrict emit_m, loss_real *restrict emit_e,
                            const loss_real *restrict alpha_m, const loss_real *restrict alpha_e,
                            const loss_real *restrict skip, size_t first, size_t end)
{
    for (size_t s = first; s < end; s++) {
        const loss_real skipped = later_m[s + 2];
        const struct number over = {skip[s + 2] == 0 ? 0 : skipped,
                                    later_e[s + 2] + (1 - skip[s + 2]) * LEAST},
                            rest = add((struct number){later_m[s], later_e[s]},
                                       (struct number){later_m[s + 1], later_e[s + 1]}, over),
                            next = multiply(rest, (struct number){emit_m[s], emit_e[s]});
        now_m[s] = next.m;
        now_e[s] = next.e;
        const loss_real through = alpha_m[s] * rest.m;
        emit_m[s] = (alpha_m[s] == 0) | (rest.m == 0) ? 0 : through;
        emit_e[s] = alpha_e[s] + rest.e;
    }
}

/* Computes beta at step t from the next step, equations 9 to 11: the probability of all path
   suffixes that start in each state. Replaces the probability of each state at the step by that of
   the paths through it. */
static void backward(const struct sequence *q, const struct lattice *l, size_t t)
{
    const struct row now = l->beta[t % 2], later = l->beta[(t + 1) % 2], emit = l->emit,
                     alpha = row_from(l, alpha_at(l, t));
    load_emissions(q, l, t);
    for (struct slice slice = {0}; slice_next(&slice, padded(q->states), q->cancel);)
        backward_states(now.m, now.e, later.m, later.e, emit.m, emit.e, alpha.m + MARGIN,
                        alpha.e + MARGIN, l->skip, slice.first, slice.end);
}

/* Computes the probability that a path has each class at the current step, equation 16: that of the
   paths through the states of the class, divided by that of the paths through any state. The latter
   equals the probability of all paths, but only without rounding: e of a vast log-probability has
   few digits left for the others, and each step loses different ones. */
static void compute_share(const struct sequence *q, const struct lattice *l)
{
    const struct row through = l->emit;
    const loss_real most = max_of(through.e, q->states, q->cancel);
    loss_real blank = 0;
    for (struct slice slice = {0}; slice_next(&slice, padded(q->states), q->cancel);)
        for (size_t s = slice.first; s < slice.end; s++)
            through.m[s] *= power_of_four(through.e[s] - most);
    const loss_real inverse = 1 / sum_same_sign(through.m, q->states, q->cancel);
    zero_all(l->share, q->classes, q->cancel);
    for (struct slice slice = {0}; slice_next(&slice, q->states, q->cancel);) {
        for (size_t s = slice.first; s < slice.end; s += 2)
            blank += through.m[s];
        for (size_t s = slice.first + 1; s < slice.end; s += 2)
            l->share[q->labels[s / 2]] += through.m[s] * inverse;
    }
    l->share[q->blank] += blank * inverse;
}

/* Computes the gradient of classes [c, c + n), n <= LANES, at a step. */
static ALWAYS_INLINE void gradient_of_classes(const loss_real *x, const loss_real *share,
                                              loss_real scale, size_t n, loss_real *grad)
{
    loss_real in[LANES] = {0}, probability[LANES];
    memcpy(in, x, n * sizeof *x);
    for (size_t c = 0; c < LANES; c++)
        probability[c] = vexp(in[c]);
    for (size_t c = 0; c < n; c++)
        grad[c] =
            (in[c] == -(loss_real)INFINITY ? (loss_real)NAN : probability[c] - share[c]) * scale;
}

/* Computes the gradient at step t. */
static void gradient_of_step(const struct sequence *q, const struct lattice *l, size_t t,
                             loss_real scale, loss_real *grad)
{
    const loss_real *const x = q->log_probs + t * q->classes;
    for (struct slice slice = {0}; slice_next(&slice, q->classes, q->cancel);) {
        size_t c = slice.first;
        for (; c + LANES <= slice.end; c += LANES)
            gradient_of_classes(x + c, l->share + c, scale, LANES, grad + c);
        gradient_of_classes(x + c, l->share + c, scale, slice.end - c, grad + c);
    }
}

/* Computes the gradient, exp(log_probs) - share. Like PyTorch's, it includes the gradient of the
   log_softmax that log_probs comes from. It is NaN for an impossible class, as in PyTorch. */
static void gradient(const struct sequence *q, const struct lattice *l, loss_real scale,
                     loss_real *grad)
{
    const size_t row = ROW_PARTS * l->stride;
    for (size_t t = q->steps; t-- > 0 && !cancel_requested(q->cancel);) {
        const size_t start = t - t % l->window;
        const bool gone =
            (t + 1) % l->window == 0 && t + 1 < q->steps; /* overwritten by the next window */
        if (gone) {
            copy(alpha_at(l, start), l->starts + start / l->window * row, row, q->cancel);
            forward_to(q, l, start + 1, t + 1, NULL);
        }
        backward(q, l, t);
        compute_share(q, l);
        gradient_of_step(q, l, t, scale, grad + t * q->classes);
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
        for (struct slice s = {0}; slice_next(&s, q->states / 2, q->cancel);)
            for (size_t k = s.first; k < s.end; k++)
                if (isnan(x[q->labels[k]]))
                    return true;
    }
    return false;
}

/* If `targets` has one dimension, the labels of all sequences, sets per_term_state to the index of
   the first label of each sequence. */
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

/* Reads the sequence of term i. Returns false if it is invalid or the run is cancelled. */
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
    for (struct slice s = {0}; slice_next(&s, (size_t)length, b->cancel);)
        for (size_t k = s.first; k < s.end; k++)
            if (q->labels[k] < 0 || (uint64_t)q->labels[k] >= q->classes)
                return invalid(b, i, TARGETS, before + k);
    return !cancel_requested(b->cancel); /* otherwise not all labels have been checked */
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
    struct sum divisor = {0};
    loss_real loss = INFINITY; /* no path exists if there are more labels than steps */
    if (reads_nan(q)) {
        loss = NAN;
    } else if (labels <= q->steps) {
        l = make_lattice(b, q, grad != NULL);
        forward_to(q, &l, 0, q->steps, &divisor);
        loss = 0 - (log_of(probability(q, &l)) + sum_value(&divisor));
    }
    const bool zeroed = b->param[ZERO_INFINITY].integer && loss == INFINITY;
    b->term[i] = zeroed ? 0 : loss / share;
    if (!grad)
        return;
    zero_all(grad, b->elements_per_term[LOG_PROBS], b->cancel);
    if (isfinite(loss))
        gradient(q, &l, b->scale[i] / share, grad);
    else if (!zeroed)
        fill(grad, q->steps * q->classes, NAN, b->cancel);
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

/* Returns the number of states in all steps of all sequences, or of log-probabilities if that is
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
    const size_t steps = plan->tensor[LOG_PROBS].shape[0], row = ROW_PARTS * row_length(plan);
    const loss_real again = plan->grad_mask != 0 && alpha_size(plan) / row <= steps ? 1 : 0;
    return (struct loss_cost){200, 2, 6 + again, 6 + again};
}

static void expected(const struct loss_plan *plan, int tensor, char *text, size_t size)
{
    const struct loss_tensor *targets = &plan->tensor[TARGETS];
    if (tensor == TARGETS)
        snprintf(text, size, "class indices must be in [0, %zu)", classes_of(plan));
    else if (tensor == INPUT_LENGTHS)
        snprintf(text, size, "lengths must be from 0 to the number of steps, %zu",
                 plan->tensor[LOG_PROBS].shape[0]);
    else
        snprintf(text, size, "lengths must be from 0 to the number of labels, %zu%s",
                 targets->shape[targets->rank - 1],
                 targets->rank == 1 ? "; their sum must not exceed it" : "");
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
        return loss_shape_error(
            plan, error, TARGETS,
            batched ? "it must be (%zu, S), or have one dimension that contains the labels "
                      "of all sequences"
                    : "it must have one dimension",
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

static int sample_axis(int k, int rank)
{
    if (k == TARGETS && rank == 1)
        return LOSS_OWN;
    return k == LOG_PROBS;
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
                         "(N, S), or (sum of target_lengths)", LOSS_INDEX},
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
            .sample_axis = sample_axis,
            .start = place_labels,
            .kernel_f64 = ctc_kernel,
            .state_per_term = state_per_term,
            .scratch = scratch,
            .elements = elements,
            .cost_of = cost_of,
            .expected = expected,
        },
};
