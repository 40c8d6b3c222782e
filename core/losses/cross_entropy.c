/*
 * Cross entropy of logits. PyTorch: torch.nn.CrossEntropyLoss; aten/src/ATen/native/LossNLL.cpp,
 * cross_entropy_loss.
 *
 * With q = softmax(x), z = log q and s = label_smoothing, every form of loss and gradient is
 *
 *     l       = -sum_c k_c z_c
 *     dl/dx_c = q_c K - k_c,         K = sum_c k_c
 *
 * where k_c = (1 - s) w_y [c = y] + (s / C) w_c for class indices y, and
 * k_c = w_c (p_c (1 - s) + s / C) for probabilities p.
 *
 * These functions compute the gradient:
 *
 *     gradient_of_one_class()   class indices without smoothing
 *     gradient_of_all()         smoothing, or probabilities
 *     target_gradient()         with respect to probabilities
 *     row_in_f32()              class indices without smoothing, in float32
 *     ce_f32_gradient(),        class indices without smoothing, at most CE_SMALL_CLASSES classes;
 *     ce_f64_gradient()         in core/kernel/cross_entropy_small.h
 */
#include "kernel/class_rows.h"
#include "kernel/compensated_sum.h"
#include "kernel/prefetch.h"
#include "kernel/row_search.h"
#include "kernel/transpose.h"

#include <inttypes.h>

enum { LABEL_SMOOTHING = IGNORE_INDEX + 1 };

/*
 * A row. q is computed relative to the largest class m: with e_c = exp(x_c - x_m) and rest = the
 * sum of all e_c but e_m, q_m = 1 / (1 + rest) and q_c = e_c / (1 + rest). So log q_m =
 * -log1p(rest) and 1 - q_m = rest / (1 + rest) stay accurate if the prediction is nearly certain,
 * which is common in training. For class m, q_m K - k_m is computed as q_m (K - k_m) - k_m (1 -
 * q_m), with K - k_m summed without m.
 */
struct row {
    const loss_real *x;
    size_t classes, largest;
    const struct loss_control *cancel;
    loss_real top, rest, log_sum; /* x_m; sum of the e_c other than e_m; log1p of that */
};

struct coefficients {
    const loss_real *probability; /* p; NULL if the target is a class index */
    size_t label;                 /* the class index, if `probability` is NULL */
    const loss_real *weight;      /* w; NULL: all 1 */
    loss_real keep, spread;       /* 1 - s, s / C */
};

static loss_real coefficient(const struct coefficients *k, size_t c)
{
    const loss_real w = k->weight ? k->weight[c] : 1;
    const loss_real p = k->probability ? k->probability[c] : (loss_real)(c == k->label);
    return w * (p * k->keep + k->spread);
}

/* Returns true if the target selects one class. The other classes then do not contribute, even if
   their log-probability is -inf, or their weight infinite or NaN. */
static bool is_one_class(const struct coefficients *k)
{
    return !k->probability && k->spread == 0;
}

/* Computes a row and writes the e_c to `e`. If the largest number is infinite, or any number is
   NaN, the whole row is NaN, as in PyTorch. */
static struct row softmax(const loss_real *x, size_t classes, loss_real *e,
                          const struct loss_control *cancel)
{
    struct row r = {
        .x = x, .classes = classes, .cancel = cancel, .top = max_of(x, classes, cancel)};
    const loss_real top = r.top;
    for (struct slice s = {0}; slice_next(&s, classes, cancel);)
        for (size_t c = s.first; c < s.end; c++)
            e[c] = vexp(x[c] - top);
    r.largest = index_of(top, x, classes, cancel);
    if (r.largest == classes) /* x[0] is NaN */
        r.largest = 0;
    const loss_real own = e[r.largest];
    e[r.largest] = own - 1; /* 0, or NaN */
    r.rest = sum_same_sign(e, classes, cancel);
    e[r.largest] = own;
    r.log_sum = vlog1p(r.rest);
    return r;
}

static loss_real log_softmax(const struct row *r, size_t c)
{
    return (r->x[c] - r->top) - r->log_sum;
}

static loss_real term(const struct row *r, const struct coefficients *k)
{
    if (is_one_class(k))
        return -coefficient(k, k->label) * log_softmax(r, k->label);
    struct sum sum = {0};
    for (struct slice s = {0}; slice_next(&s, r->classes, r->cancel);)
        for (size_t c = s.first; c < s.end; c++)
            sum_add(&sum, coefficient(k, c) * log_softmax(r, c));
    return -sum_value(&sum);
}

