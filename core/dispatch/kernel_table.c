/* The table of losses and the engine, compiled once for each instruction set. ISA is its name. */
#include "dispatch/kernel_table.h"
#include "engine/run.h"

#ifndef ISA
#define ISA portable
#endif
#define JOIN(a, b)       a##b
#define KERNELS_FOR(isa) JOIN(loss_kernels_, isa)

#define LOSS(name) extern const struct loss_descriptor loss_##name;
#include "losses.def"
#undef LOSS

static const struct loss_descriptor *const table[] = {
#define LOSS(name) &loss_##name,
#include "losses.def"
#undef LOSS
};

extern const struct loss_kernels KERNELS_FOR(ISA);
const struct loss_kernels KERNELS_FOR(ISA) = {
    .table = table,
    .count = sizeof table / sizeof table[0],
    .work = cost_estimate,
    .bytes = layout_bytes,
    .run = run_all,
    .weigh = run_weights,
};
