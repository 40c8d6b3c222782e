/*
 * Shape rules: the terms of a loss, and how the axes of each tensor correspond to the dimensions of
 * the terms.
 *
 * Each rule depends only on shapes. It fills plan->terms and plan->axis, or reports the tensor
 * whose shape is wrong.
 */
#include "kernel/loss_kernel.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *name_of(const struct loss_plan *plan, int tensor)
{
    return plan->loss->tensors[tensor].name;
}

enum loss_status loss_shape_error(const struct loss_plan *plan, struct loss_error *error,
                                  int tensor, const char *format, ...)
{
    char path[64], shape[LOSS_SHAPE_TEXT], reason[240];
    snprintf(path, sizeof path, "/%s", name_of(plan, tensor));
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    loss_fail_at(error, LOSS_INVALID, path, "%s has shape %.64s; %s", name_of(plan, tensor),
                 loss_shape_text(&plan->tensor[tensor], shape), reason);
    error->tensor = tensor;
    return LOSS_INVALID;
}

/* In the order in which merged partial results list them. */
static const char *const warnings[LOSS_WARNINGS] = {
    [WARN_BROADCAST] = "the shapes of target and input differ; they are broadcast, which is "
                       "probably not intended",
    [WARN_MEAN] = "reduction 'mean' divides by the batch size and the support size; 'batchmean' "
                  "divides only by the batch size and aligns with the definition of the KL "
                  "divergence",
    [WARN_BACKGROUND] = "there is only one channel; include_background is ignored",
    [WARN_WEIGHT] = "only one channel is included; weight is ignored",
};

const char *loss_warning_at(size_t index)
{
    return index < LOSS_WARNINGS ? warnings[index] : NULL;
}

void loss_warn(struct loss_plan *plan, enum loss_warning warning)
{
    for (int i = 0; i < LOSS_MAX_WARNINGS; i++)
        if (!plan->warning[i]) {
            plan->warning[i] = warnings[warning];
            return;
        }
}

/* ---- Elementwise losses ---- */

/* Broadcasts `into` with `shape`. Returns false, with `into` undefined, if they do not match. */
static bool broadcast(struct loss_tensor *into, const struct loss_tensor *shape)
{
    const int rank = shape->rank > into->rank ? shape->rank : into->rank;
    struct loss_tensor wide = {.rank = rank};
    for (int i = 1; i <= rank; i++) { /* axes are matched from the last */
        const size_t a = i <= into->rank ? into->shape[into->rank - i] : 1;
        const size_t b = i <= shape->rank ? shape->shape[shape->rank - i] : 1;
        if (a != b && a != 1 && b != 1)
            return false;
        wide.shape[rank - i] = a == 1 ? b : a;
    }
    *into = wide;
    return true;
}

bool loss_broadcasts_to(const struct loss_tensor *tensor, const struct loss_tensor *shape)
{
    struct loss_tensor wide = *shape;
    return broadcast(&wide, tensor) && loss_same_shape(&wide, shape);
}

/* Aligns the axes of tensor k with the dimensions of the terms, from the last. */
static void align_last(struct loss_plan *plan, int k)
{
    for (int axis = 0; axis < plan->tensor[k].rank; axis++)
        plan->axis[k][axis] = (signed char)(plan->terms.rank - plan->tensor[k].rank + axis);
}

/* Aligns all tensors with the terms, and checks that optional ones broadcast to them. */
static enum loss_status align_all(struct loss_plan *plan, struct loss_error *error)
{
    char shape[LOSS_SHAPE_TEXT];
    for (int k = 0; k < loss_tensor_specs(plan->loss); k++) {
        if (!plan->present[k])
            continue;
        if (!loss_broadcasts_to(&plan->tensor[k], &plan->terms))
            return loss_shape_error(plan, error, k,
                                    "it must broadcast to that of the loss terms, %s",
                                    loss_shape_text(&plan->terms, shape));
        align_last(plan, k);
    }
    return LOSS_OK;
}

