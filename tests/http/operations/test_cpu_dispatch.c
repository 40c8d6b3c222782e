/*
 * Instruction sets: the set that a machine has, and the set that each object needs. On machines
 * that qemu emulates, most of which lack a single feature, programs must compute, read and print
 * the same numbers.
 */
#include "dispatch/cpu_dispatch.h"
#include "loss.h"
#include "number/number_bulk.h"
#include "suites.h"
#include "support/command.h"
#include "support/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined __x86_64__

#include <cpuid.h>

enum { TEXT = 1 << 14, PATH = 4096 };

/* ---- The table ---- */

/* The features of the psABI levels, by the names of the compiler's header, which has no names for
 * XCR0. */
struct level {
    enum isa isa;
    const char *name;
    uint32_t words[ISA_WORD_COUNT]; /* its features that the previous level does not have */
};
static const struct level levels[] = {
    {ISA_X86_64_V2,
     "x86-64-v2",
     {[ISA_LEAF_1_ECX] =
          bit_CMPXCHG16B | bit_POPCNT | bit_SSE3 | bit_SSSE3 | bit_SSE4_1 | bit_SSE4_2,
      [ISA_LEAF_80000001_ECX] = bit_LAHF_LM}},
    {ISA_X86_64_V3,
     "x86-64-v3",
     {[ISA_LEAF_1_ECX] = bit_XSAVE | bit_OSXSAVE | bit_AVX | bit_F16C | bit_FMA | bit_MOVBE,
      [ISA_LEAF_7_EBX] = bit_AVX2 | bit_BMI | bit_BMI2,
      [ISA_LEAF_80000001_ECX] = bit_ABM,
      [ISA_XCR0] = 0x06}},
    {ISA_X86_64_V4,
     "x86-64-v4",
     {[ISA_LEAF_7_EBX] = bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL,
      [ISA_XCR0] = 0xe0}},
    {ISA_X86_64_V4_VBMI2, "x86-64-v4", {[ISA_LEAF_7_ECX] = bit_AVX512VBMI | bit_AVX512VBMI2}},
};
enum { LEVELS = sizeof levels / sizeof levels[0] };

START_TEST(isa_is_the_largest_that_a_machine_supports)
{
    uint32_t words[ISA_WORD_COUNT] = {0};
    ck_assert_int_eq(isa_of_words(words), ISA_BASE);
    for (int level = 0; level < LEVELS; level++) {
        for (int k = 0; k < ISA_WORD_COUNT; k++)
            words[k] |= levels[level].words[k];
        ck_assert_int_eq(isa_of_words(words), levels[level].isa);
    }
    memset(words, 0xff, sizeof words);
    ck_assert_int_eq(isa_of_words(words), ISA_X86_64_V4_VBMI2);
}
END_TEST

START_TEST(isa_is_not_chosen_if_a_feature_is_missing)
{
    for (int level = 0; level < LEVELS; level++)
        for (int bit = 0; bit < 32 * ISA_WORD_COUNT; bit++) {
            uint32_t words[ISA_WORD_COUNT];
            memset(words, 0xff, sizeof words);
            if (!(levels[level].words[bit / 32] >> bit % 32 & 1))
                continue;
            words[bit / 32] &= ~(UINT32_C(1) << bit % 32);
            ck_assert_msg(isa_of_words(words) == levels[level].isa - 1,
                          "%s without bit %d of word %d counts as set %d", levels[level].name,
                          bit % 32, bit / 32, (int)isa_of_words(words));
        }
}
END_TEST

/* Returns true for macros that gcc defines besides those of features: the largest alignment and
   fast functions. */
static bool tells_no_feature(const char *macro)
{
    return strcmp(macro, "__BIGGEST_ALIGNMENT__") == 0 ||
           strncmp(macro, "__FP_FAST_", strlen("__FP_FAST_")) == 0;
}

static bool is_feature_of(enum isa isa, const char *macro)
{
    for (size_t i = 0; i < isa_feature_count; i++)
        if (isa_features[i].macro && strcmp(isa_features[i].macro, macro) == 0)
            return isa_features[i].isa <= isa;
    return false;
}

