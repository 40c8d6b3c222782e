/*
 * Reading numbers. Results are compared with glibc's strtod and strtof, which are exact. The
 * grammar of the functions is compared with lists and an automaton.
 */
#include "number/number.h"
#include "suites.h"
#include "support/random.h"
#include "unit/proto/number_check.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
        /* limits and ties of floats */
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

/* Checks that the exact midpoint between a positive double or float and the next one, and numbers
   slightly below and above it, are read as strtod and strtof read them. */
static void reads_around_midpoint(long double midpoint)
{
    static char text[2600];
    /* Exact: no midpoint of doubles has more than 1075 digits after the point. */
    const int len = snprintf(text, sizeof text, "%.1100Lf", midpoint);
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
    uint64_t state = RANDOM_SEED;
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
    uint64_t state = RANDOM_SEED;
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
    uint64_t state = RANDOM_SEED;
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

/* Reading takes time proportional to the length; quadratic time would be minutes. */
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

/* Returns the end of the number, found by an automaton for texts over a small alphabet. */
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
    uint64_t state = RANDOM_SEED;
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
    uint64_t state = RANDOM_SEED;
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

Suite *number_read_suite(void)
{
    Suite *const suite = suite_create("number_read");
    TCase *const reading = SUITE_ADD(
        suite, "number_read", hard_numbers_are_rounded_correctly,
        midpoints_of_hundreds_of_digits_are_rounded_correctly, printed_numbers_are_read_back,
        random_texts_are_rounded_correctly, reading_takes_time_proportional_to_length,
        text_that_is_not_a_number_is_rejected, a_number_ends_where_the_grammar_ends,
        every_short_text_is_read_as_the_grammar_says, integral_numbers_are_read_as_integers,
        printed_integers_are_read_back, unsigned_integers_of_64_bits_are_read_in_any_form);
    tcase_set_timeout(reading, 120); /* sanitizers are slow */
    return suite;
}
