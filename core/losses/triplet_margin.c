/* Triplet margin. PyTorch: torch.nn.TripletMarginLoss, TripletMarginWithDistanceLoss;
   aten/src/ATen/native/Loss.cpp, triplet_margin_loss; Distance.cpp, pairwise_distance and
   cosine_similarity. */
#include "kernel/compensated_sum.h"
#include "kernel/prefetch.h"
#include "kernel/rows.h"

enum { ANCHOR, POSITIVE, NEGATIVE };
enum { MARGIN, NORM, EPS, SWAP, DISTANCE };
enum { EUCLIDEAN, PAIRWISE, COSINE };

static const char *const distances[] = {
    [EUCLIDEAN] = "euclidean", [PAIRWISE] = "pairwise", [COSINE] = "cosine", NULL};

/* PyTorch's lower bound of norms in a cosine similarity. */
#define COSINE_EPS 1e-8

/* A vector in one of the two precisions. */
struct vector {
    const loss_real *f64;
    const float *f32;
};

/* Two vectors, the distance between them, and what its gradient depends on. */
struct pair {
    struct vector u, v;
    loss_real distance;
    loss_real norm[2]; /* norm[0]: ||u - v + eps||_p; cosine: |u| and |v| with a lower bound */
    loss_real cosine;
    size_t ties; /* for the maximum norm: how many differences equal it, which share the slope */
    loss_real factor; /* the gradient is multiplied by this; 0: the distance has none */
};

/* How vectors of n numbers are compared. */
struct metric {
    size_t n;
    loss_real p, eps;
    bool cosine;
    const struct loss_control *cancel;
};

static ALWAYS_INLINE loss_real component(const struct vector *x, size_t i, bool f32)
{
    return f32 ? (loss_real)x->f32[i] : x->f64[i];
}

static ALWAYS_INLINE loss_real difference(const struct pair *pair, const struct metric *metric,
                                          size_t i, bool f32)
{
    return component(&pair->u, i, f32) - component(&pair->v, i, f32) + metric->eps;
}

/* ---- Distances ---- */

/* What sum_of() adds. The scaled ones divide each difference by `unit` first. */
enum summand { SQUARES, MAGNITUDES, SCALED_SQUARES, SCALED_POWERS, PRODUCTS };

static ALWAYS_INLINE loss_real summand_at(const struct pair *pair, const struct metric *metric,
                                          size_t i, enum summand what, loss_real unit, bool f32)
{
    if (what == PRODUCTS)
        return component(&pair->u, i, f32) * component(&pair->v, i, f32);
    const loss_real d = difference(pair, metric, i, f32);
    if (what == SQUARES)
        return d * d;
    if (what == MAGNITUDES)
        return fabs(d);
    return what == SCALED_SQUARES ? (d / unit) * (d / unit) : vpow(fabs(d / unit), metric->p);
}

/* Returns true if the rounding errors of the sum are negligible without compensation: for float32
   numbers of one sign. */
static ALWAYS_INLINE bool is_plain(enum summand what, bool f32)
{
    return f32 && what != PRODUCTS;
}

/* Adds summands [i, i + n), n <= SUM_LANES, to the lanes. */
static ALWAYS_INLINE void add_summands(const struct pair *pair, const struct metric *metric,
                                       size_t i, size_t n, enum summand what, loss_real unit,
                                       bool f32, struct compensated_lanes *sum)
{
    loss_real term[SUM_LANES] = {0};
#pragma GCC unroll 1
    for (size_t k = 0; k < n; k++)
        term[k] = summand_at(pair, metric, i + k, what, unit, f32);
    lanes_add(sum, term, is_plain(what, f32));
}

static ALWAYS_INLINE loss_real sum_of(const struct pair *pair, const struct metric *metric,
                                      enum summand what, loss_real unit, bool f32)
{
    struct compensated_lanes sum = {0};
    for (struct slice s = {0}; slice_next(&s, metric->n, metric->cancel);) {
        size_t i = s.first;
        for (; i + SUM_LANES <= s.end; i += SUM_LANES) {
            if (f32) {
                prefetch_read(pair->u.f32, i + PREFETCH_DISTANCE);
                prefetch_read(pair->v.f32, i + PREFETCH_DISTANCE);
            }
            add_summands(pair, metric, i, SUM_LANES, what, unit, f32, &sum);
        }
        add_summands(pair, metric, i, s.end - i, what, unit, f32, &sum);
    }
    return lanes_value(&sum, is_plain(what, f32));
}