enum loss_status loss_shape_broadcast(struct loss_plan *plan, struct loss_error *error)
{
    char shape[LOSS_SHAPE_TEXT];
    plan->terms = (struct loss_tensor){0};
    for (int k = 0; k < loss_tensor_specs(plan->loss); k++) {
        if (plan->loss->tensors[k].optional)
            continue;
        const struct loss_tensor before = plan->terms;
        if (!broadcast(&plan->terms, &plan->tensor[k]))
            return loss_shape_error(plan, error, k, "it does not broadcast with %.64s of %s",
                                    loss_shape_text(&before, shape),
                                    k == 1 ? name_of(plan, 0) : "the tensors before it");
    }
    return align_all(plan, error);
}

enum loss_status loss_shape_broadcast_warn(struct loss_plan *plan, struct loss_error *error)
{
    if (loss_shape_broadcast(plan, error) != LOSS_OK)
        return error->status;
    if (!loss_same_shape(&plan->tensor[0], &plan->tensor[1]))
        loss_warn(plan, WARN_BROADCAST);
    return LOSS_OK;
}

enum loss_status loss_shape_same(struct loss_plan *plan, struct loss_error *error)
{
    char shape[LOSS_SHAPE_TEXT];
    const struct loss_tensor *first = &plan->tensor[0];
    for (int k = 1; k < loss_tensor_specs(plan->loss); k++)
        if (!plan->loss->tensors[k].optional && !loss_same_shape(first, &plan->tensor[k]))
            return loss_shape_error(plan, error, k, "it must match %s, %s", name_of(plan, 0),
                                    loss_shape_text(first, shape));
    plan->terms = (struct loss_tensor){.rank = first->rank};
    memcpy(plan->terms.shape, first->shape, sizeof first->shape);
    return align_all(plan, error);
}

enum loss_status loss_shape_weighted(struct loss_plan *plan, struct loss_error *error)
{
    plan->has_term_weights = plan->present[WEIGHTED_WEIGHT];
    return loss_shape_broadcast_warn(plan, error);
}

void loss_element_term_weights(struct loss_block *b)
{
    for (size_t i = 0; i < b->n; i++)
        b->term[i] = b->in[WEIGHTED_WEIGHT] ? b->in[WEIGHTED_WEIGHT][i]
                                            : (loss_real)b->in_f32[WEIGHTED_WEIGHT][i];
}

/* ---- Losses over rows ---- */

enum { CLASSES_INPUT, CLASSES_TARGET, CLASSES_WEIGHT };

/* Aligns a tensor that has a class axis: that axis is within a term, the others correspond to the
   dimensions of the terms, in order. */
static void align_around(struct loss_plan *plan, int k, int class_axis)
{
    for (int axis = 0; axis < plan->tensor[k].rank; axis++)
        plan->axis[k][axis] =
            axis == class_axis ? LOSS_WITHIN : (signed char)(axis - (axis > class_axis));
}

enum loss_status loss_shape_classes(struct loss_plan *plan, struct loss_error *error)
{
    char shape[LOSS_SHAPE_TEXT];
    const struct loss_tensor *input = &plan->tensor[CLASSES_INPUT],
                             *target = &plan->tensor[CLASSES_TARGET];
    if (input->rank == 0)
        return loss_shape_error(plan, error, CLASSES_INPUT,
                                "it must be (C), (N, C) or (N, C, d1, ...)");

    const int class_axis = input->rank > 1;
    plan->terms = (struct loss_tensor){.rank = input->rank - 1};
    for (int axis = 0; axis < input->rank; axis++)
        if (axis != class_axis)
            plan->terms.shape[axis - (axis > class_axis)] = input->shape[axis];
    align_around(plan, CLASSES_INPUT, class_axis);

