/* Tests lossctl eval over shards when something is wrong: each fault is one line that names the
   file and the row, with nothing on stdout and no file under its final name. And checkpoints: an
   evaluation that was killed is resumed, with the same bits. */

#include "lossctl_run.h"
#include "shard_files.h"
#include "suites.h"
#include "support/fault_library.h"
#include "support/folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct shard_tensor x = {"x", "<f4", true, NUMBERS_REAL},
                                 y = {"y", "<f4", true, NUMBERS_REAL},
                                 labels = {"l", "<i8", false, NUMBERS_CLASS};
static const struct shard_split split = {3, {500, 499, 1}};

static void setup(void)
{
    ck_assert_ptr_nonnull(lossctl_find());
    folder_make();
    setenv("LOSSD_URL", "http://127.0.0.1:1", 1); /* no server is used */
    shard_write_split(&x, &split);
    shard_write_split(&y, &split);
    shard_write_split(&labels, &split);
}

static void teardown(void)
{
    folder_remove();
}

#define MSE "$L eval mse --input 'x-*.npy' --target 'y-*.npy' "

/* ---- Faults of files ---- */

START_TEST(faults_of_files_are_named)
{
    assert_wrong(INPUT, "no file matches 'z-*.npy'", "$L eval mse --input 'z-*.npy' --target @l");
    assert_wrong(INPUT, "no file matches 'z-*:*.npy'",
                 "$L eval mse --input 'z-*:*.npy' --target @l");
    assert_wrong(INPUT, "cannot read the list l: No such file or directory",
                 "$L eval mse --input @l --target 'y-*.npy'");
    assert_wrong(INPUT, "cannot read x-9.npy: No such file or directory",
                 "printf 'x-0.npy\\nx-9.npy\\n' >l; $L eval mse --input @l --target 'y-*.npy'");
    assert_wrong(INPUT, "l contains no paths",
                 "printf '\\n' >l; $L eval mse --input @l --target 'y-*.npy'");
    assert_wrong(INPUT, "l contains x-0.npy twice",
                 "ls x-0.npy x-0.npy >l; $L eval mse --input @l --target 'y-*.npy'");
    assert_wrong(INPUT, "x-1.npy ends at byte 5135 of 12104, in row 208 of 499",
                 "truncate -s 5135 x-1.npy; " MSE);
    assert_wrong(INPUT, "x-1.npy has 12200 bytes; its header describes 12104",
                 "truncate -s 12200 x-1.npy; " MSE);
    assert_wrong(INPUT,
                 "x-1.npy is not a .npy or safetensors file, the formats of shards; raw "
                 "numbers need their dtype and shape: raw:float32,(*,10):x-1.npy",
                 "echo 1,2 >x-1.npy; " MSE);
    assert_wrong(INPUT, "x-1.npy is not a regular file", "rm x-1.npy; mkdir x-1.npy; " MSE);
    assert_wrong(INPUT, "d-1.bin ends at byte 4001 of 4008, in row 166 of 167",
                 "head -c 2400 /dev/zero >d-0.bin; head -c 4001 /dev/zero >d-1.bin; "
                 "$L eval mse --input 'raw:float32,(*,6):d-*.bin' --target 'y-*.npy'");
}
END_TEST

START_TEST(tensors_that_do_not_fit_are_named)
{
    static const struct shard_tensor narrow = {"x", "<f4", false, NUMBERS_REAL},
                                     wide = {"x", "<f8", true, NUMBERS_REAL};
    shard_write_rows(&narrow, 0, 499, "x-1.npy");
    assert_wrong(
        INPUT,
        "x-1.npy has shape (499,) and dtype float32, but the first file of input, x-0.npy, "
        "has (500, 6) and float32; only the number of rows may differ",
        MSE);
    shard_write_rows(&wide, 0, 499, "x-1.npy");
    assert_wrong(INPUT,
                 "x-1.npy has shape (499, 6) and dtype float64, but the first file of input, "
                 "x-0.npy, has (500, 6) and float32; only the number of rows may differ",
                 MSE);
    shard_write_rows(&x, 0, 498, "x-1.npy");
    assert_wrong(INPUT,
                 "x-1.npy has 498 rows and y-1.npy has 499; input and target must have the same "
                 "number of rows in total",
                 MSE);
    assert_wrong(INPUT,
                 "input has 999 rows in 3 files and target has 501 rows in 2 files; they must have "
                 "the same number of rows",
                 "$L eval mse --input 'x-*.npy' --target 'y-[02].npy'");
    shard_write_rows(&x, 0, 499, "x-1.npy");
    static const float class_weights[3] = {1, 2, 3};
    static const char header[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}\n";
    write_npy("c-0.npy", header, class_weights, sizeof class_weights);
    assert_wrong(USAGE, "weight is shared by all rows, so it must be one file; 'c-*.npy' names 2",
                 "cp c-0.npy c-1.npy; $L eval cross_entropy --input 'x-*.npy' --target 'l-*.npy' "
                 "--weight 'c-*.npy'");
}
END_TEST