/* Returns the largest |u - v + eps|; NaN if one is NaN. */
static loss_real largest_difference(const struct pair *pair, const struct metric *metric, bool f32)
{
    loss_real most = 0;
    for (struct slice s = {0}; slice_next(&s, metric->n, metric->cancel);)
        for (size_t i = s.first; i < s.end; i++) {
            const loss_real a = fabs(difference(pair, metric, i, f32));
            most = a > most || isnan(a) ? a : most;
        }
    return most;
}

/* Returns how many of the |u - v + eps| equal their maximum, `norm`. */
static size_t count_largest(const struct pair *pair, const struct metric *metric, loss_real norm,
                            bool f32)
{
    size_t count = 0;
    for (struct slice s = {0}; slice_next(&s, metric->n, metric->cancel);)
        for (size_t i = s.first; i < s.end; i++)
            count += fabs(difference(pair, metric, i, f32)) == norm;
    return count;
}

/* If a sum of squares is in this range, no square overflowed, and those that underflowed are
   negligible. */
static const loss_real SMALLEST_SQUARES = 0x1p-900, LARGEST_SQUARES = 0x1p1000;

/* Returns ||u - v + eps||_p. For general p, differences are scaled by the largest one, so that the
   sum neither overflows nor underflows. */
static ALWAYS_INLINE loss_real norm_of_difference(const struct pair *pair,
                                                  const struct metric *metric, bool f32)
{
    const loss_real p = metric->p;
    if (p == 1)
        return sum_of(pair, metric, MAGNITUDES, 1, f32);
    if (p == 2) {
        const loss_real total = sum_of(pair, metric, SQUARES, 1, f32);
        if (total >= SMALLEST_SQUARES && total <= LARGEST_SQUARES)
            return sqrt(total);
    }
    const loss_real most = largest_difference(pair, metric, f32);
    if (!(most > 0) || isinf(most) || isinf(p))
        return most;
    return p == 2 ? most * sqrt(sum_of(pair, metric, SCALED_SQUARES, most, f32))
                  : most * vpow(sum_of(pair, metric, SCALED_POWERS, most, f32), 1 / p);
}

/* Returns |u|, with the lower bound for divisors; NaN if |u| is NaN. */
static ALWAYS_INLINE loss_real norm_of(struct vector u, const struct metric *metric, bool f32)
{
    const struct pair twice = {.u = u, .v = u};
    return vmax(COSINE_EPS, sqrt(sum_of(&twice, metric, PRODUCTS, 1, f32)));
}

/* Returns two vectors with their distance. */
static ALWAYS_INLINE struct pair pair_of(struct vector u, struct vector v,
                                         const struct metric *metric, bool f32)
{
    struct pair pair = {.u = u, .v = v, .ties = 1};
    if (!metric->cosine) {
        pair.distance = pair.norm[0] = norm_of_difference(&pair, metric, f32);
        return pair;
    }
    pair.norm[0] = norm_of(u, metric, f32);
    pair.norm[1] = norm_of(v, metric, f32);
    pair.cosine = sum_of(&pair, metric, PRODUCTS, 1, f32) / (pair.norm[0] * pair.norm[1]);
    pair.distance = 1 - pair.cosine;
    return pair;
}

/* ---- Gradients ---- */

/* How slopes are computed: BY_INVERSE is BY_NORM with a multiplication. */
enum slope { BY_INVERSE, BY_NORM, SIGNS, POWERS, COSINES };

/* If all norms are in this range, their inverses are accurate. */
static const loss_real SMALLEST_NORM = 0x1p-900, LARGEST_NORM = 0x1p900;

/* Returns the derivative of the norm with respect to d, one of the differences; 0 if d is 0. */
static ALWAYS_INLINE loss_real slope_of_norm(loss_real d, const struct pair *pair,
                                             const struct metric *metric, enum slope how)
{
    const loss_real a = fabs(d), norm = pair->norm[0], p = metric->p;
    if (how == BY_INVERSE)
        return d * (1 / norm);
    if (how == BY_NORM)
        return (d == 0) | (norm == 0) ? 0 : d / norm;
    if (how == SIGNS)
        return sign(d);
    if (d == 0 || norm == 0)
        return 0;
    if (isinf(p))
        return a == norm ? sign(d) / (loss_real)pair->ties : 0;
    return sign(d) * vpow(a / norm, p - 1);
}

