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

/* Leaves the e_c in `e`. If the largest is infinite, or a number is NaN, so is the whole row, as in PyTorch. */
static struct row softmax(const real *x, size_t classes, real *e)
{
    struct row r = {.x = x, .classes = classes, .top = largest_of(x, classes)};
    const real top = r.top;
#pragma GCC ivdep
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

/* dl/dx_c = q_c K - k_c, which is q_c K for all classes but one or two. `grad` may be e. */
static void gradient_of_one_class(const struct row *r, const struct coefficients *k, const real *e, real *grad, real scale)
{
    const real own = coefficient(k, k->label), factor = own / (1 + r->rest) * scale, label = e[k->label];
    for (size_t c = 0; c < r->classes; c++)
        grad[c] = e[c] * factor;
    grad[k->label] = k->label == r->largest ? -r->rest * factor : (label / (1 + r->rest) * own - own) * scale;
}

static void gradient(const struct row *r, const struct coefficients *k, const real *e, real *grad, real scale)
{
    struct sum others = {0};
    for (size_t c = 0; c < r->classes; c++)
        sum_add(&others, c == r->largest ? 0 : coefficient(k, c));
    const real all = 1 + r->rest, apart = sum_value(&others), total = apart + coefficient(k, r->largest);
    const real own = (apart - coefficient(k, r->largest) * r->rest) / all * scale;
    for (size_t c = 0; c < r->classes; c++)
        grad[c] = (e[c] / all * total - coefficient(k, c)) * scale;
    grad[r->largest] = own;
}

/* d2l/dx_c2 = K q_c (1 - q_c) */
static void second_derivative(const struct row *r, const struct coefficients *k, const real *e, real *hess, real scale)
{
    struct sum total = {0};
    for (size_t c = 0; c < r->classes; c++)
        sum_add(&total, coefficient(k, c));
    const real all = 1 + r->rest, factor = sum_value(&total) * scale;
    for (size_t c = 0; c < r->classes; c++)
        hess[c] = e[c] / all * (c == r->largest ? r->rest / all : 1 - e[c] / all) * factor;
}

static void target_gradient(const struct row *r, const struct coefficients *k, real *grad, real scale)
{
    for (size_t c = 0; c < r->classes; c++)
        grad[c] = -k->keep * (k->weight ? k->weight[c] : 1) * log_softmax(r, c) * scale;
}

static real *row_of(real *rows, size_t i, size_t classes)
{
    return rows ? rows + i * classes : NULL;
}

static void zero_row(real *row, size_t classes)
{
    if (row)
        memset(row, 0, classes * sizeof *row);
}

/* ---- rows of few classes ---------------------------------------------------------------------------------------------- */

enum { FEW = 32 };

/* What the rows of a block are worked on with, an array over the rows each; `e` and `x` one for each class. */
struct rows {
    size_t n, classes;
    real *x, *e, *top, *rest, *ones, *label, *weight;
};
enum { ROWS_ARRAYS = 5 };

static struct rows rows_of(const struct loss_block *b, size_t classes)
{
    real *const at = b->scratch, *const more = at + 2 * LOSS_CHUNK;
    const size_t n = b->n;
    return (struct rows){n, classes, at, at + LOSS_CHUNK, more, more + n, more + 2 * n, more + 3 * n, more + 4 * n};
}

/* Turns the rows around: classes by rows. */
static void turn(const struct rows *r, const real *input, size_t row)
{
    for (size_t c = 0; c < r->classes; c++)
        for (size_t i = 0; i < r->n; i++)
            r->x[c * r->n + i] = input[i * row + c];
}

/* softmax() of all rows at once. */
static void softmax_of_rows(const struct rows *r)
{
    const size_t n = r->n;
    memcpy(r->top, r->x, n * sizeof *r->top);
    for (size_t c = 1; c < r->classes; c++)
        for (size_t i = 0; i < n; i++)
            r->top[i] = r->x[c * n + i] > r->top[i] ? r->x[c * n + i] : r->top[i];
    for (size_t i = 0; i < n; i++)
        r->rest[i] = r->ones[i] = 0;
    for (size_t c = 0; c < r->classes; c++)
#pragma GCC ivdep
        for (size_t i = 0; i < n; i++) {
            const real e = exp(r->x[c * n + i] - r->top[i]);
            r->e[c * n + i] = e;
            r->rest[i] += e == 1 ? 0 : e;
            r->ones[i] += e == 1 ? 1 : 0;
        }
    for (size_t i = 0; i < n; i++)
        r->rest[i] += r->ones[i] - 1; /* the largest is the one that does not count */
}

/* The terms of labels that count; others have label -1 and weight 0. */
static void terms_of_rows(struct loss_block *b, const struct rows *r)
{
    for (size_t i = 0; i < r->n; i++) {
        size_t label;
        const bool counts = class_label(b, i, r->classes, &label);
        r->label[i] = counts ? (real)label : -1;
        r->weight[i] = counts ? class_weight(b, label) : 0;
        b->term[i] = counts ? r->top[i] - r->x[label * r->n + i] : 0;
    }
    for (size_t i = 0; i < r->n; i++)
        b->term[i] = r->label[i] < 0 ? 0 : (b->term[i] + log1p(r->rest[i])) * r->weight[i];
}

/* gradient_of_one_class() of all rows at once. */
static void gradient_of_rows(const struct loss_block *b, const struct rows *r, real *grad)
{
    const size_t n = r->n;
    for (size_t c = 0; c < r->classes; c++)
        for (size_t i = 0; i < n; i++) {
            const real e = r->e[c * n + i], own = r->weight[i], factor = own / (1 + r->rest[i]) * b->scale[i];
            const real label = e == 1 ? -r->rest[i] * factor : (e / (1 + r->rest[i]) * own - own) * b->scale[i];
            r->x[c * n + i] = r->label[i] < 0 ? 0 : r->label[i] == (real)c ? label : e * factor;
        }
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < r->classes; c++)
            grad[i * r->classes + c] = r->x[c * n + i];
}

