/* Multi-label soft margin. PyTorch: torch.nn.MultiLabelSoftMarginLoss; torch/nn/functional.py,
 * multilabel_soft_margin_loss. */
#include "kernel/compensated_sum.h"
#include "kernel/prefetch.h"
#include "kernel/rows.h"

enum { INPUT, TARGET, WEIGHT };

/* A row of one precision. */
struct row {
    const loss_real *x, *y, *w;
    const float *x_f32, *y_f32, *w_f32;
    struct derivative_row grad[2]; /* with respect to input and target */
    loss_real scale;               /* of the gradients */
};

/* What is the same for all rows, and a constant for the compiler. */
struct options {
    bool f32, weighted;
};

/* The term of an element, and its derivatives with respect to input and target. */
struct element {
    loss_real term, grad[2];
};

/* Returns softplus(-|x|) and sigmoid(-|x|), with one division. */
static ALWAYS_INLINE struct softplus softplus_of(loss_real x)
{
    const loss_real e = vexp_negative(-fabs(x)), inverse = 1 / ((1 + e) * (2 + e));
    return (struct softplus){vlog1p_of_ratio(e * (1 + e) * inverse), e * (2 + e) * inverse};
}

static ALWAYS_INLINE struct element element_at(const struct row *row, size_t c,
                                               const struct options options)
{
    const loss_real x = options.f32 ? row->x_f32[c] : row->x[c],
                    y = options.f32 ? row->y_f32[c] : row->y[c];
    const struct softplus below =
        options.f32 ? vsoftplus_f32(fabsf(row->x_f32[c])) : softplus_of(x);
    loss_real w = 1;
    if (options.weighted)
        w = options.f32 ? row->w_f32[c] : row->w[c];
    return (struct element){
        .term = w * ((x < 0 ? -y * x : (1 - y) * x) + below.value),
        .grad = {w * (x < 0 ? below.sigmoid - y : (1 - y) - below.sigmoid), -w * x},
    };
}

/* Adds the terms of classes [c, c + n), n <= SUM_LANES, to the lanes. Reads and writes SUM_LANES
   elements of each array. Sums of float32 elements need no compensation. */
static ALWAYS_INLINE void add_classes(const struct row *row, size_t c, size_t n,
                                      const struct options options, struct compensated_lanes *sum)
{
    loss_real term[SUM_LANES], grad[2][SUM_LANES];
    float grad_f32[2][SUM_LANES];
#pragma GCC unroll 1
    for (size_t k = 0; k < SUM_LANES; k++) {
        const struct element at = element_at(row, c + k, options);
        term[k] = k < n ? at.term : 0;
        for (int g = 0; g < 2; g++)
            if (options.f32)
                grad_f32[g][k] = (float)(at.grad[g] * row->scale);
            else
                grad[g][k] = at.grad[g] * row->scale;
    }
    lanes_add(sum, term, options.f32);
    for (int g = 0; g < 2; g++)
        if (options.f32 && row->grad[g].f32)
            memcpy(row->grad[g].f32 + c, grad_f32[g], sizeof grad_f32[g]);
        else if (!options.f32 && row->grad[g].f64)
            memcpy(row->grad[g].f64 + c, grad[g], sizeof grad[g]);
}

/* Like add_classes(), for the last n classes of a row. Copies them, because add_classes() reads and
   writes SUM_LANES elements. */
static ALWAYS_INLINE void add_last(const struct row *row, size_t c, size_t n,
                                   const struct options options, struct compensated_lanes *sum)
{
    loss_real in[3][SUM_LANES] = {0}, grad[2][SUM_LANES];
    float in_f32[3][SUM_LANES] = {0}, grad_f32[2][SUM_LANES];
    const loss_real *const from[] = {row->x, row->y, row->w};
    const float *const from_f32[] = {row->x_f32, row->y_f32, row->w_f32};
    struct row last = {in[0], in[1], in[2], in_f32[0], in_f32[1], in_f32[2], .scale = row->scale};
    for (int k = 0; k < 2 + options.weighted; k++)
        if (options.f32)
            memcpy(in_f32[k], from_f32[k] + c, n * sizeof *in_f32[k]);
        else
            memcpy(in[k], from[k] + c, n * sizeof *in[k]);
    for (int g = 0; g < 2; g++)
        last.grad[g] = (struct derivative_row){row->grad[g].f64 ? grad[g] : NULL,
                                               row->grad[g].f32 ? grad_f32[g] : NULL};
    add_classes(&last, 0, n, options, sum);
    for (int g = 0; g < 2; g++)
        if (row->grad[g].f32)
            memcpy(row->grad[g].f32 + c, grad_f32[g], n * sizeof *grad_f32[g]);
        else if (row->grad[g].f64)
            memcpy(row->grad[g].f64 + c, grad[g], n * sizeof *grad[g]);
}