START_TEST(isa_table_has_every_feature_that_objects_are_compiled_with)
{
    static const struct {
        enum isa isa;
        const char *flags;
    } objects[] = {{ISA_BASE, MARCH_BASE},
                   {ISA_X86_64_V2, MARCH_V2},
                   {ISA_X86_64_V3, MARCH_V3},
                   {ISA_X86_64_V4, MARCH_V4},
                   {ISA_X86_64_V4_VBMI2, MARCH_V4_VBMI2}};
    char macros[TEXT];
    for (size_t i = 0; i < sizeof objects / sizeof objects[0]; i++) {
        int found = 0;
        ck_assert_int_eq(
            command_run(macros, sizeof macros,
                        "m() { " COMPILER
                        " \"$@\" -dM -E -x c /dev/null | cut -d' ' -f2 | sort; }; "
                        "base=$(mktemp); m -march=x86-64 >$base; m %s | comm -13 $base -; rm $base",
                        objects[i].flags),
            0);
        for (char *macro = strtok(macros, "\n"); macro; macro = strtok(NULL, "\n")) {
            ck_assert_msg(tells_no_feature(macro) || is_feature_of(objects[i].isa, macro),
                          "objects compiled with %s may use %s, which is not checked",
                          objects[i].flags, macro);
            found++;
        }
        ck_assert_msg(found > 0 || objects[i].isa == ISA_BASE, "%s defines nothing",
                      objects[i].flags);
    }
}
END_TEST

START_TEST(isa_choice_applies_to_number_text)
{
    const char *const best = loss_isa();
    ck_assert(loss_isa_choose("x86-64"));
    ck_assert_int_eq(isa_allowed(), ISA_BASE);
    ck_assert_ptr_eq(number_bulk(), &number_bulk_portable);
    if (loss_isa_choose("x86-64-v2"))
        ck_assert_ptr_eq(number_bulk(), &number_bulk_portable);
    if (loss_isa_choose("x86-64-v3"))
        ck_assert_ptr_eq(number_bulk(), &number_bulk_avx2);
    if (loss_isa_choose("x86-64-v4"))
        ck_assert_ptr_ne(number_bulk(), &number_bulk_portable);
    ck_assert(loss_isa_choose(best));
}
END_TEST

/* ---- Machines without a feature ---- */

static char lossd[PATH], lossctl[PATH];

static void find_programs(void)
{
    const char *const named = getenv("LOSSD");
    ck_assert_ptr_nonnull(realpath(named && *named ? named : "build/lossd", lossd));
    snprintf(lossctl, sizeof lossctl, "%.*slossctl", (int)(strrchr(lossd, '/') + 1 - lossd), lossd);
}

static bool qemu_is_there(void)
{
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    printf("isa: qemu does not run sanitized programs; emulated machines are not tested\n");
    return false;
#else
    if (!command_succeeds("qemu-x86_64 -version")) {
        printf("isa: qemu-x86_64 is not installed (Debian: qemu-user); emulated machines are not "
               "tested\n");
        return false;
    }
    return true;
#endif
}

/* Writes a batch of numbers of many lengths and magnitudes, long enough for the bulk functions. */
static void write_batch(void)
{
    FILE *const file = fopen(folder_path("batch.json"), "we");
    uint64_t state = 1;
    ck_assert_ptr_nonnull(file);
    for (int tensor = 0; tensor < 2; tensor++) {
        fprintf(file, "%s[", tensor == 0 ? "{\"input\": " : "], \"target\": ");
        for (int i = 0; i < 600; i++) {
            state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            const double number = (double)(int64_t)state * 0x1p-63;
            fprintf(file, "%s%.*g", i > 0 ? "," : "", 1 + i % 17,
                    i % 7 == 0 ? number * 1e-30 : number * (1 << i % 20));
        }
    }
    fprintf(file, "]}");
    ck_assert_int_eq(fclose(file), 0);
}

static void compute(const char *emulator, const char *name)
{
    char printed[TEXT];
    const int status =
        command_run(printed, sizeof printed,
                    "cd %s && for dtype in float32 float64; do %s %s eval mse --local --batch "
                    "batch.json --reduction none --dtype $dtype "
                    "--terms json:%s.$dtype --grad json:%s.grad.$dtype 2>%s.err || exit 1; done; "
                    "cat %s.float* %s.grad.float* >%s",
                    folder_name(), emulator, lossctl, name, name, name, name, name, name);
    ck_assert_msg(status == 0, "%s: status %d", emulator, status);
}

/* qemu's names of machines, and the expected instruction set. SSSE3 and BMI1 are not removed:
   Debian's GnuTLS and C library do not start without them if other features are present. */
