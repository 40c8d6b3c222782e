/* Cosine embedding. PyTorch: torch.nn.CosineEmbeddingLoss; aten/src/ATen/native/Loss.cpp,
 * cosine_embedding_loss. */
#include "kernel/compensated_sum.h"
#include "kernel/loss_kernel.h"

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
    const loss_real *x[2];
    loss_real norm[2];      /* sqrt(A), sqrt(B) */
    loss_real cosine, rest; /* cos, 1 - cos */
    bool near;
};

static struct pair make_pair(const loss_real *a, const loss_real *b, size_t n,
                             const struct loss_control *cancel)
{
    const loss_real square[] = {sum_products(a, a, n, cancel) + EPSILON,
                                sum_products(b, b, n, cancel) + EPSILON};
    struct pair pair = {.x = {a, b}, .norm = {sqrt(square[0]), sqrt(square[1])}};
    pair.cosine = sum_products(a, b, n, cancel) / (pair.norm[0] * pair.norm[1]);
    pair.rest = 1 - pair.cosine;
    pair.near = pair.cosine > 0.5;
    if (!pair.near)
        return pair;
    struct sum apart = {0};
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        for (size_t i = s.first; i < s.end; i++) {
            const loss_real d = a[i] / pair.norm[0] - b[i] / pair.norm[1];
            sum_add(&apart, d * d);
        }
    pair.rest = (sum_value(&apart) + EPSILON / square[0] + EPSILON / square[1]) / 2;
    return pair;
}

/* Returns dcos/dx for element c of vector k. */
static loss_real slope(const struct pair *pair, int k, size_t c)
{
    const loss_real u = pair->x[k][c] / pair->norm[k], v = pair->x[1 - k][c] / pair->norm[1 - k];
    return (pair->near ? (v - u) + u * pair->rest : v - u * pair->cosine) / pair->norm[k];
}

static void set_gradient(const struct pair *pair, int k, loss_real factor, size_t n,
                         loss_real *grad, const struct loss_control *cancel)
{
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        for (size_t c = s.first; c < s.end; c++)
            grad[c] = factor * slope(pair, k, c);
}

static void cosine_embedding_kernel(struct loss_block *b)
{
    const size_t n = b->elements_per_term[INPUT1];
    const loss_real margin = b->param[MARGIN].number;
    for (size_t i = 0; i < b->n; i++) {
        const struct pair pair = make_pair(b->in[INPUT1] + i * b->stride[INPUT1],
                                           b->in[INPUT2] + i * b->stride[INPUT2], n, b->cancel);
        const loss_real y = b->in[TARGET][i * b->stride[TARGET]];
        b->term[i] = y == 1     ? pair.rest
                     : y == -1  ? positive(pair.cosine - margin)
                     : isnan(y) ? y
                                : 0;
        /* At the kink the slope is that of the active side. */
        const loss_real factor = (y == 1                             ? -1
                                  : y == -1 && pair.cosine >= margin ? 1
                                                                     : 0) *
                                 b->scale[i];
        for (int k = INPUT1; k <= INPUT2; k++)
            if (b->grad[k])
                set_gradient(&pair, k, factor, n, b->grad[k] + i * n, b->cancel);
    }
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
    .method = &(const struct loss_method){.cost = {160, 3, 7, 7},
                                          .shape = loss_shape_pairs,
                                          .kernel_f64 = cosine_embedding_kernel},
};
