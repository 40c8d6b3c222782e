/*
 * Arrays of numbers in JSON, of every size and by any number of threads. Reading is compared with
 * the C library, writing with an encoder that writes one element at a time.
 */
#include "number/number.h"
#include "suites.h"
#include "support/random.h"
#include "json/tensor_json.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t random_state = RANDOM_SEED;

static unsigned random_below(unsigned n)
{
    return (unsigned)(random_bits(&random_state) >> 33) % n;
}

static char *put_blanks(char *to, bool blank)
{
    for (unsigned n = blank ? random_below(4) * random_below(4) * random_below(8) : 0; n > 0; n--)
        *to++ = " \t\n\r"[random_below(4)];
    return to;
}

/* Writes a random number in one of many notations, or with 17 digits if `kind` is not 0. Returns
   the end of the text. */
static char *put_number(char *to, int kind)
{
    const double value = ldexp((double)random_below(1u << 30) - 0x1p29, (int)random_below(60) - 50);
    switch (kind == 0 ? random_below(8) : 1) {
    case 0:
        return to + sprintf(to, "%.*g", (int)random_below(40), value);
    case 2:
        return to + sprintf(to, "%d", (int)random_below(100) - 50);
    case 3:
        return to + sprintf(to, "%s", random_below(4) ? "0" : "-0.0");
    case 4:
        return to + sprintf(to, "%.*f", (int)random_below(30), value);
    case 5:
        return to + sprintf(to, "%.5e", value);
    case 6:
        return random_below(20) ? to + sprintf(to, "%.7g", value)
                                : to + sprintf(to, "%s", "-Infinity");
    default:
        return to + sprintf(to, "%.17g", value);
    }
}

/* Returns nested arrays of a shape in their own allocation. Sets where each element begins. */
static char *tensor_text(int rank, const size_t *shape, int kind, bool blank, size_t *begin)
{
    size_t count = 1;
    for (int axis = 0; axis < rank; axis++)
        count *= shape[axis];
    char *const text = malloc(count * (blank ? 464 : 64) + 1000), *to = text;
    for (size_t i = 0; i < count; i++) {
        size_t run = 1; /* elements of an array at this axis */
        int opened = 0, closed = 0;
        for (int axis = rank; axis-- > 0; opened += i % run == 0, closed += (i + 1) % run == 0)
            run *= shape[axis];
        for (; opened > 0; opened--)
            to = put_blanks(to, blank), *to++ = '[';
        to = put_blanks(to, blank);
        begin[i] = (size_t)(to - text);
        to = put_number(to, kind);
        to = put_blanks(to, blank);
        for (; closed > 0; closed--)
            to = put_blanks(to, blank), *to++ = ']';
        if (i + 1 < count)
            *to++ = ',';
    }
    *to = '\0';
    char *const exact = strdup(text); /* no bytes after the NUL */
    free(text);
    return exact;
}

static void decodes(const char *text, int rank, const size_t *shape, const size_t *begin,
                    int threads)
{
    struct tensor_json tensor;
    struct loss_error error = {.message = ""};
    const char *end;
    const size_t len = strlen(text);
    ck_assert_msg(tensor_json_scan(&tensor, text, text, text + len, "/input", NULL, &end, &error) ==
                      LOSS_OK,
                  "%s", error.message);
    ck_assert_ptr_eq(end, text + len);
    ck_assert_int_eq(tensor.rank, rank);
    for (int axis = 0; axis < rank; axis++)
        ck_assert_uint_eq(tensor.shape[axis], shape[axis]);
    float *const narrow = malloc(tensor.count * sizeof *narrow + 1);
    double *const wide = malloc(tensor.count * sizeof *wide + 1);
    ck_assert_msg(tensor_json_decode(&tensor, LOSS_FLOAT32, narrow, text, "/input", threads, NULL,
                                     &error) == LOSS_OK,
                  "%s", error.message);
    ck_assert_msg(tensor_json_decode(&tensor, LOSS_FLOAT64, wide, text, "/input", threads, NULL,
                                     &error) == LOSS_OK,
                  "%s", error.message);
    for (size_t i = 0; i < tensor.count; i++) {
        const float narrow_expected = strtof(text + begin[i], NULL);
        const double wide_expected = strtod(text + begin[i], NULL);
        if (memcmp(&narrow[i], &narrow_expected, sizeof *narrow) != 0 ||
            memcmp(&wide[i], &wide_expected, sizeof *wide) != 0)
            ck_abort_msg("element %zu is %a and %a: %.40s", i, (double)narrow[i], wide[i],
                         text + begin[i]);
    }
    free(narrow);
    free(wide);
}