/* dl/dx_c = q_c K - k_c with k_c = 0 for all classes but the label. `e` contains the e_c. */
static void gradient_of_one_class(const struct row *r, const struct coefficients *k,
                                  const loss_real *e, struct derivative_row grad, loss_real scale)
{
    const loss_real own = coefficient(k, k->label), factor = own / (1 + r->rest) * scale;
    for (struct slice s = {0}; slice_next(&s, r->classes, r->cancel);) {
        for (size_t c = s.first; grad.f64 && c < s.end; c++)
            grad.f64[c] = e[c] * factor;
        for (size_t c = s.first; grad.f32 && c < s.end; c++)
            grad.f32[c] = (float)(e[c] * factor);
    }
    set_element(grad, k->label,
                k->label == r->largest ? -r->rest * factor
                                       : (e[k->label] / (1 + r->rest) * own - own) * scale);
}

static void gradient_of_all(const struct row *r, const struct coefficients *k, const loss_real *e,
                            struct derivative_row grad, loss_real scale)
{
    struct sum others = {0};
    for (struct slice s = {0}; slice_next(&s, r->classes, r->cancel);)
        for (size_t c = s.first; c < s.end; c++)
            sum_add(&others, c == r->largest ? 0 : coefficient(k, c));
    const loss_real all = 1 + r->rest, apart = sum_value(&others),
                    total = apart + coefficient(k, r->largest);
    for (struct slice s = {0}; slice_next(&s, r->classes, r->cancel);)
        for (size_t c = s.first; c < s.end; c++)
            set_element(grad, c, (e[c] / all * total - coefficient(k, c)) * scale);
    set_element(grad, r->largest, (apart - coefficient(k, r->largest) * r->rest) / all * scale);
}

/* d2l/dx_c2 = K q_c (1 - q_c) */
static void second_derivative(const struct row *r, const struct coefficients *k, const loss_real *e,
                              struct derivative_row hess, loss_real scale)
{
    struct sum total = {0};
    for (struct slice s = {0}; slice_next(&s, r->classes, r->cancel);)
        for (size_t c = s.first; c < s.end; c++)
            sum_add(&total, coefficient(k, c));
    const loss_real all = 1 + r->rest, factor = sum_value(&total) * scale;
    for (struct slice s = {0}; slice_next(&s, r->classes, r->cancel);)
        for (size_t c = s.first; c < s.end; c++)
            set_element(hess, c,
                        e[c] / all * (c == r->largest ? r->rest / all : 1 - e[c] / all) * factor);
}

static void target_gradient(const struct row *r, const struct coefficients *k,
                            struct derivative_row grad, loss_real scale)
{
    for (struct slice s = {0}; slice_next(&s, r->classes, r->cancel);)
        for (size_t c = s.first; c < s.end; c++)
            set_element(grad, c,
                        -k->keep * (k->weight ? k->weight[c] : 1) * log_softmax(r, c) * scale);
}

/* ---- Few classes ---- */

/* Columns are padded to whole vectors. A plane contains all columns. */
enum { CE_SMALL_CLASSES = 32, CE_PAD = 16, CE_PLANE = LOSS_CHUNK + CE_SMALL_CLASSES * CE_PAD };
enum { NOT_COUNTED = -1 };

/* Returns the class of a label; class 0 if it is not counted. */
static inline size_t class_of(int32_t label)
{
    return label == NOT_COUNTED ? 0 : (size_t)label;
}

/* If the sum of all e_c minus 1 is below this, it has too few correct digits for a float, and
   `rest` is summed again without the largest. */
#define INEXACT_REST_F32 0x1p-12

/* exp(x - top), like vexp_difference_f32(). Its rounding error does not matter. */
struct double_pair {
    loss_real value, lost;
};
static inline struct double_pair exp_difference(loss_real x, loss_real top)
{
    return (struct double_pair){vexp(x - top), 0};
}

#define CE_REAL         double
#define CE_NAME(name)   ce_f64_##name
#define CE_PAIR         struct double_pair
#define CE_EXP(x, top)  exp_difference(x, top)
#define CE_ONE          1.0
#define CE_INEXACT_REST 0.5
#define CE_LOG1P(x)     vlog1p(x)
#define CE_INPUT(b)     (b)->in[INPUT]
#define CE_GRAD(row)    (row).f64
#define CE_TRANSPOSE    transpose_f64
#include "kernel/cross_entropy_small.h"

