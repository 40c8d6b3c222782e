/* Triplet margin. PyTorch: torch.nn.TripletMarginLoss, TripletMarginWithDistanceLoss;
   aten/src/ATen/native/Loss.cpp, triplet_margin_loss; Distance.cpp, pairwise_distance and
   cosine_similarity. */
#include "kernel/compensated_sum.h"
#include "kernel/loss_kernel.h"

enum { ANCHOR, POSITIVE, NEGATIVE };
enum { MARGIN, NORM, EPS, SWAP, DISTANCE };
enum { EUCLIDEAN, PAIRWISE, COSINE };

static const char *const distances[] = {
    [EUCLIDEAN] = "euclidean", [PAIRWISE] = "pairwise", [COSINE] = "cosine", NULL};

/* PyTorch's lower bound of norms in a cosine similarity. */
#define COSINE_EPS 1e-8

/* Returns |d|^p, without pow() for the usual powers. */
static loss_real power(loss_real d, loss_real p)
{
    return p == 2 ? d * d : p == 1 ? fabs(d) : pow(fabs(d), p);
}

/* Returns the largest |u - v + eps|; NaN if one is NaN. */
static loss_real largest_difference(const loss_real *u, const loss_real *v, size_t n, loss_real eps,
                                    const struct loss_control *cancel)
{
    loss_real most = 0;
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        for (size_t i = s.first; i < s.end; i++) {
            const loss_real a = fabs(u[i] - v[i] + eps);
            most = a > most || isnan(a) ? a : most;
        }
    return most;
}

/* Returns the sum of |u - v + eps|^p, each difference divided by `unit` first. */
static loss_real sum_of_powers(const loss_real *u, const loss_real *v, size_t n, loss_real p,
                               loss_real eps, loss_real unit, const struct loss_control *cancel)
{
    struct sum sum = {0};
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        for (size_t i = s.first; i < s.end; i++)
            sum_add(&sum, power((u[i] - v[i] + eps) / unit, p));
    return sum_value(&sum);
}

/* If a sum of squares is in this range, no square overflowed, and those that underflowed are
   negligible. */
static const loss_real SMALLEST_SQUARES = 0x1p-900, LARGEST_SQUARES = 0x1p1000;

/* Returns ||u - v + eps||_p. For general p, differences are scaled by the largest one, so that the
   sum neither overflows nor underflows. */
static loss_real norm_of_difference(const loss_real *u, const loss_real *v, size_t n, loss_real p,
                                    loss_real eps, const struct loss_control *cancel)
{
    const loss_real total = p == 1 || p == 2 ? sum_of_powers(u, v, n, p, eps, 1, cancel) : 0;
    if (p == 1)
        return total;
    if (p == 2 && total >= SMALLEST_SQUARES && total <= LARGEST_SQUARES)
        return sqrt(total);
    const loss_real most = largest_difference(u, v, n, eps, cancel);
    if (!(most > 0) || isinf(most) || isinf(p))
        return most;
    const loss_real shares = sum_of_powers(u, v, n, p, eps, most, cancel);
    return most * (p == 2 ? sqrt(shares) : pow(shares, 1 / p));
}

/* Returns how many of the |u - v + eps| equal their maximum, `norm`. */
static size_t count_largest(const loss_real *u, const loss_real *v, size_t n, loss_real eps,
                            loss_real norm, const struct loss_control *cancel)
{
    size_t count = 0;
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        for (size_t i = s.first; i < s.end; i++)
            count += fabs(u[i] - v[i] + eps) == norm;
    return count;
}

/* Returns the derivative of the norm with respect to d, one of the differences; 0 if d is 0. For
   the maximum norm, the `ties` largest differences share the slope. */
static loss_real slope_of_norm(loss_real d, loss_real norm, loss_real p, size_t ties)
{
    const loss_real a = fabs(d);
    if (d == 0 || norm == 0)
        return 0;
    if (isinf(p))
        return a == norm ? sign(d) / (loss_real)ties : 0;
    if (p == 1)
        return sign(d);
    return sign(d) * (p == 2 ? a / norm : pow(a / norm, p - 1));
}

/* Returns |u|, with the lower bound for divisors. */
static loss_real norm_of(const loss_real *u, size_t n, const struct loss_control *cancel)
{
    return vmax(sqrt(sum_products(u, u, n, cancel)), COSINE_EPS);
}

static loss_real distance(const loss_real *u, const loss_real *v, const struct loss_block *b)
{
    const size_t n = b->elements_per_term[ANCHOR];
    if (b->param[DISTANCE].integer != COSINE)
        return norm_of_difference(u, v, n, b->param[NORM].number, b->param[EPS].number, b->cancel);
    return 1 -
           sum_products(u, v, n, b->cancel) / (norm_of(u, n, b->cancel) * norm_of(v, n, b->cancel));
}

