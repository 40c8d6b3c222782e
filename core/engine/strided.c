#include "engine/strided.h"
#include "kernel/cancel.h"

#include <string.h>

/* ---- where ---- */

/* Whether `rank` axes, the last the innermost, stand without gaps behind runs of `run` elements;
 * widens `run` by them. */
static bool without_gaps(int rank, const size_t dim[], const ptrdiff_t step[], ptrdiff_t *run)
{
    for (int i = rank - 1; i >= 0; i--) {
        if (dim[i] != 1 && step[i] != *run)
            return false;
        *run *= (ptrdiff_t)dim[i];
    }
    return true;
}

/* Merges axes that are walked as one, and drops those of one element; one axis at least is left.
 * Returns how many there are. */
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

static void finish(struct walk *walk)
{
    walk->rank = merge_axes(walk->rank, walk->dim, walk->step);
    walk->row_rank = merge_axes(walk->row_rank, walk->row_dim, walk->row_step);
    walk->len = 1;
    for (int i = 0; i < walk->row_rank; i++)
        walk->len *= walk->row_dim[i];
    walk->shared = true;
    for (int i = 0; i < walk->rank; i++)
        walk->shared &= walk->step[i] == 0 || walk->dim[i] == 1;
    ptrdiff_t run = 1;
    walk->row_dense = without_gaps(walk->row_rank, walk->row_dim, walk->row_step, &run);
    walk->dense = walk->row_dense && without_gaps(walk->rank, walk->dim, walk->step, &run);
}

static struct walk over_terms(const struct loss_plan *plan)
{
    struct walk walk = {.rank = plan->terms.rank, .cancel = &plan->control};
    memcpy(walk.dim, plan->terms.shape, sizeof walk.dim);
    return walk;
}

struct walk walk_tensor(const struct loss_plan *plan, int k, bool row_major)
{
    struct walk walk = over_terms(plan);
    const struct loss_tensor *tensor = &plan->tensor[k];
    ptrdiff_t stride[LOSS_MAX_RANK], gap = 1;
    for (int axis = tensor->rank - 1; axis >= 0; axis--) {
        stride[axis] = tensor->strided && !row_major ? tensor->stride[axis] : gap;
        gap *= (ptrdiff_t)tensor->shape[axis];
    }
    for (int axis = 0; axis < tensor->rank; axis++) {
        const int dim = plan->axis[k][axis];
        if (dim != LOSS_WITHIN) {
            walk.step[dim] = tensor->shape[axis] == 1 ? 0 : stride[axis];
        } else {
            walk.row_dim[walk.row_rank] = tensor->shape[axis];
            walk.row_step[walk.row_rank++] = stride[axis];
        }
    }
    finish(&walk);
    return walk;
}

struct walk walk_alike(const struct loss_plan *plan, const struct loss_tensor *tensor)
{
    struct walk walk = over_terms(plan);
    ptrdiff_t gap = 1;
    for (int i = walk.rank - 1; i >= 0; i--) {
        walk.step[i] = tensor->rank == 0 ? 0 : tensor->strided ? tensor->stride[i] : gap;
        gap *= (ptrdiff_t)walk.dim[i];
    }
    finish(&walk);
    return walk;
}

struct walk walk_terms(const struct loss_plan *plan)
{
    return walk_alike(plan, &plan->terms);
}

struct walk walk_samples(const struct loss_plan *plan, const struct loss_tensor *tensor)
{
    struct walk walk = over_terms(plan);
    walk.step[0] = tensor->strided ? tensor->stride[0] : 1;
    finish(&walk);
    return walk;
}

struct walk walk_number(void)
{
    return (struct walk){.len = 1, .shared = true, .dense = true};
}

ptrdiff_t walk_offset(const struct walk *walk, size_t t, size_t within)
{
    ptrdiff_t offset = 0;
    for (int i = walk->rank - 1; i >= 0; i--) {
        offset += (ptrdiff_t)(t % walk->dim[i]) * walk->step[i];
        t /= walk->dim[i];
    }
    for (int i = walk->row_rank - 1; i >= 0; i--) {
        offset += (ptrdiff_t)(within % walk->row_dim[i]) * walk->row_step[i];
        within /= walk->row_dim[i];
    }
    return offset;
}

/* A straight line of elements: `count` of them, `step` apart, from `offset`; they go to place `at`
 * of the contiguous side. */
struct line {
    ptrdiff_t offset, step;
    size_t at, count;
};

/* A place among axes, the last the innermost, and its offset: it goes on without divisions. */
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

/* Goes on along the last of the first `rank` axes by `count`, not past its end; there, to the next
 * of the axis before it. */
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

/* Calls visit for a line, in stretches. */
static inline __attribute__((always_inline)) void visit_line(const struct walk *walk,
                                                             line_visitor *visit,
                                                             const void *context,
                                                             const struct line *line)
{
    for (struct stretch s = {0}; stretch_next(&s, line->count, walk->cancel);)
        visit(context, &(struct line){line->offset + (ptrdiff_t)s.first * line->step, line->step,
                                      line->at + s.first, stretch_len(&s)});
}

