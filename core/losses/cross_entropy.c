/* Cross entropy of logits. PyTorch: torch.nn.CrossEntropyLoss; aten/src/ATen/native/LossNLL.cpp, cross_entropy_loss. */
#include "classes.h"
#include "sum.h"

#include <inttypes.h>

enum { LABEL_SMOOTHING = IGNORE_INDEX + 1 };

/*
 * With q = softmax(x), z = log q and s = label_smoothing, every form of the loss is
 *     l = -sum_c k_c z_c,    dl/dx_c = q_c K - k_c,    K = sum_c k_c
 * for coefficients k: with class indices k_c = (1 - s) w_y [c = y] + (s / C) w_c, with probabilities k_c = w_c (p_c (1 - s) + s
 * / C).
 *
 * q is taken relative to its largest class m: q_m = 1 / (1 + rest), q_c = e_c / (1 + rest), e_c = exp(x_c - x_m) and rest the
 * sum of the e_c without m. So log q_m = -log1p(rest) and 1 - q_m = rest / (1 + rest) keep all their digits when the prediction
 * is nearly certain, which is where training spends its time. For m, q_m K - k_m is therefore computed as q_m (K - k_m) - k_m
 * (1 - q_m), with K - k_m summed without m.
 */
struct row {
    const real *x;
    size_t classes, largest;
    real top, rest, log_sum; /* x of `largest`; sum of the e_c other than that of it; log1p of that */
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

/* Leaves the e_c in `e`, to the precision of float32 if they are `near`. If the largest is infinite, or a number is NaN, so is
   the whole row, as in PyTorch. */
static struct row softmax(const real *x, size_t classes, real *e, bool near)
{
    struct row r = {.x = x, .classes = classes, .top = largest_of(x, classes)};
    const real top = r.top;
    if (near)
        for (size_t c = 0; c < classes; c++)
            e[c] = math_exp_near(x[c] - top);
    else
        for (size_t c = 0; c < classes; c++)
            e[c] = exp(x[c] - top);
    r.largest = place_of(top, x, classes);
    if (r.largest == classes) /* the first is NaN */
        r.largest = 0;
    const real own = e[r.largest];
    e[r.largest] = own - 1; /* 0, or NaN */
    r.rest = sum_alike(e, classes);
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
    for (size_t c = 0; c < r->classes; c++)
        sum_add(&sum, coefficient(k, c) * log_softmax(r, c));
    return -sum_value(&sum);
}

/* dl/dx_c = q_c K - k_c, which is q_c K for all classes but one or two. */
static void gradient_of_one_class(const struct row *r, const struct coefficients *k, const real *e, struct derivative_row grad,
                                  real scale)
{
    const real own = coefficient(k, k->label), factor = own / (1 + r->rest) * scale;
    for (size_t c = 0; grad.wide && c < r->classes; c++)
        grad.wide[c] = e[c] * factor;
    for (size_t c = 0; grad.narrow && c < r->classes; c++)
        grad.narrow[c] = (float)(e[c] * factor);
    set_element(grad, k->label, k->label == r->largest ? -r->rest * factor : (e[k->label] / (1 + r->rest) * own - own) * scale);
}

static void gradient_of_all(const struct row *r, const struct coefficients *k, const real *e, struct derivative_row grad,
                            real scale)
{
    struct sum others = {0};
    for (size_t c = 0; c < r->classes; c++)
        sum_add(&others, c == r->largest ? 0 : coefficient(k, c));
    const real all = 1 + r->rest, apart = sum_value(&others), total = apart + coefficient(k, r->largest);
    for (size_t c = 0; c < r->classes; c++)
        set_element(grad, c, (e[c] / all * total - coefficient(k, c)) * scale);
    set_element(grad, r->largest, (apart - coefficient(k, r->largest) * r->rest) / all * scale);
}

/* d2l/dx_c2 = K q_c (1 - q_c) */
static void second_derivative(const struct row *r, const struct coefficients *k, const real *e, struct derivative_row hess,
                              real scale)
{
    struct sum total = {0};
    for (size_t c = 0; c < r->classes; c++)
        sum_add(&total, coefficient(k, c));
    const real all = 1 + r->rest, factor = sum_value(&total) * scale;
    for (size_t c = 0; c < r->classes; c++)
        set_element(hess, c, e[c] / all * (c == r->largest ? r->rest / all : 1 - e[c] / all) * factor);
}

static void target_gradient(const struct row *r, const struct coefficients *k, struct derivative_row grad, real scale)
{
    for (size_t c = 0; c < r->classes; c++)
        set_element(grad, c, -k->keep * (k->weight ? k->weight[c] : 1) * log_softmax(r, c) * scale);
}

/* ---- rows of few classes ---------------------------------------------------------------------------------------------- */

enum { FEW = 32 };

/* What the rows of a block are worked on with: `x`, later the gradient, and `e` class by class; the others one for each row. */
struct rows {
    size_t n, classes;
    real *x, *e, *top, *rest, *factor;
};
enum { ROWS_ARRAYS = 3 };

static struct rows rows_of(const struct loss_block *b)
{
    real *const at = b->scratch, *const more = at + 2 * LOSS_CHUNK;
    const size_t n = b->n;
    return (struct rows){n, b->len[INPUT], at, at + LOSS_CHUNK, more, more + n, more + 2 * n};
}

/* Turns the rows around. */
static void take_rows(const struct loss_block *b, const struct rows *r)
{
    const size_t row = b->row[INPUT];
    for (size_t i = 0; b->in[INPUT] && i < r->n; i++)
        for (size_t c = 0; c < r->classes; c++)
            r->x[c * r->n + i] = b->in[INPUT][i * row + c];
    for (size_t i = 0; b->in32[INPUT] && i < r->n; i++)
        for (size_t c = 0; c < r->classes; c++)
            r->x[c * r->n + i] = b->in32[INPUT][i * row + c];
}

/* The e_c of one class in all rows; adds what counts as others to `rest`, where the largest is not told apart yet: of those
   that are 1, all count. */
static inline __attribute__((always_inline)) void add_class(const struct rows *r, size_t c, bool near)
{
    const real *const x = r->x + c * r->n, *const top = r->top;
    real *const e = r->e + c * r->n, *const rest = r->rest, *const ones = r->factor;
#pragma GCC ivdep
    for (size_t i = 0; i < r->n; i++) {
        const real each = near ? math_exp_near(x[i] - top[i]) : exp(x[i] - top[i]);
        e[i] = each;
        rest[i] += each == 1 ? 0 : each;
        ones[i] += each == 1 ? 1 : 0;
    }
}

/* softmax() of all rows at once. */
static void softmax_of_rows(const struct rows *r, bool near)
{
    const size_t n = r->n;
    memcpy(r->top, r->x, n * sizeof *r->top);
    for (size_t c = 1; c < r->classes; c++)
#pragma GCC ivdep
        for (size_t i = 0; i < n; i++)
            r->top[i] = r->x[c * n + i] > r->top[i] ? r->x[c * n + i] : r->top[i];
    for (size_t i = 0; i < n; i++)
        r->rest[i] = r->factor[i] = 0;
    for (size_t c = 0; c < r->classes; c++)
        if (near)
            add_class(r, c, true);
        else
            add_class(r, c, false);
    for (size_t i = 0; i < n; i++)
        r->rest[i] += r->factor[i] - 1;
}

/* The terms, and in `factor` the weights of the labels, 0 where a label does not count. */
static void terms_of_rows(struct loss_block *b, const struct rows *r)
{
#pragma GCC ivdep
    for (size_t i = 0; i < r->n; i++)
        b->term[i] = log1p(r->rest[i]);
    for (size_t i = 0; i < r->n; i++) {
        size_t label;
        const bool counts = class_label(b, i, r->classes, &label);
        r->factor[i] = counts ? class_weight(b, label) : 0;
        b->term[i] = counts ? ((r->top[i] - r->x[label * r->n + i]) + b->term[i]) * r->factor[i] : 0;
    }
}

/* gradient_of_one_class() of all rows at once. */
static void gradient_of_rows(struct loss_block *b, const struct rows *r)
{
    const size_t n = r->n, classes = r->classes;
    const size_t ignored = b->ignored; /* they have been counted */
    for (size_t i = 0; i < n; i++)
        r->top[i] = r->factor[i] / (1 + r->rest[i]) * b->scale[i];
    for (size_t c = 0; c < classes; c++)
#pragma GCC ivdep
        for (size_t i = 0; i < n; i++)
            r->x[c * n + i] = r->e[c * n + i] * r->top[i];
    for (size_t i = 0; i < n; i++) {
        size_t label;
        const struct derivative_row grad = gradient_row(b, INPUT, i);
        if (!class_label(b, i, classes, &label)) {
            zero_row(grad, classes);
            continue;
        }
        const real e = r->e[label * n + i], own = r->factor[i];
        r->x[label * n + i] = e == 1 ? -r->rest[i] * r->top[i] : (e / (1 + r->rest[i]) * own - own) * b->scale[i];
        for (size_t c = 0; grad.wide && c < classes; c++)
            grad.wide[c] = r->x[c * n + i];
        for (size_t c = 0; grad.narrow && c < classes; c++)
            grad.narrow[c] = (float)r->x[c * n + i];
    }
    b->ignored = ignored;
}

/* Class indices without smoothing, as is usual, and no more than the gradient of the input. */
static bool is_for_rows(const struct loss_block *b)
{
    return b->len[INPUT] > 0 && b->len[INPUT] <= FEW && b->index[TARGET] && b->number[LABEL_SMOOTHING] == 0 &&
           !is_asked_for(hessian_row(b, INPUT, 0));
}

static void few_classes(struct loss_block *b, bool near)
{
    const struct rows rows = rows_of(b);
    take_rows(b, &rows);
    softmax_of_rows(&rows, near);
    terms_of_rows(b, &rows);
    if (is_asked_for(gradient_row(b, INPUT, 0)))
        gradient_of_rows(b, &rows);
}

/* ---- the kernel ----------------------------------------------------------------------------------------------------- */

/* Row i of an operand in double precision: where it stands, or copied into `to`. NULL where it was left out. */
static const real *wide_row(const struct loss_block *b, int k, size_t i, real *to)
{
    const size_t at = i * b->row[k];
    if (b->in[k] || !b->in32[k])
        return b->in[k] ? b->in[k] + at : NULL;
    for (size_t c = 0; c < b->len[k]; c++)
        to[c] = b->in32[k][at + c];
    return to;
}

/* Everything about row i but its term; the e_c are in `e`. */
static void derivatives(struct loss_block *b, size_t i, const struct row *r, const struct coefficients *k, const real *e)
{
    const struct derivative_row grad = gradient_row(b, INPUT, i), target = gradient_row(b, TARGET, i),
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
    /* Nothing is subtracted from a class's share of the loss but, with class indices, what is known exactly. */
    const bool near = b->plan->dtype == LOSS_FLOAT32 && b->index[TARGET] && smoothing == 0;
    if (is_for_rows(b)) {
        few_classes(b, near);
        return;
    }
    real *const e = b->scratch, *const x = e + classes, *const p = x + classes, *const w = p + classes;
    struct coefficients k = {.weight = wide_row(b, WEIGHT, 0, w), .keep = 1 - smoothing, .spread = smoothing / (real)classes};
    for (size_t i = 0; i < b->n; i++) {
        b->term[i] = 0;
        k.probability = b->index[TARGET] ? NULL : wide_row(b, TARGET, i, p);
        if (!k.probability && !class_label(b, i, classes, &k.label)) {
            zero_row(gradient_row(b, INPUT, i), classes);
            zero_row(hessian_row(b, INPUT, i), classes);
            continue;
        }
        if (classes == 0) /* nothing to be wrong about */
            continue;
        const struct row r = softmax(wide_row(b, INPUT, i, x), classes, e, near);
        b->term[i] = term(&r, &k);
        derivatives(b, i, &r, &k, e);
    }
}

/* The e_c of a row and copies of its operands, or what rows of few classes need. */
static size_t scratch(const struct loss_plan *plan)
{
    const size_t classes = plan->tensor[INPUT].shape[plan->tensor[INPUT].rank > 1];
    return classes <= FEW ? (2 + ROWS_ARRAYS) * LOSS_CHUNK : 4 * classes;
}

static enum loss_status shape(struct loss_plan *plan, struct loss_error *error)
{
    const int64_t ignored = plan->param[IGNORE_INDEX].integer;
    if (loss_shape_classes(plan, error) != LOSS_OK)
        return error->status;
    if (!plan->indexed[TARGET] && ignored >= 0)
        return loss_fail_at(error, LOSS_INVALID, "/ignore_index",
                            "ignore_index is %" PRId64 "; it does not apply to class probabilities", ignored);
    return LOSS_OK;
}

const struct loss_descriptor loss_cross_entropy = {
    .name = "cross_entropy",
    .aliases = {"CrossEntropyLoss"},
    .title = "Cross entropy",
    .doc = "Negative log likelihood of the right class, given the logits of all; the usual loss of classification. The target "
           "holds class indices, or, where it has the input's shape, a probability for every class.",
    .formula =
        "z = log_softmax(x); l = -(1 - s) w_y z_y - s/C sum_c w_c z_c with class indices, s = label_smoothing, 0 where y = "
        "ignore_index; l = -sum_c w_c (p_c (1 - s) + s/C) z_c with probabilities p. mean divides by the sum of the w_y that "
        "count; with probabilities by the number of terms",
    .reductions = MEAN_SUM_NONE,
    .hessian = true,
    .tensors =
        {
            [INPUT] = {"input", "logits", "(C), (N, C) or (N, C, d1, ...)", LOSS_REAL, .prediction = true,
                       .differentiable = true},
            [TARGET] = {"target", "class indices, or class probabilities",
                        "(), (N) or (N, d1, ...) for indices; the input's shape for probabilities", LOSS_CLASSES,
                        .differentiable = true},
            [WEIGHT] = {"weight", "a weight for each class", "(C)", LOSS_REAL, .optional = true},
        },
    .params =
        {
            [IGNORE_INDEX] = {"ignore_index", "a class index that does not count", LOSS_INTEGER, {-100, -100}},
            [LABEL_SMOOTHING] = {"label_smoothing", "share of the target that is spread over all classes", LOSS_NUMBER,
                                 .has_min = true, .has_max = true, .max = 1},
        },
    .method =
        &(const struct loss_method){
            .shape = shape,
            .kernel = cross_entropy_kernel,
            .single = cross_entropy_kernel,
            .scratch = scratch,
            .weigh = loss_weigh_classes,
            .weigh_operands = 1u << TARGET | 1u << WEIGHT,
            .checked = TARGET,
            .expected = loss_expect_classes,
        },
};