/* The derivatives of a distance with respect to an element of u and of v, times the factor. */
struct slopes {
    loss_real u, v;
};

static ALWAYS_INLINE struct slopes slopes_at(const struct pair *pair, const struct metric *metric,
                                             size_t i, enum slope how, bool f32)
{
    const loss_real factor = pair->factor;
    if (how != COSINES) {
        const loss_real d = difference(pair, metric, i, f32),
                        slope = factor * slope_of_norm(d, pair, metric, how);
        return (struct slopes){slope, -slope};
    }
    const loss_real u = component(&pair->u, i, f32) / pair->norm[0],
                    v = component(&pair->v, i, f32) / pair->norm[1];
    return (struct slopes){-factor * (v - pair->cosine * u) / pair->norm[0],
                           -factor * (u - pair->cosine * v) / pair->norm[1]};
}

/* The distances of a triplet. */
enum { NEAR, FAR, SWAPPED }; /* d(a, p), d(a, n), d(p, n) */

/* Writes gradients [i, i + n), n <= SUM_LANES. Those with a factor of 0 are not computed, because
   they may be NaN. `swap`: d(p, n) may have a gradient. */
static ALWAYS_INLINE void write_slopes(const struct pair pair[3], const struct metric *metric,
                                       size_t i, size_t n, enum slope how, bool swap, bool f32,
                                       const struct derivative_row grad[3])
{
    loss_real sum[3][SUM_LANES];
    float narrow[3][SUM_LANES];
#pragma GCC unroll 1
    for (size_t k = 0; k < n; k++) {
        const struct slopes none = {0, 0}, near = slopes_at(&pair[NEAR], metric, i + k, how, f32);
        struct slopes far = slopes_at(&pair[FAR], metric, i + k, how, f32), swapped = none;
        if (swap) {
            swapped = slopes_at(&pair[SWAPPED], metric, i + k, how, f32);
            swapped = pair[SWAPPED].factor == 0 ? none : swapped;
            far = pair[FAR].factor == 0 ? none : far;
        }
        sum[ANCHOR][k] = near.u + far.u;
        sum[POSITIVE][k] = 0 + near.v + swapped.u; /* + 0 turns -0 into 0 */
        sum[NEGATIVE][k] = 0 + far.v + swapped.v;
        for (int to = ANCHOR; to <= NEGATIVE; to++)
            narrow[to][k] = (float)sum[to][k];
    }
    for (int to = ANCHOR; to <= NEGATIVE; to++)
        if (f32 && grad[to].f32)
            memcpy(grad[to].f32 + i, narrow[to], n * sizeof *narrow[to]);
        else if (!f32 && grad[to].f64)
            memcpy(grad[to].f64 + i, sum[to], n * sizeof *sum[to]);
}

static ALWAYS_INLINE void write_rows(const struct pair pairs[3], const struct metric *of,
                                     enum slope how, bool swap, bool f32,
                                     const struct derivative_row grad[3])
{
    const struct pair pair[] = {pairs[NEAR], pairs[FAR], pairs[SWAPPED]};
    const struct metric metric = *of;
    for (struct slice s = {0}; slice_next(&s, metric.n, metric.cancel);) {
        size_t i = s.first;
        for (; i + SUM_LANES <= s.end; i += SUM_LANES) {
            for (int to = ANCHOR; f32 && to <= NEGATIVE; to++)
                if (grad[to].f32)
                    prefetch_write(grad[to].f32, i + PREFETCH_DISTANCE);
            write_slopes(pair, &metric, i, SUM_LANES, how, swap, f32, grad);
        }
        write_slopes(pair, &metric, i, s.end - i, how, swap, f32, grad);
    }
}

/* Constants let the compiler vectorize the loops. */
static ALWAYS_INLINE void write_gradients(const struct pair pair[3], const struct metric *metric,
                                          enum slope how, bool swap, bool f32,
                                          const struct derivative_row grad[3])
{
    if (swap)
        write_rows(pair, metric, how, true, f32, grad);
    else
        write_rows(pair, metric, how, false, f32, grad);
}

