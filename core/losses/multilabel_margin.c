/* Multi-label margin. PyTorch: torch.nn.MultiLabelMarginLoss;
 * aten/src/ATen/native/LossMultiLabelMargin.cpp. */
#include "kernel/compensated_sum.h"
#include "kernel/loss_kernel.h"

#include <stdio.h>

enum { INPUT, TARGET };

/*
 * l = 1 / C sum over listed j and unlisted c of max(0, a_j + x_c), with a_j = 1 - x_j. The list of
 * labels ends at the first -1.
 *
 * With the a_j in descending order, those for which a_j + x_c > 0 are the first k. Their terms sum
 * to
 *
 *     k (a_(k-1) + x_c) + sum_(i < k) (a_i - a_(k-1))
 *
 * which has no cancellation. The second sum, `above`, is the same for all c. So a row costs one
 * binary search for each class, not a pass over all classes for each label.
 */
struct row {
    const loss_real *x;
    const int64_t *labels;
    size_t classes, count; /* classes; listed classes, with repetitions */
    loss_real *listed;     /* [classes]: 1 if the class is listed, else 0 */
    loss_real *order;      /* [count]: indices into `labels`, in descending order of a */
    loss_real *a, *above;  /* [count]: in this order */
    loss_real
        *last; /* [count]: number of unlisted classes whose last active listed class is this */
    const struct loss_control *cancel;
};
enum { ROW_ARRAYS = 5 };

/* Returns the index of the first label that is neither a class nor -1; `classes` if there is none.
 */
static size_t first_invalid(const int64_t *labels, size_t classes,
                            const struct loss_control *cancel)
{
    for (struct slice s = {0}; slice_next(&s, classes, cancel);)
        for (size_t k = s.first; k < s.end; k++)
            if (labels[k] < -1 || labels[k] >= (int64_t)classes)
                return k;
    return classes;
}

/* Returns a_j of the listed class at index `place` of `labels`. */
static loss_real listed_value(const struct row *row, loss_real place)
{
    return 1 - row->x[row->labels[(size_t)place]];
}

/* Merges the sorted ranges [first, middle) and [middle, end) of `from` into `to`. */
static void merge(const struct row *row, const loss_real *from, loss_real *to, size_t first,
                  size_t middle, size_t end)
{
    size_t i = first, j = middle;
    for (struct slice s = {0}; slice_next(&s, end - first, row->cancel);)
        for (size_t k = s.first; k < s.end; k++) {
            const bool left = j == end || (i < middle && listed_value(row, from[i]) >=
                                                             listed_value(row, from[j]));
            to[first + k] = left ? from[i++] : from[j++];
        }
}

/* Sorts the listed classes with a bottom-up merge sort. */
static void sort(struct row *row)
{
    const size_t n = row->count;
    loss_real *from = row->order, *to = row->a;
    for (struct slice s = {0}; slice_next(&s, n, row->cancel);)
        for (size_t i = s.first; i < s.end; i++)
            from[i] = (loss_real)i;
    for (size_t run = 1; run < n && !cancel_requested(row->cancel); run *= 2) {
        for (size_t first = 0; first < n && !cancel_requested(row->cancel); first += 2 * run) {
            const size_t middle = n - first < run ? n : first + run,
                         end = n - first < 2 * run ? n : first + 2 * run;
            merge(row, from, to, first, middle, end);
        }
        loss_real *const merged = to;
        to = from;
        from = merged;
    }
    row->order = from;
    row->a = to;
}

/* Marks the listed classes. */
static void mark_listed(struct row *row)
{
    zero_all(row->listed, row->classes, row->cancel);
    for (struct slice s = {0}; slice_next(&s, row->classes, row->cancel);)
        for (; row->count < s.end && row->labels[row->count] >= 0; row->count++)
            row->listed[row->labels[row->count]] = 1;
}

/* Computes a and `above` of the listed classes, in order. */
static void sum_list(struct row *row)
{
    struct sum above = {0};
    for (struct slice s = {0}; slice_next(&s, row->count, row->cancel);)
        for (size_t i = s.first; i < s.end; i++) {
            row->a[i] = listed_value(row, row->order[i]);
            if (i > 0 && row->a[i] != row->a[i - 1])
                sum_add(&above, (loss_real)i * (row->a[i - 1] - row->a[i]));
            row->above[i] = sum_value(&above);
            row->last[i] = 0;
        }
}

