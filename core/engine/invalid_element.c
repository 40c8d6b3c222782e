/* Reports an element that a loss rejects. */
#include "engine/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum loss_status invalid_element_error(const struct run *run, const struct partial *whole,
                                       struct loss_error *error)
{
    const struct loss_plan *plan = run->plan;
    const size_t t = whole->invalid, within = whole->invalid_element;
    const int k = whole->invalid_tensor;
    const struct operand *operand = &run->operand[k];
    const struct strided_view row_major = strided_tensor(plan, k, true);
    size_t at = (size_t)strided_offset(&row_major, t, within), rest = at, coordinate[LOSS_MAX_RANK];
    for (int axis = plan->tensor[k].rank - 1; axis >= 0; axis--) {
        coordinate[axis] = rest % plan->tensor[k].shape[axis];
        rest /= plan->tensor[k].shape[axis];
    }
    char path[sizeof error->path], place[sizeof error->path] = "", expected[160], value[40];
    size_t path_len = (size_t)snprintf(path, sizeof path, "/%s", plan->loss->tensors[k].name),
           place_len = 0;
    for (int axis = 0; axis < plan->tensor[k].rank && path_len < sizeof path - 24; axis++) {
        path_len +=
            (size_t)snprintf(path + path_len, sizeof path - path_len, "/%zu", coordinate[axis]);
        place_len += (size_t)snprintf(place + place_len, sizeof place - place_len, "[%zu]",
                                      coordinate[axis]);
    }
    const char *const data =
        (const char *)operand->data +
        strided_offset(&operand->view, t, within) * (ptrdiff_t)loss_dtype_size(operand->dtype);
    const struct strided_view scalar = strided_scalar();
    if (operand->dtype == LOSS_UINT64) {
        uint64_t label; /* may not fit into an index */
        memcpy(&label, data, sizeof label);
        snprintf(value, sizeof value, "%" PRIu64, label);
    } else if (operand->indexed) {
        int64_t index;
        strided_read_index(&scalar, data, operand->dtype, 0, 1, &index);
        snprintf(value, sizeof value, "%" PRId64, index);
    } else {
        loss_real x;
        strided_read(&scalar, data, operand->dtype, 0, 1, &x);
        snprintf(value, sizeof value, "%.17g", x);
    }
    plan->loss->method->expected(plan, k, expected, sizeof expected);
    loss_fail_at(error, LOSS_INVALID, path, "%s%.80s is %s; %s", plan->loss->tensors[k].name, place,
                 value, expected);
    error->tensor = k;
    error->element = (int64_t)at;
    return LOSS_INVALID;
}