/* All counts around the block sizes, with white space wherever it is allowed. */
START_TEST(tensors_of_every_size_are_decoded)
{
    for (size_t n = 1; n < 140; n++)
        for (int form = 0; form < 8; form++) {
            size_t begin[140 * 3], shape[] = {form & 4 ? 3 : n, form & 4 ? n : 1};
            const int rank = form & 4 ? 2 : 1;
            char *const text = tensor_text(rank, shape, form & 2, form & 1, begin);
            decodes(text, rank, shape, begin, 1);
            free(text);
        }
}
END_TEST

/* Long tensors are divided into the same pieces for any number of threads. */
START_TEST(long_tensors_are_decoded_by_any_number_of_threads)
{
    static const size_t shapes[][3] = {
        {40000, 1, 1}, {500, 80, 1}, {20000, 1, 2}, {7, 1000, 5}, {1, 30000, 1}};
    size_t *const begin = malloc(sizeof *begin * 2000000);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int form = 0; form < 4; form++) {
            const int rank = i == 0 ? 1 : i == 1 || i == 4 ? 2 : 3;
            char *const text = tensor_text(rank, shapes[i], form & 2, form & 1, begin);
            decodes(text, rank, shapes[i], begin, 1);
            decodes(text, rank, shapes[i], begin, 3);
            free(text);
        }
    const size_t longest = 600000; /* more text than the initial number of marks covers */
    char *const text = tensor_text(1, &longest, 1, false, begin);
    decodes(text, 1, &longest, begin, 3);
    free(text);
    free(begin);
}
END_TEST

START_TEST(decoding_of_long_tensors_stops_when_cancelled)
{
    static size_t begin[100000];
    const size_t longest = 100000;
    const bool cancel = true;
    const struct quota quota = {.cancel = &cancel};
    char *const text = tensor_text(1, &longest, 1, false, begin);
    struct tensor_json tensor;
    struct loss_error error = {.message = ""};
    const char *end;
    ck_assert_int_eq(
        tensor_json_scan(&tensor, text, text, text + strlen(text), "/input", NULL, &end, &error),
        LOSS_OK);
    float *const out = calloc(longest, sizeof *out);
    for (int threads = 1; threads <= 3; threads += 2)
        ck_assert_int_eq(
            tensor_json_decode(&tensor, LOSS_FLOAT32, out, text, "/input", threads, &quota, &error),
            LOSS_CANCELLED);
    for (size_t i = 0; i < longest; i++)
        ck_assert_msg(out[i] == 0, "element %zu was decoded", i);
    free(out);
    free(text);
}
END_TEST

/* The first error in a long text is reported, for any number of threads. */
START_TEST(first_error_of_a_long_tensor_is_reported)
{
    enum { ROWS = 4000, COLUMNS = 5 };
    static const char *const wrong[] = {"01", "1.", "-", "1e", "tru", "1.5.5", "nul", "--1", "1x"};
    static size_t begin[ROWS * COLUMNS + 1];
    const size_t shape[] = {ROWS, COLUMNS};
    for (int round = 0; round < 60; round++) {
        char *const text = tensor_text(2, shape, 1, round % 2, begin);
        const size_t len = strlen(text);
        size_t first = ROWS * COLUMNS;
        for (int mistakes = 1 + round % 3; mistakes > 0; mistakes--) {
            const size_t element = random_below(ROWS * COLUMNS);
            const char *const what = wrong[random_below(sizeof wrong / sizeof wrong[0])];
            memset(text + begin[element], '7', strcspn(text + begin[element], " \t\n\r,]"));
            memcpy(text + begin[element] + strcspn(text + begin[element], " \t\n\r,]") -
                       strlen(what),
                   what, strlen(what));
            memset(text + begin[element], ' ',
                   strcspn(text + begin[element], " \t\n\r,]") - strlen(what));
            first = element < first ? element : first;
        }
        struct tensor_json tensor;
        struct loss_error errors[2];
        const char *end;
        char place[64], path[64];
        ck_assert_int_eq(
            tensor_json_scan(&tensor, text, text, text + len, "/input", NULL, &end, &errors[0]),
            LOSS_OK);
        float *const out = malloc(tensor.count * sizeof *out);
        for (int i = 0; i < 2; i++)
            ck_assert_int_eq(tensor_json_decode(&tensor, LOSS_FLOAT32, out, text, "/input",
                                                i ? 3 : 1, NULL, &errors[i]),
                             LOSS_MALFORMED);
        free(out);
        snprintf(place, sizeof place, "input[%zu][%zu] is ", first / COLUMNS, first % COLUMNS);
        snprintf(path, sizeof path, "/input/%zu/%zu", first / COLUMNS, first % COLUMNS);
        for (int i = 0; i < 2; i++) {
            ck_assert_msg(strncmp(errors[i].message, place, strlen(place)) == 0, "%s, not %s",
                          errors[i].message, place);
            ck_assert_str_eq(errors[i].path, path);
            ck_assert_int_eq(errors[i].offset,
                             (int64_t)(begin[first] + strspn(text + begin[first], " ")));
        }
        ck_assert_str_eq(errors[0].message, errors[1].message);
        free(text);
    }
}
END_TEST

