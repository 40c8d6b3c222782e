/*
 * libFuzzer: any text as a number, compared with the C library; any four or eight bytes as a number
 * to write and read back; and any text as a list, read by each bulk implementation and one by one.
 */
#include "copy_text.h"
#include "number/number.h"
#include "number/number_bulk.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void read_text(const char *text)
{
    double wide = 0, wide_expected = strtod(text, NULL);
    float narrow = 0, narrow_expected = strtof(text, NULL);
    int64_t integer = 0;
    const char *const end = number_skip(text), *integer_end = NULL;
    require(number_read_f64(text, &wide) == end && number_read_f32(text, &narrow) == end);
    const enum number_status status = number_read_i64(text, &integer, &integer_end);
    require((status == NUMBER_NONE) == (end == NULL));
    if (!end || *end == 'x' ||
        *end == 'X') /* 0 here, but the start of a hexadecimal number for strtod */
        return;
    require(memcmp(&wide, &wide_expected, sizeof wide) == 0 &&
            memcmp(&narrow, &narrow_expected, sizeof narrow) == 0);
    require(integer_end == end);
    if (status == NUMBER_OK)
        require((double)integer == wide);
}

static void write_bits(const uint8_t *data)
{
    char text[NUMBER_TEXT + 1];
    double wide, wide_back;
    float narrow, narrow_back;
    memcpy(&wide, data, sizeof wide);
    memcpy(&narrow, data, sizeof narrow);
    if (isfinite(wide)) {
        text[number_write_f64(text, wide)] = '\0';
        require(number_read_f64(text, &wide_back) && memcmp(&wide, &wide_back, sizeof wide) == 0);
    }
    if (isfinite(narrow)) {
        text[number_write_f32(text, narrow)] = '\0';
        require(number_read_f32(text, &narrow_back) &&
                memcmp(&narrow, &narrow_back, sizeof narrow) == 0);
    }
}

enum { BLOCKS_MAX = 64 };

/* The tokens that an implementation finds must be those of the portable one; the values must be
   those of reading one by one. */
static void read_list(const struct number_bulk *way, const char *text, size_t blocks)
{
    static uint32_t bounds[BLOCKS_MAX * 64 + NUMBER_BULK_SLACK],
        expected[BLOCKS_MAX * 64 + NUMBER_BULK_SLACK];
    const size_t n = way->find(text, blocks, bounds);
    require(n == number_bulk_portable.find(text, blocks, expected));
    require(n == 0 || memcmp(bounds, expected, n * sizeof *bounds) == 0);
    const char *at = text, *expected_at = text;
    require(way->skip(&at, text + blocks * 64) ==
            number_bulk_portable.skip(&expected_at, text + blocks * 64));
    require(at == expected_at);
    for (size_t i = 0; i < n / 2; i++) {
        /* Four at once and one alone take different paths. */
        const size_t some = n / 2 - i < 4 ? n / 2 - i : 4;
        float narrow[4], narrow_expected = 0;
        double wide, wide_expected = 0;
        int64_t integer, integer_expected = 0;
        const char *const token = text + bounds[2 * i], *const end = text + bounds[2 * i + 1],
                          *stop = NULL;
        if (way->read_f32(text, bounds + 2 * i, some, narrow) > 0)
            require(number_read_f32(token, &narrow_expected) == end &&
                    memcmp(narrow, &narrow_expected, sizeof *narrow) == 0);
        if (way->read_f64(text, bounds + 2 * i, 1, &wide) > 0)
            require(number_read_f64(token, &wide_expected) == end &&
                    memcmp(&wide, &wide_expected, sizeof wide) == 0);
        if (way->read_i64(text, bounds + 2 * i, 1, &integer) > 0)
            require(number_read_i64(token, &integer_expected, &stop) == NUMBER_OK && stop == end &&
                    integer == integer_expected);
    }
}

/* Floats written in bulk must have the same text as floats written one by one. */
static void write_list(const struct number_bulk *way, const uint8_t *data, size_t size)
{
    enum { N = 64 };
    float values[N];
    const size_t n = size / sizeof *values < N ? size / sizeof *values : N;
    memcpy(values, data, n * sizeof *values);
    char text[N * NUMBER_BULK_F32 + NUMBER_TEXT], one[NUMBER_TEXT], *end = text, *at = text;
    const size_t written = way->write_f32(&end, values, n);
    require(written == n || !isfinite(values[written]));
    for (size_t i = 0; i < written; i++) {
        const size_t len = number_write_f32(one, values[i]);
        require(memcmp(at, one, len) == 0 && at[len] == ',');
        at += len + 1;
    }
    require(at == end);
}

static void in_bulk(const uint8_t *data, size_t size)
{
    const size_t blocks = size / 64 < BLOCKS_MAX ? size / 64 : BLOCKS_MAX;
    char *const memory = malloc(size + 2 * NUMBER_BULK_AROUND);
    if (!memory)
        return;
    memset(memory, ',', size + 2 * NUMBER_BULK_AROUND);
    memcpy(memory + NUMBER_BULK_AROUND, data, size);
    for (size_t i = 0; number_bulk_at(i); i++) {
        read_list(number_bulk_at(i), memory + NUMBER_BULK_AROUND, blocks);
        write_list(number_bulk_at(i), data, size);
    }
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = copy_text(data, size);
    if (!text)
        return 0;
    read_text(text);
    if (size >= sizeof(double))
        write_bits(data);
    in_bulk(data, size);
    free(text);
    return 0;
}
