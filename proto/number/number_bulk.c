/*
 * Chooses the implementation of bulk reading and writing: the fastest that the instruction set
 * allows (core/dispatch/cpu_dispatch.h).
 */
#include "number/number_bulk.h"
#include "dispatch/cpu_dispatch.h"

/* Fastest first; the last one runs on every machine. The Makefile compiles each for its instruction
   set. */
static const struct {
    enum isa isa;
    const struct number_bulk *bulk;
} implementations[] = {
#if defined __x86_64__
    {ISA_X86_64_V4_VBMI2, &number_bulk_avx512},
    {ISA_X86_64_V3, &number_bulk_avx2},
#endif
    {ISA_BASE, &number_bulk_portable},
};

const struct number_bulk *number_bulk_at(size_t index)
{
    const enum isa isa = isa_allowed();
    for (size_t i = 0; i < sizeof implementations / sizeof implementations[0]; i++)
        if (implementations[i].isa <= isa && index-- == 0)
            return implementations[i].bulk;
    return NULL;
}

const struct number_bulk *number_bulk(void)
{
    return number_bulk_at(0);
}
