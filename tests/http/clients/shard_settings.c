#include "shard_settings.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "lossctl_run.h"

static const struct shard_tensor x32 = {"x", "<f4", true, NUMBERS_REAL},
                                 y32 = {"y", "<f4", true, NUMBERS_REAL},
                                 x64 = {"x", "<f8", true, NUMBERS_REAL},
                                 y64 = {"y", "<f8", true, NUMBERS_REAL},
                                 labels = {"y", "<i8", false, NUMBERS_CLASS},
                                 probabilities = {"y", "<f4", true, NUMBERS_PROBABILITY},
                                 weights = {"w", "<f8", false, NUMBERS_PROBABILITY};

const struct shard_setting shard_settings[SHARD_SETTINGS] = {
    {"mse", &x32, &y32, false},
    {"cross_entropy --weight c.npy", &x32, &labels, true},
    {"huber --delta 0.5", &x64, &y64, false},
    {"kl_div --reduction batchmean", &x32, &probabilities, false},
    {"mse --reduction sum --grad-output 0.1", &x64, &y32, true},
};

const struct shard_split shard_splits[SHARD_SPLITS][3] = {
    {{1, {1000}}, {1, {1000}}, {1, {1000}}},
    {{3, {500, 499, 1}}, {3, {500, 499, 1}}, {1, {1000}}},
    {{8, {0, 200, 0, 300, 1, 0, 499, 0}}, {3, {7, 986, 7}}, {2, {999, 1}}},
};
char shard_whole_loss[LOSSCTL_TEXT], shard_whole_grad[SHARD_ROWS * SHARD_COLUMNS * 8];
size_t shard_whole_grad_len;

void shard_evaluate_whole(const struct shard_setting *setting)
{
    static const float class_weights[SHARD_COLUMNS] = {0.1F, 2, 0.5F, 1, 0.25F, 3};
    static const char header[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (6,)}\n";
    write_npy("c.npy", header, class_weights, sizeof class_weights);
    shard_write_whole(setting->input);
    shard_write_whole(setting->target);
    shard_write_whole(&weights);
    assert_run(OK, "$L eval %s --local -q --input x.npy --target y.npy %s --grad g.npy",
               setting->options, setting->weighted ? "--sample-weight w.npy" : "");
    strcpy(shard_whole_loss, lossctl_out);
    shard_whole_grad_len = shard_read_data("g.npy", shard_whole_grad, sizeof shard_whole_grad);
}

void shard_write_setting(const struct shard_setting *setting, const struct shard_split split[3])
{
    assert_run(OK, "rm -rf x-*.npy y-*.npy w-*.npy g h");
    shard_write_split(setting->input, &split[0]);
    shard_write_split(setting->target, &split[1]);
    shard_write_split(&weights, &split[2]);
}

void shard_check_gradients(const char *folder, const struct shard_split *split)
{
    static char bytes[sizeof shard_whole_grad];
    size_t at = 0;
    char file[64];
    for (int i = 0; i < split->count; i++) {
        snprintf(file, sizeof file, "%s/x-%d.npy", folder, i);
        const size_t len = shard_read_data(file, bytes, sizeof bytes);
        ck_assert_uint_eq(len, split->rows[i] * (shard_whole_grad_len / SHARD_ROWS));
        ck_assert_mem_eq(bytes, shard_whole_grad + at, len);
        at += len;
    }
    ck_assert_uint_eq(at, shard_whole_grad_len);
    assert_run(OK, "! ls %s/*.part 2>/dev/null", folder);
}