/* The text is not scanned to its end, which is invalid. */
START_TEST(scanning_of_long_tensors_stops_when_cancelled)
{
    static const char *const elements[] = {"1,", "[1],", "[[2, 3]],", "\"nan\",", "  \n 1,"};
    enum { LEN = 4 << 20 };
    const size_t size = strlen(elements[_i]);
    const bool cancelled = true;
    const struct quota quota = {.cancel = &cancelled};
    struct tensor_json tensor;
    struct loss_error error;
    const char *end;
    char *const text = malloc(LEN + 1);
    size_t len = 0;
    for (text[len++] = '['; len + size + 1 < LEN; len += size)
        memcpy(text + len, elements[_i], size);
    text[len++] = '}';
    text[len] = '\0';
    ck_assert_int_eq(
        tensor_json_scan(&tensor, text, text, text + len, "/input", &quota, &end, &error),
        LOSS_CANCELLED);
    ck_assert_int_eq(
        tensor_json_scan(&tensor, text, text, text + len, "/input", NULL, &end, &error),
        LOSS_MALFORMED);
    free(text);
}
END_TEST

/* Replaces a comma in a long array, or removes the element after it. The scan must report the error
   at the first unexpected byte. */
START_TEST(structural_errors_are_reported_at_their_byte)
{
    enum { N = 200 };
    size_t begin[N];
    const size_t shape[] = {N};
    for (int round = 0; round < 3000; round++) {
        char *const text = tensor_text(1, shape, round % 3, round % 2, begin);
        const size_t len = strlen(text), at = 1 + begin[random_below(N - 1)];
        size_t comma = at + strcspn(text + at, ",");
        struct tensor_json tensor;
        struct loss_error error;
        const char *end;
        char message[64];
        const unsigned kind = random_below(4);
        /* An invalid byte; no comma between two elements; an opening brace or bracket. */
        text[comma] = "; {["[kind];
        size_t expected = comma + (kind == 1 ? strspn(text + comma, " \t\n\r") : 0);
        ck_assert_int_eq(
            tensor_json_scan(&tensor, text, text, text + len, "/input", NULL, &end, &error),
            LOSS_MALFORMED);
        ck_assert_msg(error.offset == (int64_t)expected, "byte %lld, not %zu of %s",
                      (long long)error.offset, expected, text);
        snprintf(message, sizeof message, "where ',' or ']' was expected (byte %zu)", expected);
        ck_assert_msg(strstr(error.message, message) != NULL, "%s: %s", error.message, message);
        text[comma] = ',';
        /* A comma without an element after it. */
        const size_t second = comma + 1 + strspn(text + comma + 1, " \t\n\r");
        memset(text + second, ' ', strcspn(text + second, " \t\n\r,]"));
        ck_assert_int_eq(
            tensor_json_scan(&tensor, text, text, text + len, "/input", NULL, &end, &error),
            LOSS_MALFORMED);
        expected = comma + 1 + strspn(text + comma + 1, " \t\n\r");
        ck_assert_int_eq(error.offset, (int64_t)expected);
        snprintf(message, sizeof message, "where a number or an array was expected (byte %zu)",
                 expected);
        ck_assert_msg(strstr(error.message, message) != NULL, "%s: %s", error.message, message);
        free(text);
    }
}
END_TEST

