/* The golden cases: what PyTorch or an independent reference computes, one JSON object a line
 * (tests/golden/README.md). */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include "loss.h"

#include <jansson.h>

/* The cases of one loss, an array; read from tests/golden/cases/<name>.jsonl and
   tests/golden/reference/<name>.jsonl, of which there must be one. Exits with a message where that
   cannot be. */
json_t *golden_cases(const char *loss);

/* A tensor of a case: {"shape", "dtype", "data"}. The numbers are given as doubles, whatever the
 * dtype. */
struct golden_tensor {
    struct loss_tensor shape; /* dtype as declared, no data */
    size_t count;
    double *value; /* owned */
};
/* A number, which may be "NaN", "Infinity" or "-Infinity", or a boolean as 1 or 0. */
double golden_number(const json_t *json);
struct golden_tensor golden_tensor(const json_t *json);
void golden_tensor_free(struct golden_tensor *tensor);

/* The tolerance of a case, relative and absolute: 1e-12 and 1e-13 unless it carries its own. */
struct golden_tolerance {
    double relative, absolute;
};
struct golden_tolerance golden_tolerance(const json_t *test);
bool golden_close(double value, double expected, struct golden_tolerance tolerance);

#endif
