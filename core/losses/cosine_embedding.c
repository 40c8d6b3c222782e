/* Cosine embedding. PyTorch: torch.nn.CosineEmbeddingLoss; aten/src/ATen/native/Loss.cpp,
 * cosine_embedding_loss. */
#include "kernel/compensated_sum.h"
#include "kernel/prefetch.h"
#include "kernel/rows.h"

enum { INPUT1, INPUT2, TARGET };
enum { MARGIN };

/* PyTorch adds this float32 constant to each squared norm (unlike in its cosine_similarity). */
#define EPSILON ((loss_real)1e-12f)

/*
 * With A = |a|^2 + eps, B = |b|^2 + eps, u = a / sqrt(A), v = b / sqrt(B) and cos = u.v:
 *
 *     l       = 1 - cos if y = 1, max(0, cos - margin) if y = -1, else 0
 *     dcos/da = (v - u cos) / sqrt(A)
 *
 * For vectors with nearly the same direction, these differences would lose most digits. They are
 * then computed from the difference of the vectors:
 *
 *     1 - cos   = |u - v|^2 / 2 + (eps / A + eps / B) / 2
 *     v - u cos = (v - u) + u (1 - cos)
 */
struct pair {
    const loss_real *x[2];  /* the vectors, or ... */
    const float *x_f32[2];  /* ... in float32 */
    loss_real norm[2];      /* sqrt(A), sqrt(B) */
    loss_real inverse[2];   /* 1 / norm */
    loss_real cosine, rest; /* cos, 1 - cos */
    bool near;
    bool exact; /* u and v need all digits: for float64, or if they are nearly parallel */
};

static ALWAYS_INLINE loss_real component(const struct pair *pair, int k, size_t c, bool f32)
{
    return f32 ? (loss_real)pair->x_f32[k][c] : pair->x[k][c];
}

/* Returns a component of u or v; if not `exact`, by a multiplication, which is faster. */
static ALWAYS_INLINE loss_real unit(const struct pair *pair, int k, size_t c, bool f32, bool exact)
{
    const loss_real x = component(pair, k, c, f32);
    return exact ? x / pair->norm[k] : x * pair->inverse[k];
}

/* Sums of |a|^2, |b|^2 and a.b. */
struct products {
    struct sum_lanes aa, bb, ab;
};

/* Adds the products of components [c, c + n), n <= SUM_LANES, to the lanes. */
static ALWAYS_INLINE void add_products(const struct pair *pair, size_t c, size_t n,
                                       struct products *sum, bool f32)
{
    loss_real aa[SUM_LANES], bb[SUM_LANES], ab[SUM_LANES];
    for (size_t i = n; i < SUM_LANES; i++)
        aa[i] = bb[i] = ab[i] = 0;
#pragma GCC unroll 1
    for (size_t i = 0; i < n; i++) {
        const loss_real x = component(pair, 0, c + i, f32), y = component(pair, 1, c + i, f32);
        aa[i] = x * x;
        bb[i] = y * y;
        ab[i] = x * y;
    }
    sum_add_lanes(&sum->aa, aa);
    sum_add_lanes(&sum->bb, bb);
    sum_add_lanes(&sum->ab, ab);
}

/* Adds the squares of u - v of components [c, c + n), n <= SUM_LANES, to the lanes. */
static ALWAYS_INLINE void add_distances(const struct pair *pair, size_t c, size_t n,
                                        struct sum_lanes *sum, bool f32, bool exact)
{
    loss_real square[SUM_LANES];
    for (size_t i = n; i < SUM_LANES; i++)
        square[i] = 0;
#pragma GCC unroll 1
    for (size_t i = 0; i < n; i++) {
        const loss_real d = unit(pair, 0, c + i, f32, exact) - unit(pair, 1, c + i, f32, exact);
        square[i] = d * d;
    }
    sum_add_lanes(sum, square);
}

/* Returns |u - v|^2 of vectors of n components. */
static ALWAYS_INLINE loss_real distance(const struct pair *pair, size_t n, bool f32, bool exact,
                                        const struct loss_control *cancel)
{
    struct sum_lanes sum = {0};
    for (struct slice s = {0}; slice_next(&s, n, cancel);) {
        size_t c = s.first;
        for (; c + SUM_LANES <= s.end; c += SUM_LANES)
            add_distances(pair, c, SUM_LANES, &sum, f32, exact);
        add_distances(pair, c, s.end - c, &sum, f32, exact);
    }
    return sum_up(&sum);
}

