/* Which instruction set the losses and the engine run on: the best that the machine has, or the one that is asked for. */
#include "kernels.h"

#include <stdatomic.h>
#include <string.h>

/* What there is, the best first. A compiler that is not told of any builds the portable one. */
#define DECLARE(isa) extern const struct loss_kernels loss_kernels_##isa;
#if !defined HAS_x86_64
#define HAS_portable
#endif
#ifdef HAS_x86_64_v4
DECLARE(x86_64_v4)
#endif
#ifdef HAS_x86_64_v3
DECLARE(x86_64_v3)
#endif
#ifdef HAS_x86_64_v2
DECLARE(x86_64_v2)
#endif
#ifdef HAS_x86_64
DECLARE(x86_64)
#endif
#ifdef HAS_portable
DECLARE(portable)
#endif

/* In order of level: 0 runs everywhere. */
static const struct {
    const char *name;
    const struct loss_kernels *kernels;
    int level;
} built[] = {
#ifdef HAS_x86_64_v4
    {"x86-64-v4", &loss_kernels_x86_64_v4, 4},
#endif
#ifdef HAS_x86_64_v3
    {"x86-64-v3", &loss_kernels_x86_64_v3, 3},
#endif
#ifdef HAS_x86_64_v2
    {"x86-64-v2", &loss_kernels_x86_64_v2, 2},
#endif
#ifdef HAS_x86_64
    {"x86-64", &loss_kernels_x86_64, 0},
#endif
#ifdef HAS_portable
    {"portable", &loss_kernels_portable, 0},
#endif
};

#ifdef HAS_x86_64
static int level_of_machine(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("x86-64-v4")   ? 4
           : __builtin_cpu_supports("x86-64-v3") ? 3
           : __builtin_cpu_supports("x86-64-v2") ? 2
                                                 : 1;
}
#else
static int level_of_machine(void)
{
    return 0;
}
#endif

static bool runs_here(size_t i)
{
    return built[i].level <= level_of_machine();
}
enum { BUILT = sizeof built / sizeof built[0] };

static atomic_size_t chosen = BUILT; /* none yet */

static size_t choice(void)
{
    size_t i = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (i < BUILT)
        return i;
    for (i = 0; !runs_here(i); i++) /* the last runs everywhere */
        ;
    atomic_store_explicit(&chosen, i, memory_order_relaxed); /* another thread stores the same */
    return i;
}

const struct loss_kernels *loss_kernels(void)
{
    return built[choice()].kernels;
}

const char *loss_isa(void)
{
    return built[choice()].name;
}

const char *loss_isa_at(size_t index)
{
    return index < BUILT ? built[index].name : NULL;
}

bool loss_isa_choose(const char *name)
{
    for (size_t i = 0; i < BUILT; i++)
        if (strcmp(built[i].name, name) == 0 && runs_here(i)) {
            atomic_store_explicit(&chosen, i, memory_order_relaxed);
            return true;
        }
    return false;
}

size_t loss_run_bytes(const struct loss_plan *plan, int threads)
{
    return loss_kernels()->bytes(plan, threads);
}

enum loss_status loss_run(const struct loss_plan *plan, int threads, struct loss_result *result, struct loss_error *error)
{
    size_t failed;
    return loss_kernels()->run(&plan, 1, threads, result, &failed, error);
}

enum loss_status loss_run_all(const struct loss_plan *const plans[], size_t n, int threads, struct loss_result results[],
                              size_t *failed, struct loss_error *error)
{
    return n > 0 ? loss_kernels()->run(plans, n, threads, results, failed, error) : LOSS_OK;
}
