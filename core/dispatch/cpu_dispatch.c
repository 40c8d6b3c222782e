/*
 * Chooses the instruction set that the program uses: the best one that the machine has, or one
 * requested by name. No other file queries CPU features.
 */
#include "dispatch/cpu_dispatch.h"
#include "dispatch/kernel_table.h"
#include "sum/exact_sum.h"

#include <stdatomic.h>
#include <string.h>

#if defined __x86_64__
#include <cpuid.h>
#endif

/* ---- CPU features ---- */

/* The features of the levels of the x86-64 psABI, and what AVX requires from the operating system:
   XSAVE enabled (osxsave), and the wider registers saved (XCR0). */
const struct isa_feature isa_features[] = {
    {ISA_X86_64_V2, "cx16", "__GCC_HAVE_SYNC_COMPARE_AND_SWAP_16", ISA_LEAF_1_ECX, 13},
    {ISA_X86_64_V2, "lahf_lm", "__LAHF_SAHF__", ISA_LEAF_80000001_ECX, 0},
    {ISA_X86_64_V2, "popcnt", "__POPCNT__", ISA_LEAF_1_ECX, 23},
    {ISA_X86_64_V2, "sse3", "__SSE3__", ISA_LEAF_1_ECX, 0},
    {ISA_X86_64_V2, "ssse3", "__SSSE3__", ISA_LEAF_1_ECX, 9},
    {ISA_X86_64_V2, "sse4.1", "__SSE4_1__", ISA_LEAF_1_ECX, 19},
    {ISA_X86_64_V2, "sse4.2", "__SSE4_2__", ISA_LEAF_1_ECX, 20},
    {ISA_X86_64_V2, "crc32", "__CRC32__", ISA_LEAF_1_ECX, 20}, /* a part of SSE4.2 */
    {ISA_X86_64_V3, "xsave", "__XSAVE__", ISA_LEAF_1_ECX, 26},
    {ISA_X86_64_V3, "osxsave", NULL, ISA_LEAF_1_ECX, 27},
    {ISA_X86_64_V3, "saved xmm", NULL, ISA_XCR0, 1},
    {ISA_X86_64_V3, "saved ymm", NULL, ISA_XCR0, 2},
    {ISA_X86_64_V3, "avx", "__AVX__", ISA_LEAF_1_ECX, 28},
    {ISA_X86_64_V3, "avx2", "__AVX2__", ISA_LEAF_7_EBX, 5},
    {ISA_X86_64_V3, "bmi1", "__BMI__", ISA_LEAF_7_EBX, 3},
    {ISA_X86_64_V3, "bmi2", "__BMI2__", ISA_LEAF_7_EBX, 8},
    {ISA_X86_64_V3, "f16c", "__F16C__", ISA_LEAF_1_ECX, 29},
    {ISA_X86_64_V3, "fma", "__FMA__", ISA_LEAF_1_ECX, 12},
    {ISA_X86_64_V3, "lzcnt", "__LZCNT__", ISA_LEAF_80000001_ECX, 5},
    {ISA_X86_64_V3, "movbe", "__MOVBE__", ISA_LEAF_1_ECX, 22},
    {ISA_X86_64_V4, "saved opmask", NULL, ISA_XCR0, 5},
    {ISA_X86_64_V4, "saved zmm0-15", NULL, ISA_XCR0, 6},
    {ISA_X86_64_V4, "saved zmm16-31", NULL, ISA_XCR0, 7},
    {ISA_X86_64_V4, "avx512f", "__AVX512F__", ISA_LEAF_7_EBX, 16},
    {ISA_X86_64_V4, "avx512bw", "__AVX512BW__", ISA_LEAF_7_EBX, 30},
    {ISA_X86_64_V4, "avx512cd", "__AVX512CD__", ISA_LEAF_7_EBX, 28},
    {ISA_X86_64_V4, "avx512dq", "__AVX512DQ__", ISA_LEAF_7_EBX, 17},
    {ISA_X86_64_V4, "avx512vl", "__AVX512VL__", ISA_LEAF_7_EBX, 31},
    {ISA_X86_64_V4_VBMI2, "avx512vbmi", "__AVX512VBMI__", ISA_LEAF_7_ECX, 1},
    {ISA_X86_64_V4_VBMI2, "avx512vbmi2", "__AVX512VBMI2__", ISA_LEAF_7_ECX, 6},
};
const size_t isa_feature_count = sizeof isa_features / sizeof isa_features[0];

enum isa isa_of_words(const uint32_t words[ISA_WORD_COUNT])
{
    enum isa isa = ISA_X86_64_V4_VBMI2;
    for (size_t i = 0; i < isa_feature_count; i++) {
        const struct isa_feature *const feature = &isa_features[i];
        if (feature->isa <= isa && !(words[feature->word] >> feature->bit & 1))
            isa = feature->isa - 1;
    }
    return isa;
}

