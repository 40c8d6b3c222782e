/*
 * The losses and the engine, compiled for one instruction set. There is one instance for each set
 * in the Makefile's ISAS; cpu_dispatch.c chooses one. Results do not depend on the choice.
 */
#ifndef CORE_DISPATCH_KERNEL_TABLE_H
#define CORE_DISPATCH_KERNEL_TABLE_H

#include "loss.h"

struct loss_kernels {
    const struct loss_descriptor *const *table;
    size_t count;
    size_t (*work)(const struct loss_plan *plan);
    size_t (*bytes)(const struct loss_plan *plan, int threads);
    enum loss_status (*run)(const struct loss_plan *const plans[], size_t n, int threads,
                            struct loss_result results[], size_t *failed, struct loss_error *error);
    enum loss_status (*weigh)(const struct loss_plan *plan, int threads, struct loss_error *error);
};

/* Returns the kernels in use. */
const struct loss_kernels *loss_kernels(void);

#endif
