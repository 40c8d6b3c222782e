/*
 * The worst errors of core/kernel/vector_math.h over all float32 values, against libm's long double
 * functions: `make check-mathematics`, some minutes on many cores. With an argument N, tests every
 * Nth value.
 */
#include "kernel/vector_math.h"
#include "support/ulps.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

static float nth(uint64_t i)
{
    const uint32_t bits = (uint32_t)i;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#define WORST(name, ours, exact)                                                                   \
    {                                                                                              \
        double worst = 0;                                                                          \
        _Pragma("omp parallel for reduction(max : worst)") for (uint64_t i = 0;                    \
                                                                i < UINT64_C(1) << 32;             \
                                                                i += stride)                       \
        {                                                                                          \
            const double x = (double)nth(i), error = ulps(ours(x), exact((long double)x));         \
            worst = error > worst || isnan(error) ? error : worst;                                 \
        }                                                                                          \
        printf("%-6s worst error %.3f ulp\n", name, worst);                                        \
        failed |= !(worst <= 1.1);                                                                 \
    }

int main(int argc, char *argv[])
{
    const uint64_t stride = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    int failed = stride == 0;
    if (failed) {
        fprintf(stderr, "usage: mathematics-exhaustive [N]\n");
        return 2;
    }
    WORST("exp", vexp, expl);
    WORST("log", vlog, logl);
    WORST("log1p", vlog1p, log1pl);
    return failed;
}