/* Adds factor * dd/du to du and factor * dd/dv to dv, for d = 1 - cos(u, v). Either may be NULL. */
static void add_cosine_gradient(const loss_real *u, const loss_real *v, const struct loss_block *b,
                                loss_real factor, loss_real *du, loss_real *dv)
{
    const size_t n = b->elements_per_term[ANCHOR];
    const loss_real of_u = norm_of(u, n, b->cancel), of_v = norm_of(v, n, b->cancel);
    const loss_real cosine = sum_products(u, v, n, b->cancel) / (of_u * of_v);
    for (struct slice s = {0}; slice_next(&s, n, b->cancel);)
        for (size_t i = s.first; i < s.end; i++) {
            if (du)
                du[i] -= factor * (v[i] / of_v - cosine * u[i] / of_u) / of_u;
            if (dv)
                dv[i] -= factor * (u[i] / of_u - cosine * v[i] / of_v) / of_v;
        }
}

/* The same for d = distance(u, v). */
static void add_gradient(const loss_real *u, const loss_real *v, const struct loss_block *b,
                         loss_real factor, loss_real *du, loss_real *dv)
{
    const size_t n = b->elements_per_term[ANCHOR];
    const loss_real p = b->param[NORM].number, eps = b->param[EPS].number;
    if (b->param[DISTANCE].integer == COSINE) {
        add_cosine_gradient(u, v, b, factor, du, dv);
        return;
    }
    const loss_real norm = norm_of_difference(u, v, n, p, eps, b->cancel);
    const size_t ties = isinf(p) ? count_largest(u, v, n, eps, norm, b->cancel) : 1;
    for (struct slice s = {0}; slice_next(&s, n, b->cancel);)
        for (size_t i = s.first; i < s.end; i++) {
            const loss_real slope = slope_of_norm(u[i] - v[i] + eps, norm, p, ties);
            if (du)
                du[i] += factor * slope;
            if (dv)
                dv[i] -= factor * slope;
        }
}

/* l = max(0, d(a, p) - d(a, n) + margin). swap uses min(d(a, n), d(p, n)) instead of d(a, n); if
   they are equal, they share the slope. At the kink of the maximum the slope is that of the active
   side. */
static void triplet_margin_kernel(struct loss_block *b)
{
    const size_t n = b->elements_per_term[ANCHOR];
    for (size_t i = 0; i < b->n; i++) {
        const loss_real *a = b->in[ANCHOR] + i * b->stride[ANCHOR],
                        *p = b->in[POSITIVE] + i * b->stride[POSITIVE],
                        *q = b->in[NEGATIVE] + i * b->stride[NEGATIVE];
        const loss_real far = distance(a, q, b),
                        swapped = b->param[SWAP].integer ? distance(p, q, b) : INFINITY;
        const loss_real lack =
            distance(a, p, b) - (swapped < far ? swapped : far) + b->param[MARGIN].number;
        b->term[i] = positive(lack);

        loss_real *grad[3] = {NULL};
        for (int k = ANCHOR; k <= NEGATIVE; k++) {
            grad[k] = b->grad[k] ? b->grad[k] + i * n : NULL;
            zero_all(grad[k], grad[k] ? n : 0, b->cancel);
        }
        if (!(lack >= 0))
            continue;
        const loss_real share = swapped < far ? 0 : swapped == far ? 0.5 : 1; /* share of d(a, n) */
        add_gradient(a, p, b, b->scale[i], grad[ANCHOR], grad[POSITIVE]);
        if (share > 0)
            add_gradient(a, q, b, -share * b->scale[i], grad[ANCHOR], grad[NEGATIVE]);
        if (share < 1)
            add_gradient(p, q, b, (share - 1) * b->scale[i], grad[POSITIVE], grad[NEGATIVE]);
    }
}

static struct loss_cost cost_of(const struct loss_plan *plan)
{
    const loss_real p = plan->param[NORM].number;
    const loss_real distances_of =
        plan->param[SWAP].integer ? 1.5 : 1; /* three distances instead of two */
    if (plan->param[DISTANCE].integer == COSINE)
        return (struct loss_cost){600 * distances_of, 3, 10, 10};
    const bool usual = p == 1 || p == 2;
    const loss_real value = (usual ? 5 : 65) * distances_of,
                    gradient = (usual ? 12 : 105) * distances_of;
    return (struct loss_cost){40, value, gradient, gradient};
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
    if (plan->param[DISTANCE].integer != COSINE && isinf(pow((loss_real)n, 1 / p)))
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
                                          .kernel_f64 = triplet_margin_kernel},
};
