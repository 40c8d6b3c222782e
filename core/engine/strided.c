#include "engine/strided.h"
#include "inline.h"
#include "kernel/cancel.h"

#include <string.h>

/* ---- Views ---- */

/* Returns true if `rank` axes, innermost last, lay out runs of `run` elements without gaps.
   Multiplies `run` by the lengths of the axes. */
static bool without_gaps(int rank, const size_t dim[], const ptrdiff_t step[], ptrdiff_t *run)
{
    for (int i = rank - 1; i >= 0; i--) {
        if (dim[i] != 1 && step[i] != *run)
            return false;
        *run *= (ptrdiff_t)dim[i];
    }
    return true;
}

/* Merges adjacent axes that have a common step, and drops axes of length 1 unless that would leave
   none. Returns the number of axes that remain. */
static int merge_axes(int rank, size_t dim[], ptrdiff_t step[])
{
    int merged = 0;
    for (int i = 0; i < rank; i++) {
        if (dim[i] == 1 && (merged > 0 || i + 1 < rank))
            continue;
        if (merged > 0 && step[merged - 1] == step[i] * (ptrdiff_t)dim[i]) {
            dim[merged - 1] *= dim[i];
        } else {
            dim[merged] = dim[i];
            merged++;
        }
        step[merged - 1] = step[i];
    }
    return merged;
}

static void simplify(struct strided_view *view)
{
    view->rank = merge_axes(view->rank, view->dim, view->step);
    view->row_rank = merge_axes(view->row_rank, view->row_dim, view->row_step);
    view->elements_per_term = 1;
    for (int i = 0; i < view->row_rank; i++)
        view->elements_per_term *= view->row_dim[i];
    view->shared = true;
    for (int i = 0; i < view->rank; i++)
        view->shared &= view->step[i] == 0 || view->dim[i] == 1;
    ptrdiff_t run = 1;
    view->row_dense = without_gaps(view->row_rank, view->row_dim, view->row_step, &run);
    view->dense = view->row_dense && without_gaps(view->rank, view->dim, view->step, &run);
}

static struct strided_view over_terms(const struct loss_plan *plan)
{
    struct strided_view view = {.rank = plan->terms.rank, .cancel = &plan->control};
    memcpy(view.dim, plan->terms.shape, sizeof view.dim);
    return view;
}

struct strided_view strided_tensor(const struct loss_plan *plan, int k, bool row_major)
{
    struct strided_view view = over_terms(plan);
    const struct loss_tensor *tensor = &plan->tensor[k];
    ptrdiff_t stride[LOSS_MAX_RANK], step = 1;
    for (int axis = tensor->rank - 1; axis >= 0; axis--) {
        stride[axis] = tensor->strided && !row_major ? tensor->stride[axis] : step;
        step *= (ptrdiff_t)tensor->shape[axis];
    }
    for (int axis = 0; axis < tensor->rank; axis++) {
        const int dim = plan->axis[k][axis];
        if (dim != LOSS_WITHIN) {
            view.step[dim] = tensor->shape[axis] == 1 ? 0 : stride[axis];
        } else {
            view.row_dim[view.row_rank] = tensor->shape[axis];
            view.row_step[view.row_rank++] = stride[axis];
        }
    }
    simplify(&view);
    return view;
}

struct strided_view strided_like_terms(const struct loss_plan *plan,
                                       const struct loss_tensor *tensor)
{
    struct strided_view view = over_terms(plan);
    ptrdiff_t step = 1;
    for (int i = view.rank - 1; i >= 0; i--) {
        view.step[i] = tensor->rank == 0 ? 0 : tensor->strided ? tensor->stride[i] : step;
        step *= (ptrdiff_t)view.dim[i];
    }
    simplify(&view);
    return view;
}

struct strided_view strided_terms(const struct loss_plan *plan)
{
    return strided_like_terms(plan, &plan->terms);
}

struct strided_view strided_samples(const struct loss_plan *plan, const struct loss_tensor *tensor)
{
    struct strided_view view = over_terms(plan);
    view.step[0] = tensor->strided ? tensor->stride[0] : 1;
    simplify(&view);
    return view;
}

struct strided_view strided_scalar(void)
{
    return (struct strided_view){.elements_per_term = 1, .shared = true, .dense = true};
}

bool strided_repeats(const struct strided_view *view)
{
    for (int d = 0; d < view->rank; d++)
        if (view->step[d] == 0 && view->dim[d] != 1)
            return true;
    return false;
}

ptrdiff_t strided_offset(const struct strided_view *view, size_t t, size_t within)
{
    ptrdiff_t offset = 0;
    for (int i = view->rank - 1; i >= 0; i--) {
        offset += (ptrdiff_t)(t % view->dim[i]) * view->step[i];
        t /= view->dim[i];
    }
    for (int i = view->row_rank - 1; i >= 0; i--) {
        offset += (ptrdiff_t)(within % view->row_dim[i]) * view->row_step[i];
        within /= view->row_dim[i];
    }
    return offset;
}

