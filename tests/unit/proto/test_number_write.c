/* Writing numbers. Texts are compared with the shortest, found by trying. */
#include "number/number.h"
#include "suites.h"
#include "support/random.h"
#include "unit/proto/number_check.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Checks that the text of a positive number reads back, that no text with fewer digits does, and
 * that none with as many digits is nearer. */
static void check_shortest(double value, bool narrow)
{
    char text[NUMBER_TEXT + 1], digits[32], nearest[64], nearest_digits[32];
    write_number(text, value, narrow);
    CHECK(same64(read_by_c(text, narrow), value), "%s is not %a", text, value);
    CHECK(number_skip(text) == text + strlen(text), "%s is not a number", text);
    const int n = significant_digits(text, digits);

    /* At powers of two the interval is lopsided: the lower half is narrower. So the number above
       may read back although the nearest does not. With one digit less, the neighbors of the
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
    uint64_t state = RANDOM_SEED;
    for (int i = 0; i < 60000; i++) {
        uint64_t wide_bits = random_bits(&state) >> 1;
        uint32_t narrow_bits = (uint32_t)(random_bits(&state) >> 33);
        if (i % 4 == 0) { /* with trailing zero bits, so that few digits suffice */
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
    for (int e = -1074; e < 1024; e++) { /* powers of two, and their neighbors */
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

Suite *number_write_suite(void)
{
    Suite *const suite = suite_create("number_write");
    TCase *const writing =
        SUITE_ADD(suite, "number_write", numbers_are_written_in_the_shorter_notation,
                  random_numbers_are_written_shortest_and_nearest,
                  special_numbers_are_written_shortest_and_nearest);
    tcase_set_timeout(writing, 120); /* sanitizers are slow */
    return suite;
}