/* Sets `row` to row i. */
static ALWAYS_INLINE void set_row(const struct loss_block *b, size_t i, struct row *row)
{
    const loss_real **const to[] = {&row->x, &row->y, &row->w};
    const float **const to_f32[] = {&row->x_f32, &row->y_f32, &row->w_f32};
    for (int k = INPUT; k <= WEIGHT; k++) {
        *to[k] = b->in[k] ? b->in[k] + i * b->stride[k] : NULL;
        *to_f32[k] = b->in_f32[k] ? b->in_f32[k] + i * b->stride[k] : NULL;
    }
    for (int k = INPUT; k <= TARGET; k++)
        row->grad[k] = gradient_row(b, k, i);
}

static ALWAYS_INLINE void prefetch_row(const struct row *row, size_t c,
                                       const struct options options)
{
    if (!options.f32)
        return;
    prefetch_read(row->x_f32, c);
    prefetch_read(row->y_f32, c);
    for (int g = 0; g < 2; g++)
        if (row->grad[g].f32)
            prefetch_write(row->grad[g].f32, c);
}

/* l = -1 / C sum_c w_c [y_c log s(x_c) + (1 - y_c) log s(-x_c)], s the sigmoid: the mean of
   bce_with_logits over a row */
static ALWAYS_INLINE void evaluate(struct loss_block *b, const struct options options)
{
    const size_t classes = b->elements_per_term[INPUT];
    for (size_t i = 0; i < b->n; i++) {
        struct row row = {.scale = b->scale[i] / (loss_real)classes};
        struct compensated_lanes sum = {0};
        set_row(b, i, &row);
        for (struct slice s = {0}; slice_next(&s, classes, b->cancel);) {
            size_t c = s.first;
            for (; c + SUM_LANES <= s.end; c += SUM_LANES) {
                prefetch_row(&row, c + PREFETCH_DISTANCE, options);
                add_classes(&row, c, SUM_LANES, options, &sum);
            }
            if (c < s.end)
                add_last(&row, c, s.end - c, options, &sum);
        }
        b->term[i] = lanes_value(&sum, options.f32) / (loss_real)classes;
    }
}

static void multilabel_soft_margin_f64(struct loss_block *b)
{
    if (b->in[WEIGHT])
        evaluate(b, (struct options){.f32 = false, .weighted = true});
    else
        evaluate(b, (struct options){.f32 = false, .weighted = false});
}

static void multilabel_soft_margin_f32(struct loss_block *b)
{
    if (b->in_f32[WEIGHT])
        evaluate(b, (struct options){.f32 = true, .weighted = true});
    else
        evaluate(b, (struct options){.f32 = true, .weighted = false});
}

static enum loss_status shape(struct loss_plan *plan, struct loss_error *error)
{
    if (plan->tensor[INPUT].rank == 0)
        return loss_shape_error(plan, error, INPUT,
                                "it must have at least one dimension, the classes");
    return loss_shape_rows(plan, 1, error);
}

static const struct loss_example example = {
    .tensors = {[INPUT] = {2, {2, 2}, NUMBERS(0.3, -1.2, 2, 1.5)},
                [TARGET] = {2, {2, 2}, NUMBERS(1, 0, 1, 1)},
                [WEIGHT] = {1, {2}, NUMBERS(1, 2)}},
};

const struct loss_descriptor loss_multilabel_soft_margin = {
    .name = "multilabel_soft_margin",
    .aliases = {"MultiLabelSoftMarginLoss", "multilabel_soft_margin_loss"},
    .title = "Multi-label soft margin",
    .doc = "A binary target for each class: binary cross entropy with logits, averaged over the "
           "classes of a row.",
    .formula = "l = -1/C sum_c w_c [y_c log s(x_c) + (1 - y_c) log s(-x_c)], s the sigmoid",
    .reductions = MEAN_SUM_NONE,
    .tensors =
        {
            [INPUT] = {"input", "logits", "(C), (N, C) or (..., C)", LOSS_REAL, .prediction = true,
                       .differentiable = true},
            [TARGET] = {"target", "true values, 0 or 1", "same as input", LOSS_REAL,
                        .differentiable = true},
            [WEIGHT] = {"weight", "a weight for each class",
                        "(C), or broadcast to input with C last", LOSS_REAL, .optional = true},
        },
    .example = &example,
    .method = &(const struct loss_method){.cost = {100, 2.6, 2.6, 3.4},
                                          .shape = shape,
                                          .kernel_f64 = multilabel_soft_margin_f64,
                                          .kernel_f32 = multilabel_soft_margin_f32},
};