START_TEST(elements_are_named_by_file_and_row)
{
    /* label 123 of the second file */
    assert_run(OK, "printf '\\011' | dd of=l-1.npy bs=1 seek=$((128 + 8 * 123)) conv=notrunc");
    for (int step = 100; step <= 1000; step += 450)
        assert_wrong(INPUT,
                     "l-1.npy: target[123] is 9; class indices must be in [0, 6), or -100 to be "
                     "ignored",
                     "$L eval cross_entropy --input 'x-*.npy' --target 'l-*.npy' --step-rows %d "
                     "--partial p.json --grad g/; status=$?; ls p.json g/* 2>/dev/null; exit "
                     "$status",
                     step);
    /* a weight that is NaN */
    assert_wrong(
        INPUT,
        "x-0.npy, rows 0 to 499: NaN or infinite weights: 3000; a partial result cannot "
        "contain their sum",
        "cp x-0.npy n-0.npy; head -c 128 x-0.npy >n.npy; yes \"$(printf '\\377')\" | tr -d "
        "'\\n' | head -c 12000 >>n.npy; "
        "$L eval mse --input x-0.npy --target y-0.npy --weight n.npy --part 1/1");
}
END_TEST

START_TEST(files_that_change_are_named)
{
    /* many steps, between which the change is seen; and one, whose pages are lost */
    for (int rows = 50; rows <= 50000000; rows += 50000000 - 50) {
        assert_run(
            INPUT,
            "truncate -s 800M big.bin; $L eval l1 -q --input raw:float32,'(*,10)':big.bin "
            "--target raw:float32,'(*,10)':big.bin --step-rows %d --threads 2 & p=$!; "
            "i=0; while ! grep -q big.bin /proc/$p/maps && [ $i -lt 5000 ]; do i=$((i + 1)); done; "
            "truncate -s 1M big.bin; wait $p",
            rows);
        ck_assert_str_eq(lossctl_out, "");
        if (strstr(lossctl_err, "changed"))
            ck_assert_str_eq(lossctl_err, "lossctl: big.bin has changed during the evaluation\n");
        else
            ck_assert_str_eq(lossctl_err, "lossctl: big.bin: became shorter, or could not be read, "
                                          "during the evaluation\n");
    }
}
END_TEST

START_TEST(an_infinite_sum_of_weights_has_no_gradients)
{
    assert_wrong(INPUT, "the sum of all weights is infinite, so the mean has no gradients",
                 "for i in $(seq 500); do printf '\\377\\377\\377\\377\\377\\377\\357\\177'; done "
                 ">w.bin; $L eval mse --input x-0.npy --target y-0.npy "
                 "--sample-weight 'raw:float64,(*):w.bin' --grad g");
    assert_run(OK, "test -z \"$(ls g)\"");
}
END_TEST

START_TEST(shared_files_that_change_are_named)
{
    static const float class_weights[6] = {1, 2, 3, 4, 5, 6};
    write_npy("c.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (6,)}\n", class_weights,
              sizeof class_weights);
    assert_wrong(INPUT, "c.npy has changed during the evaluation",
                 "truncate -s 240M x.bin; truncate -s 80M l.bin; $L eval cross_entropy -q "
                 "--input 'raw:float32,(*,6):x.bin' --target 'raw:int64,(*):l.bin' "
                 "--weight c.npy --step-rows 100 --threads 1 & p=$!; i=0; while ! grep -q c.npy "
                 "/proc/$p/maps && [ $i -lt 5000 ]; do i=$((i + 1)); done; "
                 "touch -d 2001-01-01 c.npy; wait $p");
}
END_TEST

