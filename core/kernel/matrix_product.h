/* Products of matrices in blocks that fit the caches. Each element is summed in the order of the
   inner dimension, so its bits do not depend on the vector width. */
#ifndef CORE_KERNEL_MATRIX_PRODUCT_H
#define CORE_KERNEL_MATRIX_PRODUCT_H

#include "inline.h"
#include "kernel/wide_vector.h"

/* A panel is a block of the right matrix, [depth][PANEL_COLUMNS], copied to be contiguous. Sums of
   up to PANEL_DEPTH products are computed in registers. */
enum { PANEL_COLUMNS = 16, PANEL_DEPTH = 64 };

/* A tile is the part of the product that is in registers. */
#if defined __AVX512F__
enum { TILE_ROWS = 8 };
#else
enum { TILE_ROWS = 4 };
#endif
enum { TILE_VECTORS = 2, TILE_COLUMNS = TILE_VECTORS * SUM_WIDTH };

/* Rows of a matrix; row i starts at x + i * stride. */
struct matrix_rows {
    double *x;
    size_t stride;
};

/* Adds the product of `rows` rows of `left` and TILE_COLUMNS columns of a panel to `to`. `rows` is
   a constant. */
static ALWAYS_INLINE void add_tile(const struct matrix_rows left, const double *panel, size_t depth,
                                   size_t rows, const struct matrix_rows to)
{
    sum_vector sum[TILE_ROWS][TILE_VECTORS] = {0}, right[TILE_VECTORS];
    for (size_t k = 0; k < depth; k++) {
        memcpy(right, panel + k * PANEL_COLUMNS, sizeof right);
        for (size_t r = 0; r < rows; r++)
            for (int v = 0; v < TILE_VECTORS; v++)
                sum[r][v] += left.x[r * left.stride + k] * right[v];
    }
    for (size_t r = 0; r < rows; r++)
        for (int v = 0; v < TILE_VECTORS; v++) {
            double *const at = to.x + r * to.stride + v * SUM_WIDTH;
            write_doubles(at, read_doubles(at) + sum[r][v]);
        }
}

/* Adds the product of `rows` rows of `left`, [rows][depth], and a panel to `to`,
   [rows][PANEL_COLUMNS]. `depth` is at most PANEL_DEPTH. */
static inline void add_product(struct matrix_rows left, const double *panel, size_t depth,
                               size_t rows, struct matrix_rows to)
{
    for (int column = 0; column < PANEL_COLUMNS; column += TILE_COLUMNS) {
        struct matrix_rows a = left, c = {to.x + column, to.stride};
        size_t r = 0;
        for (; r + TILE_ROWS <= rows; r += TILE_ROWS) {
            add_tile(a, panel + column, depth, TILE_ROWS, c);
            a.x += TILE_ROWS * a.stride;
            c.x += TILE_ROWS * c.stride;
        }
        for (; r < rows; r++) {
            add_tile(a, panel + column, depth, 1, c);
            a.x += a.stride;
            c.x += c.stride;
        }
    }
}

#endif
