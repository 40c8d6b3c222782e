/*
 * Which instructions the machine has, and which of them the program may use.
 *
 * The sets are ordered: each has all instructions of those before it. An object that is compiled
 * for a set runs only if the machine has every feature of that set, whether or not the object is
 * known to use it: the compiler may use any of them.
 */
#ifndef CORE_DISPATCH_CPU_DISPATCH_H
#define CORE_DISPATCH_CPU_DISPATCH_H

#include <stddef.h>
#include <stdint.h>

enum isa {
    ISA_BASE, /* what every machine of the architecture has: x86-64 */
    ISA_X86_64_V2,
    ISA_X86_64_V3,
    ISA_X86_64_V4,
    ISA_X86_64_V4_VBMI2, /* with AVX512_VBMI and AVX512_VBMI2: Ice Lake, Zen 4 */
};

/* The registers that tell of a feature. */
enum isa_word {
    ISA_LEAF_1_ECX,
    ISA_LEAF_7_EBX,
    ISA_LEAF_7_ECX,
    ISA_LEAF_80000001_ECX,
    ISA_XCR0, /* which registers the operating system saves; 0 if it does not use XSAVE */
    ISA_WORD_COUNT
};

struct isa_feature {
    enum isa isa; /* the first set that it belongs to */
    const char *name;
    const char
        *macro; /* what gcc defines where it may use the feature; NULL if nothing of its own */
    enum isa_word word;
    int bit;
};
extern const struct isa_feature isa_features[];
extern const size_t isa_feature_count;

/* Returns the largest set of which `words` have every feature. */
enum isa isa_of_words(const uint32_t words[ISA_WORD_COUNT]);

/* Returns the largest set that code may use: the machine's, or a smaller one if loss_isa_choose()
 * has chosen it. */
enum isa isa_allowed(void);

#endif
