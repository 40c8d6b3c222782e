/*
 * Number text. Reading is compared with glibc's strtod and strtof, which are exact. Writing is
 * compared with the shortest text, found by trying. The grammar of all four functions is compared
 * with a list. Every run uses the same random numbers.
 */
#include "number/number.h"
#include "number/number_bulk.h"
#include "suites.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ck_assert_msg for conditions that are checked a million times: libcheck makes a system call for
 * each of its own assertions.
 */
#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg(__VA_ARGS__);                                                             \
    } while (0)

static uint64_t random_bits(uint64_t *state) /* xorshift64 (Marsaglia 2003) */
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
static const uint64_t seed = UINT64_C(88172645463325252);

static bool same32(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static bool same64(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/* ---- Reading ---- */

/* Checks that both readers return the same bits as the C library for a text that is one number. */
static void reads_like_c(const char *text)
{
    const char *const end = text + strlen(text);
    double wide = 1;
    float narrow = 1;
    const bool whole = number_read_f64(text, &wide) == end &&
                       number_read_f32(text, &narrow) == end && number_skip(text) == end;
    CHECK(whole, "%.60s is not read to its end", text);
    CHECK(same64(wide, strtod(text, NULL)), "%.60s is read as %a, not %a", text, wide,
          strtod(text, NULL));
    CHECK(same32(narrow, strtof(text, NULL)), "%.60s is read as %a, not %a", text, (double)narrow,
          (double)strtof(text, NULL));
}

START_TEST(hard_numbers_are_rounded_correctly)
{
    static const char *const hard[] = {
        "0", "-0", "0.0", "-0.0e5", "0e999999999999", "0.000e-999999999999", "1e400", "-1e400",
        "1e-400", "-1e-400", "1e99999999999999999999", "1e-99999999999999999999",
        "1e0000000000000000000000000001",
        /* double: the smallest normal number; two texts that made PHP and Java hang; the smallest
           number, half of it, and numbers next to that */
        "2.2250738585072014e-308", "2.2250738585072011e-308", "2.2250738585072012e-308",
        "4.9406564584124654e-324", "2.4703282292062327208e-324", "2.4703282292062328e-324",
        "2.4703282292062327e-324", "1e-342", "1e-343", "18446744073709551615e-343",
        "18446744073709551616e-342",
        /* the largest, and where rounding yields infinity */
        "1.7976931348623157e308", "1.7976931348623158e308", "1.7976931348623159e308",
        "179769313486231580793e289", "1e308", "1e309", "0.00001e314", "10000000000000000000e290",
        /* ties of doubles, and numbers just above and below them */
        "9007199254740993", "9007199254740993.0000000000000000000000000000001",
        "9007199254740992.9999999999999999999999999999999", "9007199254740995",
        "9007199254740991.5", "4503599627370497.25", "4503599627370496.75", "1e23",
        "8.442911973260991817129021e-309", "6929495644600919.5", "3.518437208883201171875e13",
        "1.00000000000000011102230246251565404236316680908203125",
        "1.00000000000000011102230246251565404236316680908203124",
        "1.00000000000000011102230246251565404236316680908203126", "9223372036854776833",
        "9223372036854776832",
        /* the same for float */
        "16777217", "16777217.0000000000000000000000000000001", "16777219", "8388608.5",
        "8388609.5", "1.000000059604644775390625",
        "1.00000005960464477539062500000000000000000000001",
        "1.00000005960464477539062499999999999999999999999", "3.4028234663852886e38",
        "3.4028235677973366e38", "3.4028235677973365e38", "340282356779733661637539395458142568448",
        "340282356779733661637539395458142568447", "1.401298464324817e-45", "7.006492321624085e-46",
        "7.0064923216240854e-46", "7.0064923216240862e-46", "1.1754943508222875e-38",
        "1.1754942807573643e-38", "1.1754943157898259e-38",
        /* the nearest double is the midpoint of two floats, but the number is not: rounding twice
           is wrong */
        "1.0000000596046448", "1.00000005960464477", "0.50000002980232239", "8388608.5000000001",
        "8388609.4999999999",
        /* more digits than fit in 64 bits */
        "123456789012345678901234567890", "12345678901234567891e-20",
        "0.10000000000000000000000000000000000000000000000000001",
        "0.00000000000000000000000000000000000000000000000000000000000000000123456789012345678901",
        "100000000000000000000000000000000000000000000000000000000000000000000000000000000000000e-"
        "80",
        "99999999999999999999999999999999999999e-38", "9999999999999999999", "10000000000000000000",
        "18446744073709551615", "18446744073709551616", "18446744073709551617"};
    for (size_t i = 0; i < sizeof hard / sizeof hard[0]; i++)
        reads_like_c(hard[i]);
}
END_TEST

/* Checks all digits of the midpoint of a positive float and the next one, and texts that are
 * slightly less or more. */
static void reads_around_midpoint(long double midpoint)
{
    static char text[2600];
    const int len = snprintf(text, sizeof text, "%.1100Lf",
                             midpoint); /* exact: no double's midpoint has more than 1075 */
    reads_like_c(text);
    memset(text + len, '0', 1000);
    text[len + 1000] = '1';
    text[len + 1001] = '\0';
    reads_like_c(text);
    text[len] = '\0';
    /* One unit in the last place less. */
    int last = len - 1;
    for (; text[last] == '0' || text[last] == '.'; last--)
        text[last] = text[last] == '.' ? '.' : '9';
    text[last]--;
    if (text[0] != '0' ||
        text[1] == '.') /* otherwise the text begins with a zero, which JSON does not allow */
        reads_like_c(text);
}

START_TEST(midpoints_of_hundreds_of_digits_are_rounded_correctly)
{
    uint64_t state = seed;
    for (int i = 0; i < 3000; i++) {
        uint64_t wide_bits = random_bits(&state) >> 1;
        uint32_t narrow_bits = (uint32_t)(random_bits(&state) >> 33);
        if (i < 40) { /* the smallest subnormal numbers, and the smallest normal ones */
            wide_bits = (uint64_t)i + (i < 20 ? 0 : (UINT64_C(1) << 52) - 30);
            narrow_bits = (uint32_t)i + (i < 20 ? 0 : (UINT32_C(1) << 23) - 30);
        }
        double wide;
        float narrow;
        memcpy(&wide, &wide_bits, sizeof wide);
        memcpy(&narrow, &narrow_bits, sizeof narrow);
        if (isfinite(wide) && wide < 1e300)
            reads_around_midpoint(((long double)wide + (long double)nextafter(wide, INFINITY)) / 2);
        if (isfinite(narrow))
            reads_around_midpoint(
                ((long double)narrow + (long double)nextafterf(narrow, INFINITY)) / 2);
    }
    reads_around_midpoint(0x1.fffffffffffff8p1023L);
    reads_around_midpoint(0x1.ffffffp127L);
}
END_TEST

START_TEST(printed_numbers_are_read_back)
{
    uint64_t state = seed;
    char text[64];
    for (int i = 0; i < 250000; i++) {
        const uint64_t wide_bits = random_bits(&state);
        const uint32_t narrow_bits = (uint32_t)random_bits(&state);
        double wide;
        float narrow;
        memcpy(&wide, &wide_bits, sizeof wide);
        memcpy(&narrow, &narrow_bits, sizeof narrow);
        double wide_back = 0;
        float narrow_back = 0;
        snprintf(text, sizeof text, "%.17g", wide);
        CHECK(!isfinite(wide) || (number_read_f64(text, &wide_back) && same64(wide, wide_back)),
              "%s", text);
        snprintf(text, sizeof text, "%.*g", 9 + i % 9, (double)narrow);
        CHECK(!isfinite(narrow) ||
                  (number_read_f32(text, &narrow_back) && same32(narrow, narrow_back)),
              "%s", text);
    }
}
END_TEST

START_TEST(random_texts_are_rounded_correctly)
{
    uint64_t state = seed;
    char text[96];
    for (int i = 0; i < 250000; i++) {
        uint64_t dice = random_bits(&state);
        char *to = text;
        if (dice & 1)
            *to++ = '-';
        const int whole = (int)(dice >> 1 & 7) < 5 ? 1 : (int)(dice >> 8 & 31) + 1,
                  fraction = (int)(dice >> 16 & 31);
        for (int k = 0; k < whole; k++)
            *to++ = (char)((whole > 1 && k == 0 ? '1' : '0') + (random_bits(&state) >> 32) % 9);
        if (fraction > 0)
            *to++ = '.';
        const int zeros = (int)(dice >> 24 & 63);
        for (int k = 0; k < fraction; k++)
            *to++ = k < zeros - 40 ? '0' : (char)('0' + (random_bits(&state) >> 32) % 10);
        const int range = dice >> 32 & 1 ? 90 : 700;
        if (dice >> 33 & 3)
            to += snprintf(to, 8, "%c%d", dice >> 35 & 1 ? 'e' : 'E',
                           (int)((dice >> 40) % (unsigned)range) - range / 2);
        *to = '\0';
        reads_like_c(text);
    }
}
END_TEST

/* Reading takes time proportional to the length; quadratic time would be minutes.
 */
START_TEST(reading_takes_time_proportional_to_length)
{
    enum { DIGITS = 4000000 };
    char *const text = malloc(DIGITS + 16);
    double value;
    int64_t integer;
    const char *end;
    memset(text, '7', DIGITS);
    text[1] = '.';
    strcpy(text + DIGITS, "e1");
    ck_assert_ptr_eq(number_read_f64(text, &value), text + DIGITS + 2);
    ck_assert_double_eq(value, 77.77777777777777777);
    ck_assert_int_eq(number_read_i64(text, &integer, &end), NUMBER_FRACTION);
    memset(text, '0', DIGITS);
    text[1] = '.';
    strcpy(text + DIGITS - 1, "1e3999998");
    ck_assert_ptr_eq(number_read_f64(text, &value), text + DIGITS + 8);
    ck_assert_double_eq(value, 1);
    ck_assert_int_eq(number_read_i64(text, &integer, &end), NUMBER_OK);
    ck_assert_int_eq(integer, 1);
    memset(text, '0', DIGITS);
    text[0] = '1';
    strcpy(text + DIGITS, "e-3999999");
    ck_assert_ptr_eq(number_read_f64(text, &value), text + DIGITS + 9);
    ck_assert_double_eq(value, 1);
    ck_assert_int_eq(number_read_i64(text, &integer, &end), NUMBER_OK);
    ck_assert_int_eq(integer, 1);
    free(text);
}
END_TEST

/* ---- Grammar ---- */

/* Returns where all four functions say that the number ends. Reads a copy of the text, so that the
   address sanitizer detects reads after the terminator. */
static const char *end_for_all(const char *text)
{
    const size_t bytes = strlen(text) + 1;
    char *const copy = malloc(bytes);
    memcpy(copy, text, bytes);
    double wide;
    float narrow;
    int64_t integer;
    const char *integer_end = NULL, *const end = number_skip(copy);
    CHECK(number_read_f64(copy, &wide) == end, "double: %s", text);
    CHECK(number_read_f32(copy, &narrow) == end, "float: %s", text);
    CHECK((number_read_i64(copy, &integer, &integer_end) == NUMBER_NONE) == !end, "integer: %s",
          text);
    CHECK(integer_end == end, "integer: %s", text);
    const ptrdiff_t len = end ? end - copy : 0;
    free(copy);
    return end ? text + len : NULL;
}

START_TEST(text_that_is_not_a_number_is_rejected)
{
    static const char *const none[] = {
        "",     "-",        "01",  "00",  "-01", "00.5", "1.",    ".5",   "1.e5",
        "1e",   "1e+",      "1e-", "+1",  "--1", "-+1",  "NaN",   "nan",  "inf",
        "-inf", "Infinity", " 1",  "-.5", "e5",  "-e5",  "1.5e",  "1ee5", "1e.5",
        "1.-5", "1..5",     "-x",  "/",   ":",   ",1",   "\"1\"", "\xb1", "1e+-5"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        ck_assert_msg(!end_for_all(none[i]), "%s", none[i]);
}
END_TEST

START_TEST(a_number_ends_where_the_grammar_ends)
{
    static const struct {
        const char *text;
        ptrdiff_t len;
    } cases[] = {
        {"0x10", 1},      {"0", 1},           {"-0", 2},         {"0,1", 1},
        {"12345678]", 8}, {"1234567}", 7},    {"123456789 ", 9}, {"1.5.2", 3},
        {"1e5e5", 3},     {"1E+05,", 5},      {"-0.0e-0", 7},    {"1.5-3", 3},
        {"3/4", 1},       {"3:", 1},          {"1.25f", 4},      {"1e5.5", 3},
        {"0e0", 3},       {"0.00000000", 10}, {"10,", 2},        {"12345678.12345678\t", 17},
        {"7\xb0", 1},     {"0-", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(end_for_all(cases[i].text) == cases[i].text + cases[i].len, "%s",
                      cases[i].text);
}
END_TEST

/* The grammar as an automaton, for every text over a small alphabet. */
static const char *end_by_automaton(const char *text)
{
    enum { START, MINUS, ZERO, WHOLE, POINT, FRACTION, E, SIGN, EXPONENT };
    for (int state = START;; text++) {
        const bool zero = *text == '0', digit = zero || *text == '7';
        if (state <= MINUS && digit)
            state = zero ? ZERO : WHOLE;
        else if (state == START && *text == '-')
            state = MINUS;
        else if (((state == WHOLE || state == FRACTION || state == EXPONENT) && digit))
            continue;
        else if ((state == ZERO || state == WHOLE) && *text == '.')
            state = POINT;
        else if (state == POINT && digit)
            state = FRACTION;
        else if ((state == ZERO || state == WHOLE || state == FRACTION) && *text == 'e')
            state = E;
        else if (state == E && (*text == '-' || *text == '+'))
            state = SIGN;
        else if ((state == E || state == SIGN) && digit)
            state = EXPONENT;
        else
            return (state == ZERO && !digit) || state == WHOLE || state == FRACTION ||
                           state == EXPONENT
                       ? text
                       : NULL;
    }
}

START_TEST(every_short_text_is_read_as_the_grammar_says)
{
    static const char alphabet[] = {'\0', '0', '7', '-', '+', '.', 'e'};
    enum { LETTERS = sizeof alphabet, LEN = 6 };
    int texts = 1;
    for (int i = 0; i < LEN; i++)
        texts *= LETTERS;
    for (int i = 0; i < texts; i++) {
        char text[LEN + 1] = "";
        for (int k = 0, rest = i; k < LEN; k++, rest /= LETTERS)
            text[k] = alphabet[rest % LETTERS];
        CHECK(end_for_all(text) == end_by_automaton(text), "%s", text);
    }
}
END_TEST

/* ---- Integers ---- */

START_TEST(integral_numbers_are_read_as_integers)
{
    static const struct {
        const char *text;
        enum number_status status;
        int64_t value;
    } cases[] = {
        {"3", NUMBER_OK, 3},
        {"-100", NUMBER_OK, -100},
        {"3.0", NUMBER_OK, 3},
        {"3e2", NUMBER_OK, 300},
        {"30e-1", NUMBER_OK, 3},
        {"0.25e2", NUMBER_OK, 25},
        {"-12.50e1", NUMBER_OK, -125},
        {"0.0", NUMBER_OK, 0},
        {"-0", NUMBER_OK, 0},
        {"0e999999999999", NUMBER_OK, 0},
        {"0.000e-99999999999999999999", NUMBER_OK, 0},
        {"9223372036854775807", NUMBER_OK, INT64_MAX},
        {"-9223372036854775808", NUMBER_OK, INT64_MIN},
        {"-9.223372036854775808e18", NUMBER_OK, INT64_MIN},
        {"9223372036854775807.000000000000000000000000", NUMBER_OK, INT64_MAX},
        {"0.00000000000000000000000000000009223372036854775807e50", NUMBER_OK, INT64_MAX},
        {"1000000000000000000000e-3", NUMBER_OK, 1000000000000000000},
        {"123000000000000000000000000000000e-30", NUMBER_OK, 123},
        {"9223372036854775808", NUMBER_RANGE, 0},
        {"-9223372036854775809", NUMBER_RANGE, 0},
        {"18446744073709551616", NUMBER_RANGE, 0},
        {"18446744073709551617", NUMBER_RANGE, 0},
        {"1e19", NUMBER_RANGE, 0},
        {"1e400", NUMBER_RANGE, 0},
        {"1e99999999999999999999", NUMBER_RANGE, 0},
        {"1.5e400", NUMBER_RANGE, 0},
        {"123456789012345678901234567890", NUMBER_RANGE, 0},
        {"1.5", NUMBER_FRACTION, 0},
        {"15e-1", NUMBER_FRACTION, 0},
        {"1e-400", NUMBER_FRACTION, 0},
        {"123456789012345678901234567890.5", NUMBER_FRACTION, 0},
        {"1.00000000000000000000000000000001", NUMBER_FRACTION, 0},
        {"9223372036854775807.5", NUMBER_FRACTION, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t value = 0;
        const char *end = NULL;
        ck_assert_msg(number_read_i64(cases[i].text, &value, &end) == cases[i].status, "%s",
                      cases[i].text);
        ck_assert_msg(value == cases[i].value, "%s", cases[i].text);
        ck_assert_ptr_eq(end, cases[i].text + strlen(cases[i].text));
    }
}
END_TEST

START_TEST(printed_integers_are_read_back)
{
    uint64_t state = seed;
    for (int i = 0; i < 100000; i++) {
        const uint64_t bits = random_bits(&state) >> i % 64;
        const int64_t integer = (int64_t)(i % 2 ? bits : 0 - bits);
        char text[32];
        int64_t back = 0;
        const char *end;
        const int len = snprintf(text, sizeof text, "%lld", (long long)integer);
        CHECK(number_read_i64(text, &back, &end) == NUMBER_OK && back == integer &&
                  end == text + len,
              "%s", text);
    }
}
END_TEST

START_TEST(unsigned_integers_of_64_bits_are_read_in_any_form)
{
    static const struct {
        const char *text;
        enum number_status status;
        uint64_t value;
    } texts[] = {{"18446744073709551615", NUMBER_OK, UINT64_MAX},
                 {"18446744073709551615.000", NUMBER_OK, UINT64_MAX},
                 {"1.8446744073709551615e19", NUMBER_OK, UINT64_MAX},
                 {"1844674407370955161500e-2", NUMBER_OK, UINT64_MAX},
                 {"0.00018446744073709551615e23", NUMBER_OK, UINT64_MAX},
                 {"1e19", NUMBER_OK, UINT64_C(10000000000000000000)},
                 {"-0", NUMBER_OK, 0},
                 {"-0.0e99", NUMBER_OK, 0},
                 {"18446744073709551616", NUMBER_RANGE, 0},
                 {"1.8446744073709551616e19", NUMBER_RANGE, 0},
                 {"99999999999999999999", NUMBER_RANGE, 0},
                 {"100000000000000000000", NUMBER_RANGE, 0},
                 {"2e19", NUMBER_RANGE, 0},
                 {"1e20", NUMBER_RANGE, 0},
                 {"-1", NUMBER_RANGE, 0},
                 {"1844674407370955161.55", NUMBER_FRACTION, 0}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        uint64_t value = 0;
        const char *end = NULL;
        CHECK(number_read_u64(texts[i].text, &value, &end) == texts[i].status &&
                  value == texts[i].value && end == texts[i].text + strlen(texts[i].text),
              "%s", texts[i].text);
    }
    uint64_t state = seed;
    for (int i = 0; i < 100000; i++) {
        const uint64_t integer = random_bits(&state) >> i % 64;
        char text[32];
        uint64_t back = 0;
        const char *end;
        snprintf(text, sizeof text, "%llu", (unsigned long long)integer);
        CHECK(number_read_u64(text, &back, &end) == NUMBER_OK && back == integer, "%s", text);
    }
}
END_TEST

/* ---- Writing ---- */

/* Writes a number to memory of exactly the documented size. */
static void write_number(char *text, double value, bool narrow)
{
    char *const exact = malloc(NUMBER_TEXT);
    const size_t len =
        narrow ? number_write_f32(exact, (float)value) : number_write_f64(exact, value);
    CHECK(len <= NUMBER_TEXT, "%zu bytes", len);
    memcpy(text, exact, len);
    text[len] = '\0';
    free(exact);
}

START_TEST(numbers_are_written_in_the_shorter_notation)
{
    static const struct {
        double value;
        const char *text;
        bool narrow;
    } cases[] = {{0, "0", false},
                 {-0.0, "-0.0", false},
                 {0, "0", true},
                 {-0.0, "-0.0", true},
                 {1, "1", false},
                 {-1.5, "-1.5", false},
                 {10, "10", false},
                 {100, "100", false},
                 {120, "120", true},
                 {1000, "1e3", false},
                 {12000, "12000", false},
                 {120000, "1.2e5", false},
                 {100000, "1e5", false},
                 {1234567, "1234567", false},
                 {123456000000, "1.23456e11", false},
                 {1234500000, "1.2345e9", false},
                 {1234567890123456.8, "1234567890123456.8", false},
                 {0.1, "0.1", false},
                 {0.01, "0.01", false},
                 {0.001, "1e-3", false},
                 {0.0012, "0.0012", false},
                 {0.00012, "1.2e-4", false},
                 {-0.0125, "-0.0125", false},
                 {1e22, "1e22", false},
                 {1e23, "1e23", false},
                 {9007199254740992, "9007199254740992", false},
                 {1.5e-7, "1.5e-7", false},
                 {5e-324, "5e-324", false},
                 {2.2250738585072014e-308, "2.2250738585072014e-308", false},
                 {-1.7976931348623157e308, "-1.7976931348623157e308", false},
                 {0x1p-149, "1e-45", true},
                 {0x1.99999ap-4, "0.1", true},
                 {16777216, "16777216", true},
                 {33554432, "33554432", true},
                 {0x1.fffffep127, "3.4028235e38", true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[NUMBER_TEXT + 1];
        write_number(text, cases[i].value, cases[i].narrow);
        ck_assert_str_eq(text, cases[i].text);
    }
}
END_TEST

/* Copies the digits of a text from the first to the last that is not 0. Returns their count. */
static int significant_digits(const char *text, char *digits)
{
    int n = 0, used = 0;
    for (; *text && *text != 'e'; text++)
        if (*text >= '0' && *text <= '9' && (n > 0 || *text != '0')) {
            digits[n++] = *text;
            used = *text != '0' ? n : used;
        }
    digits[used] = '\0';
    return used;
}

static double read_by_c(const char *text, bool narrow)
{
    return narrow ? (double)strtof(text, NULL) : strtod(text, NULL);
}

/* Checks that the text of a positive number reads back, that no shorter text does, and that no text
 * of the same length is nearer. */
static void check_shortest(double value, bool narrow)
{
    char text[NUMBER_TEXT + 1], digits[32], nearest[64], nearest_digits[32];
    write_number(text, value, narrow);
    CHECK(same64(read_by_c(text, narrow), value), "%s is not %a", text, value);
    CHECK(number_skip(text) == text + strlen(text), "%s is not a number", text);
    const int n = significant_digits(text, digits);

    /* At powers of two the interval is lopsided: the lower half is narrower. So the number above
       may read back although the nearest does not. With one digit less, the neighbours of the
       nearest number are tried too.
     */
    snprintf(nearest, sizeof nearest, "%.*e", n - 1, value);
    significant_digits(nearest, nearest_digits);
    const bool readable = same64(read_by_c(nearest, narrow), value);
    CHECK(!readable || strcmp(digits, nearest_digits) == 0,
          "%s is not the nearest with its number of digits: %s", text, nearest);
    int power;
    CHECK(readable || frexp(value, &power) == 0.5,
          "%s is not the nearest with its number of digits: %s", text, nearest);
    for (int step = -1; n > 1 && step <= 1; step++) {
        char shorter[64];
        snprintf(shorter, sizeof shorter, "%.*e", n - 2, value);
        char *const e = strchr(shorter, 'e');
        const int exponent = atoi(e + 1) - (n - 2);
        uint64_t integer = 0;
        for (const char *at = shorter; at < e; at++)
            integer = *at == '.' ? integer : integer * 10 + (uint64_t)(*at - '0');
        snprintf(shorter, sizeof shorter, "%llue%d",
                 (unsigned long long)integer + (unsigned long long)step, exponent);
        CHECK(!same64(read_by_c(shorter, narrow), value), "%s is longer than %s", text, shorter);
    }
}

START_TEST(random_numbers_are_written_shortest_and_nearest)
{
    uint64_t state = seed;
    for (int i = 0; i < 60000; i++) {
        uint64_t wide_bits = random_bits(&state) >> 1;
        uint32_t narrow_bits = (uint32_t)(random_bits(&state) >> 33);
        if (i % 4 == 0) { /* with trailing zeros, so that few digits suffice */
            wide_bits &= ~UINT64_C(0) << i % 53;
            narrow_bits &= ~UINT32_C(0) << i % 24;
        }
        double wide;
        float narrow;
        memcpy(&wide, &wide_bits, sizeof wide);
        memcpy(&narrow, &narrow_bits, sizeof narrow);
        if (isfinite(wide) && wide > 0)
            check_shortest(wide, false);
        if (isfinite(narrow) && narrow > 0)
            check_shortest((double)narrow, true);
    }
}
END_TEST

START_TEST(special_numbers_are_written_shortest_and_nearest)
{
    for (int e = -1074; e < 1024; e++) { /* powers of two, and their neighbours */
        const double power = ldexp(1, e);
        check_shortest(power, false);
        check_shortest(nextafter(power, INFINITY), false);
        if (e > -1074)
            check_shortest(nextafter(power, 0), false);
        if (e >= -149 && e < 128) {
            check_shortest(power, true);
            check_shortest((double)nextafterf((float)power, INFINITY), true);
            if (e > -149)
                check_shortest((double)nextafterf((float)power, 0), true);
        }
    }
    for (int e = -323; e <= 308; e++) { /* powers of ten */
        char text[16];
        snprintf(text, sizeof text, "1e%d", e);
        check_shortest(strtod(text, NULL), false);
        if (e >= -45 && e <= 38)
            check_shortest((double)strtof(text, NULL), true);
    }
    for (int i = 1; i < 20000; i++) { /* small integers, hundredths, subnormals */
        check_shortest(i, true);
        check_shortest((double)i / 100, false);
        check_shortest(i * 0x1p-149, true);
    }
}
END_TEST

/* ---- Bulk functions ---- */

/* Returns NULL if the machine has fewer implementations. */
static const struct number_bulk *way_of(int i)
{
    return number_bulk_at((size_t)i);
}
enum { WAYS = 3 };

/* Text that an implementation may read completely: AROUND bytes precede and follow it, and the
 * allocation ends there. */
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
    uint64_t state = seed;
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
    uint64_t state = seed;
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
        size_t most, count = 0;
        const size_t limit = skip_slowly(text, len, &most), n = way->skip(&at, copy + len),
                     stop = (size_t)(at - copy);
        CHECK(stop <= limit && n <= most, "%s: %zu elements to byte %zu, not %zu to %zu", way->name,
              n, stop, most, limit);
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

/* Reads a token in each of five places of a text, in bulk and one by one. */
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
    uint64_t state = seed;
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
    uint64_t state = seed;
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
    uint64_t state = seed;
    float narrow[N];
    double wide[N];
    for (int round = 0; way && round < 40000; round++) {
        for (size_t i = 0; i < N; i++) {
            const uint64_t bits = random_bits(&state);
            uint32_t narrow_bits = (uint32_t)(bits >> 20);
            if (round % 4 == 0) /* few digits, or none */
                narrow_bits &= (uint32_t)(UINT64_MAX << bits % 33);
            if (round < 1000) /* subnormal numbers, powers of two, and their neighbours */
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

Suite *number_suite(void)
{
    Suite *const suite = suite_create("number");
    TCase *const reading = tcase_create("number_read"), *const writing =
                                                            tcase_create("number_write");
    tcase_set_timeout(reading, 120); /* sanitizers are slow */
    tcase_set_timeout(writing, 120);
    tcase_add_test(reading, hard_numbers_are_rounded_correctly);
    tcase_add_test(reading, midpoints_of_hundreds_of_digits_are_rounded_correctly);
    tcase_add_test(reading, printed_numbers_are_read_back);
    tcase_add_test(reading, random_texts_are_rounded_correctly);
    tcase_add_test(reading, reading_takes_time_proportional_to_length);
    tcase_add_test(reading, text_that_is_not_a_number_is_rejected);
    tcase_add_test(reading, a_number_ends_where_the_grammar_ends);
    tcase_add_test(reading, every_short_text_is_read_as_the_grammar_says);
    tcase_add_test(reading, integral_numbers_are_read_as_integers);
    tcase_add_test(reading, printed_integers_are_read_back);
    tcase_add_test(reading, unsigned_integers_of_64_bits_are_read_in_any_form);
    tcase_add_test(writing, numbers_are_written_in_the_shorter_notation);
    tcase_add_test(writing, random_numbers_are_written_shortest_and_nearest);
    tcase_add_test(writing, special_numbers_are_written_shortest_and_nearest);
    TCase *const bulk = tcase_create("number_bulk");
    tcase_set_timeout(bulk, 120);
    tcase_add_loop_test(bulk, tokens_are_found_at_every_position, 0, WAYS);
    tcase_add_loop_test(bulk, elements_are_skipped_while_they_are_valid, 0, WAYS);
    tcase_add_loop_test(bulk, bulk_reading_gives_the_same_bits_as_single_reading, 0, WAYS);
    tcase_add_loop_test(bulk, common_numbers_are_read_in_bulk, 0, WAYS);
    tcase_add_loop_test(bulk, bulk_writing_gives_the_same_text_as_single_writing, 0, WAYS);
    tcase_add_loop_test(bulk, bulk_reading_accepts_only_numbers, 0, WAYS);
    suite_add_tcase(suite, bulk);
    suite_add_tcase(suite, reading);
    suite_add_tcase(suite, writing);
    return suite;
}
