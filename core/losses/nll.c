/* Negative log likelihood. PyTorch: torch.nn.NLLLoss; aten/src/ATen/native/LossNLL.cpp. */
#include "kernel/class_rows.h"
#include "kernel/prefetch.h"
#include "kernel/stream.h"

/* Prefetches x_y of all rows, so that their cache misses overlap. */
static void prefetch_labels(const struct loss_block *b)
{
    for (size_t i = 0; b->in_f32[INPUT] && i < b->n; i++)
        prefetch_read(b->in_f32[INPUT],
                      i * b->stride[INPUT] + (size_t)b->index[TARGET][i * b->stride[TARGET]]);
}

/* Rows of at least this many zeros are worth streaming. */
enum { STREAM_MIN_CLASSES = 256 };

/* Writes a row of the gradient, if it is requested: `value` at class y, and 0 at all others; at all
   classes if y is their number. */
static void write_gradient(const struct loss_block *b, size_t i, size_t y, loss_real value,
                           bool streams)
{
    const struct derivative_row grad = gradient_row(b, INPUT, i);
    const size_t classes = b->elements_per_term[INPUT];
    if (!streams) {
        zero_row(grad, classes, b->cancel);
        if (y < classes)
            set_element(grad, y, value);
        return;
    }
    for (struct slice s = {0}; slice_next(&s, classes, b->cancel);)
        stream_one_hot(grad.f32 + s.first, slice_len(&s),
                       y >= s.first && y < s.end ? y - s.first : slice_len(&s), (float)value);
}

/* l = -w_y x_y for log-probabilities x; 0 if y = ignore_index. mean divides by the sum of the w_y
   that are not ignored. */
static void nll_kernel(struct loss_block *b)
{
    const size_t classes = b->elements_per_term[INPUT];
    const bool streams = classes >= STREAM_MIN_CLASSES && (b->streams >> INPUT & 1);
    prefetch_labels(b);
    for (size_t i = 0; i < b->n; i++) {
        size_t y;
        b->term[i] = 0;
        if (class_label(b, i, classes, &y)) {
            const loss_real weight = class_weight(b, y);
            b->term[i] = -weight * element_of(b, INPUT, i * b->stride[INPUT] + y);
            write_gradient(b, i, y, -weight * b->scale[i], streams);
        } else {
            write_gradient(b, i, classes, 0, streams);
        }
    }
}

static const struct loss_example example = {
    .tensors = {[INPUT] = {2, {3, 2}, NUMBERS(-0.3567, -1.204, -1.6094, -0.2231, -0.6931, -0.6931)},
                [TARGET] = {1, {3}, NUMBERS(0, 1, -1)},
                [WEIGHT] = {1, {2}, NUMBERS(1, 2)}},
    .params = {[IGNORE_INDEX] = {true, {-1, -1}}},
};

const struct loss_descriptor loss_nll = {
    .name = "nll",
    .aliases = {"NLLLoss", "nll_loss"},
    .title = "Negative log likelihood",
    .doc = "Negative log-probability of the correct class. For logits, use cross_entropy.",
    .formula = "l = -w_y x_y, 0 where y = ignore_index; mean divides by the sum of the w_y that "
               "are not ignored",
    .reductions = MEAN_SUM_NONE,
    .tensors =
        {
            [INPUT] = {"input", "log-probabilities", "(C), (N, C) or (N, C, d1, ...)", LOSS_REAL,
                       .prediction = true, .differentiable = true},
            [TARGET] = {"target", "class indices", "(), (N) or (N, d1, ...)", LOSS_INDEX},
            [WEIGHT] = {"weight", "a weight for each class", "(C)", LOSS_REAL, .optional = true},
        },
    .params = {[IGNORE_INDEX] = {"ignore_index",
                                 "class index that is ignored; null: none",
                                 LOSS_INTEGER,
                                 {-100, -100},
                                 .nullable = true}},
    .example = &example,
    .method =
        &(const struct loss_method){
            .cost = {10, 0.03, 0.4, 0.4},
            .shape = loss_shape_classes,
            .kernel_f64 = nll_kernel,
            .kernel_f32 = nll_kernel,
            .term_weights = loss_class_term_weights,
            .term_weight_operands = 1u << TARGET | 1u << WEIGHT,
            .is_ignored = loss_label_is_ignored,
            .checked_tensor = TARGET,
            .expected = loss_expect_classes,
        },
};
