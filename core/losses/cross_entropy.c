/* Cross entropy of logits. PyTorch: torch.nn.CrossEntropyLoss; aten/src/ATen/native/LossNLL.cpp,
 * cross_entropy_loss. */
#include "kernel/class_rows.h"
#include "kernel/compensated_sum.h"

#include <inttypes.h>

enum { LABEL_SMOOTHING = IGNORE_INDEX + 1 };

/*
 * With q = softmax(x), z = log q and s = label_smoothing, every form of the loss is
 *     l = -sum_c k_c z_c,    dl/dx_c = q_c K - k_c,    K = sum_c k_c
 * for coefficients k: with class indices k_c = (1 - s) w_y [c = y] + (s / C) w_c, with
 * probabilities k_c = w_c (p_c (1 - s) + s / C).
 *
 * q is taken relative to its largest class m: q_m = 1 / (1 + rest), q_c = e_c / (1 + rest), e_c =
 * exp(x_c - x_m) and rest the sum of the e_c without m. So log q_m = -log1p(rest) and 1 - q_m =
 * rest / (1 + rest) keep all their digits when the prediction is nearly certain, which is where
 * training spends its time. For m, q_m K - k_m is therefore computed as q_m (K - k_m) - k_m (1 -
 * q_m), with K - k_m summed without m.
 */
struct row {
    const real *x;
    size_t classes, largest;
    const struct loss_control *cancel;
    real top, rest,
        log_sum; /* x of `largest`; sum of the e_c other than that of it; log1p of that */
};

struct coefficients {
    const real *probability; /* p, or NULL where the target is a class index */
    size_t label;            /* else that */
    const real *weight;      /* w, or NULL for ones */
    real keep, spread;       /* 1 - s, s / C */
};

static real coefficient(const struct coefficients *k, size_t c)
{
    const real w = k->weight ? k->weight[c] : 1;
    const real p = k->probability ? k->probability[c] : (real)(c == k->label);
    return w * (p * k->keep + k->spread);
}

/* Whether the target selects one class, and the others, be they impossible, have no say. */
static bool is_one_class(const struct coefficients *k)
{
    return !k->probability && k->spread == 0;
}

/* Leaves the e_c in `e`. If the largest is infinite, or a number is NaN, so is the whole row, as in
 * PyTorch. */
static struct row softmax(const real *x, size_t classes, real *e, const struct loss_control *cancel)
{
    struct row r = {
        .x = x, .classes = classes, .cancel = cancel, .top = largest_of(x, classes, cancel)};
    const real top = r.top;
    for (struct stretch s = {0}; stretch_next(&s, classes, cancel);)
        for (size_t c = s.first; c < s.end; c++)
            e[c] = exp(x[c] - top);
    r.largest = place_of(top, x, classes, cancel);
    if (r.largest == classes) /* the first is NaN */
        r.largest = 0;
    const real own = e[r.largest];
    e[r.largest] = own - 1; /* 0, or NaN */
    r.rest = sum_alike(e, classes, cancel);
    e[r.largest] = own;
    r.log_sum = log1p(r.rest);
    return r;
}

static real log_softmax(const struct row *r, size_t c)
{
    return (r->x[c] - r->top) - r->log_sum;
}

static real term(const struct row *r, const struct coefficients *k)
{
    if (is_one_class(k))
        return -coefficient(k, k->label) * log_softmax(r, k->label);
    struct sum sum = {0};
    for (struct stretch s = {0}; stretch_next(&s, r->classes, r->cancel);)
        for (size_t c = s.first; c < s.end; c++)
            sum_add(&sum, coefficient(k, c) * log_softmax(r, c));
    return -sum_value(&sum);
}

/* dl/dx_c = q_c K - k_c, which is q_c K for all classes but one or two. */
static void gradient_of_one_class(const struct row *r, const struct coefficients *k, const real *e,
                                  struct derivative_row grad, real scale)
{
    const real own = coefficient(k, k->label), factor = own / (1 + r->rest) * scale;
    for (struct stretch s = {0}; stretch_next(&s, r->classes, r->cancel);) {
        for (size_t c = s.first; grad.wide && c < s.end; c++)
            grad.wide[c] = e[c] * factor;
        for (size_t c = s.first; grad.narrow && c < s.end; c++)
            grad.narrow[c] = (float)(e[c] * factor);
    }
    set_element(grad, k->label,
                k->label == r->largest ? -r->rest * factor
                                       : (e[k->label] / (1 + r->rest) * own - own) * scale);
}

