#include "evaluation/work_limit.h"

enum loss_status work_limits_check(const struct work_limits *limits, size_t work, size_t transport,
                                   bool *later, struct loss_error *error)
{
    if (limits->most > 0 && work > limits->most)
        return loss_fail(error, LOSS_TOO_LARGE,
                         "this takes %zu units of work; max_work of GET /v1/limits is %zu", work,
                         limits->most);
    *later = limits->now > 0 && (work > limits->now || transport > limits->now - work);
    return LOSS_OK;
}