/* ---- Lines ---- */

/* `count` elements of a tensor, `step` apart, starting at `offset`. They correspond to the
   contiguous elements starting at index `at`. */
struct line {
    ptrdiff_t offset, step;
    size_t at, count;
};

/* Coordinates along some axes, innermost last, and the offset of that element. Advancing needs no
   divisions. */
struct place {
    int rank;
    const size_t *dim;
    const ptrdiff_t *step;
    size_t at[LOSS_MAX_RANK];
    ptrdiff_t offset;
};

static struct place place_at(int rank, const size_t dim[], const ptrdiff_t step[], size_t index)
{
    struct place place = {.rank = rank, .dim = dim, .step = step};
    for (int i = rank - 1; i >= 0 && index > 0; i--) {
        place.at[i] = index % dim[i];
        place.offset += (ptrdiff_t)place.at[i] * step[i];
        index /= dim[i];
    }
    return place;
}

/* Advances by `count` along the last of the first `rank` axes, at most to its end. At the end,
   carries to the previous axis. */
static inline void place_advance(struct place *place, int rank, size_t count)
{
    for (int i = rank - 1; i >= 0; i--, count = 1) {
        place->at[i] += count;
        place->offset += (ptrdiff_t)count * place->step[i];
        if (place->at[i] < place->dim[i])
            return;
        place->offset -= (ptrdiff_t)place->dim[i] * place->step[i];
        place->at[i] = 0;
    }
}

typedef void line_visitor(const void *context, const struct line *line);

/* Calls visit for slices of a line. */
static ALWAYS_INLINE void visit_line(const struct strided_view *view, line_visitor *visit,
                                     const void *context, const struct line *line)
{
    for (struct slice s = {0}; slice_next(&s, line->count, view->cancel);)
        visit(context, &(struct line){line->offset + (ptrdiff_t)s.first * line->step, line->step,
                                      line->at + s.first, slice_len(&s)});
}

/* Calls visit for the lines of the term at `offset`. */
static ALWAYS_INLINE void visit_row(const struct strided_view *view, ptrdiff_t offset, size_t at,
                                    line_visitor *visit, const void *context)
{
    const int last = view->row_rank - 1;
    struct place row = place_at(view->row_rank, view->row_dim, view->row_step, 0);
    for (size_t done = 0; done < view->elements_per_term && !cancel_requested(view->cancel);
         done += view->row_dim[last]) {
        visit_line(view, visit, context,
                   &(struct line){offset + row.offset, view->row_step[last], at + done,
                                  view->row_dim[last]});
        place_advance(&row, last, 1);
    }
}

/* Calls visit for the lines that make up terms [t, t + n), in order. Ends early if the plan is
 * cancelled. */
static ALWAYS_INLINE void visit_lines(const struct strided_view *view, size_t t, size_t n,
                                      line_visitor *visit, const void *context)
{
    if (view->dense) {
        visit_line(view, visit, context,
                   &(struct line){(ptrdiff_t)(t * view->elements_per_term), 1, 0,
                                  n * view->elements_per_term});
        return;
    }
    const int last = view->rank - 1;
    struct place term = place_at(view->rank, view->dim, view->step, t);
    for (size_t i = 0; view->row_rank > 0 && i < n && !cancel_requested(view->cancel); i++) {
        visit_row(view, term.offset, i * view->elements_per_term, visit, context);
        place_advance(&term, view->rank, 1);
    }
    for (size_t i = 0; view->row_rank == 0 && i < n &&
                       !cancel_requested(view->cancel);) { /* not dense, so rank > 0 */
        const size_t left = view->dim[last] - term.at[last], count = left < n - i ? left : n - i;
        visit_line(view, visit, context, &(struct line){term.offset, view->step[last], i, count});
        place_advance(&term, view->rank, count);
        i += count;
    }
}

/* ---- Conversion ---- */

/* Converts IEEE 754 binary16 to binary32. A multiplication changes the exponent's bias, which also
 * normalizes subnormals. */