/* Writes a tensor element by element. */
static void encode_slowly(struct buffer *out, const struct loss_tensor *tensor, int rank,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t run = 1;
        int opened = rank == 1 && i == 0, closed = rank == 1 && i + 1 == count;
        for (int axis = rank; rank > 1 && axis-- > 0;
             opened += i % run == 0, closed += (i + 1) % run == 0)
            run *= tensor->shape[axis];
        for (; opened > 0; opened--)
            buffer_text(out, "[");
        if (tensor->dtype == LOSS_FLOAT64 || !isfinite(((const float *)tensor->data)[i]))
            json_append_number(out, tensor->dtype == LOSS_FLOAT64
                                        ? ((const double *)tensor->data)[i]
                                        : (double)((const float *)tensor->data)[i]);
        else
            out->len += number_write_f32(buffer_reserve(out, NUMBER_TEXT),
                                         ((const float *)tensor->data)[i]);
        for (; closed > 0; closed--)
            buffer_text(out, "]");
        if (i + 1 < count)
            buffer_text(out, ",");
    }
}

START_TEST(long_tensors_are_written_by_any_number_of_threads)
{
    static const size_t shapes[][4] = {
        {1},       {7},        {4095},     {4096},          {4097},        {20000},        {2, 3},
        {3000, 7}, {1, 20000}, {20000, 1}, {10, 20, 30, 5}, {1, 1, 1, 17}, {4096, 1, 1, 5}};
    enum { MAX_NUMBERS = 30000 };
    static float narrow[MAX_NUMBERS];
    static double wide[MAX_NUMBERS];
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0] * 4; i++) {
        struct loss_tensor tensor = {.data = i & 1 ? (void *)wide : (void *)narrow,
                                     .dtype = i & 1 ? LOSS_FLOAT64 : LOSS_FLOAT32};
        size_t count = 1;
        for (; tensor.rank < 4 && shapes[i / 4][tensor.rank] > 0; tensor.rank++)
            count *= tensor.shape[tensor.rank] = shapes[i / 4][tensor.rank];
        for (size_t k = 0; k < count; k++) {
            wide[k] = ldexp((double)random_below(1u << 30) - 0x1p29, (int)random_below(300) - 170);
            wide[k] = random_below(i & 2 ? 3 : 1000)
                          ? wide[k]
                          : (double[]){0, NAN, INFINITY, -INFINITY, -0.0}[random_below(5)];
            narrow[k] = (float)wide[k];
        }
        for (int threads = 1; threads <= 3; threads += 2)
            for (int flat = 0; flat < 2; flat++) {
                struct buffer out = {0}, expected = {0};
                tensor_json_encode(&out, &tensor, flat ? FORM_FLAT : FORM_NESTED, threads);
                encode_slowly(&expected, &tensor, flat ? 1 : tensor.rank, count);
                ck_assert(!out.failed && !expected.failed);
                const char *text = out.data;
                size_t len = out.len;
                if (flat) {
                    buffer_append(&out, "", 1);
                    text = strstr(out.data, "\"data\":") + strlen("\"data\":");
                    len = (size_t)(out.data + out.len - 2 - text);
                }
                ck_assert_uint_eq(len, expected.len);
                ck_assert(memcmp(text, expected.data, len) == 0);
                buffer_free(&out);
                buffer_free(&expected);
            }
    }
}
END_TEST

Suite *json_long_tensors_suite(void)
{
    Suite *suite = suite_create("json_long_tensors");
    TCase *const tensors = SUITE_ADD(suite, "json_long_tensors", tensors_of_every_size_are_decoded,
                                     long_tensors_are_decoded_by_any_number_of_threads,
                                     decoding_of_long_tensors_stops_when_cancelled,
                                     first_error_of_a_long_tensor_is_reported,
                                     structural_errors_are_reported_at_their_byte,
                                     long_tensors_are_written_by_any_number_of_threads);
    tcase_set_timeout(tensors, 120); /* sanitizers are slow */
    tcase_add_loop_test(tensors, scanning_of_long_tensors_stops_when_cancelled, 0, 5);
    return suite;
}
