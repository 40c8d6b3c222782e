/* Soft Dice. MONAI: monai.losses.DiceLoss. F. Milletari et al., V-Net, 2016. */
#include "kernel/compensated_sum.h"
#include "kernel/prefetch.h"
#include "kernel/rows.h"

enum { INPUT, TARGET, WEIGHT };
enum { SMOOTH, BATCH, INCLUDE_BACKGROUND, SQUARED_PRED, JACCARD, SIGMOID };

/* One element: p is the prediction, rest is 1 - p, slope is dp/dx. */
struct element {
    loss_real p, rest, slope, y;
};

/* What the loops over elements depend on. */
struct options {
    bool f32; /* operands and derivatives are float32 */
    bool sigmoid, squared, jaccard;
};

/* The elements of a term. */
struct row {
    const loss_real *x, *y;
    const float *x_f32, *y_f32;
    size_t n;
    const struct loss_control *cancel;
};

static ALWAYS_INLINE struct element element_from(loss_real x, loss_real y, bool sigmoid)
{
    if (!sigmoid)
        return (struct element){x, 1 - x, 1, y};
    const loss_real e = vexp_negative(-fabs(x)), larger = 1 / (1 + e), smaller = e * larger;
    return (struct element){x < 0 ? smaller : larger, x < 0 ? larger : smaller, larger * smaller,
                            y};
}

static ALWAYS_INLINE struct element element_at(const struct row *row, size_t c,
                                               const struct options options)
{
    return options.f32 ? element_from(row->x_f32[c], row->y_f32[c], options.sigmoid)
                       : element_from(row->x[c], row->y[c], options.sigmoid);
}

/* Returns p - y, computed from p or from 1 - p, whichever is more accurate. */
static ALWAYS_INLINE loss_real apart_of(struct element at)
{
    return at.y > 0.5 ? (1 - at.y) - at.rest : at.p - at.y;
}

/*
 * Over the elements of a sample's channel, or of a channel in all samples, with I = sum p y,
 * S = sum p + sum y and A = S - 2 I:
 *
 *     l     = 1 - (2 I + smooth) / (D + smooth) = (D - 2 I) / (D + smooth)
 *     D     = S, or 2 (S - I) with jaccard
 *     dl/dp = ((1 - l) dD/dp - 2 y) / (D + smooth)
 *
 * With squared_pred, S sums the squares of p and y. A is summed separately, because S and 2 I may
 * be nearly equal.
 */
struct overlap {
    loss_real common, apart; /* I, A */
};

/* The sums of a row in lanes. Sums of float32 elements need no compensation. */
struct overlap_lanes {
    struct compensated_lanes common, apart;
};

/* Adds elements [c, c + n), n <= SUM_LANES, to the lanes. */
static ALWAYS_INLINE void add_overlap(const struct row *row, size_t c, size_t n,
                                      const struct options options, struct overlap_lanes *sums)
{
    loss_real both[SUM_LANES] = {0}, one[SUM_LANES] = {0};
#pragma GCC unroll 1
    for (size_t k = 0; k < n; k++) {
        const struct element at = element_at(row, c + k, options);
        const loss_real d = apart_of(at);
        both[k] = at.p * at.y;
        one[k] = options.squared ? d * d : at.p * (1 - at.y) + at.y * at.rest;
    }
    lanes_add(&sums->common, both, options.f32);
    lanes_add(&sums->apart, one, options.f32);
}

static ALWAYS_INLINE struct overlap overlap_of(const struct row *row, const struct options options)
{
    struct overlap_lanes sums = {0};
    for (struct slice s = {0}; slice_next(&s, row->n, row->cancel);) {
        size_t c = s.first;
        for (; c + SUM_LANES <= s.end; c += SUM_LANES) {
            if (options.f32) {
                prefetch_read(row->x_f32, c + PREFETCH_DISTANCE);
                prefetch_read(row->y_f32, c + PREFETCH_DISTANCE);
            }
            add_overlap(row, c, SUM_LANES, options, &sums);
        }
        add_overlap(row, c, s.end - c, options, &sums);
    }
    return (struct overlap){compensated_value(&sums.common), compensated_value(&sums.apart)};
}