/* ---- Faults of the command line ---- */

START_TEST(faults_of_the_command_line_are_refused)
{
    static const struct {
        const char *line, *message;
    } faults[] = {
        {MSE "--reduction none",
         "reduction 'none' has no partial result: its terms are not reduced"},
        {"$L eval dice:batch=true --input d.npy --target d.npy --part 1/1",
         "dice has no partial result: "},
        {"$L eval info_nce --query 'x-*.npy' --key 'y-*.npy'",
         "info_nce has no partial result: each query is compared with every key of its batch, so "
         "that its batches cannot be split"},
        {MSE "--url http://localhost", "--url cannot be used with shards: this process evaluates "
                                       "shards, not a server"},
        {MSE "--terms t.npy",
         "--terms cannot be used with shards: the terms of shards are not kept"},
        {MSE "--batch b.json",
         "--batch cannot be used with shards: name each tensor, as in --input "
         "'batch-*.safetensors'"},
        {MSE "--header yes", "--header cannot be used with shards: shards are not CSV files"},
        {MSE "--grad-output g.npy --grad g", "--grad-output is 'g.npy'; with shards it must be a "
                                             "number"},
        {MSE "--part 0/2", "--part is '0/2'; it must be K/N, with K from 1 to N"},
        {MSE "--part 3/2", "--part is '3/2'; it must be K/N, with K from 1 to N"},
        {MSE "--part 1", "--part is '1'; it must be K/N, with K from 1 to N"},
        {MSE "--part 1/2000000", "--part is '1/2000000'; there can be at most 1000000 parts"},
        {MSE "--restart", "--restart needs --checkpoint FILE"},
        {MSE "--checkpoint-every 3", "--checkpoint-every needs --checkpoint FILE"},
        {MSE "--checkpoint ''", "--checkpoint is ''; it must be a file name"},
        {MSE "--checkpoint -", "--checkpoint is '-'; it must be a file name"},
        {MSE "--checkpoint c --partial c",
         "--checkpoint and --partial are both 'c'; they must differ"},
        {MSE "--grad ''", "the name of the folder for gradients is empty"},
        {MSE "--grad .", ". contains files of input; gradients need a folder of their own"},
        {MSE "--grad x-0.npy", "x-0.npy is not a folder; gradients of shards go into a folder"},
        {"mkdir -p s && cp x-0.npy s/ && $L eval mse --input '*/x-0.npy' --target 's/../x-0.npy' "
         "--grad-input g --grad-target g",
         "two gradients would be written to g/x-0.npy; shards need different names, and tensors "
         "different folders"},
        {"$L eval mse --input 'raw:float99,(*):x' --target y-0.npy",
         "'raw:float99,(*):x' does not describe raw numbers; write raw:DTYPE,(*,DIM,...):PATH, in "
         "which * is the dimension of the rows: raw:float32,(*,10):dump-*.bin"},
        {"$L eval mse --input 'x-*.npy:input' --target 'y-*.npy'",
         "x-0.npy: a .npy file contains one unnamed tensor; 'input' cannot select one"},
    };
    static const float numbers[4] = {0, 1, 1, 0};
    write_npy("d.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,1,2)}\n", numbers,
              sizeof numbers);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        assert_run(USAGE, "%s", faults[i].line);
        ck_assert_str_eq(lossctl_out, "");
        ck_assert_ptr_eq(strchr(lossctl_err, '\n') + 1, strchr(lossctl_err, '\0'));
        assert_has(lossctl_err, faults[i].message);
    }
}
END_TEST