static const struct {
    const char *cpu, *isa;
} machines[] = {
    {"qemu64", "x86-64"},
    {"Nehalem", "x86-64-v2"},
    {"Opteron_G5", "x86-64-v2"}, /* AVX, FMA and LZCNT, but not AVX2 */
    {"Haswell", "x86-64-v3"},
    {"EPYC", "x86-64-v3"},
    {"Haswell,-abm", "x86-64-v2"},
    {"Haswell,-avx", "x86-64-v2"},
    {"Haswell,-avx2", "x86-64-v2"},
    {"Haswell,-bmi2", "x86-64-v2"},
    {"Haswell,-f16c", "x86-64-v2"},
    {"Haswell,-fma", "x86-64-v2"},
    {"Haswell,-movbe", "x86-64-v2"},
    {"Haswell,-xsave", "x86-64-v2"},
    {"Haswell,-cx16", "x86-64"},
    {"Haswell,-lahf-lm", "x86-64"},
    {"Haswell,-popcnt", "x86-64"},
    {"Haswell,-pni", "x86-64"},
    {"Haswell,-sse4.1", "x86-64"},
    {"Haswell,-sse4.2", "x86-64"},
};

/* Returns the best instruction set up to `isa` that this build has: some builds have only two. */
static const char *built_isa(const char *isa)
{
    static const char *const order[] = {"x86-64-v4", "x86-64-v3", "x86-64-v2", "x86-64"};
    size_t first = 0;
    while (strcmp(order[first], isa) != 0)
        first++;
    for (size_t i = first; i + 1 < sizeof order / sizeof order[0]; i++)
        for (size_t k = 0; loss_isa_at(k); k++)
            if (strcmp(loss_isa_at(k), order[i]) == 0)
                return order[i];
    return "x86-64";
}

START_TEST(isa_of_an_emulated_machine_computes_reads_and_prints_the_same)
{
    char emulator[128], printed[TEXT], expected[64];
    if (!qemu_is_there())
        return;
    find_programs();
    folder_make();
    write_batch();
    compute("", "native");
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
        snprintf(emulator, sizeof emulator, "qemu-x86_64 -cpu %s", machines[i].cpu);
        snprintf(expected, sizeof expected, "; in use: %s\n", built_isa(machines[i].isa));
        /* The variable prevents lossd from executing itself again, which would be without qemu. */
        ck_assert_int_eq(command_run(printed, sizeof printed,
                                     "OMP_WAIT_POLICY=passive %s %s --version 2>%s", emulator,
                                     lossd, folder_path("err")),
                         0);
        ck_assert_msg(strstr(printed, expected) != NULL, "%s: %s", machines[i].cpu, printed);
        compute(emulator, "emulated");
        ck_assert_msg(command_run(printed, sizeof printed, "cmp %s %s", folder_path("native"),
                                  folder_path("emulated")) == 0,
                      "%s: %s", machines[i].cpu, printed);
    }
    folder_remove();
}
END_TEST

static void append(char *text, size_t size, const char *more)
{
    const size_t length = strlen(text);
    snprintf(text + length, size - length, "%s", more);
}

START_TEST(isa_of_lossctl_is_an_option)
{
    char printed[TEXT], emulator[128], expected[256] = "";
    find_programs();
    folder_make();
    write_batch();
    compute("", "native");
    for (size_t i = 0; loss_isa_at(i); i++) {
        if (!loss_isa_choose(loss_isa_at(i)))
            continue;
        snprintf(emulator, sizeof emulator, "LOSSD_ISA=%s", loss_isa_at(i));
        compute(emulator, "chosen");
        ck_assert_int_eq(command_run(printed, sizeof printed, "cmp %s %s", folder_path("native"),
                                     folder_path("chosen")),
                         0);
    }
    ck_assert_int_eq(command_run(printed, sizeof printed,
                                 "cd %s; %s eval mse --local --batch batch.json --isa z80 2>&1",
                                 folder_name(), lossctl),
                     2);
    append(expected, sizeof expected, "lossctl: --isa is 'z80'; it must be auto");
    for (size_t i = 0; loss_isa_at(i); i++) {
        append(expected, sizeof expected, loss_isa_at(i + 1) ? ", " : " or ");
        append(expected, sizeof expected, loss_isa_at(i));
    }
    append(expected, sizeof expected, ", and supported by this CPU\n");
    ck_assert_str_eq(printed, expected);
    folder_remove();
}
END_TEST

#endif

Suite *cpu_dispatch_suite(void)
{
    Suite *suite = suite_create("cpu_dispatch");
#if defined __x86_64__
    SUITE_ADD(suite, "isa_table", isa_is_the_largest_that_a_machine_supports,
              isa_is_not_chosen_if_a_feature_is_missing,
              isa_table_has_every_feature_that_objects_are_compiled_with,
              isa_choice_applies_to_number_text);
    TCase *const emulated = SUITE_ADD(suite, "isa_machines",
                                      isa_of_an_emulated_machine_computes_reads_and_prints_the_same,
                                      isa_of_lossctl_is_an_option);
    tcase_set_tags(emulated, TAG_SLOW);
#endif
    return suite;
}
