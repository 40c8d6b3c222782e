/* Derivatives of tensors that terms share: the engine leaves one for each term, and here those of
 * one element are summed. */
#include "engine/run.h"
#include "kernel/cancel.h"
#include "parallel.h"

/* Numbers that a thread adds up at a time. */
enum { PIECE = 1 << 14 };

struct fold {
    const struct derivative *derivative;
    const struct loss_control *cancel;
    size_t elements,
        piece;  /* of the derivative: how many there are, and how many a thread takes at a time */
    bool empty; /* there are no terms */
    /* The dimensions of the terms along which the tensor repeats, and how far apart their steps
     * stand in `summed`. */
    int rank;
    size_t dim[LOSS_MAX_RANK], gap[LOSS_MAX_RANK];
};

/* Where the first of the numbers stands that belong to element `at`: a dimension that the tensor
 * runs along is fixed by it. */
static size_t first_of(const struct strided_view *view, size_t at)
{
    size_t first = 0, gap = view->elements_per_term, within = 0;
    for (int d = view->rank - 1; d >= 0; d--) {
        if (view->step[d] != 0)
            first += at / (size_t)view->step[d] % view->dim[d] * gap;
        gap *= view->dim[d];
    }
    for (int i = 0; i < view->row_rank; i++)
        within = within * view->row_dim[i] + at / (size_t)view->row_step[i] % view->row_dim[i];
    return first + within;
}

/* Adds the numbers along the last dimension, which begin at x. */
static void add_line(struct sum *sum, const struct fold *fold, const loss_real *x)
{
    const size_t n = fold->dim[fold->rank - 1], gap = fold->gap[fold->rank - 1];
    for (struct slice s = {0}; slice_next(&s, n, fold->cancel);) {
        if (gap == 1)
            sum_add_all(sum, x + s.first, slice_len(&s));
        for (size_t i = s.first; gap != 1 && i < s.end; i++)
            sum_add(sum, x[i * gap]);
    }
}

static void fold_element(const struct fold *fold, size_t at)
{
    const struct loss_tensor *into = fold->derivative->into;
    const loss_real *x = fold->derivative->summed + first_of(&fold->derivative->view, at);
    size_t counter[LOSS_MAX_RANK] = {0};
    struct sum sum = {0};
    for (int d = fold->empty ? -1 : 0; d >= 0 && !cancel_requested(fold->cancel);) {
        add_line(&sum, fold, x);
        /* The next line: the dimension before the last counts on, and those before it as it wraps
         * around. */
        for (d = fold->rank - 2; d >= 0; d--) {
            x += fold->gap[d];
            if (++counter[d] < fold->dim[d])
                break;
            x -= fold->gap[d] * fold->dim[d];
            counter[d] = 0;
        }
    }
    const struct strided_view alone = strided_scalar();
    strided_write(&alone, (char *)into->data + at * loss_dtype_size(into->dtype), into->dtype, 0, 1,
                  &(loss_real){sum_value(&sum)});
}

static void fold_piece(void *context, size_t i, int thread)
{
    (void)thread;
    const struct fold *fold = context;
    const size_t first = i * fold->piece, rest = fold->elements - first;
    for (size_t at = first;
         at < first + (rest < fold->piece ? rest : fold->piece) && !cancel_requested(fold->cancel);
         at++)
        fold_element(fold, at);
}

static struct fold fold_of(const struct derivative *derivative)
{
    const struct strided_view *view = &derivative->view;
    struct fold fold = {.derivative = derivative,
                        .cancel = view->cancel,
                        .elements = loss_tensor_elements(derivative->into)};
    size_t gap = view->elements_per_term, gaps[LOSS_MAX_RANK];
    for (int d = view->rank - 1; d >= 0; d--) {
        gaps[d] = gap;
        gap *= view->dim[d];
    }
    fold.empty = gap == 0;
    const size_t each = fold.empty ? 1 : gap / fold.elements;
    fold.piece = each < PIECE ? PIECE / each : 1;
    for (int d = 0; d < view->rank; d++)
        if (view->step[d] == 0) {
            fold.dim[fold.rank] = view->dim[d];
            fold.gap[fold.rank++] = gaps[d];
        }
    return fold;
}

void broadcast_reduce(struct run *run, int threads)
{
    for (int i = 0; i < run->derivatives; i++) {
        if (!run->derivative[i].summed)
            continue;
        struct fold fold = fold_of(&run->derivative[i]);
        parallel_for((fold.elements + fold.piece - 1) / fold.piece, threads, fold_piece, &fold);
    }
}
