#include "evaluation/row_set.h"

#include <string.h>

size_t row_set_intervals(const struct buffer *set)
{
    return set->len / sizeof(struct partial_rows);
}

struct partial_rows row_set_interval(const struct buffer *set, size_t i)
{
    struct partial_rows rows;
    memcpy(&rows, set->data + i * sizeof rows, sizeof rows);
    return rows;
}

uint64_t row_set_rows(const struct buffer *set)
{
    uint64_t count = 0;
    for (size_t i = 0; i < row_set_intervals(set); i++) {
        const struct partial_rows rows = row_set_interval(set, i);
        count += rows.end - rows.first;
    }
    return count;
}

void row_set_append(struct buffer *set, struct partial_rows rows)
{
    const size_t count = row_set_intervals(set);
    if (rows.first >= rows.end)
        return;
    if (count > 0) {
        struct partial_rows last = row_set_interval(set, count - 1);
        if (last.end == rows.first) {
            last.end = rows.end;
            memcpy(set->data + (count - 1) * sizeof last, &last, sizeof last);
            return;
        }
    }
    buffer_append(set, &rows, sizeof rows);
}

void row_set_subtract(struct buffer *rest, struct partial_rows range, const struct buffer *set)
{
    for (size_t i = 0; i < row_set_intervals(set) && range.first < range.end; i++) {
        const struct partial_rows done = row_set_interval(set, i);
        if (done.end <= range.first)
            continue;
        if (done.first >= range.end)
            break;
        if (done.first > range.first)
            row_set_append(rest, (struct partial_rows){range.first, done.first});
        range.first = done.end;
    }
    row_set_append(rest, range);
}

void row_set_intersect(struct buffer *common, const struct buffer *set, struct partial_rows range)
{
    for (size_t i = 0; i < row_set_intervals(set); i++) {
        const struct partial_rows rows = row_set_interval(set, i);
        row_set_append(common,
                       (struct partial_rows){rows.first > range.first ? rows.first : range.first,
                                             rows.end < range.end ? rows.end : range.end});
    }
}

bool row_set_contains(const struct buffer *set, const struct buffer *other)
{
    struct buffer rest = {0};
    for (size_t i = 0; i < row_set_intervals(other) && rest.len == 0; i++)
        row_set_subtract(&rest, row_set_interval(other, i), set);
    const bool contains = rest.len == 0 && !rest.failed;
    buffer_free(&rest);
    return contains;
}
