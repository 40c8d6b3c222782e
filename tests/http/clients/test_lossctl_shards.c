/* Tests lossctl eval over shards: results and gradients have the bits of one evaluation of the
   whole batch, however it is split. */

#include "lossctl_run.h"
#include "shard_settings.h"
#include "suites.h"
#include "support/folder.h"

#include <stdlib.h>
#include <string.h>

static void setup(void)
{
    ck_assert_ptr_nonnull(lossctl_find());
    folder_make();
    setenv("LOSSD_URL", "http://127.0.0.1:1", 1); /* no server is used */
}

static void teardown(void)
{
    folder_remove();
}

static const struct shard_tensor x32 = {"x", "<f4", true, NUMBERS_REAL};

/* ---- Results ---- */

START_TEST(shards_have_the_loss_and_gradients_of_the_whole_batch)
{
    const struct shard_setting *const setting = &shard_settings[_i];
    const char *const weight = setting->weighted ? "--sample-weight 'w-*.npy'" : "";
    shard_evaluate_whole(setting);
    for (int i = 0; i < SHARD_SPLITS; i++) {
        shard_write_setting(setting, shard_splits[i]);
        for (int threads = 1; threads <= 2; threads++) {
            assert_run(OK,
                       "$L eval %s -q --input 'x-*.npy' --target 'y-*.npy' %s --threads %d "
                       "--step-rows %d --grad g/",
                       setting->options, weight, threads, threads == 1 ? 10000 : 77);
            ck_assert_str_eq(lossctl_out, shard_whole_loss);
            shard_check_gradients("g", &shard_splits[i][0]);
        }
        assert_run(OK, "$L eval %s -q --input 'x-*.npy' --target y.npy %s", setting->options,
                   setting->weighted ? "--sample-weight w.npy" : "");
        ck_assert_str_eq(lossctl_out, shard_whole_loss);
    }
}
END_TEST

START_TEST(lists_give_the_order_of_the_files)
{
    shard_evaluate_whole(&shard_settings[0]);
    shard_write_setting(&shard_settings[0], shard_splits[1]);
    assert_run(OK,
               "mv x-0.npy z && mv x-1.npy b && mv x-2.npy a && printf 'z\\nb\\r\\n\\na\\n' >l");
    assert_run(OK, "$L eval mse -q --input @l --target 'y-*.npy'");
    ck_assert_str_eq(lossctl_out, shard_whole_loss);
    assert_run(OK, "$L eval mse -q --input npy:@l --target 'npy:y-[0-2].npy'");
    ck_assert_str_eq(lossctl_out, shard_whole_loss);
    assert_run(OK, "echo x.npy >w && $L eval mse -q --input npy:@w --target y.npy");
    ck_assert_str_eq(lossctl_out, shard_whole_loss);
}
END_TEST

START_TEST(safetensors_and_raw_numbers_are_shards_too)
{
    shard_evaluate_whole(&shard_settings[0]);
    shard_write_setting(&shard_settings[0], shard_splits[1]);
    for (int i = 0; i < 3; i++) {
        char file[64], raw[64];
        static char bytes[sizeof shard_whole_grad];
        snprintf(file, sizeof file, "x-%d.npy", i);
        snprintf(raw, sizeof raw, "x-%d.bin", i);
        folder_write_bytes(raw, bytes, shard_read_data(file, bytes, sizeof bytes));
        assert_run(OK,
                   "$L eval mse --local -q --input x-%d.npy --target y-%d.npy --reduction none "
                   "--terms terms-%d.safetensors >out",
                   i, i, i);
    }
    assert_run(OK,
               "$L eval mse -q --input 'raw:float32,(*,6):x-*.bin' --target 'y-*.npy' --grad g");
    ck_assert_str_eq(lossctl_out, shard_whole_loss);
    assert_run(OK, "cat g/x-0.bin g/x-1.bin g/x-2.bin >all.bin");
    static char all[sizeof shard_whole_grad + 1];
    ck_assert_uint_eq(folder_read("all.bin", all, sizeof all), shard_whole_grad_len);
    ck_assert_mem_eq(all, shard_whole_grad, shard_whole_grad_len);
    assert_run(OK, "$L eval mse --local -q --input x.npy --target y.npy --reduction none --terms "
                   "terms.npy >out && $L eval l1 --local -q --input terms.npy --target y.npy");
    char expected[LOSSCTL_TEXT];
    strcpy(expected, lossctl_out);
    assert_run(OK, "$L eval l1 -q --input 'terms-*.safetensors:loss' --target 'y-*.npy' --grad h");
    ck_assert_str_eq(lossctl_out, expected);
    assert_run(OK, "$L eval l1 -q --input 'h/terms-*.safetensors:grad_input' --target y.npy "
                   "--reduction sum");
    assert_run(OK, "$L eval l1 -q --input 'terms-*.safetensors' --target 'y-*.npy'");
    ck_assert_str_eq(lossctl_out, expected);
}
END_TEST

