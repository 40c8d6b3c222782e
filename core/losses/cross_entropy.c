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
    real rest, log_sum; /* sum of the e_c other than that of `largest`; log1p of it */
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

static size_t largest_of(const real *x, size_t n)
{
    size_t largest = 0;
    for (size_t c = 1; c < n; c++)
        if (x[c] > x[largest])
            largest = c;
    return largest;
}

/* Leaves the e_c in `e`, unless that is NULL. */
static struct row softmax(const real *x, size_t classes, real *e)
{
    struct row r = {.x = x, .classes = classes, .largest = largest_of(x, classes)};
    struct sum rest = {0};
    for (size_t c = 0; c < classes; c++) {
        const real each = exp(x[c] - x[r.largest]);
        if (e)
            e[c] = each;
        /* For the largest, 0: or NaN if it is infinite, which makes the whole row NaN, as in PyTorch. */
        sum_add(&rest, c == r.largest ? each - 1 : each);
    }
    r.rest = sum_value(&rest);
    r.log_sum = log1p(r.rest);
    return r;
}

static real log_softmax(const struct row *r, size_t c)
{
    return (r->x[c] - r->x[r->largest]) - r->log_sum;
}

static real term(const struct row *r, const struct coefficients *k)
{
    /* Without smoothing a class index selects one class, and the others, be they impossible, have no say. */
    if (!k->probability && k->spread == 0)
        return -coefficient(k, k->label) * log_softmax(r, k->label);
    struct sum sum = {0};
    for (size_t c = 0; c < r->classes; c++)
        sum_add(&sum, coefficient(k, c) * log_softmax(r, c));
    return -sum_value(&sum);
}

/* Turns the e_c into dl/dx_c. */
static void gradient(const struct row *r, const struct coefficients *k, real *e, real scale)
{
    struct sum others = {0};
    for (size_t c = 0; c < r->classes; c++)
        sum_add(&others, c == r->largest ? 0 : coefficient(k, c));
    const real all = 1 + r->rest, apart = sum_value(&others), total = apart + coefficient(k, r->largest);
    for (size_t c = 0; c < r->classes; c++) {
        const real slope =
            c == r->largest ? (apart - coefficient(k, c) * r->rest) / all : e[c] / all * total - coefficient(k, c);
        e[c] = slope * scale;
    }
}

static void cross_entropy_kernel(struct loss_block *b)
{
    const size_t classes = b->len[INPUT];
    const real smoothing = b->param[LABEL_SMOOTHING].number;
    struct coefficients k = {.weight = b->in[WEIGHT], .keep = 1 - smoothing, .spread = smoothing / (real)classes};
    for (size_t i = 0; i < b->n; i++) {
        real *grad = b->grad[INPUT] ? b->grad[INPUT] + i * classes : NULL;
        if (b->in[TARGET]) {
            k.probability = b->in[TARGET] + i * b->row[TARGET];
        } else if (!class_label(b, i, classes, &k.label)) {
            b->term[i] = 0;
            for (size_t c = 0; grad && c < classes; c++)
                grad[c] = 0;
            continue;
        }
        if (classes == 0) { /* nothing to be wrong about */
            b->term[i] = 0;
            continue;
        }
        const struct row r = softmax(b->in[INPUT] + i * b->row[INPUT], classes, grad);
        b->term[i] = term(&r, &k);
        if (grad)
            gradient(&r, &k, grad, b->scale[i]);
        for (size_t c = 0; b->grad[TARGET] && c < classes; c++)
            b->grad[TARGET][i * classes + c] = -k.keep * class_weight(b, c) * log_softmax(&r, c) * b->scale[i];
    }
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
            .weigh = loss_weigh_classes,
            .weigh_operands = 1u << TARGET | 1u << WEIGHT,
            .checked = TARGET,
            .expected = loss_expect_classes,
        },
};
