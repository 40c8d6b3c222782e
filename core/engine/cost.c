/* Estimates the cost of evaluating a plan from shapes and dtypes. The unit is that of
   loss_plan.work, about a nanosecond. The constants here are the engine's part; each loss defines
   its own (struct loss_cost). `make check-cost` measures both. */
#include "engine/run.h"

#include <math.h>

/* Each element of an operand that is copied for the kernel, or of a derivative that is copied to
   its tensor. */
#define COST_COPY 1.0
/* Each line of such a copy (strided.c), and each of the divisions that it starts with, one per
   dimension. */
#define COST_LINE      12.0
#define COST_DIMENSION 6.0
/* Each element of the derivative of a broadcast tensor: written for each term, then summed. */
#define COST_REDUCE 2.0
/* Each term that is stored as a result, has its own factor, or adds its weight to the divisor. */
#define COST_STORE  0.7
#define COST_FACTOR 2.0
#define COST_WEIGH  2.0
/* Each chunk, each block, and each run. */
#define COST_CHUNK 150.0
#define COST_BLOCK 50.0
#define COST_RUN   1000.0

/* Returns the cost of copying all elements of `terms` terms, twice if they are also converted. */
static double copy_cost(const struct strided_view *view, double terms, bool twice)
{
    const double elements = terms * (double)view->elements_per_term;
    double line = (double)view->elements_per_term;
    if (view->dense)
        return elements * COST_COPY * (1 + twice);
    if (view->row_rank > 0)
        line = (double)view->row_dim[view->row_rank - 1];
    else
        line = (double)view->dim[view->rank - 1];
    const double lines = elements / fmax(line, 1);
    return elements * COST_COPY * (1 + twice) +
           lines * (COST_LINE + COST_DIMENSION * (view->rank + view->row_rank));
}

static double operand_cost(const struct run *run, int k)
{
    const struct operand *operand = &run->operand[k];
    if (!operand->present)
        return 0;
    if (k == UPSTREAM || k == SAMPLE_WEIGHT)
        return copy_cost(&operand->view, (double)run->terms, false) +
               (double)run->terms * COST_FACTOR;
    if (operand->in_place)
        return 0;
    return copy_cost(&operand->view, operand->stride > 0 ? (double)run->terms : 1,
                     run->f32 && !operand->indexed);
}

static double derivative_cost(const struct run *run, const struct derivative *d, bool summed)
{
    const double elements = (double)run->terms * (double)d->view.elements_per_term;
    if (summed)
        return elements * COST_REDUCE;
    if (d->in_place)
        return 0;
    return copy_cost(&d->view, (double)run->terms, run->f32);
}

/* Returns the loss's cost of an element: derivatives other than the first tensor's gradient cost
   the most. */
static double element_cost(const struct loss_plan *plan, const struct loss_cost *cost)
{
    if ((plan->grad_mask & ~1u) != 0 || plan->hess_mask != 0)
        return cost->all;
    return plan->grad_mask != 0 ? cost->gradient : cost->value;
}

static double engine_cost(const struct run *run)
{
    const struct loss_plan *plan = run->plan;
    const double terms = (double)run->terms, chunks = ceil(terms / (double)run->chunk);
    double total = COST_RUN + chunks * COST_CHUNK + (double)run->blocks * COST_BLOCK;
    for (int k = 0; k < OPERANDS; k++)
        total += operand_cost(run, k);
    for (int i = 0; i < run->derivatives; i++)
        total +=
            derivative_cost(run, &run->derivative[i], strided_repeats(&run->derivative[i].view));
    if (plan->reduction == LOSS_NONE)
        total += terms * COST_STORE;
    if (plan->reduction == LOSS_MEAN && (plan->has_term_weights || plan->has_sample_weight))
        total += terms * COST_WEIGH;
    return total;
}

size_t cost_estimate(const struct loss_plan *plan)
{
    struct run run;
    if (plan->elements == SIZE_MAX || !layout_choose(&run, plan)) /* the count overflows */
        return SIZE_MAX;
    const struct loss_method *method = plan->loss->method;
    const struct loss_cost cost = method->cost_of ? method->cost_of(plan) : method->cost;
    const double total = engine_cost(&run) + (double)run.terms * cost.term +
                         (double)plan->elements * element_cost(plan, &cost);
    return total < (double)SIZE_MAX ? (size_t)total : SIZE_MAX;
}
