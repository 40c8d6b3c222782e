/* Adds partial results, and rounds them. */
#include "sum/exact_sum.h"

/* Adds `part` to *sum. Returns false if the result is too large. */
static bool add_integer(struct loss_integer *sum, const struct loss_integer *part)
{
    struct exact_sum total, other;
    if (!exact_sum_set(&total, sum) || !exact_sum_set(&other, part))
        return false;
    exact_sum_merge(&total, &other);
    *sum = exact_sum_integer(&total);
    return exact_sum_set(&total, sum);
}

/* Adds `part` to *count. Returns false if the result is too large. */
static bool add_count(uint64_t *count, uint64_t part)
{
    if (*count >= LOSS_COUNT_LIMIT || part >= LOSS_COUNT_LIMIT - *count)
        return false;
    *count += part;
    return true;
}

bool loss_partial_add(struct loss_partial *partial, const struct loss_partial *part)
{
    return partial->weighed == part->weighed && add_integer(&partial->sum, &part->sum) &&
           add_integer(&partial->weight, &part->weight) &&
           add_count(&partial->terms, part->terms) && add_count(&partial->samples, part->samples) &&
           add_count(&partial->count, part->count) && add_count(&partial->nan, part->nan) &&
           add_count(&partial->inf, part->inf) && add_count(&partial->neg_inf, part->neg_inf);
}

double loss_partial_divisor(const struct loss_partial *partial, enum loss_reduction reduction)
{
    struct exact_sum weight;
    if (reduction == LOSS_BATCHMEAN)
        return (double)partial->samples;
    if (reduction != LOSS_MEAN)
        return 1;
    if (!partial->weighed)
        return (double)partial->terms;
    exact_sum_set(&weight, &partial->weight);
    return exact_sum_value(&weight);
}

struct loss_result loss_partial_result(const struct loss_partial *partial,
                                       enum loss_reduction reduction)
{
    struct exact_sum sum;
    exact_sum_set(&sum, &partial->sum);
    sum.nan = partial->nan;
    sum.infinite = partial->inf;
    sum.negative_infinite = partial->neg_inf;
    return (struct loss_result){.loss = exact_sum_value(&sum) /
                                        loss_partial_divisor(partial, reduction),
                                .count = partial->count,
                                .nonfinite = exact_sum_nonfinite(&sum)};
}