static float from_float16(uint16_t half)
{
    const uint32_t magnitude = half & 0x7fffu, sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t bits = magnitude << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    value *= 0x1p112f; /* 127 - 15 */
    memcpy(&bits, &value, sizeof bits);
    if (magnitude >= 0x7c00u) /* infinite or NaN */
        bits = 0x7f800000u | magnitude << 13;
    bits |= sign;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float from_bfloat16(uint16_t brain)
{
    const uint32_t bits = (uint32_t)brain << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Maps an index that int64 cannot represent to one that every loss rejects. */
static int64_t to_index(uint64_t label)
{
    return label <= INT64_MAX ? (int64_t)label : INT64_MIN;
}

struct transfer {
    const char *from;
    char *to;
    enum loss_dtype dtype;
};

/* Converts one line of elements of type T, not necessarily aligned, to type U. The loop for
 * contiguous elements is separate so that it is vectorized. */
#define CONVERT(T, U, value)                                                                       \
    if (line->step == 1)                                                                           \
        for (size_t i = 0; i < line->count; i++) {                                                 \
            T element;                                                                             \
            memcpy(&element, from + i * sizeof element, sizeof element);                           \
            to[i] = (U)(value);                                                                    \
        }                                                                                          \
    else                                                                                           \
        for (size_t i = 0; i < line->count; i++) {                                                 \
            T element;                                                                             \
            memcpy(&element, from + (ptrdiff_t)i * line->step * (ptrdiff_t)sizeof element,         \
                   sizeof element);                                                                \
            to[i] = (U)(value);                                                                    \
        }                                                                                          \
    return

#define CONVERT_INTEGERS(U, from_uint64)                                                           \
    case LOSS_INT64:                                                                               \
        CONVERT(int64_t, U, element);                                                              \
    case LOSS_INT32:                                                                               \
        CONVERT(int32_t, U, element);                                                              \
    case LOSS_INT16:                                                                               \
        CONVERT(int16_t, U, element);                                                              \
    case LOSS_INT8:                                                                                \
        CONVERT(int8_t, U, element);                                                               \
    case LOSS_UINT64:                                                                              \
        CONVERT(uint64_t, U, from_uint64(element));                                                \
    case LOSS_UINT32:                                                                              \
        CONVERT(uint32_t, U, element);                                                             \
    case LOSS_UINT16:                                                                              \
        CONVERT(uint16_t, U, element);                                                             \
    case LOSS_UINT8:                                                                               \
        CONVERT(uint8_t, U, element);                                                              \
    case LOSS_BOOL:                                                                                \
        CONVERT(uint8_t, U, element != 0)

static void read_line(const void *context, const struct line *line)
{
    const struct transfer *transfer = context;
    const char *from = transfer->from + line->offset * (ptrdiff_t)loss_dtype_size(transfer->dtype);
    loss_real *to = (loss_real *)(void *)transfer->to + line->at;
    switch (transfer->dtype) {
    case LOSS_FLOAT64:
        CONVERT(double, loss_real, element);
    case LOSS_FLOAT32:
        CONVERT(float, loss_real, element);
    case LOSS_FLOAT16:
        CONVERT(uint16_t, loss_real, from_float16(element));
    case LOSS_BFLOAT16:
        CONVERT(uint16_t, loss_real, from_bfloat16(element));
        CONVERT_INTEGERS(loss_real, (loss_real));
    case LOSS_ANY:
    case LOSS_DTYPE_COUNT:
        return; /* unreachable: no plan has these dtypes */
    }
}

static void read_index_line(const void *context, const struct line *line)
{
    const struct transfer *transfer = context;
    const char *from = transfer->from + line->offset * (ptrdiff_t)loss_dtype_size(transfer->dtype);
    int64_t *to = (int64_t *)(void *)transfer->to + line->at;
    switch (transfer->dtype) {
        CONVERT_INTEGERS(int64_t, to_index);
    case LOSS_FLOAT64:
    case LOSS_FLOAT32:
    case LOSS_FLOAT16:
    case LOSS_BFLOAT16:
    case LOSS_ANY:
    case LOSS_DTYPE_COUNT:
        return; /* unreachable: loss_plan() rejects these dtypes for indices */
    }
}

static void write_line(const void *context, const struct line *line)
{
    const struct transfer *transfer = context;
    const loss_real *from = (const loss_real *)(const void *)transfer->from + line->at;
    char *to = transfer->to + line->offset * (ptrdiff_t)loss_dtype_size(transfer->dtype);
    if (transfer->dtype == LOSS_FLOAT64) {
        for (size_t i = 0; i < line->count; i++)
            memcpy(to + (ptrdiff_t)i * line->step * (ptrdiff_t)sizeof(double), &from[i],
                   sizeof(double));
        return;
    }
    for (size_t i = 0; line->step == 1 && i < line->count; i++) {
        const float rounded = (float)from[i];
        memcpy(to + i * sizeof rounded, &rounded, sizeof rounded);
    }
    for (size_t i = 0; line->step != 1 && i < line->count; i++) {
        const float rounded = (float)from[i];
        memcpy(to + (ptrdiff_t)i * line->step * (ptrdiff_t)sizeof rounded, &rounded,
               sizeof rounded);
    }
}

void strided_read(const struct strided_view *view, const void *data, enum loss_dtype dtype,
                  size_t t, size_t n, loss_real *out)
{
    visit_lines(view, t, n, read_line,
                &(struct transfer){.from = data, .to = (char *)out, .dtype = dtype});
}

void strided_read_index(const struct strided_view *view, const void *data, enum loss_dtype dtype,
                        size_t t, size_t n, int64_t *out)
{
    visit_lines(view, t, n, read_index_line,
                &(struct transfer){.from = data, .to = (char *)out, .dtype = dtype});
}

void strided_write(const struct strided_view *view, void *data, enum loss_dtype dtype, size_t t,
                   size_t n, const loss_real *values)
{
    visit_lines(view, t, n, write_line,
                &(struct transfer){.from = (const char *)values, .to = data, .dtype = dtype});
}
