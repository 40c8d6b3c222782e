/* Gradients of broadcast tensors. The blocks store one row of derivatives for each term. This file
   sums the rows over the terms that share an element of the tensor. */
#include "engine/run.h"
#include "kernel/cancel.h"
#include "parallel.h"

/* Number of summands that a thread takes at a time. */
enum { PIECE = 1 << 14 };

struct reduction {
    const struct derivative *derivative;
    const struct loss_control *cancel;
    size_t elements,
        piece; /* of the derivative: number of elements, and how many a thread takes at a time */
    bool empty;
    /* The dimensions of the terms along which the tensor repeats, and their strides in `summed`. */
    int rank;
    size_t dim[LOSS_MAX_RANK], stride[LOSS_MAX_RANK];
};

/* Returns the offset of the first summand of element `at`. The element determines the index along
   each dimension in which the tensor is not repeated. */
static size_t first_of(const struct strided_view *view, size_t at)
{
    size_t first = 0, stride = view->elements_per_term, within = 0;
    for (int d = view->rank - 1; d >= 0; d--) {
        if (view->step[d] != 0)
            first += at / (size_t)view->step[d] % view->dim[d] * stride;
        stride *= view->dim[d];
    }
    for (int i = 0; i < view->row_rank; i++)
        within = within * view->row_dim[i] + at / (size_t)view->row_step[i] % view->row_dim[i];
    return first + within;
}

/* The summands of one element: the last `n` in `buffer`; if `many`, those before them in `sum`. */
struct summands {
    bool many;
    struct exact_accumulator sum;
    size_t n;
    loss_real buffer[WINDOW_TERMS];
};

static void add_summand(struct summands *to, loss_real x)
{
    if (to->n == WINDOW_TERMS) {
        if (!to->many)
            accumulator_init(&to->sum);
        to->many = true;
        accumulator_add(&to->sum, to->buffer, to->n);
        to->n = 0;
    }
    to->buffer[to->n++] = x;
}

static loss_real sum_of(struct summands *summands)
{
    if (!summands->many)
        return exact_sum_of(summands->buffer, summands->n);
    accumulator_add(&summands->sum, summands->buffer, summands->n);
    accumulator_flush(&summands->sum);
    return exact_sum_value(&summands->sum.sum);
}

/* Adds the numbers along the last dimension, starting at x. */
static void add_line(struct summands *to, const struct reduction *reduction, const loss_real *x)
{
    const size_t n = reduction->dim[reduction->rank - 1],
                 stride = reduction->stride[reduction->rank - 1];
    for (struct slice s = {0}; slice_next(&s, n, reduction->cancel);)
        for (size_t i = s.first; i < s.end; i++)
            add_summand(to, x[i * stride]);
}

static void reduce_element(const struct reduction *reduction, size_t at)
{
    const struct loss_tensor *into = reduction->derivative->into;
    const loss_real *x = reduction->derivative->summed + first_of(&reduction->derivative->view, at);
    size_t counter[LOSS_MAX_RANK] = {0};
    struct summands summands;
    summands.many = false;
    summands.n = 0;
    for (int d = reduction->empty ? -1 : 0; d >= 0 && !cancel_requested(reduction->cancel);) {
        add_line(&summands, reduction, x);
        /* Advance to the next line: increment the second to last index and carry to those before
           it. */
        for (d = reduction->rank - 2; d >= 0; d--) {
            x += reduction->stride[d];
            if (++counter[d] < reduction->dim[d])
                break;
            x -= reduction->stride[d] * reduction->dim[d];
            counter[d] = 0;
        }
    }
    const struct strided_view scalar = strided_scalar();
    strided_write(&scalar, (char *)into->data + at * loss_dtype_size(into->dtype), into->dtype, 0,
                  1, &(loss_real){sum_of(&summands)});
}

static void reduce_piece(void *context, size_t i, int thread)
{
    (void)thread;
    const struct reduction *reduction = context;
    const size_t first = i * reduction->piece, rest = reduction->elements - first;
    for (size_t at = first; at < first + (rest < reduction->piece ? rest : reduction->piece) &&
                            !cancel_requested(reduction->cancel);
         at++)
        reduce_element(reduction, at);
}

static struct reduction make_reduction(const struct derivative *derivative)
{
    const struct strided_view *view = &derivative->view;
    struct reduction reduction = {.derivative = derivative,
                                  .cancel = view->cancel,
                                  .elements = loss_tensor_elements(derivative->into)};
    size_t stride = view->elements_per_term, strides[LOSS_MAX_RANK];
    for (int d = view->rank - 1; d >= 0; d--) {
        strides[d] = stride;
        stride *= view->dim[d];
    }
    reduction.empty = stride == 0;
    const size_t each = reduction.empty ? 1 : stride / reduction.elements;
    reduction.piece = each < PIECE ? PIECE / each : 1;
    for (int d = 0; d < view->rank; d++)
        if (view->step[d] == 0) {
            reduction.dim[reduction.rank] = view->dim[d];
            reduction.stride[reduction.rank++] = strides[d];
        }
    return reduction;
}

void broadcast_reduce(struct run *run, int threads)
{
    for (int i = 0; i < run->derivatives; i++) {
        if (!run->derivative[i].summed)
            continue;
        struct reduction reduction = make_reduction(&run->derivative[i]);
        parallel_for((reduction.elements + reduction.piece - 1) / reduction.piece, threads,
                     reduce_piece, &reduction);
    }
}
