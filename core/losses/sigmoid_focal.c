/* Sigmoid focal loss. T.-Y. Lin et al., Focal loss for dense object detection, 2017;
 * torchvision.ops.sigmoid_focal_loss. */
#include "kernel/elementwise.h"

#include <stdio.h>

enum { INPUT, TARGET };
enum { ALPHA, GAMMA };

/*
 * With s the sigmoid, ce = -y log s(x) - (1 - y) log s(-x), m = 1 - p_t = y s(-x) + (1 - y) s(x)
 * and a = alpha_t:
 *
 *     l       = a m^gamma ce
 *     dl/dx   = a m^gamma (gamma r ce + ce'),   ce' = (1 - y) s(x) - y s(-x)
 *     d2l/dx2 = a m^gamma (gamma r ((gamma - 1) r + s(-x) - s(x)) ce + 2 gamma r ce' + s(x) s(-x))
 *
 * where r = m' / m = (1 - 2 y) s(x) s(-x) / m stays finite as m approaches 0.
 */
LOSS_FORMULA(sigmoid_focal)
{
    const loss_real x = in[INPUT], y = in[TARGET], alpha = p[ALPHA], gamma = p[GAMMA];
    const loss_real e = vexp(-fabs(x)), larger = 1 / (1 + e), smaller = e / (1 + e);
    const loss_real s = x < 0 ? smaller : larger, rest = x < 0 ? larger : smaller; /* s(x), s(-x) */
    const loss_real apart =
        (x < 0 ? -1 : 1) * vexpm1_negative(-fabs(x)) / (1 + e); /* s(-x) - s(x) */
    const loss_real ce = (x < 0 ? -y : 1 - y) * x + vlog1p(e), ce_slope = (1 - y) * s - y * rest;

    const loss_real sided = x < 0 ? 1 - y : y; /* share of the smaller sigmoid in m */
    const loss_real m = sided * smaller + (1 - sided) * larger;
    const loss_real r = (1 - 2 * y) * larger * (sided == 1 ? 1 : e / (sided * e + (1 - sided)));

    const loss_real a = alpha < 0 ? 1 : alpha * y + (1 - alpha) * (1 - y),
                    a_slope = alpha < 0 ? 0 : 2 * alpha - 1;
    const bool tiny = sided == 1 && m < 1e-290 && gamma > 0; /* m may underflow */
    const loss_real parity = gamma - 2 * floor(gamma / 2);   /* 1 if gamma is odd */
    const loss_real of_magnitude = vpow(fabs(m), gamma) * (m < 0 ? 1 - 2 * parity : 1);
    const loss_real power = gamma == 2 ? m * m : of_magnitude,
                    focus = tiny ? vexp(-gamma * fabs(x)) : power;
    const loss_real quotient = m == 0 ? 1 : ce / m; /* the limit, as ce and m approach 0 */
    return (struct element){
        .term = a * focus * ce,
        .grad =
            {
                [INPUT] = a * focus * (gamma * r * ce + ce_slope),
                [TARGET] = a_slope * focus * ce + a * focus * (gamma * apart * quotient - x),
            },
        .hess = {[INPUT] = a * focus *
                           (gamma * r * ((gamma - 1) * r + apart) * ce + 2 * gamma * r * ce_slope +
                            s * rest)},
        .invalid =
            m < 0 && gamma != rint(gamma) ? INVALID(TARGET) : 0, /* the power is not defined */
    };
}
DEFINE_ELEMENTWISE_KERNELS(sigmoid_focal, 2)

static struct loss_cost cost_of(const struct loss_plan *plan)
{
    return plan->param[GAMMA].number == 2 ? (struct loss_cost){0, 5, 6, 30}
                                          : (struct loss_cost){0, 35, 38, 50};
}

static void expected(const struct loss_plan *plan, int tensor, char *text, size_t size)
{
    (void)plan;
    (void)tensor;
    snprintf(text, size, "targets must be in [0, 1], unless gamma is a whole number");
}

/* An alpha of -1 means no weights. Other values below 0 are invalid. */
static enum loss_status shape(struct loss_plan *plan, struct loss_error *error)
{
    const loss_real alpha = plan->param[ALPHA].number;
    if (alpha > -1 && alpha < 0)
        return loss_fail_at(error, LOSS_INVALID, "/alpha",
                            "alpha is %.17g; it must be in [0, 1], or -1 for no weights", alpha);
    return loss_shape_same(plan, error);
}

static const struct loss_example example = {
    .tensors = {[INPUT] = {1, {3}, NUMBERS(0.8, -1.5, 0.3)}, [TARGET] = {1, {3}, NUMBERS(1, 0, 1)}},
    .params = {[ALPHA] = {true, {0.5, 0}}, [GAMMA] = {true, {1.5, 0}}},
};

const struct loss_descriptor loss_sigmoid_focal = {
    .name = "sigmoid_focal",
    .aliases = {"sigmoid_focal_loss"},
    .title = "Sigmoid focal",
    .doc = "bce_with_logits with less weight for well-predicted terms, for detection with many "
           "negatives, as in torchvision.",
    .formula = "p = s(x); p_t = p y + (1 - p)(1 - y); l = alpha_t (1 - p_t)^gamma "
               "bce_with_logits(x, y), alpha_t = alpha y + "
               "(1 - alpha)(1 - y), 1 where alpha = -1",
    .reductions = MEAN_SUM_NONE,
    .hessian = true,
    .tensors =
        {
            [INPUT] = {"input", "logits", "(*)", LOSS_REAL, .prediction = true,
                       .differentiable = true},
            [TARGET] = {"target", "true values, usually 0 or 1", "(*), same as input", LOSS_REAL,
                        .differentiable = true},
        },
    .params =
        {
            [ALPHA] =
                {"alpha",
                 "weight of positive targets, in [0, 1]; the others have 1 - alpha. -1: no weights",
                 LOSS_NUMBER,
                 {0.25, 0},
                 .has_min = true,
                 .min = -1,
                 .has_max = true,
                 .max = 1},
            [GAMMA] =
                {"gamma",
                 "exponent that reduces the weight of well-predicted terms (0: equal weights)",
                 LOSS_NUMBER,
                 {2, 2},
                 .has_min = true},
        },
    .example = &example,
    .method =
        &(const struct loss_method){
            .cost_of = cost_of,
            .shape = shape,
            ELEMENTWISE_KERNELS(sigmoid_focal),
            .expected = expected,
        },
};