START_TEST(a_full_disk_leaves_no_gradients)
{
    /* files of at most 8 blocks of 1024 or 512 bytes */
    assert_run(FAILED, "trap '' XFSZ; (ulimit -f 8; exec $L eval mse --input 'x-*.npy' --target "
                       "'y-*.npy' --grad g)");
    assert_has(lossctl_err, "lossctl: cannot write g/x-0.npy.");
    assert_has(lossctl_err, ".part: File too large\n");
    ck_assert_str_eq(lossctl_out, "");
    assert_run(OK, "test -z \"$(ls g)\"");
    assert_wrong(FAILED, "cannot write no/g: No such file or directory", MSE "--grad no/g");
    assert_wrong(FAILED, "cannot write no/c.rank0: No such file or directory",
                 MSE "--checkpoint no/c");
    assert_wrong(FAILED, "cannot write no/p: No such file or directory", MSE "--partial no/p");
}
END_TEST

/* ---- Checkpoints ---- */

#define SLOW MSE "--step-rows 1 --checkpoint c --checkpoint-every 0 --grad g "
/* Waits for a file that process $p makes. */
#define AWAIT_FILE(name)                                                                           \
    "p=$!; i=0; while ! [ -e " name " ] && [ $i -lt 9999999 ]; do i=$((i + 1)); done; "
#define AWAIT AWAIT_FILE("c.rank0")

/* Writes the loss of an evaluation that nothing ends to `loss`, and its gradients to the folder w.
 */
static void evaluate_at_once(char loss[LOSSCTL_TEXT])
{
    assert_run(OK, MSE "-q --grad w");
    strcpy(loss, lossctl_out);
}

START_TEST(a_killed_evaluation_is_resumed)
{
    char loss[LOSSCTL_TEXT];
    evaluate_at_once(loss);
    for (int times = 0; times < 2; times++) {
        assert_run(137, SLOW "& " AWAIT "kill -9 $p; wait $p");
        ck_assert_str_eq(lossctl_out, "");
        assert_run(OK, "test -e c.rank0 && ! ls g/*.npy 2>/dev/null");
    }
    assert_run(OK, MSE "--checkpoint c --threads 2 --grad g --partial p.json");
    assert_has(lossctl_err, "lossctl: resuming: ");
    assert_has(lossctl_err, " of 1000 rows are done\n");
    assert_run(OK, "$L merge -q p.json");
    ck_assert_str_eq(lossctl_out, loss);
    assert_run(OK, "cmp w/x-0.npy g/x-0.npy && cmp w/x-1.npy g/x-1.npy && cmp w/x-2.npy g/x-2.npy");
    assert_run(OK, "ls g/*.part c c.rank* 2>/dev/null; test -z \"$(ls g/*.part c*)\" || exit 1");
}
END_TEST

START_TEST(an_interrupted_evaluation_is_resumed)
{
    char loss[LOSSCTL_TEXT];
    evaluate_at_once(loss);
    assert_run(130, SLOW "& " AWAIT "kill -INT $p; wait $p");
    ck_assert_str_eq(lossctl_out, "");
    assert_has(lossctl_err, "lossctl: interrupted after ");
    assert_has(lossctl_err, " of 1000 rows; run again to resume\n");
    assert_run(OK, MSE "-q --checkpoint c --grad g");
    ck_assert_str_eq(lossctl_out, loss);
    ck_assert_str_eq(lossctl_err, "");
    assert_run(OK, "cmp w/x-1.npy g/x-1.npy");
    /* without a checkpoint, nothing is left */
    assert_run(143,
               "truncate -s 40M big.bin; $L eval l1 -q --input raw:float32,'(*,10)':big.bin "
               "--target raw:float32,'(*,10)':big.bin --step-rows 1 --grad h & p=$!; i=0; "
               "while ! [ -e h/big.bin.*.part ] && [ $i -lt 1000 ]; do sleep 0.01; i=$((i + 1)); "
               "done; kill $p; wait $p; s=$?; test -z \"$(ls h)\" && exit $s");
    ck_assert_str_eq(lossctl_out, "");
}
END_TEST

/* Writes the checkpoint of a few rows to c.rank0. */
static void interrupt(void)
{
    assert_run(130, "rm -rf c c.* g; " SLOW "& " AWAIT "kill -INT $p; wait $p");
}

