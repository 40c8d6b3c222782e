/*
 * Parts of batches: which batches can be split, and along which axis of each tensor.
 *
 * The terms of a part must be terms of the whole batch. So each tensor has the part's samples along
 * one axis, or all parts have the same tensor. A tensor without that axis, or of length 1 along it,
 * is broadcast to all terms, so all parts must have the same one.
 */
#include "kernel/loss_kernel.h"

#include <stdio.h>

int loss_sample_axis(const struct loss_descriptor *loss, int k, int rank)
{
    return loss->method->sample_axis ? loss->method->sample_axis(k, rank) : 0;
}

/* Returns where tensor k has its samples. */
static int find_axis(const struct loss_plan *plan, int k)
{
    const struct loss_tensor *const tensor = &plan->tensor[k];
    if (plan->loss->method->sample_axis)
        return plan->loss->method->sample_axis(k, tensor->rank);
    for (int axis = 0; axis < tensor->rank; axis++)
        if (plan->axis[k][axis] == 0 && tensor->shape[axis] == plan->terms.shape[0])
            return axis;
    return LOSS_SHARED;
}

/* Rejects derivatives with respect to tensors that all parts share: they are sums over all terms,
   of which a part has only some. */
static enum loss_status check_derivatives(const struct loss_plan *plan, uint32_t mask,
                                          const char *path, struct loss_error *error)
{
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if ((mask >> k & 1) && plan->sample_axis[k] == LOSS_SHARED)
            return loss_fail_at(
                error, LOSS_INVALID, path,
                "%s is shared by all parts of the batch, so a part has no derivative "
                "with respect to it",
                plan->loss->tensors[k].name);
    return LOSS_OK;
}

enum loss_status loss_check_split(struct loss_plan *plan, struct loss_error *error)
{
    static const char path[] = "/partial";
    const char *const name = plan->loss->name;
    const struct loss_method *const method = plan->loss->method;
    const char *const reason = method->indivisible ? method->indivisible(plan) : NULL;
    if (plan->reduction == LOSS_NONE)
        return loss_fail_at(error, LOSS_INVALID, path,
                            "reduction 'none' has no partial result: its terms are not reduced");
    if (reason)
        return loss_fail_at(error, LOSS_INVALID, path,
                            "%s has no partial result: %s, so that its batches cannot be split",
                            name, reason);
    if (plan->terms.rank == 0)
        return loss_fail_at(error, LOSS_INVALID, path,
                            "this batch has no partial result: %s has no sample dimension",
                            plan->loss->tensors[0].name);
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (plan->present[k])
            plan->sample_axis[k] = (signed char)find_axis(plan, k);
    if (plan->reduction == LOSS_BATCHMEAN && plan->sample_axis[0] == LOSS_SHARED)
        return loss_fail_at(error, LOSS_INVALID, path,
                            "this batch has no partial result: reduction 'batchmean' divides by "
                            "the length of %s, which all parts share",
                            plan->loss->tensors[0].name);
    if (check_derivatives(plan, plan->grad_mask, "/grad", error) != LOSS_OK)
        return error->status;
    return check_derivatives(plan, plan->hess_mask, "/hess", error);
}
