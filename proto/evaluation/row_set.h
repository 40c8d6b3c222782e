/* Sets of rows of a batch: intervals, disjoint and in ascending order, in a buffer of struct
   partial_rows. Functions that append set buffer.failed if memory runs out. */
#ifndef PROTO_EVALUATION_ROW_SET_H
#define PROTO_EVALUATION_ROW_SET_H

#include <stdint.h>

#include "memory/buffer.h"

/* Rows [first, end) of the whole batch. */
struct partial_rows {
    uint64_t first, end;
};

size_t row_set_intervals(const struct buffer *set);
struct partial_rows row_set_interval(const struct buffer *set, size_t i);
/* Returns the number of rows. */
uint64_t row_set_rows(const struct buffer *set);

/* Appends an interval that does not begin before the end of the last one. No-op if it is empty. */
void row_set_append(struct buffer *set, struct partial_rows rows);
/* Appends to `rest` the rows of `range` that are not in `set`. */
void row_set_subtract(struct buffer *rest, struct partial_rows range, const struct buffer *set);
/* Appends to `common` the rows of `range` that are in `set`. */
void row_set_intersect(struct buffer *common, const struct buffer *set, struct partial_rows range);
/* Returns true if `set` contains all rows of `other`. */
bool row_set_contains(const struct buffer *set, const struct buffer *other);

#endif
