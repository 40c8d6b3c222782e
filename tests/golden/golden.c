#include "golden/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *pointer, const char *what)
{
    if (!pointer) {
        fprintf(stderr, "golden cases: %s\n", what);
        exit(2);
    }
    return pointer;
}

json_t *golden_cases(const char *loss)
{
    char path[256];
    snprintf(path, sizeof path, "tests/golden/cases/%s.jsonl", loss);
    FILE *file = must(fopen(path, "r"), path);
    json_t *cases = must(json_array(), "out of memory"), *test;
    json_error_t error;
    while ((test = json_loadf(file, JSON_DISABLE_EOF_CHECK, &error)))
        json_array_append_new(cases, test);
    if (!feof(file) || json_array_size(cases) == 0)
        must(NULL, error.text);
    fclose(file);
    return cases;
}

static double number(const json_t *json)
{
    const char *name = json_string_value(json);
    if (!name)
        return json_is_boolean(json) ? (double)json_is_true(json) : json_number_value(json);
    return strcmp(name, "NaN") == 0 ? NAN : strcmp(name, "Infinity") == 0 ? INFINITY : -INFINITY;
}

struct golden_tensor golden_tensor(const json_t *json)
{
    struct golden_tensor tensor = {.shape = {.dtype = loss_dtype_find(json_string_value(json_object_get(json, "dtype")))}};
    const json_t *shape = json_object_get(json, "shape"), *data = json_object_get(json, "data");
    tensor.shape.rank = (int)json_array_size(shape);
    for (int i = 0; i < tensor.shape.rank; i++)
        tensor.shape.shape[i] = (size_t)json_integer_value(json_array_get(shape, (size_t)i));
    tensor.count = loss_tensor_elements(&tensor.shape);
    tensor.value = must(malloc((tensor.count + 1) * sizeof *tensor.value), "out of memory");
    for (size_t i = 0; i < tensor.count; i++)
        tensor.value[i] = number(json_array_get(data, i));
    return tensor;
}

void golden_tensor_free(struct golden_tensor *tensor)
{
    free(tensor->value);
}

double golden_rtol(const json_t *test)
{
    const json_t *own = json_object_get(test, "rtol");
    return own ? json_number_value(own) : 1e-12;
}

bool golden_close(double value, double expected, double rtol)
{
    if (isnan(expected) || isinf(expected))
        return isnan(expected) ? isnan(value) : value == expected;
    return fabs(value - expected) <= 1e-13 + rtol * fabs(expected);
}
