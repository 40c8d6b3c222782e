/*
 * How much work a request may ask for, before anything of it is decoded or computed. The unit is
 * that of loss_plan.work.
 */
#ifndef PROTO_EVALUATION_WORK_LIMIT_H
#define PROTO_EVALUATION_WORK_LIMIT_H

#include <stdbool.h>
#include <stddef.h>

#include "loss.h"

struct work_limits {
    size_t now;  /* that may be done here and now; 0 for any amount */
    size_t most; /* that may be asked for at all; 0 for any amount */
};

/* Compares the work that was planned with the limits. LOSS_TOO_LARGE, with the error filled, if it
   is more than the most; else *later is whether it is more than may be done now, together with
   `transport`, what reading the body and writing the answer cost. */
enum loss_status work_limits_check(const struct work_limits *limits, size_t work, size_t transport,
                                   bool *later, struct loss_error *error);

#endif
