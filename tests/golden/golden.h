/* The golden cases: what PyTorch computes, one JSON object a line (tests/golden/README.md). */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include "loss.h"

#include <jansson.h>

/* The cases of one loss, an array; read from tests/golden/cases/<name>.jsonl. Exits with a message where that cannot be. */
json_t *golden_cases(const char *loss);

/* A tensor of a case: {"shape", "dtype", "data"}. The numbers are given as doubles, whatever the dtype. */
struct golden_tensor {
    struct loss_tensor shape; /* dtype as declared, no data */
    size_t count;
    double *value; /* owned */
};
struct golden_tensor golden_tensor(const json_t *json);
void golden_tensor_free(struct golden_tensor *tensor);

/* The tolerance of a case: relative `rtol` (1e-12 unless it carries its own), 1e-13 absolute. */
double golden_rtol(const json_t *test);
bool golden_close(double value, double expected, double rtol);

#endif