/* The lines of the row at `offset`. */
static inline __attribute__((always_inline)) void row_lines(const struct walk *walk,
                                                            ptrdiff_t offset, size_t at,
                                                            line_visitor *visit,
                                                            const void *context)
{
    const int last = walk->row_rank - 1;
    struct place row = place_at(walk->row_rank, walk->row_dim, walk->row_step, 0);
    for (size_t done = 0; done < walk->len && !cancel_asked(walk->cancel);
         done += walk->row_dim[last]) {
        visit_line(walk, visit, context,
                   &(struct line){offset + row.offset, walk->row_step[last], at + done,
                                  walk->row_dim[last]});
        place_advance(&row, last, 1);
    }
}

/* Calls visit for the straight lines that make up terms [t, t + n), in order; not for all once the
 * plan is cancelled. */
static inline __attribute__((always_inline)) void lines(const struct walk *walk, size_t t, size_t n,
                                                        line_visitor *visit, const void *context)
{
    if (walk->dense) {
        visit_line(walk, visit, context,
                   &(struct line){(ptrdiff_t)(t * walk->len), 1, 0, n * walk->len});
        return;
    }
    const int last = walk->rank - 1;
    struct place term = place_at(walk->rank, walk->dim, walk->step, t);
    for (size_t i = 0; walk->row_rank > 0 && i < n && !cancel_asked(walk->cancel); i++) {
        row_lines(walk, term.offset, i * walk->len, visit, context);
        place_advance(&term, walk->rank, 1);
    }
    for (size_t i = 0; walk->row_rank == 0 && i < n &&
                       !cancel_asked(walk->cancel);) { /* not dense: there is a dimension */
        const size_t left = walk->dim[last] - term.at[last], count = left < n - i ? left : n - i;
        visit_line(walk, visit, context, &(struct line){term.offset, walk->step[last], i, count});
        place_advance(&term, walk->rank, count);
        i += count;
    }
}

/* ---- what ---- */

/* IEEE 754 binary16 to binary32: the exponent is rebiased by a multiplication, which normalises the
 * subnormals too. */
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

/* An index that int64 does not hold becomes one that is out of the range of every loss. */
static int64_t to_index(uint64_t label)
{
    return label <= INT64_MAX ? (int64_t)label : INT64_MIN;
}

struct transfer {
    const char *from;
    char *to;
    enum loss_dtype dtype;
};

/* Converts one line of elements of type T, which need not be aligned, to type U. */
#define CONVERT(T, U, value)                                                                       \
    if (line->step == 1) /* what can be vectorised */                                              \
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
    real *to = (real *)(void *)transfer->to + line->at;
    switch (transfer->dtype) {
    case LOSS_FLOAT64:
        CONVERT(double, real, element);
    case LOSS_FLOAT32:
        CONVERT(float, real, element);
    case LOSS_FLOAT16:
        CONVERT(uint16_t, real, from_float16(element));
    case LOSS_BFLOAT16:
        CONVERT(uint16_t, real, from_bfloat16(element));
        CONVERT_INTEGERS(real, (real));
    case LOSS_ANY:
    case LOSS_DTYPE_COUNT:
        return; /* no plan holds these */
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
        return; /* the plan has refused these for indices */
    }
}

static void write_line(const void *context, const struct line *line)
{
    const struct transfer *transfer = context;
    const real *from = (const real *)(const void *)transfer->from + line->at;
    char *to = transfer->to + line->offset * (ptrdiff_t)loss_dtype_size(transfer->dtype);
    if (transfer->dtype == LOSS_FLOAT64) {
        for (size_t i = 0; i < line->count; i++)
            memcpy(to + (ptrdiff_t)i * line->step * (ptrdiff_t)sizeof(double), &from[i],
                   sizeof(double));
        return;
    }
    for (size_t i = 0; line->step == 1 && i < line->count; i++) { /* what can be vectorised */
        const float rounded = (float)from[i];
        memcpy(to + i * sizeof rounded, &rounded, sizeof rounded);
    }
    for (size_t i = 0; line->step != 1 && i < line->count; i++) {
        const float rounded = (float)from[i];
        memcpy(to + (ptrdiff_t)i * line->step * (ptrdiff_t)sizeof rounded, &rounded,
               sizeof rounded);
    }
}

void walk_read(const struct walk *walk, const void *data, enum loss_dtype dtype, size_t t, size_t n,
               real *out)
{
    lines(walk, t, n, read_line,
          &(struct transfer){.from = data, .to = (char *)out, .dtype = dtype});
}

void walk_read_index(const struct walk *walk, const void *data, enum loss_dtype dtype, size_t t,
                     size_t n, int64_t *out)
{
    lines(walk, t, n, read_index_line,
          &(struct transfer){.from = data, .to = (char *)out, .dtype = dtype});
}

void walk_write(const struct walk *walk, void *data, enum loss_dtype dtype, size_t t, size_t n,
                const real *values)
{
    lines(walk, t, n, write_line,
          &(struct transfer){.from = (const char *)values, .to = data, .dtype = dtype});
}