    const bool may_be_probabilities = plan->loss->tensors[CLASSES_TARGET].kind == LOSS_CLASSES;
    if (may_be_probabilities && loss_same_shape(input, target)) {
        align_around(plan, CLASSES_TARGET, class_axis);
    } else if (loss_same_shape(&plan->terms, target)) {
        plan->indexed[CLASSES_TARGET] = plan->has_term_weights = true;
        align_last(plan, CLASSES_TARGET);
    } else {
        char whole[LOSS_SHAPE_TEXT];
        return loss_shape_error(
            plan, error, CLASSES_TARGET, "it must be %.64s for class indices%s%.64s%s",
            loss_shape_text(&plan->terms, shape), may_be_probabilities ? " or " : "",
            may_be_probabilities ? loss_shape_text(input, whole) : "",
            may_be_probabilities ? " for probabilities" : "");
    }

    const struct loss_tensor *weight = &plan->tensor[CLASSES_WEIGHT];
    const size_t classes = input->shape[class_axis];
    if (plan->present[CLASSES_WEIGHT] && (weight->rank != 1 || weight->shape[0] != classes))
        return loss_shape_error(plan, error, CLASSES_WEIGHT,
                                "it must be (%zu,), a weight for each class", classes);
    plan->axis[CLASSES_WEIGHT][0] = LOSS_WITHIN;
    return LOSS_OK;
}

enum { PAIRS_INPUT1, PAIRS_INPUT2, PAIRS_TARGET };

enum loss_status loss_shape_pairs(struct loss_plan *plan, struct loss_error *error)
{
    char shape[LOSS_SHAPE_TEXT];
    const struct loss_tensor *first = &plan->tensor[PAIRS_INPUT1],
                             *second = &plan->tensor[PAIRS_INPUT2];
    if (first->rank != 1 && first->rank != 2)
        return loss_shape_error(plan, error, PAIRS_INPUT1,
                                "it must be (N, D), or (D) for a single pair");
    if (!loss_same_shape(first, second))
        return loss_shape_error(plan, error, PAIRS_INPUT2, "it must match %s, %s",
                                name_of(plan, PAIRS_INPUT1), loss_shape_text(first, shape));
    plan->terms = (struct loss_tensor){.rank = first->rank - 1, .shape = {first->shape[0]}};
    if (!loss_same_shape(&plan->terms, &plan->tensor[PAIRS_TARGET]))
        return loss_shape_error(plan, error, PAIRS_TARGET, "it must be %s, a label for each pair",
                                loss_shape_text(&plan->terms, shape));
    align_around(plan, PAIRS_INPUT1, first->rank - 1);
    align_around(plan, PAIRS_INPUT2, first->rank - 1);
    align_last(plan, PAIRS_TARGET);
    return LOSS_OK;
}

enum loss_status loss_shape_rows(struct loss_plan *plan, int within, struct loss_error *error)
{
    char shape[LOSS_SHAPE_TEXT];
    const struct loss_tensor *first = &plan->tensor[0];
    plan->terms = (struct loss_tensor){.rank = first->rank - within};
    memcpy(plan->terms.shape, first->shape, (size_t)plan->terms.rank * sizeof *first->shape);
    for (int k = 0; k < loss_tensor_specs(plan->loss); k++) {
        const struct loss_tensor *tensor = &plan->tensor[k];
        const bool optional = plan->loss->tensors[k].optional;
        if (!plan->present[k])
            continue;
        if (!optional && !loss_same_shape(first, tensor))
            return loss_shape_error(plan, error, k, "it must match %s, %s", name_of(plan, 0),
                                    loss_shape_text(first, shape));
        bool fits = tensor->rank >= within && loss_broadcasts_to(tensor, first);
        for (int i = 1; fits && i <= within; i++)
            fits = tensor->shape[tensor->rank - i] == first->shape[first->rank - i];
        if (!fits)
            return loss_shape_error(
                plan, error, k,
                "it must broadcast to the shape of %s, %s, and have the same last dimension",
                name_of(plan, 0), loss_shape_text(first, shape));
        for (int axis = 0; axis < tensor->rank; axis++) {
            const int dim = first->rank - tensor->rank + axis;
            plan->axis[k][axis] = dim < plan->terms.rank ? (signed char)dim : LOSS_WITHIN;
        }
    }
    return LOSS_OK;
}