#define CE_REAL         float
#define CE_NAME(name)   ce_f32_##name
#define CE_PAIR         struct float_pair
#define CE_EXP(x, top)  vexp_difference_f32(x, top)
#define CE_ONE          VEXP_F32_ONE
#define CE_INEXACT_REST INEXACT_REST_F32
#define CE_LOG1P(x)     vlog1p_f32(x)
#define CE_INPUT(b)     (b)->in_f32[INPUT]
#define CE_GRAD(row)    (row).f32
#define CE_TRANSPOSE    transpose_f32
#include "kernel/cross_entropy_small.h"

/* ---- Many classes, in float32 ---- */

/* Longer rows do not stay in the L1 cache, or in the L2 cache, until the next row is read. */
enum { L1_ROW = 8192, L2_ROW = 1 << 17 };

/* Returns how far ahead to prefetch what is read or written again for the next row: that row, or
   the next page if rows are shorter than a page or longer than `max`. */
static size_t prefetch_distance(size_t classes, size_t max)
{
    return classes > PREFETCH_DISTANCE && classes <= max ? classes : PREFETCH_DISTANCE;
}

/* In this section `e` contains the e_c times VEXP_F32_ONE. */

/* Returns `rest` from the sum of all e[c]; if the subtraction loses too many digits, sums the e[c]
   again. */
static loss_real rest_of(loss_real sum, const float *e, size_t classes,
                         const struct loss_control *cancel)
{
    const loss_real one = VEXP_F32_ONE;
    loss_real rest = -one; /* the largest, or one of several that are equal, is subtracted */
    if (!(sum - one < INEXACT_REST_F32 * one))
        return (sum - one) / one;
    for (int ones = 1; ones >= 0; ones--)
        for (struct slice s = {0}; slice_next(&s, classes, cancel);)
            for (size_t c = s.first; c < s.end; c++)
                rest += (e[c] == VEXP_F32_ONE) == ones ? e[c] : 0;
    return rest / one;
}

/* The sum of the e_c in lanes, and that of their rounding errors. */
struct exp_lanes {
    struct sum_lanes value;
    float lost[SUM_LANES];
};

/* Computes the e_c of SUM_LANES numbers and adds those from `first` on to the lanes. */
static ALWAYS_INLINE void add_to_lanes(const float *x, float top, float *e, size_t first,
                                       struct exp_lanes *sum)
{
    loss_real each[SUM_LANES];
#pragma GCC ivdep
#pragma GCC unroll 1
    for (size_t k = 0; k < SUM_LANES; k++) {
        const struct float_pair new = vexp_difference_f32(x[k], top);
        e[k] = new.value;
        each[k] = k < first ? 0 : new.value;
        sum->lost[k] += k < first ? 0 : new.lost;
    }
    sum_add_lanes(&sum->value, each);
}

static loss_real sum_of_lost(const struct exp_lanes *sum)
{
    float lost[SUM_LANES];
    memcpy(lost, sum->lost, sizeof lost);
#pragma GCC unroll 4
    for (size_t half = SUM_LANES / 2; half > 0; half /= 2)
        for (size_t k = 0; k < half; k++)
            lost[k] += lost[k + half];
    return (loss_real)lost[0] / VEXP_F32_ONE;
}

/* Like softmax(), in float32, for at least SUM_LANES classes: writes the e_c to `e`. Returns
   `rest`. The last numbers are computed together with some before them, which are not added again.
 */
static loss_real softmax_f32(const float *x, float top, size_t classes, float *e,
                             const struct loss_control *cancel)
{
    struct exp_lanes sum = {0};
    const size_t x_ahead = prefetch_distance(classes, L2_ROW),
                 e_ahead = prefetch_distance(classes, L1_ROW);
    for (struct slice s = {0}; slice_next(&s, classes, cancel);) {
        size_t c = s.first;
        for (; c + SUM_LANES <= s.end; c += SUM_LANES) {
            prefetch_read(x, c + x_ahead);
            prefetch_write(e, c + e_ahead);
            add_to_lanes(x + c, top, e + c, 0, &sum);
        }
        if (c < s.end) {
            const size_t last = s.end - SUM_LANES;
            add_to_lanes(x + last, top, e + last, c - last, &sum);
        }
    }
    return rest_of(sum_pairwise(&sum.value), e, classes, cancel) + sum_of_lost(&sum);
}