static void gradient_of_all(const struct row *r, const struct coefficients *k, const real *e,
                            struct derivative_row grad, real scale)
{
    struct sum others = {0};
    for (struct stretch s = {0}; stretch_next(&s, r->classes, r->cancel);)
        for (size_t c = s.first; c < s.end; c++)
            sum_add(&others, c == r->largest ? 0 : coefficient(k, c));
    const real all = 1 + r->rest, apart = sum_value(&others),
               total = apart + coefficient(k, r->largest);
    for (struct stretch s = {0}; stretch_next(&s, r->classes, r->cancel);)
        for (size_t c = s.first; c < s.end; c++)
            set_element(grad, c, (e[c] / all * total - coefficient(k, c)) * scale);
    set_element(grad, r->largest, (apart - coefficient(k, r->largest) * r->rest) / all * scale);
}

/* d2l/dx_c2 = K q_c (1 - q_c) */
static void second_derivative(const struct row *r, const struct coefficients *k, const real *e,
                              struct derivative_row hess, real scale)
{
    struct sum total = {0};
    for (struct stretch s = {0}; stretch_next(&s, r->classes, r->cancel);)
        for (size_t c = s.first; c < s.end; c++)
            sum_add(&total, coefficient(k, c));
    const real all = 1 + r->rest, factor = sum_value(&total) * scale;
    for (struct stretch s = {0}; stretch_next(&s, r->classes, r->cancel);)
        for (size_t c = s.first; c < s.end; c++)
            set_element(hess, c,
                        e[c] / all * (c == r->largest ? r->rest / all : 1 - e[c] / all) * factor);
}

static void target_gradient(const struct row *r, const struct coefficients *k,
                            struct derivative_row grad, real scale)
{
    for (struct stretch s = {0}; stretch_next(&s, r->classes, r->cancel);)
        for (size_t c = s.first; c < s.end; c++)
            set_element(grad, c,
                        -k->keep * (k->weight ? k->weight[c] : 1) * log_softmax(r, c) * scale);
}

/* ---- rows of few classes ---- */

/* Columns are padded, so that vectors have no remainders; a plane is all of them. */
enum { FEW = 32, FEW_PAD = 16, FEW_PLANE = LOSS_CHUNK + FEW * FEW_PAD };

/* Where the e_c were all added to 1 + rest and rest is less than this, it was drowned in the 1. */
#define REST_IS_DROWNED 0x1p-16

#define number                  double
#define few(name)               few_wide_##name
#define few_exp(x, top)         exp((x) - (top))
#define few_is_deep(least, top) false
#include "kernel/cross_entropy_small.h"
#undef number
#undef few
#undef few_exp
#undef few_is_deep

#define number                  float
#define few(name)               few_narrow_##name
#define few_exp(x, top)         math_exp_difference(x, top)
#define few_is_deep(least, top) (!((least) - (top) >= MATH_SINGLE_DEEPEST))
#include "kernel/cross_entropy_small.h"
#undef number
#undef few
#undef few_exp
#undef few_is_deep

/* ---- rows of many classes, in float32 ---- */

/* What rest is when all e_c were added to 1 + rest: where that drowned it, the e_c are added again.
 */
static real rest_of(real sum, const float *e, size_t classes, const struct loss_control *cancel)
{
    real rest = -1; /* one of those that are 1 is the largest */
    if (!(sum - 1 < REST_IS_DROWNED))
        return sum - 1;
    for (int ones = 1; ones >= 0; ones--)
        for (struct stretch s = {0}; stretch_next(&s, classes, cancel);)
            for (size_t c = s.first; c < s.end; c++)
                rest += (e[c] == 1) == ones ? e[c] : 0;
    return rest;
}

