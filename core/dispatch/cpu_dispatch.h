/*
 * The instruction sets of the machine, and the largest one that the program may use.
 *
 * Each set includes all instructions of those before it. An object compiled for a set may run only
 * if the machine has every feature of that set, because the compiler may use any of them.
 */
#ifndef CORE_DISPATCH_CPU_DISPATCH_H
#define CORE_DISPATCH_CPU_DISPATCH_H

#include <stddef.h>
#include <stdint.h>

enum isa {
    ISA_BASE, /* what every machine of the architecture has; on x86, x86-64 */
    ISA_X86_64_V2,
    ISA_X86_64_V3,
    ISA_X86_64_V4,
    ISA_X86_64_V4_VBMI2, /* with AVX512_VBMI and AVX512_VBMI2: Ice Lake, Zen 4 */
};

/* The registers that report features. */
enum isa_word {
    ISA_LEAF_1_ECX,
    ISA_LEAF_7_EBX,
    ISA_LEAF_7_ECX,
    ISA_LEAF_80000001_ECX,
    ISA_XCR0, /* the registers that the operating system saves; 0 without XSAVE */
    ISA_WORD_COUNT
};

struct isa_feature {
    enum isa isa; /* the first set that includes it */
    const char *name;
    const char *macro; /* macro that gcc defines if it may use the feature; NULL if none */
    enum isa_word word;
    int bit;
};
extern const struct isa_feature isa_features[];
extern const size_t isa_feature_count;

/* Returns the largest set whose features are all present in `words`. */
enum isa isa_of_words(const uint32_t words[ISA_WORD_COUNT]);

/* Returns the largest set that code may use: the machine's, or a smaller one chosen with
 * loss_isa_choose(). */
enum isa isa_allowed(void);

#endif
