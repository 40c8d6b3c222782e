/* Transposition of small matrices. Tiles are transposed in registers, which takes a third of the
   instructions of copying number by number. */
#ifndef CORE_KERNEL_TRANSPOSE_H
#define CORE_KERNEL_TRANSPOSE_H

#include "inline.h"

#include <stddef.h>
#include <string.h>

/* Numbers in a row of a tile: 32 bytes. */
enum { TILE_F32 = 8, TILE_F64 = 4 };
typedef float tile_row_f32 __attribute__((vector_size(TILE_F32 * sizeof(float))));
typedef double tile_row_f64 __attribute__((vector_size(TILE_F64 * sizeof(double))));

/* Transposes the two halves of four rows. */
static ALWAYS_INLINE void transpose_halves_f32(tile_row_f32 r[4])
{
    const tile_row_f32 low01 = __builtin_shufflevector(r[0], r[1], 0, 8, 1, 9, 4, 12, 5, 13),
                       high01 = __builtin_shufflevector(r[0], r[1], 2, 10, 3, 11, 6, 14, 7, 15),
                       low23 = __builtin_shufflevector(r[2], r[3], 0, 8, 1, 9, 4, 12, 5, 13),
                       high23 = __builtin_shufflevector(r[2], r[3], 2, 10, 3, 11, 6, 14, 7, 15);
    r[0] = __builtin_shufflevector(low01, low23, 0, 1, 8, 9, 4, 5, 12, 13);
    r[1] = __builtin_shufflevector(low01, low23, 2, 3, 10, 11, 6, 7, 14, 15);
    r[2] = __builtin_shufflevector(high01, high23, 0, 1, 8, 9, 4, 5, 12, 13);
    r[3] = __builtin_shufflevector(high01, high23, 2, 3, 10, 11, 6, 7, 14, 15);
}

/* Transposes a tile. Its rows are `from_row` and `to_row` numbers apart. */
static ALWAYS_INLINE void transpose_tile_f32(const float *from, size_t from_row, float *to,
                                             size_t to_row)
{
    tile_row_f32 r[TILE_F32];
    for (size_t i = 0; i < TILE_F32; i++)
        memcpy(&r[i], from + i * from_row, sizeof r[i]);
    transpose_halves_f32(r);
    transpose_halves_f32(r + 4);
    for (size_t i = 0; i < TILE_F32 / 2; i++) {
        const tile_row_f32 low = __builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11),
                           high =
                               __builtin_shufflevector(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
        memcpy(to + i * to_row, &low, sizeof low);
        memcpy(to + (i + 4) * to_row, &high, sizeof high);
    }
}

static ALWAYS_INLINE void transpose_tile_f64(const double *from, size_t from_row, double *to,
                                             size_t to_row)
{
    tile_row_f64 r[TILE_F64];
    for (size_t i = 0; i < TILE_F64; i++)
        memcpy(&r[i], from + i * from_row, sizeof r[i]);
    for (size_t i = 0; i < TILE_F64 / 2; i++) {
        const tile_row_f64 a = i == 0 ? __builtin_shufflevector(r[0], r[1], 0, 4, 2, 6)
                                      : __builtin_shufflevector(r[0], r[1], 1, 5, 3, 7),
                           b = i == 0 ? __builtin_shufflevector(r[2], r[3], 0, 4, 2, 6)
                                      : __builtin_shufflevector(r[2], r[3], 1, 5, 3, 7),
                           low = __builtin_shufflevector(a, b, 0, 1, 4, 5),
                           high = __builtin_shufflevector(a, b, 2, 3, 6, 7);
        memcpy(to + i * to_row, &low, sizeof low);
        memcpy(to + (i + 2) * to_row, &high, sizeof high);
    }
}

/* Defines transpose_SUFFIX(from, from_row, rows, columns, to, to_row): writes element (i, c) of
   `from` to element (c, i) of `to`. A last tile that is not full overlaps the one before it. */
#define DEFINE_TRANSPOSE(suffix, type, TILE)                                                       \
    static ALWAYS_INLINE void transpose_##suffix(const type *from, size_t from_row, size_t rows,   \
                                                 size_t columns, type to[], size_t to_row)         \
    {                                                                                              \
        if (rows < (TILE) || columns < (TILE)) {                                                   \
            for (size_t i = 0; i < rows; i++)                                                      \
                _Pragma("GCC unroll 8") for (size_t c = 0; c < columns; c++) to[c * to_row + i] =  \
                    from[i * from_row + c];                                                        \
            return;                                                                                \
        }                                                                                          \
        for (size_t i = 0; i < rows; i += (TILE)) {                                                \
            const size_t row = i + (TILE) <= rows ? i : rows - (TILE);                             \
            for (size_t c = 0; c < columns; c += (TILE)) {                                         \
                const size_t column = c + (TILE) <= columns ? c : columns - (TILE);                \
                transpose_tile_##suffix(from + row * from_row + column, from_row,                  \
                                        to + column * to_row + row, to_row);                       \
            }                                                                                      \
        }                                                                                          \
    }

/* transpose_f32() and transpose_f64() */
DEFINE_TRANSPOSE(f32, float, TILE_F32)
DEFINE_TRANSPOSE(f64, double, TILE_F64)

#endif