/* Returns the fastest accurate way to compute the slopes. */
static enum slope choose_slopes(const struct pair pair[3], const struct metric *metric, bool swap,
                                bool f32)
{
    if (metric->cosine)
        return COSINES;
    if (metric->p != 2)
        return metric->p == 1 ? SIGNS : POWERS;
    bool invertible = f32;
    for (int k = NEAR; k <= (swap ? SWAPPED : FAR); k++)
        invertible &= pair[k].norm[0] >= SMALLEST_NORM && pair[k].norm[0] <= LARGEST_NORM;
    return invertible ? BY_INVERSE : BY_NORM;
}

static ALWAYS_INLINE void gradients(struct pair pair[3], const struct metric *metric, bool swap,
                                    bool f32, const struct derivative_row grad[3])
{
    const enum slope how = choose_slopes(pair, metric, swap, f32);
    for (int k = NEAR; how == POWERS && isinf(metric->p) && k <= (swap ? SWAPPED : FAR); k++)
        pair[k].ties = count_largest(&pair[k], metric, pair[k].norm[0], f32);
    if (how == BY_INVERSE)
        write_gradients(pair, metric, BY_INVERSE, swap, f32, grad);
    else if (how == BY_NORM)
        write_gradients(pair, metric, BY_NORM, swap, f32, grad);
    else if (how == SIGNS)
        write_gradients(pair, metric, SIGNS, swap, f32, grad);
    else
        write_rows(pair, metric, how, swap, f32, grad);
}

/* ---- Kernels ---- */

static struct vector row_of(const struct loss_block *b, int k, size_t i)
{
    const size_t at = i * b->stride[k];
    return (struct vector){b->in[k] ? b->in[k] + at : NULL,
                           b->in_f32[k] ? b->in_f32[k] + at : NULL};
}

/* l = max(0, d(a, p) - d(a, n) + margin). swap uses min(d(a, n), d(p, n)) instead of d(a, n); if
   they are equal, they share the slope. At the kink of the maximum the slope is that of the active
   side. */
static ALWAYS_INLINE void evaluate(struct loss_block *b, size_t i, bool f32)
{
    const struct metric metric = {b->elements_per_term[ANCHOR], b->param[NORM].number,
                                  b->param[EPS].number, b->param[DISTANCE].integer == COSINE,
                                  b->cancel};
    const struct vector a = row_of(b, ANCHOR, i), p = row_of(b, POSITIVE, i),
                        q = row_of(b, NEGATIVE, i);
    struct pair pair[] = {[NEAR] = pair_of(a, p, &metric, f32),
                          [FAR] = pair_of(a, q, &metric, f32),
                          [SWAPPED] = {.u = p, .v = q, .distance = INFINITY}};
    if (b->param[SWAP].integer)
        pair[SWAPPED] = pair_of(p, q, &metric, f32);
    const loss_real far = pair[FAR].distance, swapped = pair[SWAPPED].distance;
    const loss_real lack =
        pair[NEAR].distance - (swapped < far ? swapped : far) + b->param[MARGIN].number;
    b->term[i] = positive(lack);

    struct derivative_row grad[3];
    bool requested = false;
    for (int k = ANCHOR; k <= NEGATIVE; k++) {
        grad[k] = gradient_row(b, k, i);
        requested |= is_requested(grad[k]);
    }
    if (!(lack >= 0)) {
        for (int k = ANCHOR; k <= NEGATIVE; k++)
            zero_row(grad[k], metric.n, b->cancel);
        return;
    }
    if (!requested)
        return;
    const loss_real share = swapped < far ? 0 : swapped == far ? 0.5 : 1; /* share of d(a, n) */
    pair[NEAR].factor = b->scale[i];
    pair[FAR].factor = -share * b->scale[i];
    pair[SWAPPED].factor = (share - 1) * b->scale[i];
    gradients(pair, &metric, share < 1, f32, grad);
}

static void triplet_margin_f64(struct loss_block *b)
{
    for (size_t i = 0; i < b->n; i++)
        evaluate(b, i, false);
}

static void triplet_margin_f32(struct loss_block *b)
{
    for (size_t i = 0; i < b->n; i++)
        evaluate(b, i, true);
}