/* Shared by all derivatives of a row: 1 - l, l, the divisor D + smooth, and for float32 operands a
   power of two that dividend and divisor are multiplied by, so that scale / divisor is finite. */
struct ratio {
    loss_real share, lost, whole, power;
};

/* Returns dl/dp (D + smooth) for prediction `own` and target `other`, whose difference is `apart`;
   or dl/dy, with the two exchanged. Squares would nearly cancel if the two are nearly equal. */
static ALWAYS_INLINE loss_real slope_of(const struct options options, const struct ratio *ratio,
                                        loss_real own, loss_real other, loss_real apart)
{
    if (!options.squared)
        return ratio->share * (options.jaccard ? 2 * (1 - other) : 1) - 2 * other;
    const loss_real by_own = options.jaccard
                                 ? 2 * (2 * own - other)
                                 : 2 * own; /* dD/dp; dD/dp - 2 y is a multiple of p - y */
    return (options.jaccard ? 4 : 2) * apart - ratio->lost * by_own;
}

/* Returns the derivative, times `scale`, of element c with respect to the input, or the target. */
static ALWAYS_INLINE loss_real derivative(const struct row *row, size_t c,
                                          const struct options options, const struct ratio *ratio,
                                          loss_real scale, bool of_target)
{
    const struct element at = element_at(row, c, options);
    const loss_real slope = of_target ? slope_of(options, ratio, at.y, at.p, -apart_of(at))
                                      : slope_of(options, ratio, at.p, at.y, apart_of(at));
    const loss_real chain = of_target ? 1 : at.slope;
    /* One division for the row is faster. */
    return options.f32 ? slope * (chain * ratio->power) * (scale / (ratio->whole * ratio->power))
                       : slope / ratio->whole * chain * scale;
}

/* Writes the derivatives of a row. */
static ALWAYS_INLINE void slopes(const struct row *row, const struct options options,
                                 struct ratio ratio, loss_real scale, struct derivative_row to,
                                 bool of_target)
{
    const struct row in = *row;
    for (struct slice s = {0}; is_requested(to) && slice_next(&s, in.n, in.cancel);)
#pragma GCC ivdep
        for (size_t c = s.first; c < s.end; c++) {
            const loss_real d = derivative(&in, c, options, &ratio, scale, of_target);
            if (options.f32)
                to.f32[c] = (float)d;
            else
                to.f64[c] = d;
        }
}

/* Returns the channel of term i. */
static size_t channel_of(const struct loss_block *b, size_t i)
{
    return (b->first + i) % b->plan->tensor[INPUT].shape[1];
}

/* Returns true if the first channel is excluded. MONAI includes it if it is the only one. */
static bool skips_background(const struct loss_plan *plan)
{
    return !plan->param[INCLUDE_BACKGROUND].integer && plan->tensor[INPUT].shape[1] > 1;
}

/* Returns the number of included channels. */
static size_t counted_channels(const struct loss_plan *plan)
{
    return plan->tensor[INPUT].shape[1] - skips_background(plan);
}

static bool is_ignored(const struct loss_block *b, size_t i)
{
    return skips_background(b->plan) && channel_of(b, i) == 0;
}

/* Returns the weight of the channel of term i. MONAI ignores the weight if only one channel is
   included. */
static loss_real weight_of(const struct loss_block *b, size_t i)
{
    if (!(b->in[WEIGHT] || b->in_f32[WEIGHT]) || counted_channels(b->plan) == 1)
        return 1;
    return element_of(b, WEIGHT, channel_of(b, i) - skips_background(b->plan));
}

