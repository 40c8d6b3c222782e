/*
 * Reading and writing many numbers at once, with every implementation that the machine supports.
 * Results are compared with those of the functions for one number.
 */
#include "number/number.h"
#include "number/number_bulk.h"
#include "suites.h"
#include "support/random.h"
#include "unit/proto/number_check.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Returns an implementation; NULL if the machine supports fewer. */
static const struct number_bulk *way_of(int i)
{
    return number_bulk_at((size_t)i);
}
enum { WAYS = 3 };

/* The allocation of the text that bulk_text() returns. NUMBER_BULK_AROUND bytes precede and follow
 * the text, as an implementation requires; the sanitizer detects reads of others. */
static char *bulk_memory;

static char *bulk_text(const char *text, size_t len)
{
    bulk_memory = malloc(len + 2 * NUMBER_BULK_AROUND);
    memset(bulk_memory, ',', len + 2 * NUMBER_BULK_AROUND);
    return memcpy(bulk_memory + NUMBER_BULK_AROUND, text, len);
}

static bool is_separator(char c)
{
    return c == '[' || c == ']' || c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_token(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' ||
           c == '-' || c == '.';
}

START_TEST(tokens_are_found_at_every_position)
{
    const struct number_bulk *const way = way_of(_i);
    uint64_t state = RANDOM_SEED;
    char text[64 * 5];
    for (int round = 0; way && round < 20000; round++) {
        const size_t blocks = (size_t)round % 6, len = blocks * 64;
        for (size_t i = 0; i < len; i++) {
            const unsigned dice = (unsigned)(random_bits(&state) >> 40);
            /* every byte value, or long and short tokens between separators */
            text[i] = round % 3 == 0                          ? (char)dice
                      : dice % (round % 7 == 0 ? 40 : 4) == 0 ? "[], \t\n\r,"[dice >> 8 & 7]
                                                              : '7';
        }
        char *const copy = bulk_text(text, len);
        uint32_t bounds[sizeof text + NUMBER_BULK_SLACK];
        const size_t n = way->find(copy, blocks, bounds);
        size_t expected = 0;
        for (size_t i = 0; i < len; i++)
            if (is_separator(text[i]) != (i == 0 || is_separator(text[i - 1])))
                CHECK(expected < n && bounds[expected++] == i, "%s: no bound at %zu of %zu",
                      way->name, i, len);
        CHECK(n == expected, "%s: %zu bounds, not %zu", way->name, n, expected);
        free(bulk_memory);
    }
}
END_TEST

/* Returns the last position where skipping may stop, found byte by byte: the start of the last
   valid element, or the ']' after it. Sets the number of elements before it. */
static size_t skip_slowly(const char *text, size_t len, size_t *count)
{
    size_t last = 0;
    *count = 0;
    for (size_t i = 0;;) {
        if (i == len || !is_token(text[i]))
            return last;
        last = i;
        while (i < len && is_token(text[i]))
            i++;
        while (i < len && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r'))
            i++;
        if (i < len && text[i] == ']') {
            ++*count;
            return i;
        }
        if (i == len || text[i] != ',')
            return last;
        ++*count;
        i++;
        while (i < len && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r'))
            i++;
        if (i == len || !is_token(text[i])) { /* not an element; the previous one is the last */
            --*count;
            return last;
        }
    }
}

START_TEST(elements_are_skipped_while_they_are_valid)
{
    const struct number_bulk *const way = way_of(_i);
    uint64_t state = RANDOM_SEED;
    char text[64 * 5];
    for (int round = 0; way && round < 40000; round++) {
        size_t len = 0;
        const size_t size = 1 + random_bits(&state) % sizeof text;
        while (len <
               size) { /* mostly elements with white space around them, sometimes other text */
            const unsigned dice = (unsigned)(random_bits(&state) >> 32);
            for (unsigned i = 0; i <= dice % 9 && len < size; i++)
                text[len++] = "-0123456789.eE+aZ"[(dice >> 4) % 17];
            for (unsigned i = 0; round % 2 == 0 && i < (dice >> 8) % 3 && len < size; i++)
                text[len++] = " \t\n\r"[dice >> 10 & 3];
            if (len < size && round % 5 > 0 && dice >> 24 == 0)
                text[len++] = (char)(dice >> 12);
            else if (len < size)
                text[len++] = ',';
            for (unsigned i = 0;
                 round % 2 == 0 && i < (dice >> 12 & 3) * (dice >> 14 & 15) && len < size; i++)
                text[len++] = " \t\n\r"[dice >> 18 & 3];
        }
        if (round % 3 == 0)
            text[len - 1] = ']';
        char *const copy = bulk_text(text, len);
        const char *at = copy;
        size_t max, count = 0;
        const size_t limit = skip_slowly(text, len, &max), n = way->skip(&at, copy + len),
                     stop = (size_t)(at - copy);
        CHECK(stop <= limit && n <= max, "%s: %zu elements to byte %zu, not %zu to %zu", way->name,
              n, stop, max, limit);
        /* The skipped text has that many elements, and skipping stopped at a valid position. */
        for (size_t i = 0; i < stop; i++)
            count += text[i] == ',';
        const bool all = stop > 0 && text[stop] == ']';
        CHECK(n == count + all, "%s: %zu elements, not %zu", way->name, n, count + all);
        CHECK(all || stop == 0 || (is_token(text[stop]) && !is_token(text[stop - 1])),
              "%s: stopped at %zu", way->name, stop);
        CHECK(stop == limit || limit - stop < 64 + 64 || len - stop < 64 + 64,
              "%s: stopped early, at %zu of %zu", way->name, stop, limit);
        free(bulk_memory);
    }
}
END_TEST

/* Puts a token in five places of a text, and reads it in bulk and alone. If `must_read`, bulk
   reading as float32 must read all five. */
static void check_bulk(const struct number_bulk *way, const char *token, bool must_read)
{
    enum { PLACES = 5 };
    const size_t len = strlen(token);
    char text[PLACES * 80];
    uint32_t bounds[2 * PLACES];
    for (size_t i = 0; i < PLACES; i++) {
        memcpy(text + i * (len + 1), token, len);
        text[i * (len + 1) + len] = ',';
        bounds[2 * i] = (uint32_t)(i * (len + 1));
        bounds[2 * i + 1] = (uint32_t)(i * (len + 1) + len);
    }
    char *const copy = bulk_text(text, PLACES * (len + 1));
    float narrow[PLACES], narrow_expected;
    double wide[PLACES], wide_expected;
    int64_t integer[PLACES], integer_expected;
    const char *end = NULL, *const narrow_end = number_read_f32(token, &narrow_expected);
    const char *const wide_end = number_read_f64(token, &wide_expected);
    const bool integral =
        number_read_i64(token, &integer_expected, &end) == NUMBER_OK && *end == '\0';
    const size_t narrow_read = way->read_f32(copy, bounds, PLACES, narrow),
                 wide_read = way->read_f64(copy, bounds, PLACES, wide);
    const size_t integer_read = way->read_i64(copy, bounds, PLACES, integer);
    for (size_t i = 0; i < PLACES; i++) {
        CHECK(i >= narrow_read ||
                  (narrow_end && !*narrow_end && same32(narrow[i], narrow_expected)),
              "%s: %s is not %a", way->name, token, (double)narrow[i]);
        CHECK(i >= wide_read || (wide_end && !*wide_end && same64(wide[i], wide_expected)),
              "%s: %s is not %a", way->name, token, wide[i]);
        CHECK(i >= integer_read || (integral && integer[i] == integer_expected),
              "%s: %s is not %lld", way->name, token, (long long)integer[i]);
    }
    CHECK(!must_read || narrow_read == PLACES, "%s: %s is not read", way->name, token);
    free(bulk_memory);
}

START_TEST(bulk_reading_gives_the_same_bits_as_single_reading)
{
    static const char *const tokens[] = {"0",
                                         "-0",
                                         "-0.0",
                                         "00",
                                         "01",
                                         "-01",
                                         "-",
                                         ".",
                                         "-.",
                                         "1.",
                                         "-1.",
                                         ".5",
                                         "-.5",
                                         "1.5.5",
                                         "1..5",
                                         "1e5",
                                         "1E5",
                                         "1e+5",
                                         "1e-5",
                                         "1e",
                                         "1e+",
                                         "1e-",
                                         "e5",
                                         "-e5",
                                         "1.e5",
                                         "1.5e5e5",
                                         "1.5e5.5",
                                         "1e05",
                                         "1e005",
                                         "1e0005",
                                         "1e-400",
                                         "1e400",
                                         "1e308",
                                         "1e-308",
                                         "+1",
                                         "--1",
                                         "1-1",
                                         "1_000",
                                         "1/2",
                                         "1:2",
                                         "1x",
                                         "NaN",
                                         "null",
                                         "true",
                                         "Infinity",
                                         "\"NaN\"",
                                         "0x10",
                                         "0.1",
                                         "0.25",
                                         "16777217",
                                         "16777216.5",
                                         "16777217.0",
                                         "9007199254740993",
                                         "9007199254740992.5",
                                         "9223372036854775807",
                                         "9223372036854775808",
                                         "-9223372036854775808",
                                         "9219999999999999999",
                                         "9220000000000000000",
                                         "999999999999999999",
                                         "0.00000000000000000000001",
                                         "0.000000000000000000000001",
                                         "0.0000000000000000000000000000001",
                                         "1.401298464324817e-45",
                                         "1.1754943508222875e-38",
                                         "1.1754942807573643e-38",
                                         "1.17549435e-38",
                                         "9.9999999e-38",
                                         "1.00000001e-37",
                                         "340282356779733661637539395458142568448",
                                         "3.4028235677973366e38",
                                         "3.4028235e38",
                                         "3.4028236e38",
                                         "1.000000059604644775390625",
                                         "1.0000000596046448",
                                         "1.00000005960464477",
                                         "1.0000000596046447754",
                                         "8388608.5",
                                         "8388608.5000000001",
                                         "8388609.4999999999",
                                         "123456789012345678901234",
                                         "1234567890123456789012345",
                                         "12345678901.2345678901234",
                                         "0.1234567890123456789012",
                                         "0.123456789012345678901234567890",
                                         "1.5\xb0",
                                         "\xb1.5",
                                         "1\xae"
                                         "5",
                                         "-1.2345678901234567e-10",
                                         "1.2345678901234567e-100",
                                         "1e23",
                                         "1e22",
                                         "123456789012345680000000000000000000"};
    const struct number_bulk *const way = way_of(_i);
    for (size_t i = 0; way && i < sizeof tokens / sizeof tokens[0]; i++)
        check_bulk(way, tokens[i], false);
}
END_TEST

START_TEST(common_numbers_are_read_in_bulk)
{
    const struct number_bulk *const way = way_of(_i);
    uint64_t state = RANDOM_SEED;
    char token[64];
    for (int i = 0; way && i < 200000; i++) {
        const uint64_t bits = random_bits(&state);
        const double value = (double)(int64_t)bits * 0x1p-63 *
                             (i % 3 == 0   ? 1
                              : i % 3 == 1 ? 100
                                           : 1e-6);
        snprintf(token, sizeof token, i % 5 == 0 ? "%.*f" : "%.*g", 1 + i % 17, value);
        check_bulk(way, token, false); /* one in 2^25 is too close to a midpoint, and many numbers
                                          of few digits are midpoints */
        if (i % 17 >= 8 && (i % 3 != 1 || i % 5 > 0))
            check_bulk(way, token, true);
    }
}
END_TEST

/* Random texts of the characters of numbers; most are not numbers. */
START_TEST(bulk_reading_accepts_only_numbers)
{
    const struct number_bulk *const way = way_of(_i);
    uint64_t state = RANDOM_SEED;
    for (int i = 0; way && i < 300000; i++) {
        char token[40];
        const size_t len = 1 + random_bits(&state) % (i % 4 ? 7 : 34);
        for (size_t k = 0; k < len; k++)
            token[k] = (i % 2 ? "0123456789.-"
                              : "0123456789012345678901234567890..-+eE")[random_bits(&state) %
                                                                         (i % 2 ? 12 : 37)];
        token[len] = '\0';
        check_bulk(way, token, false);
    }
}
END_TEST

static void check_write(const struct number_bulk *way, const float *narrow, const double *wide,
                        size_t n)
{
    char *const text = malloc(n * NUMBER_BULK_F64 + NUMBER_TEXT), *const one = malloc(NUMBER_TEXT);
    for (int k = 0; k < 2; k++) {
        char *end = text, *at = text;
        const size_t written = k ? way->write_f64(&end, wide, n) : way->write_f32(&end, narrow, n);
        CHECK(written == n, "%s: %zu of %zu are written", way->name, written, n);
        for (size_t i = 0; i < n; i++) {
            const size_t len =
                k ? number_write_f64(one, wide[i]) : number_write_f32(one, narrow[i]);
            CHECK(memcmp(at, one, len) == 0 && at[len] == ',', "%s: %a is written %.*s", way->name,
                  k ? wide[i] : (double)narrow[i], (int)len + 1, at);
            CHECK(len < (k ? NUMBER_BULK_F64 : NUMBER_BULK_F32), "%.*s is too long", (int)len, at);
            at += len + 1;
        }
        CHECK(at == end, "%s: there is more text than numbers", way->name);
    }
    free(text);
    free(one);
}

START_TEST(bulk_writing_gives_the_same_text_as_single_writing)
{
    enum { N = 61 };
    const struct number_bulk *const way = way_of(_i);
    uint64_t state = RANDOM_SEED;
    float narrow[N];
    double wide[N];
    for (int round = 0; way && round < 40000; round++) {
        for (size_t i = 0; i < N; i++) {
            const uint64_t bits = random_bits(&state);
            uint32_t narrow_bits = (uint32_t)(bits >> 20);
            if (round % 4 == 0) /* few digits, or none */
                narrow_bits &= (uint32_t)(UINT64_MAX << bits % 33);
            if (round < 1000) /* subnormal numbers, powers of two, and their neighbors */
                narrow_bits = round < 200
                                  ? (uint32_t)(round * N + (int)i)
                                  : (uint32_t)(bits % 256) << 23 | (uint32_t)(bits >> 8) % 5;
            memcpy(&narrow[i], &narrow_bits, sizeof narrow_bits);
            memcpy(&wide[i], &bits, sizeof bits);
            if (round % 4 == 1) /* integers and decimals of few digits */
                narrow[i] = (float)((int64_t)bits >> bits % 64) / (float)(bits & 64 ? 1 : 1000);
            narrow[i] = isfinite(narrow[i]) ? narrow[i] : 0;
            wide[i] = isfinite(wide[i]) ? wide[i] : -0.0;
        }
        check_write(way, narrow, wide, N);
    }
    const float stop[] = {1, NAN, 1, INFINITY, -INFINITY};
    char text[sizeof stop / sizeof stop[0] * NUMBER_BULK_F32 + NUMBER_TEXT], *end = text;
    ck_assert_uint_eq(way ? way->write_f32(&end, stop, 5) : 1, 1);
    ck_assert_uint_eq(way ? way->write_f32(&end, stop + 1, 4) : 0, 0);
    ck_assert_uint_eq(way ? way->write_f32(&end, stop + 2, 3) : 1, 1);
    ck_assert_uint_eq(way ? way->write_f32(&end, stop + 4, 1) : 0, 0);
    ck_assert(!way || (end == text + 4 && memcmp(text, "1,1,", 4) == 0));
}
END_TEST

Suite *number_bulk_suite(void)
{
    Suite *const suite = suite_create("number_bulk");
    TCase *const bulk = suite_add_case(suite, "number_bulk", 120, NULL, NULL);
    tcase_add_loop_test(bulk, tokens_are_found_at_every_position, 0, WAYS);
    tcase_add_loop_test(bulk, elements_are_skipped_while_they_are_valid, 0, WAYS);
    tcase_add_loop_test(bulk, bulk_reading_gives_the_same_bits_as_single_reading, 0, WAYS);
    tcase_add_loop_test(bulk, common_numbers_are_read_in_bulk, 0, WAYS);
    tcase_add_loop_test(bulk, bulk_writing_gives_the_same_text_as_single_writing, 0, WAYS);
    tcase_add_loop_test(bulk, bulk_reading_accepts_only_numbers, 0, WAYS);
    return suite;
}