START_TEST(sequences_are_evaluated_in_whole_files)
{
    /* log_probs of 1 and 2 samples, with 2 and 3 steps of 2 classes */
    static const float probs[] = {-0.5F, -1, -2, -0.25F, -1, -1, -0.5F, -2, -3, -0.1F, -1, -1};
    static const int64_t numbers[] = {1, 1, 1, 2, 3, 3, 1, 1, 1};
    write_npy("p-0.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,1,2)}\n", probs, 16);
    write_npy("p-1.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (3,2,2)}\n", probs, 48);
    write_npy("t-0.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (1,1)}\n", numbers, 8);
    write_npy("t-1.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (2,1)}\n", numbers, 16);
    write_npy("o-0.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (1,)}\n", numbers, 8);
    write_npy("o-1.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (2,)}\n", numbers, 16);
    write_npy("n.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (3,)}\n", numbers + 3,
              24);
    write_npy("m.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (3,)}\n", numbers, 24);
    write_npy("n-0.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (1,)}\n", numbers + 3,
              8);
    write_npy("n-1.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (2,)}\n", numbers + 4,
              16);
    for (int i = 0; i < 2; i++)
        assert_run(OK,
                   "$L eval ctc --local -q --log-probs p-%d.npy --targets t-%d.npy --input-lengths "
                   "n-%d.npy --target-lengths o-%d.npy --reduction sum --grad w-%d.npy",
                   i, i, i, i, i);
    assert_run(OK, "$L eval ctc -q --log-probs 'p-*.npy' --targets 't-*.npy' --input-lengths n.npy "
                   "--target-lengths m.npy --reduction sum --grad g");
    assert_run(OK, "cmp w-0.npy g/p-0.npy && cmp w-1.npy g/p-1.npy");
    assert_run(OK, "$L eval ctc -q --log-probs 'p-*.npy' --targets 't-*.npy' --input-lengths n.npy "
                   "--target-lengths m.npy --part 2/2 && "
                   "$L eval ctc -q --log-probs p-1.npy --targets t-1.npy --input-lengths n-1.npy "
                   "--target-lengths o-1.npy --part 1/1");
    const char *const second = strchr(lossctl_out, '\n') + 1;
    ck_assert_uint_eq(strlen(lossctl_out), 2 * strlen(second));
    ck_assert_int_eq(strncmp(lossctl_out, second, strlen(second)), 0);
    /* targets in one row: each file has its own */
    assert_run(OK, "$L eval ctc -q --log-probs 'p-*.npy' --targets 'o-*.npy' --input-lengths n.npy "
                   "--target-lengths m.npy");
    assert_wrong(INPUT,
                 "log_probs has 2 files and targets has 1; each file of log_probs needs its own "
                 "file of targets",
                 "$L eval ctc -q --log-probs 'p-*.npy' --targets m.npy --input-lengths n.npy "
                 "--target-lengths m.npy");
}
END_TEST

START_TEST(results_are_printed_as_those_of_eval)
{
    char expected[LOSSCTL_TEXT];
    shard_evaluate_whole(&shard_settings[3]);
    shard_write_setting(&shard_settings[3], shard_splits[1]);
    assert_run(OK, "$L eval kl_div --local --input x.npy --target y.npy");
    strcpy(expected, lossctl_out);
    assert_run(OK, "$L eval kl_div --input 'x-*.npy' --target 'y-*.npy'");
    ck_assert_str_eq(lossctl_out, expected);
    assert_run(OK, "$L eval kl_div --input 'x-*.npy' --target 'y-*.npy' --grad g --partial p.json");
    assert_has(lossctl_out, "grad_input g/ (1000, 6)\npartial    p.json\nwarning    ");
    assert_run(OK, "$L eval kl_div --local --input x.npy --target y.npy --json | "
                   "sed 's/,\"milliseconds.*//'");
    strcpy(expected, strtok(lossctl_out, "\n"));
    assert_run(OK, "$L eval kl_div --input 'x-*.npy' --target 'y-*.npy' --json --grad g --partial "
                   "p.json");
    assert_has(lossctl_out, expected);
    assert_has(lossctl_out, ",\"files\":{\"grad_input\":\"g\",\"partial\":\"p.json\"}}\n");
    assert_run(OK, "$L eval kl_div --input 'x-*.npy' --target 'y-*.npy' --partial - >q.json && "
                   "cmp p.json q.json");
    assert_has(lossctl_err, "loss       ");
}
END_TEST