/* Numbers [c, c + n) of a row, n <= SUM_LANES: their e_c, which are added to the lanes. */
static inline __attribute__((always_inline)) void add_some(const float *x, float top, float *e,
                                                           size_t n, struct sum_lanes *sum)
{
    real each[SUM_LANES] = {0};
#pragma GCC ivdep
#pragma GCC unroll 1
    for (size_t k = 0; k < n; k++)
        each[k] = e[k] = math_exp_difference(x[k], top);
    sum_add_lanes(sum, each);
}

/* softmax() in float32: leaves the e_c in `e`. Returns the sum of all but the largest. */
static real softmax_narrow(const float *x, float top, size_t classes, float *e,
                           const struct loss_control *cancel)
{
    struct sum_lanes sum = {0};
    for (struct stretch s = {0}; stretch_next(&s, classes, cancel);) {
        size_t c = s.first;
        for (; c + SUM_LANES <= s.end; c += SUM_LANES)
            add_some(x + c, top, e + c, SUM_LANES, &sum);
        add_some(x + c, top, e + c, s.end - c, &sum);
    }
    return rest_of(sum_up(&sum), e, classes, cancel);
}

/* Row i with the class index `label`; false if it wants more than float32. Nothing is subtracted
   from a class's share of the loss but, for the label, what is known exactly. */
static bool narrow_row(struct loss_block *b, size_t i, size_t label)
{
    const size_t classes = b->len[INPUT];
    const float *const x = b->in32[INPUT] + i * b->row[INPUT];
    float *const grad = gradient_row(b, INPUT, i).narrow, *const e =
                                                              grad ? grad
                                                                   : (float *)(void *)b->scratch;
    const struct range range = range_of(x, classes, b->cancel);
    if (!(range.least - range.largest >= MATH_SINGLE_DEEPEST))
        return false;
    const float top = range.largest;
    const real own = class_weight(b, label), rest = softmax_narrow(x, top, classes, e, b->cancel);
    b->term[i] = (((real)top - x[label]) + log1p(rest)) * own;
    if (!grad)
        return true;
    const real of_label =
        e[label] == 1 ? -rest / (1 + rest) * own : e[label] / (1 + rest) * own - own;
    const float factor = (float)(own / (1 + rest) * b->scale[i]);
    for (struct stretch s = {0}; stretch_next(&s, classes, b->cancel);)
        for (size_t c = s.first; c < s.end; c++)
            grad[c] *= factor;
    grad[label] = (float)(of_label * b->scale[i]);
    return true;
}

/* Class indices without smoothing, as is usual, and no more than the gradient of the input. */
static bool is_usual(const struct loss_block *b)
{
    return b->len[INPUT] > 0 && b->index[TARGET] && b->number[LABEL_SMOOTHING] == 0 &&
           !is_asked_for(hessian_row(b, INPUT, 0));
}

/* ---- the kernel ---- */

/* Row i of an operand in double precision: where it stands, or copied into `to`. NULL where it was
 * left out. */
static const real *wide_row(const struct loss_block *b, int k, size_t i, real *to)
{
    const size_t at = i * b->row[k];
    if (b->in[k] || !b->in32[k])
        return b->in[k] ? b->in[k] + at : NULL;
    for (struct stretch s = {0}; stretch_next(&s, b->len[k], b->cancel);)
        for (size_t c = s.first; c < s.end; c++)
            to[c] = b->in32[k][at + c];
    return to;
}

/* Everything about row i but its term; the e_c are in `e`. */
static void derivatives(struct loss_block *b, size_t i, const struct row *r,
                        const struct coefficients *k, const real *e)
{
    const struct derivative_row grad = gradient_row(b, INPUT, i),
                                target = gradient_row(b, TARGET, i),
                                hess = hessian_row(b, INPUT, i);
    if (is_asked_for(grad))
        (is_one_class(k) ? gradient_of_one_class : gradient_of_all)(r, k, e, grad, b->scale[i]);
    if (is_asked_for(hess))
        second_derivative(r, k, e, hess, b->scale[i]);
    if (is_asked_for(target))
        target_gradient(r, k, target, b->scale[i]);
}