/* Evaluates row i with the class index `label` in float32. Nothing is subtracted from a class's
   gradient except for the label, where the subtraction is in double. */
static void row_in_f32(struct loss_block *b, size_t i, size_t label)
{
    const size_t classes = b->elements_per_term[INPUT];
    const float *const x = b->in_f32[INPUT] + i * b->stride[INPUT];
    float *const grad = gradient_row(b, INPUT, i).f32, *const e = grad
                                                                      ? grad
                                                                      : (float *)(void *)b->scratch;
    const float top = max_of_f32(x, classes, b->cancel);
    const loss_real own = class_weight(b, label), rest = softmax_f32(x, top, classes, e, b->cancel);
    b->term[i] = (((loss_real)top - x[label]) + vlog1p(rest)) * own;
    if (!grad)
        return;
    const loss_real one = VEXP_F32_ONE, all = 1 + rest;
    const loss_real of_label =
        e[label] == VEXP_F32_ONE ? -rest / all * own : e[label] / one / all * own - own;
    const loss_real factor = own / all * b->scale[i] / one;
    for (struct slice s = {0}; slice_next(&s, classes, b->cancel);)
        for (size_t c = s.first; c < s.end; c++)
            grad[c] = (float)(e[c] * factor);
    grad[label] = (float)(of_label * b->scale[i]);
}

/* Returns true for the usual case: class indices without smoothing, and no derivative but the
   gradient of the input. */
static bool is_usual(const struct loss_block *b)
{
    return b->elements_per_term[INPUT] > 0 && b->index[TARGET] && b->number[LABEL_SMOOTHING] == 0 &&
           !is_requested(hessian_row(b, INPUT, 0));
}

/* ---- Kernel ---- */

/* Returns row i of an operand in double precision, in place or converted to `to`; NULL if the
   operand is absent. */
static const loss_real *operand_row(const struct loss_block *b, int k, size_t i, loss_real *to)
{
    const size_t at = i * b->stride[k];
    if (b->in[k] || !b->in_f32[k])
        return b->in[k] ? b->in[k] + at : NULL;
    for (struct slice s = {0}; slice_next(&s, b->elements_per_term[k], b->cancel);)
        for (size_t c = s.first; c < s.end; c++)
            to[c] = b->in_f32[k][at + c];
    return to;
}

/* Computes the derivatives of row i. `e` contains the e_c. */
static void row_derivatives(struct loss_block *b, size_t i, const struct row *r,
                            const struct coefficients *k, const loss_real *e)
{
    const struct derivative_row grad = gradient_row(b, INPUT, i),
                                target = gradient_row(b, TARGET, i),
                                hess = hessian_row(b, INPUT, i);
    if (is_requested(grad))
        (is_one_class(k) ? gradient_of_one_class : gradient_of_all)(r, k, e, grad, b->scale[i]);
    if (is_requested(hess))
        second_derivative(r, k, e, hess, b->scale[i]);
    if (is_requested(target))
        target_gradient(r, k, target, b->scale[i]);
}

static void cross_entropy_kernel(struct loss_block *b)
{
    const size_t classes = b->elements_per_term[INPUT];
    const loss_real smoothing = b->number[LABEL_SMOOTHING];
    const bool usual = is_usual(b), f32 = usual && b->in_f32[INPUT];
    if (usual && classes <= CE_SMALL_CLASSES) {
        (f32 ? ce_f32_block : ce_f64_block)(b);
        return;
    }

    loss_real *const e = b->scratch, *const x = e + classes, *const p = x + classes,
                     *const w = p + classes;
    struct coefficients k = {.weight = operand_row(b, WEIGHT, 0, w),
                             .keep = 1 - smoothing,
                             .spread = smoothing / (loss_real)classes};
    for (size_t i = 0; i < b->n; i++) {
        b->term[i] = 0;
        k.probability = b->index[TARGET] ? NULL : operand_row(b, TARGET, i, p);
        if (!k.probability && !class_label(b, i, classes, &k.label)) {
            zero_row(gradient_row(b, INPUT, i), classes, b->cancel);
            zero_row(hessian_row(b, INPUT, i), classes, b->cancel);
            continue;
        }
        if (classes == 0) /* no class to predict */
            continue;
        if (f32) {
            row_in_f32(b, i, k.label);
            continue;
        }
        const struct row r = softmax(operand_row(b, INPUT, i, x), classes, e, b->cancel);
        b->term[i] = term(&r, &k);
        row_derivatives(b, i, &r, &k, e);
    }
}

