/* Cosine embedding. PyTorch: torch.nn.CosineEmbeddingLoss; aten/src/ATen/native/Loss.cpp, cosine_embedding_loss. */
#include "method.h"
#include "sum.h"

enum { INPUT1, INPUT2, TARGET };
enum { MARGIN };

/* PyTorch adds this to each squared norm (unlike its cosine_similarity), from a constant that it holds in float32. */
#define EPSILON ((real)1e-12f)

static real dot(const real *a, const real *b, size_t n)
{
    struct sum sum = {0};
    for (size_t i = 0; i < n; i++)
        sum_add(&sum, a[i] * b[i]);
    return sum_value(&sum);
}

/*
 * With A = |a|^2 + eps, B = |b|^2 + eps and cos = a.b / sqrt(A B):
 *     l = 1 - cos where y = 1, max(0, cos - margin) where y = -1, else 0
 *     dcos/da = b / sqrt(A B) - a cos / A
 */
static void cosine_embedding_kernel(struct loss_block *b)
{
    const size_t n = b->len[INPUT1];
    const real margin = b->param[MARGIN].number;
    for (size_t i = 0; i < b->n; i++) {
        const real *x[] = {b->in[INPUT1] + i * b->row[INPUT1], b->in[INPUT2] + i * b->row[INPUT2]};
        const real y = b->in[TARGET][i * b->row[TARGET]];
        const real square[] = {dot(x[0], x[0], n) + EPSILON, dot(x[1], x[1], n) + EPSILON};
        const real norms = sqrt(square[0]) * sqrt(square[1]), cosine = dot(x[0], x[1], n) / norms;
        b->term[i] = y == 1 ? 1 - cosine : y == -1 ? positive(cosine - margin) : 0;
        /* At the kink the slope is the active side's. */
        const real slope = (y == 1 ? -1 : y == -1 && cosine >= margin ? 1 : 0) * b->scale[i];
        for (int k = INPUT1; k <= INPUT2; k++)
            for (size_t c = 0; b->grad[k] && c < n; c++)
                b->grad[k][i * n + c] = slope * (x[1 - k][c] / norms - x[k][c] * (cosine / square[k]));
    }
}

const struct loss_descriptor loss_cosine_embedding = {
    .name = "cosine_embedding",
    .aliases = {"CosineEmbeddingLoss", "cosine_embedding_loss"},
    .title = "Cosine embedding",
    .doc = "Draws similar pairs of vectors (y = 1) to the same direction and pushes dissimilar ones (y = -1) apart, to a "
           "cosine of "
           "at most margin.",
    .formula =
        "cos = a.b / sqrt((|a|^2 + 1e-12) (|b|^2 + 1e-12)); l = 1 - cos where y = 1; max(0, cos - margin) where y = -1; else 0",
    .reductions = MEAN_SUM_NONE,
    .tensors =
        {
            [INPUT1] = {"input1", "vectors", "(N, D) or (D)", LOSS_REAL, .prediction = true, .differentiable = true},
            [INPUT2] = {"input2", "the vectors they are paired with", "(N, D) or (D)", LOSS_REAL, .prediction = true,
                        .differentiable = true},
            [TARGET] = {"target", "labels, 1 or -1", "(N) or ()", LOSS_REAL},
        },
    .params = {[MARGIN] = {"margin", "cosine that dissimilar pairs may keep, best in [0, 0.5]", LOSS_NUMBER}},
    .method = &(const struct loss_method){.shape = loss_shape_pairs, .kernel = cosine_embedding_kernel},
};
