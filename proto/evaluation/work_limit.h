/*
 * Limits on the work of a request, checked before anything is decoded or computed. The unit is that
 * of loss_plan.work.
 */
#ifndef PROTO_EVALUATION_WORK_LIMIT_H
#define PROTO_EVALUATION_WORK_LIMIT_H

#include <stdbool.h>
#include <stddef.h>

#include "loss.h"

struct work_limits {
    size_t now;  /* that may be done on the calling thread; 0: unlimited */
    size_t most; /* that a request may ask for; 0: unlimited */
};

/* Compares the planned work with the limits. Returns LOSS_TOO_LARGE if it exceeds limits->most.
   Otherwise sets *later to true if the work, plus `transport` (reading the body and writing the
   response), exceeds limits->now. */
enum loss_status work_limits_check(const struct work_limits *limits, size_t work, size_t transport,
                                   bool *later, struct loss_error *error);

#endif