/* Computes term i. */
static ALWAYS_INLINE void evaluate(struct loss_block *b, size_t i, const struct options options)
{
    struct row row = {.n = b->elements_per_term[INPUT], .cancel = b->cancel};
    if (options.f32) {
        row.x_f32 = b->in_f32[INPUT] + i * b->stride[INPUT];
        row.y_f32 = b->in_f32[TARGET] + i * b->stride[TARGET];
    } else {
        row.x = b->in[INPUT] + i * b->stride[INPUT];
        row.y = b->in[TARGET] + i * b->stride[TARGET];
    }
    const loss_real w = weight_of(b, i), scale = w * b->scale[i], factor = options.jaccard ? 2 : 1,
                    smooth = b->number[SMOOTH];
    const struct overlap sums = overlap_of(&row, options);
    const loss_real whole = 2 * sums.common + factor * sums.apart + smooth;
    const struct ratio ratio = {(2 * sums.common + smooth) / whole, factor * sums.apart / whole,
                                whole, isfinite(scale / whole) ? 1 : 0x1p1000};
    b->term[i] = ratio.lost * w;
    slopes(&row, options, ratio, scale, gradient_row(b, INPUT, i), false);
    slopes(&row, options, ratio, scale, gradient_row(b, TARGET, i), true);
}

static ALWAYS_INLINE void dice(struct loss_block *b, bool f32)
{
    const bool squared = b->param[SQUARED_PRED].integer, jaccard = b->param[JACCARD].integer;
    for (size_t i = 0; i < b->n; i++) {
        if (is_ignored(b, i)) {
            b->term[i] = 0;
            b->ignored++;
            for (int k = INPUT; k <= TARGET; k++)
                zero_row(gradient_row(b, k, i), b->elements_per_term[k], b->cancel);
        } else if (b->param[SIGMOID].integer) /* constants let the compiler vectorize the loops */
            evaluate(b, i, (struct options){f32, true, squared, jaccard});
        else if (!squared && !jaccard)
            evaluate(b, i, (struct options){f32, false, false, false});
        else
            evaluate(b, i, (struct options){f32, false, squared, jaccard});
    }
}

static void dice_f64(struct loss_block *b)
{
    dice(b, false);
}

static void dice_f32(struct loss_block *b)
{
    dice(b, true);
}

static struct loss_cost cost_of(const struct loss_plan *plan)
{
    return plan->param[SIGMOID].integer ? (struct loss_cost){60, 3, 5, 7}
                                        : (struct loss_cost){60, 1.2, 2, 3};
}

/* The mean divides by the number of included channels, whatever their weights. */
static void term_weights(struct loss_block *b)
{
    for (size_t i = 0; i < b->n; i++)
        b->term[i] = is_ignored(b, i) ? 0 : 1;
}

/* One term for each channel of each sample, or for each channel of all samples together. */
static enum loss_status shape(struct loss_plan *plan, struct loss_error *error)
{
    char text[LOSS_SHAPE_TEXT];
    const struct loss_tensor *input = &plan->tensor[INPUT], *weight = &plan->tensor[WEIGHT];
    const bool batch = plan->param[BATCH].integer;
    if (input->rank < 3)
        return loss_shape_error(
            plan, error, INPUT,
            "it must be (N, C, d1, ...): samples, channels, and at least one more dimension");
    if (!loss_same_shape(input, &plan->tensor[TARGET]))
        return loss_shape_error(plan, error, TARGET, "it must match input, %s",
                                loss_shape_text(input, text));
    const size_t channels = input->shape[1], counted = counted_channels(plan);
    if (plan->present[WEIGHT] && (weight->rank != 1 || weight->shape[0] != counted))
        return loss_shape_error(plan, error, WEIGHT,
                                "it must be (%zu,), a weight for each included channel", counted);
    plan->terms = batch ? (struct loss_tensor){.rank = 1, .shape = {channels}}
                        : (struct loss_tensor){.rank = 2, .shape = {input->shape[0], channels}};
    for (int k = INPUT; k <= TARGET; k++) {
        memset(plan->axis[k], LOSS_WITHIN, sizeof plan->axis[k]);
        plan->axis[k][0] = batch ? LOSS_WITHIN : 0;
        plan->axis[k][1] = batch ? 0 : 1;
    }
    plan->axis[WEIGHT][0] = LOSS_WITHIN;
    plan->has_term_weights = skips_background(plan);
    if (!plan->param[INCLUDE_BACKGROUND].integer && !plan->has_term_weights)
        loss_warn(plan, WARN_BACKGROUND);
    if (plan->present[WEIGHT] && counted == 1)
        loss_warn(plan, WARN_WEIGHT);
    return LOSS_OK;
}

