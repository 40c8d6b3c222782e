/* The golden cases: results of PyTorch or of an independent reference, one JSON object per line
 * (tests/golden/README.md). */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include "loss.h"

#include <jansson.h>

/* Reads the cases of a loss, an array, from tests/golden/cases/<name>.jsonl and
 * tests/golden/reference/<name>.jsonl. Exits with a message if neither exists or a file is invalid.
 */
json_t *golden_cases(const char *loss);

/* A tensor of a case: {"shape", "dtype", "data"}. All numbers are stored as doubles. */
struct golden_tensor {
    struct loss_tensor shape; /* the declared dtype; `data` is not set */
    size_t count;
    double *value; /* owned */
};
/* Returns a number, which can be "NaN", "Infinity" or "-Infinity", or a boolean as 1 or 0. */
double golden_number(const json_t *json);
struct golden_tensor golden_tensor(const json_t *json);
void golden_tensor_free(struct golden_tensor *tensor);

/* The relative and the absolute tolerance of a case; defaults: 1e-12 and 1e-13. */
struct golden_tolerance {
    double relative, absolute;
};
struct golden_tolerance golden_tolerance(const json_t *test);
bool golden_close(double value, double expected, struct golden_tolerance tolerance);

#endif
