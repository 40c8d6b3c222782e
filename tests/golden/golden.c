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

/* Appends the cases of a file, if it exists. */
static void append_cases(json_t *cases, const char *folder, const char *loss)
{
    char path[256];
    snprintf(path, sizeof path, "tests/golden/%s/%s.jsonl", folder, loss);
    FILE *file = fopen(path, "r");
    json_t *test;
    json_error_t error;
    if (!file)
        return;
    while ((test = json_loadf(file, JSON_DISABLE_EOF_CHECK, &error)))
        json_array_append_new(cases, test);
    if (!feof(file))
        must(NULL, error.text);
    fclose(file);
}

json_t *golden_cases(const char *loss)
{
    json_t *cases = must(json_array(), "out of memory");
    append_cases(cases, "cases", loss);
    append_cases(cases, "reference", loss);
    must(json_array_size(cases) > 0 ? cases : NULL, loss);
    return cases;
}

double golden_number(const json_t *json)
{
    const char *name = json_string_value(json);
    if (!name)
        return json_is_boolean(json) ? (double)json_is_true(json) : json_number_value(json);
    return strcmp(name, "NaN") == 0 ? NAN : strcmp(name, "Infinity") == 0 ? INFINITY : -INFINITY;
}

struct golden_tensor golden_tensor(const json_t *json)
{
    struct golden_tensor tensor = {
        .shape = {.dtype = loss_dtype_find(json_string_value(json_object_get(json, "dtype")))}};
    const json_t *shape = json_object_get(json, "shape"), *data = json_object_get(json, "data");
    tensor.shape.rank = (int)json_array_size(shape);
    for (int i = 0; i < tensor.shape.rank; i++)
        tensor.shape.shape[i] = (size_t)json_integer_value(json_array_get(shape, (size_t)i));
    tensor.count = loss_tensor_elements(&tensor.shape);
    tensor.value = must(malloc((tensor.count + 1) * sizeof *tensor.value), "out of memory");
    for (size_t i = 0; i < tensor.count; i++)
        tensor.value[i] = golden_number(json_array_get(data, i));
    return tensor;
}

void golden_tensor_free(struct golden_tensor *tensor)
{
    free(tensor->value);
}

struct golden_tolerance golden_tolerance(const json_t *test)
{
    const json_t *relative = json_object_get(test, "rtol"),
                 *absolute = json_object_get(test, "atol");
    return (struct golden_tolerance){relative ? json_number_value(relative) : 1e-12,
                                     absolute ? json_number_value(absolute) : 1e-13};
}

bool golden_close(double value, double expected, struct golden_tolerance tolerance)
{
    if (isnan(expected) || isinf(expected))
        return isnan(expected) ? isnan(value) : value == expected;
    return fabs(value - expected) <= tolerance.absolute + tolerance.relative * fabs(expected);
}