/* Sets norms and cosine of vectors of n components. */
static ALWAYS_INLINE void measure(struct pair *pair, size_t n, bool f32,
                                  const struct loss_control *cancel)
{
    struct products sum = {0};
    for (struct slice s = {0}; slice_next(&s, n, cancel);) {
        size_t c = s.first;
        for (; c + SUM_LANES <= s.end; c += SUM_LANES) {
            for (int k = 0; f32 && k < 2; k++)
                prefetch_read(pair->x_f32[k], c + PREFETCH_DISTANCE);
            add_products(pair, c, SUM_LANES, &sum, f32);
        }
        add_products(pair, c, s.end - c, &sum, f32);
    }
    const loss_real square[] = {sum_up(&sum.aa) + EPSILON, sum_up(&sum.bb) + EPSILON};
    for (int k = 0; k < 2; k++) {
        pair->norm[k] = sqrt(square[k]);
        pair->inverse[k] = 1 / pair->norm[k];
    }
    pair->cosine = sum_up(&sum.ab) / (pair->norm[0] * pair->norm[1]);
    pair->rest = 1 - pair->cosine;
    pair->near = pair->cosine > 0.5;
    pair->exact = !f32 || !(fabs(pair->cosine) < 1 - 1e-6);
    if (!pair->near)
        return;
    const loss_real apart =
        pair->exact ? distance(pair, n, f32, true, cancel) : distance(pair, n, f32, false, cancel);
    pair->rest = (apart + EPSILON / square[0] + EPSILON / square[1]) / 2;
}

/* Writes factor * dcos/dx for vector k. */
static ALWAYS_INLINE void set_gradient(const struct pair *pair, int k, loss_real factor, size_t n,
                                       bool f32, bool exact, struct derivative_row grad,
                                       const struct loss_control *cancel)
{
    const struct pair p = *pair;
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        for (size_t c = s.first; c < s.end; c++) {
            const loss_real u = unit(&p, k, c, f32, exact), v = unit(&p, 1 - k, c, f32, exact);
            const loss_real across = p.near ? (v - u) + u * p.rest : v - u * p.cosine;
            const loss_real slope = exact ? across / p.norm[k] : across * p.inverse[k];
            if (f32)
                grad.f32[c] = (float)(factor * slope);
            else
                grad.f64[c] = factor * slope;
        }
}

static ALWAYS_INLINE void evaluate(struct loss_block *b, size_t i, bool f32)
{
    const size_t n = b->elements_per_term[INPUT1];
    struct pair pair = {.near = false};
    for (int k = INPUT1; k <= INPUT2; k++)
        if (f32)
            pair.x_f32[k] = b->in_f32[k] + i * b->stride[k];
        else
            pair.x[k] = b->in[k] + i * b->stride[k];
    measure(&pair, n, f32, b->cancel);
    const loss_real y = element_of(b, TARGET, i * b->stride[TARGET]);
    b->term[i] = y == 1     ? pair.rest
                 : y == -1  ? positive(pair.cosine - b->number[MARGIN])
                 : isnan(y) ? y
                            : 0;
    /* At the kink the slope is that of the active side. */
    const bool active = y == -1 && pair.cosine >= b->number[MARGIN];
    const loss_real side = active ? 1 : 0, factor = (y == 1 ? -1 : side) * b->scale[i];
    for (int k = INPUT1; k <= INPUT2; k++) {
        const struct derivative_row grad = gradient_row(b, k, i);
        if (!is_requested(grad))
            continue;
        if (pair.exact)
            set_gradient(&pair, k, factor, n, f32, true, grad, b->cancel);
        else
            set_gradient(&pair, k, factor, n, f32, false, grad, b->cancel);
    }
}

static void cosine_embedding_f64(struct loss_block *b)
{
    for (size_t i = 0; i < b->n; i++)
        evaluate(b, i, false);
}

static void cosine_embedding_f32(struct loss_block *b)
{
    for (size_t i = 0; i < b->n; i++)
        evaluate(b, i, true);
}

static const struct loss_example example = {
    .tensors = {[INPUT1] = {2, {2, 3}, NUMBERS(1, 0.5, -0.2, 0.3, -1, 0.8)},
                [INPUT2] = {2, {2, 3}, NUMBERS(0.9, 0.7, 0, 0.4, -0.6, 1)},
                [TARGET] = {1, {2}, NUMBERS(1, -1)}},
    .params = {[MARGIN] = {true, {0.2, 0}}},
};

const struct loss_descriptor loss_cosine_embedding = {
    .name = "cosine_embedding",
    .aliases = {"CosineEmbeddingLoss", "cosine_embedding_loss"},
    .title = "Cosine embedding",
    .doc = "Pulls similar pairs of vectors (y = 1) to the same direction and pushes dissimilar "
           "pairs (y = -1) apart, to a cosine of at most margin.",
    .formula = "cos = a.b / sqrt((|a|^2 + 1e-12) (|b|^2 + 1e-12)); l = 1 - cos where y = 1; max(0, "
               "cos - margin) where y = -1; else 0",
    .reductions = MEAN_SUM_NONE,
    .tensors =
        {
            [INPUT1] = {"input1", "vectors", "(N, D) or (D)", LOSS_REAL, .prediction = true,
                        .differentiable = true},
            [INPUT2] = {"input2", "vectors paired with those of input1", "(N, D) or (D)", LOSS_REAL,
                        .prediction = true, .differentiable = true},
            [TARGET] = {"target", "labels, 1 or -1", "(N) or ()", LOSS_REAL},
        },
    .params = {[MARGIN] = {"margin",
                           "largest cosine of dissimilar pairs without loss, best in [0, 0.5]",
                           LOSS_NUMBER}},
    .example = &example,
    .method = &(const struct loss_method){.cost = {100, 1.5, 3.5, 3.5},
                                          .shape = loss_shape_pairs,
                                          .kernel_f64 = cosine_embedding_f64,
                                          .kernel_f32 = cosine_embedding_f32},
};
