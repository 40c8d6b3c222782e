/* The sums that a loss is computed from. */
#ifndef CORE_SUM_LOSS_SUMS_H
#define CORE_SUM_LOSS_SUMS_H

#include "sum/exact_sum.h"

/* Sums over the terms of a batch, or of a part of one. After the sums of all parts are merged with
   exact_sum_merge(), the loss is that of the whole batch, in every bit:

       reduction sum               exact_sum_value(&terms)
       mean with weights           exact_sum_value(&terms) / exact_sum_value(&weights)
       other reductions            exact_sum_value(&terms) / the number that the whole batch
                                   divides by, which its shapes determine */
struct loss_sums {
    struct exact_sum terms;   /* each multiplied by its sample weight; empty with reduction none */
    struct exact_sum weights; /* that a mean divides by, if terms or samples have weights; else
                                 empty */
};

#endif
