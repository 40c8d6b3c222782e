/* The table of losses, and searches for names. */
#include "loss.h"
#include "suites.h"

START_TEST(losses_are_found_by_the_names_of_pytorch)
{
    ck_assert_ptr_eq(loss_find("SmoothL1Loss"), loss_find("smooth_l1"));
    ck_assert_ptr_eq(loss_find("binary_cross_entropy_with_logits"), loss_find("bce_with_logits"));
    ck_assert_ptr_null(loss_find("MSE"));
    for (size_t i = 0; i < loss_count(); i++) {
        ck_assert_ptr_eq(loss_find(loss_at(i)->name), loss_at(i));
        for (int k = 0; k < LOSS_MAX_ALIASES && loss_at(i)->aliases[k]; k++)
            ck_assert_ptr_eq(loss_find(loss_at(i)->aliases[k]), loss_at(i));
    }
}
END_TEST

START_TEST(nearest_name_is_found)
{
    const struct {
        const char *name, *meant;
    } cases[] = {{"lable_smoothing", "label_smoothing"},
                 {"Weight", "weight"},
                 {"ignoreindex", "ignore_index"},
                 {"label", "label_smoothing"},
                 {"xyz", NULL},
                 {"", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loss_nearest search = {.name = cases[i].name};
        loss_nearest_try(&search, "label_smoothing");
        loss_nearest_try(&search, "weight");
        loss_nearest_try(&search, "ignore_index");
        if (cases[i].meant)
            ck_assert_str_eq(search.best, cases[i].meant);
        else
            ck_assert_ptr_null(search.best);
    }
}
END_TEST

/* Tensors that several losses share are read before the losses are known
   (proto/evaluation/multi_loss_request.c). */
START_TEST(no_parameter_has_the_name_of_a_tensor)
{
    for (size_t i = 0; i < loss_count(); i++)
        for (int k = 0; k < loss_param_specs(loss_at(i)); k++)
            for (size_t j = 0; j < loss_count(); j++)
                ck_assert_msg(
                    loss_tensor_find(loss_at(j), loss_at(i)->params[k].name) < 0,
                    "%s is a parameter of %s and a tensor of %s: give one of them another name",
                    loss_at(i)->params[k].name, loss_at(i)->name, loss_at(j)->name);
}
END_TEST

Suite *core_table_suite(void)
{
    Suite *suite = suite_create("core_table");
    SUITE_ADD(suite, "table", losses_are_found_by_the_names_of_pytorch, nearest_name_is_found,
              no_parameter_has_the_name_of_a_tensor);
    return suite;
}