static void cross_entropy_kernel(struct loss_block *b)
{
    const size_t classes = b->len[INPUT];
    const real smoothing = b->number[LABEL_SMOOTHING];
    const bool usual = is_usual(b), narrow = usual && b->in32[INPUT];
    if (usual && classes <= FEW && ((narrow && few_narrow_classes(b)) || few_wide_classes(b)))
        return;

    real *const e = b->scratch, *const x = e + classes, *const p = x + classes,
                *const w = p + classes;
    struct coefficients k = {.weight = wide_row(b, WEIGHT, 0, w),
                             .keep = 1 - smoothing,
                             .spread = smoothing / (real)classes};
    for (size_t i = 0; i < b->n; i++) {
        b->term[i] = 0;
        k.probability = b->index[TARGET] ? NULL : wide_row(b, TARGET, i, p);
        if (!k.probability && !class_label(b, i, classes, &k.label)) {
            zero_row(gradient_row(b, INPUT, i), classes, b->cancel);
            zero_row(hessian_row(b, INPUT, i), classes, b->cancel);
            continue;
        }
        if (classes == 0) /* nothing to be wrong about */
            continue;
        if (narrow && narrow_row(b, i, k.label))
            continue;
        const struct row r = softmax(wide_row(b, INPUT, i, x), classes, e, b->cancel);
        b->term[i] = term(&r, &k);
        derivatives(b, i, &r, &k, e);
    }
}

/* The e_c of a row and copies of its operands, or what rows of few classes need. */
static size_t scratch(const struct loss_plan *plan)
{
    const size_t classes = plan->tensor[INPUT].shape[plan->tensor[INPUT].rank > 1];
    return classes <= FEW ? 6 * FEW_PLANE : 4 * classes;
}

/* Rows of few classes are worked on side by side, those of many one by one; all classes have a say
   with smoothing, with probabilities and in the Hessian. */
static struct loss_cost cost_of(const struct loss_plan *plan)
{
    if (!plan->indexed[TARGET] || plan->param[LABEL_SMOOTHING].number != 0 || plan->hess_mask != 0)
        return (struct loss_cost){150, 4.5, 6, 7};
    return (struct loss_cost){
        plan->tensor[INPUT].shape[plan->tensor[INPUT].rank > 1] <= FEW ? 8 : 120, 1.6, 2, 4};
}

static enum loss_status shape(struct loss_plan *plan, struct loss_error *error)
{
    const int64_t ignored = plan->param[IGNORE_INDEX].integer;
    if (loss_shape_classes(plan, error) != LOSS_OK)
        return error->status;
    if (!plan->indexed[TARGET] && ignored >= 0)
        return loss_fail_at(error, LOSS_INVALID, "/ignore_index",
                            "ignore_index is %" PRId64 "; it does not apply to class probabilities",
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
        "Negative log likelihood of the right class, given the logits of all; the usual loss of "
        "classification. The target "
        "holds class indices, or, where it has the input's shape, a probability for every class.",
    .formula = "z = log_softmax(x); l = -(1 - s) w_y z_y - s/C sum_c w_c z_c with class indices, s "
               "= label_smoothing, 0 where y = "
               "ignore_index; l = -sum_c w_c (p_c (1 - s) + s/C) z_c with probabilities p. mean "
               "divides by the sum of the w_y that "
               "count; with probabilities by the number of terms",
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
                              "a class index that does not count; null: all count",
                              LOSS_INTEGER,
                              {-100, -100},
                              .nullable = true},
            [LABEL_SMOOTHING] = {"label_smoothing",
                                 "share of the target that is spread over all classes", LOSS_NUMBER,
                                 .has_min = true, .has_max = true, .max = 1},
        },
    .example = &example,
    .method =
        &(const struct loss_method){
            .cost_of = cost_of,
            .shape = shape,
            .kernel = cross_entropy_kernel,
            .single = cross_entropy_kernel,
            .scratch = scratch,
            .weigh = loss_weigh_classes,
            .weigh_operands = 1u << TARGET | 1u << WEIGHT,
            .ignores = loss_ignores_label,
            .checked = TARGET,
            .expected = loss_expect_classes,
        },
};