static const char *indivisible(const struct loss_plan *plan)
{
    return plan->param[BATCH].integer ? "with batch true, each term is computed over all samples"
                                      : NULL;
}

static const struct loss_example example = {
    .tensors = {[INPUT] = {3, {1, 2, 4}, NUMBERS(0.9, 0.8, 0.1, 0, 0.2, 0.7, 0.6, 0.1)},
                [TARGET] = {3, {1, 2, 4}, NUMBERS(1, 1, 0, 0, 0, 1, 1, 0)},
                [WEIGHT] = {1, {2}, NUMBERS(1, 2)}},
    .params = {[SMOOTH] = {true, {0.5, 0}},
               [BATCH] = {true, {1, 1}},
               [INCLUDE_BACKGROUND] = {true, {1, 1}},
               [SQUARED_PRED] = {true, {1, 1}},
               [JACCARD] = {true, {0, 0}},
               [SIGMOID] = {true, {0, 0}}},
};

const struct loss_descriptor loss_dice = {
    .name = "dice",
    .aliases = {"DiceLoss", "dice_loss"},
    .title = "Soft Dice",
    .doc = "For masks: 1 minus twice the overlap divided by the total, for each channel of each "
           "sample, as in MONAI. The input contains probabilities, the target the mask of each "
           "channel (one-hot).",
    .formula = "l = w (1 - (2 sum p y + smooth) / (D + smooth)), D = sum p + sum y; squared_pred: "
               "D = sum p^2 + sum y^2; "
               "jaccard: 2 (D - sum p y) for D; p = x, with sigmoid 1 / (1 + exp(-x))",
    .reductions = MEAN_SUM_NONE,
    .tensors =
        {
            [INPUT] = {"input", "predicted probabilities, or logits with sigmoid",
                       "(N, C, d1, ...)", LOSS_REAL, .prediction = true, .differentiable = true},
            [TARGET] = {"target", "true values, usually 0 or 1", "same as input", LOSS_REAL,
                        .differentiable = true},
            [WEIGHT] = {"weight",
                        "multiplies the terms of each included channel, unless there is only one; "
                        "mean does not divide by it",
                        "(C), or (C - 1) without the background", LOSS_REAL, .optional = true},
        },
    .params =
        {
            [SMOOTH] = {"smooth",
                        "added to numerator and denominator (MONAI: smooth_nr, smooth_dr), so that "
                        "empty masks do not divide 0 by 0",
                        LOSS_NUMBER,
                        {1e-5, 0},
                        .has_min = true},
            [BATCH] = {"batch",
                       "one term for each channel of the whole batch instead of one for each "
                       "channel of each sample",
                       LOSS_BOOLEAN},
            [INCLUDE_BACKGROUND] =
                {"include_background", "include channel 0", LOSS_BOOLEAN, {1, 1}},
            [SQUARED_PRED] = {"squared_pred", "squared terms in the denominator", LOSS_BOOLEAN},
            [JACCARD] = {"jaccard", "Jaccard index (intersection over union) instead of Dice",
                         LOSS_BOOLEAN},
            [SIGMOID] = {"sigmoid", "the input contains logits of the probabilities", LOSS_BOOLEAN},
        },
    .example = &example,
    .method = &(const struct loss_method){.cost_of = cost_of,
                                          .shape = shape,
                                          .indivisible = indivisible,
                                          .kernel_f64 = dice_f64,
                                          .kernel_f32 = dice_f32,
                                          .term_weights = term_weights,
                                          .is_ignored = is_ignored},
};
