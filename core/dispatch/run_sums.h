/* Evaluation of a part of a batch. */
#ifndef CORE_DISPATCH_RUN_SUMS_H
#define CORE_DISPATCH_RUN_SUMS_H

#include "loss.h"
#include "sum/loss_sums.h"

/* Does the same as loss_run(), and sets *sums if it succeeds. */
enum loss_status loss_run_sums(const struct loss_plan *plan, int threads,
                               struct loss_result *result, struct loss_sums *sums,
                               struct loss_error *error);

#endif