static struct loss_cost cost_of(const struct loss_plan *plan)
{
    const loss_real p = plan->param[NORM].number;
    const loss_real distances_of =
        plan->param[SWAP].integer ? 1.5 : 1; /* three distances instead of two */
    if (plan->param[DISTANCE].integer == COSINE)
        return (struct loss_cost){600 * distances_of, 3, 10, 10};
    const bool usual = p == 1 || p == 2;
    const loss_real value = (usual ? 2 : 65) * distances_of,
                    gradient = (usual ? 4 : 105) * distances_of;
    return (struct loss_cost){60, value, gradient, gradient};
}

static enum loss_status shape(struct loss_plan *plan, struct loss_error *error)
{
    const struct loss_tensor *const anchor = &plan->tensor[ANCHOR];
    if (anchor->rank == 0)
        return loss_shape_error(plan, error, ANCHOR,
                                "it must be (N, D), or (D) for a single triplet");
    /* The norm of n equal differences is n^(1 / p) times one of them. */
    const size_t n = anchor->shape[anchor->rank - 1];
    const loss_real p = plan->param[NORM].number;
    if (plan->param[DISTANCE].integer != COSINE && isinf(vpow((loss_real)n, 1 / p)))
        return loss_fail_at(error, LOSS_INVALID, "/p",
                            "p is %.17g; the norm of %zu numbers overflows if p is below %.2g", p,
                            n, vlog((loss_real)n) / 709 + 0.0001);
    return loss_shape_rows(plan, 1, error);
}

static const struct loss_example example = {
    .tensors = {[ANCHOR] = {2, {2, 3}, NUMBERS(1, 0.5, -0.2, 0.3, -1, 0.8)},
                [POSITIVE] = {2, {2, 3}, NUMBERS(0.9, 0.7, 0, 0.4, -0.6, 1)},
                [NEGATIVE] = {2, {2, 3}, NUMBERS(0.2, -0.3, 1, 0.1, -0.4, 0.2)}},
    .params = {[MARGIN] = {true, {0.5, 0}},
               [NORM] = {true, {2, 0}},
               [EPS] = {true, {1e-6, 0}},
               [SWAP] = {true, {1, 1}},
               [DISTANCE] = {true, {EUCLIDEAN, EUCLIDEAN}}},
};

const struct loss_descriptor loss_triplet_margin = {
    .name = "triplet_margin",
    .aliases = {"TripletMarginLoss", "triplet_margin_loss", "TripletMarginWithDistanceLoss",
                "triplet_margin_with_distance_loss"},
    .title = "Triplet margin",
    .doc = "An anchor should be nearer to the positive than to the negative, by the margin.",
    .formula = "l = max(0, d(a, p) - d(a, n) + margin), d(u, v) = ||u - v + eps||_p; swap: "
               "min(d(a, n), d(p, n)) in place of d(a, n); "
               "distance cosine: d(u, v) = 1 - cos(u, v)",
    .reductions = MEAN_SUM_NONE,
    .tensors =
        {
            [ANCHOR] = {"anchor", "vectors", "(N, D) or (D)", LOSS_REAL, .prediction = true,
                        .differentiable = true},
            [POSITIVE] = {"positive", "vectors that should be near", "same as anchor", LOSS_REAL,
                          .prediction = true, .differentiable = true},
            [NEGATIVE] = {"negative", "vectors that should be far", "same as anchor", LOSS_REAL,
                          .prediction = true, .differentiable = true},
        },
    .params =
        {
            [MARGIN] = {"margin",
                        "minimum difference between the distances",
                        LOSS_NUMBER,
                        {1, 1},
                        .has_min = true,
                        .exclusive_min = true},
            [NORM] = {"p",
                      "order of the norm; infinite: the largest difference",
                      LOSS_NUMBER,
                      {2, 2},
                      .has_min = true,
                      .exclusive_min = true,
                      .infinite = true},
            [EPS] = {"eps", "added to each difference", LOSS_NUMBER, {1e-6, 0}},
            [SWAP] = {"swap", "use the distance between positive and negative if it is smaller",
                      LOSS_BOOLEAN},
            [DISTANCE] = {"distance",
                          "euclidean and pairwise are the p-norm, cosine is 1 - cosine similarity",
                          LOSS_CHOICE, .choices = distances},
        },
    .example = &example,
    .method = &(const struct loss_method){.cost_of = cost_of,
                                          .shape = shape,
                                          .kernel_f64 = triplet_margin_f64,
                                          .kernel_f32 = triplet_margin_f32},
};
