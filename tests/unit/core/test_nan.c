/*
 * If a term reads NaN, it is NaN and counted; terms that do not read it do not change. Every tensor
 * of every loss gets one NaN, in every dtype, layout, instruction set and kernel.
 */
#include "suites.h"
#include "unit/core/nan_sweep.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_setting(size_t place, struct sweep_setting setting)
{
    struct sweep sweep;
    sweep_make(&sweep, loss_at(place), setting);
    sweep_check_tensors(&sweep);
    sweep_free(&sweep);
}

/* _i is the loss's index in all loop tests. */
START_TEST(nan_reaches_the_terms_that_read_it_in_every_dtype_and_layout)
{
    static const enum loss_dtype dtypes[] = {LOSS_FLOAT64, LOSS_FLOAT32, LOSS_FLOAT16,
                                             LOSS_BFLOAT16};
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++)
        for (unsigned how = 0; how < 8; how++)
            check_setting((size_t)_i,
                          (struct sweep_setting){.dtype = dtypes[d],
                                                 .strided = how & 1,
                                                 .elements = 343,
                                                 .columns = 7,
                                                 .grad = how & 2,
                                                 .hess = how & 4,
                                                 .pattern = (unsigned)(how + d) % SWEEP_PATTERNS});
}
END_TEST

START_TEST(nan_reaches_terms_of_long_rows_and_of_many_blocks)
{
    static const size_t sizes[][2] = {{2 * 60 * 60, 60}, {20000, 7}, {900, 1}, {2 * 30 * 30, 30}};
    const bool costly = strcmp(loss_at((size_t)_i)->name, "info_nce") ==
                        0; /* every query is compared with every key */
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (unsigned how = 0; how < 4; how++)
            check_setting((size_t)_i,
                          (struct sweep_setting){.dtype = how & 1 ? LOSS_FLOAT64 : LOSS_FLOAT32,
                                                 .elements = costly ? 4 * sizes[s][1] : sizes[s][0],
                                                 .columns = sizes[s][1],
                                                 .grad = how & 2,
                                                 .pattern = (how + (unsigned)s) % SWEEP_PATTERNS});
}
END_TEST

START_TEST(nan_reaches_terms_on_every_instruction_set)
{
    char chosen[64];
    snprintf(chosen, sizeof chosen, "%s", loss_isa());
    for (size_t i = 0; loss_isa_at(i); i++) {
        if (!loss_isa_choose(loss_isa_at(i)))
            continue;
        for (unsigned how = 0; how < 4; how++)
            for (unsigned pattern = 0; pattern < SWEEP_PATTERNS; pattern++)
                check_setting((size_t)_i,
                              (struct sweep_setting){.dtype = how & 1 ? LOSS_FLOAT64 : LOSS_FLOAT32,
                                                     .elements = 343,
                                                     .columns = 7,
                                                     .grad = how & 2,
                                                     .pattern = pattern});
    }
    ck_assert(loss_isa_choose(chosen));
}
END_TEST

START_TEST(nan_reaches_terms_whatever_the_parameters)
{
    const struct loss_descriptor *const loss = loss_at((size_t)_i);
    const struct sweep_setting setting = {
        .dtype = LOSS_FLOAT32, .elements = 343, .columns = 7, .grad = true};
    for (size_t option = 0; option < batch_options(loss); option++) {
        struct sweep sweep;
        sweep_make(&sweep, loss, setting);
        if (batch_set_option(&sweep.batch, option))
            sweep_check_tensors(&sweep);
        sweep_free(&sweep);
    }
}
END_TEST

/* Class probabilities instead of labels, for cross_entropy, which accepts either. */
START_TEST(nan_reaches_terms_of_class_probabilities)
{
    for (unsigned how = 0; how < 4; how++) {
        struct sweep sweep;
        sweep_make(&sweep, loss_find("cross_entropy"),
                   (struct sweep_setting){.dtype = how & 1 ? LOSS_FLOAT64 : LOSS_FLOAT32,
                                          .elements = 70,
                                          .columns = how & 2 ? 35 : 7,
                                          .pattern = how % SWEEP_PATTERNS});
        free(sweep.batch.tensor[1].data);
        sweep.batch.tensor[1] = sweep.batch.tensor[0];
        sweep_lay_out(&sweep, 1, "probabilities");
        sweep_check_tensors(&sweep);
        sweep_free(&sweep);
    }
}
END_TEST

/* Adds a test case that runs a test for each loss. */
static TCase *add_losses(Suite *suite, const char *name, const TTest *test)
{
    TCase *tcase = suite_add_case(suite, name, 120, NULL, NULL);
    tcase_add_loop_test(tcase, test, 0, (int)loss_count());
    return tcase;
}

Suite *nan_suite(void)
{
    Suite *suite = suite_create("nan");
    add_losses(suite, "dtypes", nan_reaches_the_terms_that_read_it_in_every_dtype_and_layout);
    tcase_set_tags(add_losses(suite, "blocks", nan_reaches_terms_of_long_rows_and_of_many_blocks),
                   TAG_SLOW);
    tcase_set_tags(add_losses(suite, "sets", nan_reaches_terms_on_every_instruction_set), TAG_SLOW);
    add_losses(suite, "parameters", nan_reaches_terms_whatever_the_parameters);
    SUITE_ADD(suite, "probabilities", nan_reaches_terms_of_class_probabilities);
    return suite;
}