START_TEST(checkpoints_of_other_evaluations_are_refused)
{
    static const struct {
        const char *before, *line, *message;
    } faults[] = {
        {"true", MSE "--checkpoint c --grad g --reduction sum",
         "c.rank0 is the checkpoint of another evaluation: reduction is mean, but sum in this "
         "evaluation; --restart discards it"},
        {"true", MSE "--checkpoint c --grad h",
         "c.rank0 is the checkpoint of another evaluation: 'gradient of input in \"g\"' then, "
         "'gradient of input in \"h\"' now; --restart discards it"},
        {"true", MSE "--checkpoint c --grad g --grad-output 2",
         "c.rank0 is the checkpoint of another evaluation: 'grad_output 1' then, 'grad_output 2' "
         "now; --restart discards it"},
        {"true", MSE "--checkpoint c --grad g --part 1/2",
         "c.rank0 is the checkpoint of another evaluation: 'part 1 of 1' then, 'part 1 of 2' now; "
         "--restart discards it"},
        {"rm g/x-1.npy.*.part", MSE "--checkpoint c --grad g",
         ".part, which the checkpoint needs, is missing; --restart starts over"},
        {"truncate -s 9 g/x-1.npy.*.part", MSE "--checkpoint c --grad g",
         ".part, which the checkpoint needs, has 9 bytes instead of 12104; --restart starts over"},
        {"sed -i 's/NAME[.]..../NAME.0000/' c.rank0", MSE "--checkpoint c --grad g",
         ".part, which the checkpoint needs, is missing; that of another run is "},
        {"sed -i 's/NAME[.]..../NAME.-000/' c.rank0", MSE "--checkpoint c --grad g",
         "c.rank0 is the checkpoint of another evaluation: 'gradients in NAME.-000"},
        {"sed 's/NAME[.]..../NAME.0000/' c.rank0 >c", MSE "--checkpoint c --grad g",
         "c.rank0 is the checkpoint of another evaluation: 'gradients in NAME."},
        {"echo >c.rank0", MSE "--checkpoint c --grad g",
         "c.rank0 is not a checkpoint; choose another name"},
        {"sed -i 's/\"sum\"/\"summe\"/' c.rank0", MSE "--checkpoint c --grad g", "c.rank0: "},
        {"touch -d 2001-01-01 x-1.npy", MSE "--checkpoint c --grad g",
         "c.rank0 is the checkpoint of another evaluation: 'input in \"x-1.npy\": 12104 bytes, "
         "modified "},
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        interrupt();
        assert_run(INPUT, "%s; %s -q", faults[i].before, faults[i].line);
        ck_assert_str_eq(lossctl_out, "");
        assert_has(lossctl_err, faults[i].message);
        ck_assert_ptr_eq(strchr(lossctl_err, '\n') + 1, strchr(lossctl_err, '\0'));
        assert_run(OK, "%s --restart -q", faults[i].line);
        ck_assert_str_eq(lossctl_err, "");
    }
}
END_TEST

START_TEST(checkpoints_of_other_tensors_of_the_same_files_are_refused)
{
    assert_run(OK, "$L eval mse --local -q --input x-0.npy --target y-0.npy "
                   "--grad s.safetensors --grad-target s.safetensors");
    assert_run(130, "$L eval mse --input s.safetensors:grad_input --target y-0.npy --step-rows 1 "
                    "--checkpoint c --checkpoint-every 0 & " AWAIT "kill -INT $p; wait $p");
    assert_run(INPUT,
               "$L eval mse --input s.safetensors:grad_target --target y-0.npy --checkpoint c");
    assert_has(lossctl_err, "c.rank0 is the checkpoint of another evaluation: 'input in "
                            "\"s.safetensors\": ");
}
END_TEST

START_TEST(only_checkpoints_are_removed)
{
    assert_wrong(INPUT, "c is not a checkpoint; choose another name",
                 "echo text >c; " MSE "--checkpoint c --restart");
    assert_run(OK, "rm c && touch c.rank0 c.rank1.0123456789abcdef.part c.0123456789abcdef.part "
                   "c.rank0.txt c.rank1.9.part && " MSE "-q --checkpoint c --restart && ls c*");
    ck_assert_str_eq(strchr(lossctl_out, '\n'), "\nc.rank0.txt\nc.rank1.9.part\n");
}
END_TEST

#define NO_SPACE "cannot write to standard output: No space left on device"