/* Returns k, the number of listed classes j for which a_j + x > 0. */
static size_t count_active(const struct row *row, loss_real x)
{
    size_t low = 0, high = row->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (row->a[middle] + x > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Returns the sum over all unlisted classes. If requested, writes their slopes to `grad`. Slopes
   are counts, so they are exact. */
static loss_real add_up(const struct row *row, loss_real *grad)
{
    struct sum sum = {0};
    for (struct slice s = {0}; slice_next(&s, row->classes, row->cancel);)
        for (size_t c = s.first; c < s.end; c++) {
            const size_t k = row->listed[c] != 0 ? 0 : count_active(row, row->x[c]);
            if (k > 0) {
                sum_add(&sum, (loss_real)k * (row->a[k - 1] + row->x[c]) + row->above[k - 1]);
                row->last[k - 1]++;
            }
            if (grad)
                grad[c] = (loss_real)k;
        }
    return sum_value(&sum);
}

/* Computes the slopes of the listed classes. An unlisted class that is active with one is active
   with all before it. */
static void add_slopes(const struct row *row, loss_real *grad)
{
    loss_real active = 0;
    for (struct slice s = {0}; slice_next(&s, row->count, row->cancel);)
        for (size_t i = row->count - s.first; i-- > row->count - s.end;) {
            active += row->last[i];
            grad[row->labels[(size_t)row->order[i]]] -= active;
        }
}

/* Returns true if the sum is NaN: a number is NaN, or a difference of equal infinities occurs. All
   slopes are then NaN too, independent of the order of the classes. */
static bool is_nan(const struct row *row)
{
    bool nan = false, listed[2] = {false, false}, others[2] = {false, false};
    size_t unlisted = 0;
    for (struct slice s = {0}; slice_next(&s, row->classes, row->cancel);)
        for (size_t c = s.first; c < s.end; c++) {
            const loss_real x = row->x[c];
            nan |= isnan(x);
            unlisted += row->listed[c] == 0;
            if (isinf(x))
                (row->listed[c] != 0 ? listed : others)[x > 0] = true;
        }
    return row->count > 0 && unlisted > 0 &&
           (nan || (listed[0] && others[0]) || (listed[1] && others[1]));
}

static void evaluate(struct loss_block *b, size_t i, const int64_t *labels)
{
    const size_t classes = b->elements_per_term[INPUT];
    loss_real *const grad = b->grad[INPUT] ? b->grad[INPUT] + i * classes : NULL, *const at =
                                                                                      b->scratch;
    struct row row = {.x = b->in[INPUT] + i * b->stride[INPUT],
                      .labels = labels,
                      .classes = classes,
                      .listed = at,
                      .order = at + classes,
                      .a = at + 2 * classes,
                      .above = at + 3 * classes,
                      .last = at + 4 * classes,
                      .cancel = b->cancel};
    mark_listed(&row);
    const bool nan = is_nan(&row);
    if (!nan)
        sort(&row);
    if (cancel_requested(b->cancel)) /* the order is not valid */
        return;
    if (!nan)
        sum_list(&row);
    b->term[i] = nan ? NAN : add_up(&row, grad) / (loss_real)classes;
    if (grad && !nan)
        add_slopes(&row, grad);
    const loss_real scale = b->scale[i] / (loss_real)classes;
    for (struct slice s = {0}; grad && slice_next(&s, classes, b->cancel);)
        for (size_t c = s.first; c < s.end; c++)
            grad[c] = nan ? NAN : grad[c] * scale;
}

static void multilabel_margin_kernel(struct loss_block *b)
{
    const size_t classes = b->elements_per_term[INPUT];
    for (size_t i = 0; i < b->n && !cancel_requested(b->cancel); i++) {
        const int64_t *labels = b->index[TARGET] + i * b->stride[TARGET];
        b->invalid_element = first_invalid(labels, classes, b->cancel);
        if (cancel_requested(b->cancel)) /* the other labels were not checked */
            return;
        if (b->invalid_element < classes) {
            b->invalid = i;
            return;
        }
        evaluate(b, i, labels);
    }
}

static size_t classes_of(const struct loss_plan *plan)
{
    return plan->tensor[INPUT].shape[plan->tensor[INPUT].rank - 1];
}

static size_t scratch(const struct loss_plan *plan)
{
    size_t count;
    return __builtin_mul_overflow(classes_of(plan), (size_t)ROW_ARRAYS, &count) ? SIZE_MAX : count;
}

/* Assumes that half of the classes are listed: these are sorted, and each other class does a binary
   search among them. */
static struct loss_cost cost_of(const struct loss_plan *plan)
{
    const loss_real element = 9 + 2 * log2((loss_real)classes_of(plan) + 1);
    return (struct loss_cost){20, element, element, element};
}

static void expected(const struct loss_plan *plan, int tensor, char *text, size_t size)
{
    (void)tensor;
    snprintf(text, size, "class indices must be in [0, %zu), and -1 ends the list",
             classes_of(plan));
}

static enum loss_status shape(struct loss_plan *plan, struct loss_error *error)
{
    const int rank = plan->tensor[INPUT].rank;
    if (rank != 1 && rank != 2)
        return loss_shape_error(plan, error, INPUT, "it must be (C) or (N, C)");
    return loss_shape_rows(plan, 1, error);
}

static const struct loss_example example = {
    .tensors = {[INPUT] = {2, {1, 4}, NUMBERS(0.1, 0.2, 0.4, 0.8)},
                [TARGET] = {2, {1, 4}, NUMBERS(3, 0, -1, 1)}},
};

const struct loss_descriptor loss_multilabel_margin = {
    .name = "multilabel_margin",
    .aliases = {"MultiLabelMarginLoss", "multilabel_margin_loss"},
    .title = "Multi-label margin",
    .doc = "Hinge loss over classes of which several are correct: each correct class should score "
           "at least 1 higher than each other class.",
    .formula = "l = 1/C sum over listed j, unlisted c of max(0, 1 - x_j + x_c)",
    .reductions = MEAN_SUM_NONE,
    .tensors =
        {
            [INPUT] = {"input", "scores", "(C) or (N, C)", LOSS_REAL, .prediction = true,
                       .differentiable = true},
            [TARGET] = {"target", "indices of the correct classes, terminated by -1",
                        "(C) or (N, C)", LOSS_INDEX},
        },
    .example = &example,
    .method =
        &(const struct loss_method){
            .shape = shape,
            .kernel_f64 = multilabel_margin_kernel,
            .scratch = scratch,
            .cost_of = cost_of,
            .checked_tensor = TARGET,
            .expected = expected,
        },
};