/* Class indices without smoothing, as is usual, and no more than the gradient of the input. */
static bool is_for_rows(const struct loss_block *b, size_t classes)
{
    return classes > 0 && classes <= FEW && b->index[TARGET] && b->number[LABEL_SMOOTHING] == 0 && !b->hess[INPUT];
}

static void few_classes(struct loss_block *b, size_t classes)
{
    const struct rows rows = rows_of(b, classes);
    turn(&rows, b->in[INPUT], b->row[INPUT]);
    softmax_of_rows(&rows);
    terms_of_rows(b, &rows);
    if (b->grad[INPUT])
        gradient_of_rows(b, &rows, b->grad[INPUT]);
}

/* ---- the kernel ----------------------------------------------------------------------------------------------------- */

static void cross_entropy_kernel(struct loss_block *b)
{
    const size_t classes = b->len[INPUT];
    const real smoothing = b->param[LABEL_SMOOTHING].number;
    if (is_for_rows(b, classes)) {
        few_classes(b, classes);
        return;
    }
    struct coefficients k = {.weight = b->in[WEIGHT], .keep = 1 - smoothing, .spread = smoothing / (real)classes};
    for (size_t i = 0; i < b->n; i++) {
        real *grad = row_of(b->grad[INPUT], i, classes), *hess = row_of(b->hess[INPUT], i, classes);
        b->term[i] = 0;
        if (b->in[TARGET]) {
            k.probability = b->in[TARGET] + i * b->row[TARGET];
        } else if (!class_label(b, i, classes, &k.label)) {
            zero_row(grad, classes);
            zero_row(hess, classes);
            continue;
        }
        if (classes == 0) /* nothing to be wrong about */
            continue;
        const struct row r = softmax(b->in[INPUT] + i * b->row[INPUT], classes, b->scratch);
        b->term[i] = term(&r, &k);
        if (grad)
            (is_one_class(&k) ? gradient_of_one_class : gradient)(&r, &k, b->scratch, grad, b->scale[i]);
        if (hess)
            second_derivative(&r, &k, b->scratch, hess, b->scale[i]);
        if (b->grad[TARGET])
            target_gradient(&r, &k, b->grad[TARGET] + i * classes, b->scale[i]);
    }
}

/* The e_c of a row, or what rows of few classes need. */
static size_t scratch(const struct loss_plan *plan)
{
    const size_t classes = plan->tensor[INPUT].shape[plan->tensor[INPUT].rank > 1];
    return classes <= FEW ? (2 + ROWS_ARRAYS) * LOSS_CHUNK : classes;
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
            .scratch = scratch,
            .weigh = loss_weigh_classes,
            .weigh_operands = 1u << TARGET | 1u << WEIGHT,
            .checked = TARGET,
            .expected = loss_expect_classes,
        },
};