START_TEST(a_result_that_cannot_be_printed_keeps_the_checkpoint)
{
    assert_wrong(FAILED, NO_SPACE, MSE ">/dev/full");
    assert_wrong(FAILED, NO_SPACE, MSE "--json --checkpoint c >/dev/full");
    assert_run(OK, "test -e c.rank0");
    assert_run(OK, MSE "-q --checkpoint c && test ! -e c.rank0");
}
END_TEST

/* A crash may come between any two operations on files. */
START_TEST(a_crash_while_checkpoints_are_merged_loses_nothing)
{
    char loss[LOSSCTL_TEXT];
    evaluate_at_once(loss);
    interrupt();
    /* c was written, c.rank0 not yet removed; and a temporary file was left */
    assert_run(OK, "cp c.rank0 c; cp c c.rank0.0123456789abcdef.part; " MSE
                   "-q --checkpoint c --grad g");
    ck_assert_str_eq(lossctl_out, loss);
    assert_run(OK, "test -z \"$(ls c*)\"");
    /* all rows were done, and one file renamed */
    interrupt();
    assert_run(FAILED, MSE "-q --checkpoint c --grad g --partial no/p");
    assert_run(OK, "mv g/x-1.npy g/x-1.npy$(sed -n 's/^gradients in NAME//p' c.rank0); " MSE
                   "-q --checkpoint c --grad g");
    ck_assert_str_eq(lossctl_out, loss);
    assert_run(OK, "cmp w/x-1.npy g/x-1.npy");
    /* two ranks have the same rows */
    interrupt();
    assert_run(INPUT, "cp c.rank0 c.rank1; " MSE "-q --checkpoint c --grad g");
    assert_has(lossctl_err, "the checkpoints c.rank* contradict each other: ");
}
END_TEST

/* ---- Waiting for the disk ---- */

#define TINY "$L eval mse -q --input 't/*' --target t.npy --checkpoint c --grad g "

/* Writes a batch of 1000 rows to t.npy and, in 200 shards, to the folder t. */
static void write_tiny_shards(void)
{
    static const struct shard_tensor t = {"t", "<f4", true, NUMBERS_REAL};
    char file[64];
    assert_run(OK, "mkdir t");
    shard_write_whole(&t);
    for (size_t i = 0; i < 200; i++) {
        snprintf(file, sizeof file, "t/%03zu.npy", i);
        shard_write_rows(&t, 5 * i, 5 * i + 5, file);
    }
}

/* Runs an evaluation in which no wait for the disk fails, then one for each that can. */
START_TEST(waits_for_the_disk_are_few_and_their_errors_reported)
{
    enum { MOST = 50 };
    unsigned long long calls = MOST;
    write_tiny_shards();
    struct faults *const faults = fault_library_begin();
    atomic_store(&faults->error, EIO);
    atomic_store(&faults->kinds, FAULT_SYNC);
    for (unsigned long long first = 0; first <= calls; first++) {
        atomic_store(&faults->calls, 0);
        atomic_store(&faults->first, first);
        assert_run(first == 0 ? OK : FAILED, TINY "--restart --partial p");
        if (first == 0)
            calls = atomic_load(&faults->calls);
        ck_assert_str_eq(lossctl_out, first == 0 ? "0\n" : "");
        if (first > 0)
            assert_has(lossctl_err, ": Input/output error\n");
    }
    fault_library_end();
    ck_assert_uint_le(calls, MOST);
}
END_TEST

/* ---- Files that killed runs leave ---- */

START_TEST(interrupted_runs_do_not_continue_gradients_of_each_other)
{
    char loss[LOSSCTL_TEXT];
    evaluate_at_once(loss);
    interrupt();
    assert_run(130, "$L eval l1 --input 'x-*.npy' --target 'y-*.npy' --step-rows 1 --checkpoint d "
                    "--checkpoint-every 0 --grad g & " AWAIT_FILE("d.rank0") "kill -INT $p; "
                                                                             "wait $p");
    assert_run(OK, MSE "-q --checkpoint c --grad g");
    ck_assert_str_eq(lossctl_out, loss);
    assert_run(OK, "cmp w/x-0.npy g/x-0.npy && cmp w/x-1.npy g/x-1.npy && cmp w/x-2.npy g/x-2.npy");
    assert_run(OK, "$L eval l1 -q --input 'x-*.npy' --target 'y-*.npy' --checkpoint d --grad g && "
                   "$L eval l1 -q --input 'x-*.npy' --target 'y-*.npy' --grad v && diff -r v g");
}
END_TEST

