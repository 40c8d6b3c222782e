/*
 * libFuzzer: any bytes as a table of numbers, decoded to each dtype. The scan must find as many
 * numbers as are decoded; the sanitizer checks the bounds of the array.
 */
#include "copy_text.h"
#include "formats/csv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(const struct csv *csv, enum loss_dtype dtype)
{
    struct loss_error error;
    struct loss_tensor tensor = csv->shape;
    tensor.dtype = dtype;
    void *const numbers = malloc(loss_tensor_bytes(&tensor));
    if (numbers && csv_decode(csv, dtype, numbers, "input", &error) != LOSS_OK &&
        (error.status != LOSS_MALFORMED || error.offset < 0 || error.offset > csv->end - csv->text))
        abort();
    free(numbers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct csv csv;
    struct loss_error error;
    char *const text = copy_text(data, size);
    if (!text)
        return 0;
    if (csv_scan(&csv, text, size, (enum csv_header)(size % 3), "input", &error) == LOSS_OK) {
        decode(&csv, LOSS_FLOAT32);
        decode(&csv, LOSS_FLOAT64);
        decode(&csv, LOSS_INT64);
    } else if (error.offset < 0 || (size_t)error.offset > size) {
        abort();
    }
    free(text);
    return 0;
}