START_TEST(every_derivative_has_a_folder)
{
    shard_evaluate_whole(&shard_settings[0]);
    shard_write_setting(&shard_settings[0], shard_splits[0]);
    assert_run(OK, "$L eval mse --local -q --input x.npy --target y.npy --hess hess.npy "
                   "--grad-target target.npy");
    assert_run(OK, "$L eval mse --input 'x-*.npy' --target 'y-*.npy' --hess g/ --grad-target h");
    assert_has(lossctl_out, "\ngrad_target h/ (1000, 6)\nhess_input g/ (1000, 6)\n");
    assert_run(OK, "cmp hess.npy g/x-0.npy && cmp target.npy h/y-0.npy");
}
END_TEST

START_TEST(empty_shards_have_the_mean_of_an_empty_batch)
{
    shard_write_rows(&x32, 0, 0, "x-0.npy");
    shard_write_rows(&x32, 0, 0, "x-1.npy");
    assert_run(OK, "$L eval mse -q --input 'x-*.npy' --target 'x-*.npy' --grad g --part 1/2");
    ck_assert_str_eq(lossctl_out, "\"NaN\"\n");
    assert_run(OK, "cmp x-0.npy g/x-0.npy || $L eval mse -q --input 'g/*' --target 'x-*.npy'");
}
END_TEST

/* ---- Parts ---- */

START_TEST(merged_parts_have_the_loss_and_gradients_of_the_whole_batch)
{
    const struct shard_setting *const setting = &shard_settings[_i];
    const char *const weight = setting->weighted ? "--sample-weight 'w-*.npy'" : "";
    shard_evaluate_whole(setting);
    shard_write_setting(setting, shard_splits[2]);
    for (int k = 1; k <= 3; k++)
        assert_run(OK,
                   "$L eval %s --input 'x-*.npy' --target 'y-*.npy' %s --part %d/3 --partial "
                   "part-%d.json",
                   setting->options, weight, k, k);
    assert_has(lossctl_out, "rows       666 to 999\n");
    assert_run(OK, "$L merge -q part-3.json part-1.json part-2.json");
    ck_assert_str_eq(lossctl_out, shard_whole_loss);
    for (int k = 1; k <= 3; k++)
        assert_run(OK,
                   "$L eval %s --input 'x-*.npy' --target 'y-*.npy' %s --part %d/3 --grad g "
                   "--partial part-%d.json",
                   setting->options, weight, k, k);
    shard_check_gradients("g", &shard_splits[2][0]);
    assert_run(OK, "$L merge -q part-3.json part-1.json part-2.json");
    ck_assert_str_eq(lossctl_out, shard_whole_loss);
    assert_run(OK,
               "$L eval %s --input 'x-*.npy' --target 'y-*.npy' %s --partial all.json && "
               "$L merge part-?.json --partial total.json && cmp all.json total.json",
               setting->options, weight);
}
END_TEST

/* ---- Suite ---- */

Suite *lossctl_shards_suite(void)
{
    Suite *suite = suite_create("lossctl_shards");
    if (!lossctl_find())
        return suite;
    TCase *const tcase = suite_add_case(suite, "lossctl_shards", 60, setup, teardown);
    tcase_add_loop_test(tcase, shards_have_the_loss_and_gradients_of_the_whole_batch, 0,
                        SHARD_SETTINGS);
    tcase_add_loop_test(tcase, merged_parts_have_the_loss_and_gradients_of_the_whole_batch, 0,
                        SHARD_SETTINGS);
    CASE_ADD(tcase, lists_give_the_order_of_the_files, safetensors_and_raw_numbers_are_shards_too,
             sequences_are_evaluated_in_whole_files, every_derivative_has_a_folder,
             results_are_printed_as_those_of_eval, empty_shards_have_the_mean_of_an_empty_batch);
    return suite;
}