/* Many classes: a row of e_c and copies of three operands. Few classes: two planes and up to six
   columns. */
static size_t scratch(const struct loss_plan *plan)
{
    const size_t classes = plan->tensor[INPUT].shape[plan->tensor[INPUT].rank > 1];
    return classes <= CE_SMALL_CLASSES ? 7 * CE_PLANE : 4 * classes;
}

/* Rows of few classes are evaluated together, others one by one. Smoothing, probabilities and the
   Hessian involve all classes. */
static struct loss_cost cost_of(const struct loss_plan *plan)
{
    if (!plan->indexed[TARGET] || plan->param[LABEL_SMOOTHING].number != 0 || plan->hess_mask != 0)
        return (struct loss_cost){150, 4.5, 6, 7};
    return (struct loss_cost){
        plan->tensor[INPUT].shape[plan->tensor[INPUT].rank > 1] <= CE_SMALL_CLASSES ? 8 : 120, 1.6,
        2, 4};
}

static enum loss_status shape(struct loss_plan *plan, struct loss_error *error)
{
    const int64_t ignored = plan->param[IGNORE_INDEX].integer;
    if (loss_shape_classes(plan, error) != LOSS_OK)
        return error->status;
    if (!plan->indexed[TARGET] && ignored >= 0)
        return loss_fail_at(error, LOSS_INVALID, "/ignore_index",
                            "ignore_index is %" PRId64 "; with class probabilities, it must be "
                            "negative or null",
                            ignored);
    return LOSS_OK;
}

static const struct loss_example example = {
    .tensors = {[INPUT] = {2, {3, 3}, NUMBERS(0.2, 1.5, -0.3, 2, 0.1, 0.4, 0.5, 0.5, 0.5)},
                [TARGET] = {1, {3}, NUMBERS(1, 0, -1)},
                [WEIGHT] = {1, {3}, NUMBERS(1, 2, 1)}},
    .params = {[IGNORE_INDEX] = {true, {-1, -1}}, [LABEL_SMOOTHING] = {true, {0.1, 0}}},
};

const struct loss_descriptor loss_cross_entropy = {
    .name = "cross_entropy",
    .aliases = {"CrossEntropyLoss"},
    .title = "Cross entropy",
    .doc =
        "Negative log likelihood of the correct class, given the logits of all classes; the usual "
        "loss for classification. The target contains class indices, or, if it has the input's "
        "shape, a probability for each class.",
    .formula =
        "z = log_softmax(x); l = -(1 - s) w_y z_y - s/C sum_c w_c z_c with class indices, s "
        "= label_smoothing, 0 where y = "
        "ignore_index; l = -sum_c w_c (p_c (1 - s) + s/C) z_c with probabilities p. mean divides "
        "by the sum of the w_y that are not ignored; with probabilities, by the number of terms",
    .reductions = MEAN_SUM_NONE,
    .hessian = true,
    .tensors =
        {
            [INPUT] = {"input", "logits", "(C), (N, C) or (N, C, d1, ...)", LOSS_REAL,
                       .prediction = true, .differentiable = true},
            [TARGET] = {"target", "class indices, or class probabilities",
                        "(), (N) or (N, d1, ...) for indices; the input's shape for probabilities",
                        LOSS_CLASSES, .differentiable = true},
            [WEIGHT] = {"weight", "a weight for each class", "(C)", LOSS_REAL, .optional = true},
        },
    .params =
        {
            [IGNORE_INDEX] = {"ignore_index",
                              "class index that is ignored; null: none",
                              LOSS_INTEGER,
                              {-100, -100},
                              .nullable = true},
            [LABEL_SMOOTHING] = {"label_smoothing",
                                 "share of the target that is spread evenly over all classes",
                                 LOSS_NUMBER, .has_min = true, .has_max = true, .max = 1},
        },
    .example = &example,
    .method =
        &(const struct loss_method){
            .cost_of = cost_of,
            .shape = shape,
            .kernel_f64 = cross_entropy_kernel,
            .kernel_f32 = cross_entropy_kernel,
            .scratch = scratch,
            .term_weights = loss_class_term_weights,
            .term_weight_operands = 1u << TARGET | 1u << WEIGHT,
            .is_ignored = loss_label_is_ignored,
            .checked_tensor = TARGET,
            .expected = loss_expect_classes,
        },
};