START_TEST(gradients_of_another_run_of_the_evaluation_are_not_continued)
{
    /* it removes those of the first run, which it replaces */
    interrupt();
    assert_run(OK, "mkdir first && cp g/*.part first && " MSE "-q --grad g && diff -r w g || ls g");
    ck_assert_ptr_null(strstr(lossctl_out, ".part"));
    assert_run(INPUT, MSE "-q --checkpoint c --grad g");
    assert_has(lossctl_err, ".part, which the checkpoint needs, is missing; --restart starts over");
    assert_run(130, MSE "--step-rows 1 --checkpoint d --checkpoint-every 0 --grad g & " AWAIT_FILE(
                        "d.rank0") "kill -INT $p; wait $p");
    assert_run(INPUT, MSE "-q --checkpoint c --grad g");
    assert_has(lossctl_err, ".part, which the checkpoint needs, is missing; that of another run is "
                            "g/x-0.npy.");
    ck_assert_ptr_eq(strchr(lossctl_err, '\n') + 1, strchr(lossctl_err, '\0'));
    assert_run(OK, "cp first/* g && " MSE "-q --checkpoint c --grad g && " MSE
                   "-q --grad w && diff -r w g");
}
END_TEST

/* Kills an evaluation without a checkpoint while it writes gradients to the folder h. */
#define LARGE                                                                                      \
    "$L eval l1 -q --input raw:float32,'(*,10)':big.bin --target raw:float32,'(*,10)':big.bin "
START_TEST(files_that_killed_runs_leave_are_removed)
{
    assert_run(137, "truncate -s 40M big.bin; " LARGE "--step-rows 1 --grad h & p=$!; i=0; "
                    "while ! [ -e h/big.bin.*.part ] && [ $i -lt 1000 ]; do sleep 0.01; "
                    "i=$((i + 1)); done; kill -9 $p; wait $p");
    assert_run(OK, "ls h | wc -l");
    ck_assert_str_eq(lossctl_out, "1\n");
    assert_run(OK, "touch h/big.bin.part h/big.bin.01234567-89abcdef.part; " LARGE "--grad h && "
                   "ls h");
    assert_has(lossctl_out, "\nbig.bin\nbig.bin.01234567-89abcdef.part\nbig.bin.part\n");
    /* --restart removes the files of the run whose checkpoint it discards */
    interrupt();
    assert_run(OK, MSE "-q --checkpoint c --grad g --grad-output 2 --restart && ls g");
    assert_has(lossctl_out, "\nx-0.npy\nx-1.npy\nx-2.npy\n");
}
END_TEST

/* ---- Suite ---- */

Suite *lossctl_shard_faults_suite(void)
{
    Suite *suite = suite_create("lossctl_shard_faults");
    if (!lossctl_find())
        return suite;
    TCase *const tcase = suite_add_case(suite, "lossctl_shard_faults", 60, setup, teardown);
    CASE_ADD(tcase, faults_of_files_are_named, tensors_that_do_not_fit_are_named,
             elements_are_named_by_file_and_row, files_that_change_are_named,
             an_infinite_sum_of_weights_has_no_gradients, shared_files_that_change_are_named,
             faults_of_the_command_line_are_refused, a_full_disk_leaves_no_gradients,
             a_killed_evaluation_is_resumed, an_interrupted_evaluation_is_resumed,
             checkpoints_of_other_evaluations_are_refused,
             checkpoints_of_other_tensors_of_the_same_files_are_refused,
             only_checkpoints_are_removed, a_result_that_cannot_be_printed_keeps_the_checkpoint,
             a_crash_while_checkpoints_are_merged_loses_nothing,
             waits_for_the_disk_are_few_and_their_errors_reported,
             interrupted_runs_do_not_continue_gradients_of_each_other,
             gradients_of_another_run_of_the_evaluation_are_not_continued,
             files_that_killed_runs_leave_are_removed);
    return suite;
}
