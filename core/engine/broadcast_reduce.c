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
static size_t first_of(const struct walk *walk, size_t at)
{
    size_t first = 0, gap = walk->len, within = 0;
    for (int d = walk->rank - 1; d >= 0; d--) {
        if (walk->step[d] != 0)
            first += at / (size_t)walk->step[d] % walk->dim[d] * gap;
        gap *= walk->dim[d];
    }
    for (int i = 0; i < walk->row_rank; i++)
        within = within * walk->row_dim[i] + at / (size_t)walk->row_step[i] % walk->row_dim[i];
    return first + within;
}

/* Adds the numbers along the last dimension, which begin at x. */
static void add_line(struct sum *sum, const struct fold *fold, const real *x)
{
    const size_t n = fold->dim[fold->rank - 1], gap = fold->gap[fold->rank - 1];
    for (struct stretch s = {0}; stretch_next(&s, n, fold->cancel);) {
        if (gap == 1)
            sum_add_all(sum, x + s.first, stretch_len(&s));
        for (size_t i = s.first; gap != 1 && i < s.end; i++)
            sum_add(sum, x[i * gap]);
    }
}

static void fold_element(const struct fold *fold, size_t at)
{
    const struct loss_tensor *into = fold->derivative->into;
    const real *x = fold->derivative->summed + first_of(&fold->derivative->walk, at);
    size_t counter[LOSS_MAX_RANK] = {0};
    struct sum sum = {0};
    for (int d = fold->empty ? -1 : 0; d >= 0 && !cancel_asked(fold->cancel);) {
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
    const struct walk alone = walk_number();
    walk_write(&alone, (char *)into->data + at * loss_dtype_size(into->dtype), into->dtype, 0, 1,
               &(real){sum_value(&sum)});
}

static void fold_piece(void *context, size_t i, int thread)
{
    (void)thread;
    const struct fold *fold = context;
    const size_t first = i * fold->piece, rest = fold->elements - first;
    for (size_t at = first;
         at < first + (rest < fold->piece ? rest : fold->piece) && !cancel_asked(fold->cancel);
         at++)
        fold_element(fold, at);
}

static struct fold fold_of(const struct derivative *derivative)
{
    const struct walk *walk = &derivative->walk;
    struct fold fold = {.derivative = derivative,
                        .cancel = walk->cancel,
                        .elements = loss_tensor_elements(derivative->into)};
    size_t gap = walk->len, gaps[LOSS_MAX_RANK];
    for (int d = walk->rank - 1; d >= 0; d--) {
        gaps[d] = gap;
        gap *= walk->dim[d];
    }
    fold.empty = gap == 0;
    const size_t each = fold.empty ? 1 : gap / fold.elements;
    fold.piece = each < PIECE ? PIECE / each : 1;
    for (int d = 0; d < walk->rank; d++)
        if (walk->step[d] == 0) {
            fold.dim[fold.rank] = walk->dim[d];
            fold.gap[fold.rank++] = gaps[d];
        }
    return fold;
}

void fold_gradients(struct run *run, int threads)
{
    for (int i = 0; i < run->derivatives; i++) {
        if (!run->derivative[i].summed)
            continue;
        struct fold fold = fold_of(&run->derivative[i]);
        parallel_for((fold.elements + fold.piece - 1) / fold.piece, threads, fold_piece, &fold);
    }
}
