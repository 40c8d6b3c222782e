/* Soft Dice. F. Milletari et al., V-Net, 2016; MONAI's DiceLoss with its terms not squared. */
#include "method.h"
#include "sum.h"

enum { INPUT, TARGET };
enum { SMOOTH, BATCH };

/*
 * Over the elements of a sample, with I = sum x y, S = sum x + sum y:
 *     l = 1 - (2 I + smooth) / (S + smooth) = sum(x (1 - y) + y (1 - x)) / (S + smooth)
 *     dl/dx_c = ((1 - l) - 2 y_c) / (S + smooth)
 */
struct masks {
    const real *of[2];
    size_t n;
    struct sum common, apart, all; /* x y, x (1 - y) + y (1 - x), x + y */
};

static void add_up(struct masks *m, const bool *cancel)
{
    for (struct stretch s = {0}; stretch_next(&s, m->n, cancel);)
        for (size_t c = s.first; c < s.end; c++) {
            const real x = m->of[INPUT][c], y = m->of[TARGET][c];
            sum_add(&m->common, x * y);
            sum_add(&m->apart, x * (1 - y) + y * (1 - x));
            sum_add(&m->all, x + y);
        }
}

static void dice_kernel(struct loss_block *b)
{
    const size_t n = b->len[INPUT];
    const real smooth = b->number[SMOOTH];
    for (size_t i = 0; i < b->n; i++) {
        struct masks m = {.of = {b->in[INPUT] + i * n, b->in[TARGET] + i * n}, .n = n};
        add_up(&m, b->cancel);
        const real whole = sum_value(&m.all) + smooth, share = (2 * sum_value(&m.common) + smooth) / whole;
        b->term[i] = sum_value(&m.apart) / whole;
        for (int k = INPUT; k <= TARGET; k++)
            for (struct stretch s = {0}; b->grad[k] && stretch_next(&s, n, b->cancel);)
                for (size_t c = s.first; c < s.end; c++)
                    b->grad[k][i * n + c] = (share - 2 * m.of[TARGET - k][c]) / whole * b->scale[i];
    }
}

/* A term for each index of the first dimension, or one for all. */
static enum loss_status shape(struct loss_plan *plan, struct loss_error *error)
{
    const int rank = plan->tensor[INPUT].rank;
    if (rank == 0)
        return loss_misfit(plan, error, INPUT, "it must be (N, ...): samples, and what belongs to each");
    return loss_shape_rows(plan, plan->param[BATCH].integer ? rank : rank - 1, error);
}

static const struct loss_example example = {
    .tensors = {[INPUT] = {2, {2, 4}, NUMBERS(0.9, 0.8, 0.1, 0, 0.2, 0.7, 0.6, 0.1)},
                [TARGET] = {2, {2, 4}, NUMBERS(1, 1, 0, 0, 0, 1, 1, 0)}},
    .params = {[SMOOTH] = {true, {0.5, 0}}, [BATCH] = {true, {1, 1}}},
};

const struct loss_descriptor loss_dice = {
    .name = "dice",
    .aliases = {"DiceLoss", "dice_loss"},
    .title = "Soft Dice",
    .doc = "Of masks: 1 less twice the overlap over the total, for each sample, or for the whole batch. The input holds "
           "probabilities.",
    .formula = "l = 1 - (2 sum x y + smooth) / (sum x + sum y + smooth)",
    .reductions = MEAN_SUM_NONE,
    .tensors =
        {
            [INPUT] = {"input", "predicted probabilities", "(N, ...)", LOSS_REAL, .prediction = true, .differentiable = true},
            [TARGET] = {"target", "what they should be, usually 0 or 1", "that of input", LOSS_REAL, .differentiable = true},
        },
    .params =
        {
            [SMOOTH] = {"smooth", "keeps empty masks from dividing 0 by 0", LOSS_NUMBER, {1, 1}, .has_min = true},
            [BATCH] = {"batch", "one term for the whole batch, in place of one for each sample", LOSS_BOOLEAN},
        },
    .example = &example,
    .method = &(const struct loss_method){.cost = {5, 4, 5, 6}, .shape = shape, .kernel = dice_kernel},
};
