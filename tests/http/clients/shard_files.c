#include "shard_files.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/folder.h"
#include "support/random.h"

enum { MAX_BYTES = SHARD_ROWS * SHARD_COLUMNS * 8, HEADER = 128 };

static size_t element_size(const struct shard_tensor *tensor)
{
    return (size_t)(tensor->descr[2] - '0');
}

size_t shard_row_size(const struct shard_tensor *tensor)
{
    return element_size(tensor) * (tensor->row ? SHARD_COLUMNS : 1);
}

/* Writes one random number. */
static void put_number(const struct shard_tensor *tensor, uint64_t bits, char *to)
{
    const double unit = (double)(bits >> 11) * 0x1p-53;
    const int64_t class = (int64_t)(bits >> 20) % SHARD_COLUMNS;
    const double real = tensor->numbers == NUMBERS_REAL ? (unit - 0.5) * (bits % 7 ? 5 : 1e5)
                                                        : unit / SHARD_COLUMNS;
    const float narrow = (float)real;
    if (tensor->numbers == NUMBERS_CLASS)
        memcpy(to, &class, sizeof class);
    else if (element_size(tensor) == sizeof real)
        memcpy(to, &real, sizeof real);
    else
        memcpy(to, &narrow, sizeof narrow);
}

/* Writes all numbers of a tensor. */
static void fill(const struct shard_tensor *tensor, char bytes[MAX_BYTES])
{
    const size_t size = element_size(tensor), len = SHARD_ROWS * shard_row_size(tensor);
    uint64_t state = RANDOM_SEED;
    for (const char *c = tensor->name; *c; c++)
        state = state * 31 + (unsigned char)*c;
    for (size_t at = 0; at < len; at += size)
        put_number(tensor, random_bits(&state), bytes + at);
}

size_t shard_write_rows(const struct shard_tensor *tensor, size_t first, size_t end,
                        const char *file)
{
    static char numbers[MAX_BYTES], bytes[HEADER + MAX_BYTES];
    const size_t row = shard_row_size(tensor);
    char header[HEADER - 10 + 1];
    const int len =
        snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (%zu,",
                 tensor->descr, end - first);
    snprintf(header + len, sizeof header - (size_t)len, tensor->row ? "%d)}" : ")}", SHARD_COLUMNS);
    memset(bytes, ' ', HEADER);
    memcpy(bytes, "\x93NUMPY\x01\0\x76\0", 10);
    memcpy(bytes + 10, header, strlen(header));
    bytes[HEADER - 1] = '\n';
    fill(tensor, numbers);
    memcpy(bytes + HEADER, numbers + first * row, (end - first) * row);
    folder_write_bytes(file, bytes, HEADER + (end - first) * row);
    return HEADER;
}

void shard_write_whole(const struct shard_tensor *tensor)
{
    char file[64];
    snprintf(file, sizeof file, "%s.npy", tensor->name);
    shard_write_rows(tensor, 0, SHARD_ROWS, file);
}

void shard_write_split(const struct shard_tensor *tensor, const struct shard_split *split)
{
    char file[64];
    size_t first = 0;
    for (int i = 0; i < split->count; i++) {
        snprintf(file, sizeof file, "%s-%d.npy", tensor->name, i);
        shard_write_rows(tensor, first, first + split->rows[i], file);
        first += split->rows[i];
    }
    ck_assert_uint_eq(first, SHARD_ROWS);
}

size_t shard_read_data(const char *file, char *bytes, size_t size)
{
    static char all[HEADER + MAX_BYTES + 1];
    const size_t len = folder_read(file, all, sizeof all);
    const size_t header = 10 + (size_t)(unsigned char)all[8] + 256 * (size_t)(unsigned char)all[9];
    ck_assert_mem_eq(all, "\x93NUMPY", 6);
    ck_assert_uint_ge(len, header);
    ck_assert_uint_le(len - header, size);
    memcpy(bytes, all + header, len - header);
    return len - header;
}
