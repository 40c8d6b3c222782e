/* libFuzzer: any text as a number, against the C library; and any four or eight bytes as a number to write, against reading it
 * back. */
#include "number.h"

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
    if (!end || *end == 'x' || *end == 'X') /* a zero to us, the beginning of a hexadecimal number to strtod */
        return;
    require(memcmp(&wide, &wide_expected, sizeof wide) == 0 && memcmp(&narrow, &narrow_expected, sizeof narrow) == 0);
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
        require(number_read_f32(text, &narrow_back) && memcmp(&narrow, &narrow_back, sizeof narrow) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    read_text(text);
    if (size >= sizeof(double))
        write_bits(data);
    free(text);
    return 0;
}