#if defined __x86_64__
static enum isa isa_of_machine(void)
{
    uint32_t words[ISA_WORD_COUNT] = {0}, eax, ebx, ecx, edx;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx))
        words[ISA_LEAF_1_ECX] = ecx;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
        words[ISA_LEAF_7_EBX] = ebx;
        words[ISA_LEAF_7_ECX] = ecx;
    }
    if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx))
        words[ISA_LEAF_80000001_ECX] = ecx;
    if (words[ISA_LEAF_1_ECX] & bit_OSXSAVE) /* else xgetbv is an invalid instruction */
        __asm__("xgetbv" : "=a"(words[ISA_XCR0]), "=d"(edx) : "c"(0));
    return isa_of_words(words);
}
#else
static enum isa isa_of_machine(void)
{
    return ISA_BASE;
}
#endif

/* ---- Kernels ---- */

/* KERNEL_ISAS lists the kernels that are built, in ascending order of instruction sets, such as
   `KERNELS(x86_64) KERNELS(x86_64_v3)`. The Makefile defines it from ISAS. */
#ifndef KERNEL_ISAS
#define KERNEL_ISAS KERNELS(portable)
#endif

#define KERNELS(set) extern const struct loss_kernels loss_kernels_##set;
KERNEL_ISAS
#undef KERNELS

struct built_kernels {
    const struct loss_kernels *kernels;
    const char *name;
    enum isa required;
    enum isa allowed; /* the largest set that other code may use if these kernels are chosen by
                         name: "x86-64-v4" does not exclude VBMI2 */
};

#define PROPERTIES_portable  "portable", ISA_BASE, ISA_BASE
#define PROPERTIES_x86_64    "x86-64", ISA_BASE, ISA_BASE
#define PROPERTIES_x86_64_v2 "x86-64-v2", ISA_X86_64_V2, ISA_X86_64_V2
#define PROPERTIES_x86_64_v3 "x86-64-v3", ISA_X86_64_V3, ISA_X86_64_V3
#define PROPERTIES_x86_64_v4 "x86-64-v4", ISA_X86_64_V4, ISA_X86_64_V4_VBMI2

/* KERNELS(x86_64_v4) becomes
   {&loss_kernels_x86_64_v4, "x86-64-v4", ISA_X86_64_V4, ISA_X86_64_V4_VBMI2}, */
static const struct built_kernels built[] = {
#define KERNELS(set) {&loss_kernels_##set, PROPERTIES_##set},
    KERNEL_ISAS
#undef KERNELS
};
enum { BUILT = sizeof built / sizeof built[0], UNKNOWN = -1 };

/* ---- Choice ---- */

static atomic_int allowed = UNKNOWN;

enum isa isa_allowed(void)
{
    int isa = atomic_load_explicit(&allowed, memory_order_relaxed);
    if (isa == UNKNOWN) {
        isa = (int)isa_of_machine();
        /* Threads that race here store the same value. */
        atomic_store_explicit(&allowed, isa, memory_order_relaxed);
    }
    return (enum isa)isa;
}

/* Returns the best kernels that are allowed. The first entry runs on every machine that the program
   is built for. */
static const struct built_kernels *chosen(void)
{
    const enum isa isa = isa_allowed();
    size_t i = BUILT - 1;
    while (i > 0 && built[i].required > isa)
        i--;
    return &built[i];
}

const struct loss_kernels *loss_kernels(void)
{
    return chosen()->kernels;
}

const char *loss_isa(void)
{
    return chosen()->name;
}

const char *loss_isa_at(size_t index)
{
    return index < BUILT ? built[BUILT - 1 - index].name : NULL;
}

bool loss_isa_choose(const char *name)
{
    const enum isa machine = isa_of_machine();
    for (size_t i = 0; i < BUILT; i++)
        if (strcmp(built[i].name, name) == 0 && built[i].required <= machine) {
            const enum isa isa = built[i].allowed < machine ? built[i].allowed : machine;
            atomic_store_explicit(&allowed, (int)isa, memory_order_relaxed);
            return true;
        }
    return false;
}

/* ---- Calls of the chosen kernels ---- */

size_t loss_run_bytes(const struct loss_plan *plan, int threads)
{
    return loss_kernels()->bytes(plan, threads);
}

/* Checks that this thread's arithmetic is the one that the kernels assume. */
static enum loss_status check_arithmetic(struct loss_error *error)
{
    const char *const obstacle = exact_sum_obstacle();
    if (!obstacle)
        return LOSS_OK;
    return loss_fail(error, LOSS_INTERNAL, "the arithmetic of this thread %s", obstacle);
}

static enum loss_status run(const struct loss_plan *const plans[], size_t n, int threads,
                            struct loss_result results[], size_t *failed, struct loss_error *error)
{
    *failed = 0;
    if (check_arithmetic(error) != LOSS_OK)
        return error->status;
    return loss_kernels()->run(plans, n, threads, results, failed, error);
}

enum loss_status loss_run(const struct loss_plan *plan, int threads, struct loss_result *result,
                          struct loss_error *error)
{
    size_t failed;
    return run(&plan, 1, threads, result, &failed, error);
}

enum loss_status loss_run_all(const struct loss_plan *const plans[], size_t n, int threads,
                              struct loss_result results[], size_t *failed,
                              struct loss_error *error)
{
    return n > 0 ? run(plans, n, threads, results, failed, error) : LOSS_OK;
}

enum loss_status loss_run_weights(const struct loss_plan *plan, int threads,
                                  struct loss_error *error)
{
    if (check_arithmetic(error) != LOSS_OK)
        return error->status;
    return loss_kernels()->weigh(plan, threads, error);
}
