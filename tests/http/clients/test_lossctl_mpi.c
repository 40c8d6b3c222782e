/* Tests lossctl eval on several ranks, which mpirun starts: results and gradients have the bits of
   one process; a rank that fails, is killed or interrupted ends all. */

#include "lossctl_run.h"
#include "shard_settings.h"
#include "suites.h"
#include "support/folder.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The implementations of MPI. */
static const struct mpi {
    const char *name, *packages, *run;
} mpis[] = {
    {"openmpi", "libopenmpi-dev and openmpi-bin",
     "timeout 60 mpirun.openmpi --oversubscribe --allow-run-as-root --bind-to none "},
    {"mpich", "libmpich-dev and mpich", "timeout 60 mpirun.mpich "},
};
enum { OPENMPI, MPICH, MPIS };

/* Returns true if the module is built and mpirun installed. */
static bool is_here(int i)
{
    char command[128];
    snprintf(command, sizeof command,
             "command -v mpirun.%s >/dev/null && "
             "test -e \"$(dirname ${LOSSD:-build/lossd})/lossctl-%s.so\"",
             mpis[i].name, mpis[i].name);
    return system(command) == 0; /* NOLINT(cert-env33-c): as lossctl_run() */
}

static void setup(void)
{
    ck_assert_ptr_nonnull(lossctl_find());
    folder_make();
    setenv("LOSSD_URL", "http://127.0.0.1:1", 1); /* no server is used */
    setenv("ASAN_OPTIONS", "detect_leaks=0", 0);  /* MPI does not free all it allocates */
    setenv("OMPI_MCA_pml", "ob1", 0); /* Open MPI starts faster if it does not look for networks */
    setenv("OMPI_MCA_btl", "self,vader", 0);
}

static void teardown(void)
{
    folder_remove();
}

/* ---- Results ---- */

/* Evaluates shards on some ranks. */
static void check_ranks(const struct mpi *mpi, const struct shard_setting *setting, int ranks,
                        int threads, const struct shard_split *split)
{
    assert_run(OK,
               "rm -rf g; %s -np %d $L eval %s -q --input 'x-*.npy' --target 'y-*.npy' %s "
               "--threads %d --step-rows %d --grad g/",
               mpi->run, ranks, setting->options,
               setting->weighted ? "--sample-weight 'w-*.npy'" : "", threads,
               threads == 1 ? 10000 : 77);
    ck_assert_str_eq(lossctl_out, shard_whole_loss);
    ck_assert_str_eq(lossctl_err, "");
    shard_check_gradients("g", split);
}

/* _i is the split. One MPI runs each number of ranks with one thread, the other with two. */
START_TEST(ranks_have_the_loss_and_gradients_of_one_process)
{
    static const int settings[MPIS][SHARD_SPLITS] = {{0, 1, 2}, {3, 4, 1}};
    for (int i = 0; i < MPIS; i++) {
        if (!is_here(i))
            continue;
        const struct shard_setting *const setting = &shard_settings[settings[i][_i]];
        shard_evaluate_whole(setting);
        shard_write_setting(setting, shard_splits[_i]);
        for (int ranks = 1; ranks <= 4; ranks++)
            check_ranks(&mpis[i], setting, ranks, 1 + (ranks + _i + i) % 2, &shard_splits[_i][0]);
    }
}
END_TEST

#define MSE "$L eval mse --input 'x-*.npy' --target 'y-*.npy' "

START_TEST(rank_0_writes_the_partial_result)
{
    shard_evaluate_whole(&shard_settings[0]);
    shard_write_setting(&shard_settings[0], shard_splits[1]);
    assert_run(OK, MSE "--part 1/2 --partial p1.json");
    assert_run(OK, "%s -np 2 " MSE "--part 2/2 --partial p2.json", mpis[_i].run);
    assert_has(lossctl_out, "rows       500 to 999\npartial    p2.json\n");
    assert_run(OK, "$L merge -q p1.json p2.json");
    ck_assert_str_eq(lossctl_out, shard_whole_loss);
    /* several ranks are connected without patterns, too */
    assert_run(OK, "%s -np 2 $L eval mse -q --input x.npy --target y.npy", mpis[_i].run);
    ck_assert_str_eq(lossctl_out, shard_whole_loss);
}
END_TEST

/* ---- Faults ---- */

#define EVAL "$L eval cross_entropy --input 'x-*.npy' --target 'y-*.npy' "

/* Writes a batch of classes in three files: 500, 499 and 1 rows. */
static void write_classes(void)
{
    shard_evaluate_whole(&shard_settings[1]);
    shard_write_setting(&shard_settings[1], shard_splits[1]);
}

/* Asserts that the ranks that have run printed one line. mpirun of Open MPI adds lines of its own.
 */
static void check_line(const char *message)
{
    static const char prefix[] = "lossctl: ";
    char *line = strstr(lossctl_err, prefix);
    ck_assert_str_eq(lossctl_out, "");
    ck_assert_ptr_nonnull(line);
    ck_assert_ptr_null(strstr(line + 1, prefix));
    line[strcspn(line, "\n")] = '\0';
    ck_assert_str_eq(line + strlen(prefix), message);
}

#define assert_ranks_fail(code, message, ...)                                                      \
    do {                                                                                           \
        assert_run(code, __VA_ARGS__);                                                             \
        check_line(message);                                                                       \
    } while (0)

START_TEST(a_fault_is_one_line)
{
    static const struct {
        int code;
        const char *line, *message;
    } faults[] = {
        {USAGE, EVAL "--no 1", "eval cross_entropy has no option --no; `--help` lists all options"},
        {FAILED, EVAL "--grad no/g", "cannot write no/g: No such file or directory"},
        {INPUT, "$L eval mse --input 'z-*.npy' --target @l", "no file matches 'z-*.npy'"},
    };
    /* mpirun of Open MPI takes more than a second to end ranks that fail */
    const size_t count = _i == OPENMPI ? 2 : sizeof faults / sizeof faults[0];
    write_classes();
    for (size_t i = 0; i < count; i++)
        assert_ranks_fail(faults[i].code, faults[i].message, "%s -np 3 %s", mpis[_i].run,
                          faults[i].line);
}
END_TEST

START_TEST(an_invalid_element_of_any_rank_is_named)
{
    write_classes();
    assert_run(OK, "printf '\\011' | dd of=y-1.npy bs=1 seek=$((128 + 8 * 490)) conv=notrunc");
    assert_ranks_fail(INPUT,
                      "y-1.npy: target[490] is 9; class indices must be in [0, 6), or -100 to be "
                      "ignored",
                      "%s -np 3 " EVAL "--step-rows 50 --grad g --partial p", mpis[_i].run);
    assert_run(OK, "test -z \"$(ls g)\" && ! test -e p");
}
END_TEST

START_TEST(ranks_evaluate_the_same_batch)
{
    write_classes();
    assert_ranks_fail(INPUT,
                      "rank 1 does not evaluate the same batch as rank 0: 'checkpoint none' on "
                      "rank 0, 'checkpoint c' here",
                      "%s -np 1 " EVAL " : -np 1 " EVAL " --checkpoint c", mpis[_i].run);
}
END_TEST

START_TEST(ranks_without_a_module_are_refused)
{
    static const char *const ranks[MPIS][2] = {{"OMPI_COMM_WORLD_SIZE=3 OMPI_COMM_WORLD_RANK=0",
                                                "OMPI_COMM_WORLD_SIZE=3 OMPI_COMM_WORLD_RANK=1"},
                                               {"PMI_SIZE=3 PMI_RANK=0", "PMI_SIZE=3 PMI_RANK=1"}};
    const char *const *const rank = ranks[_i];
    write_classes();
    assert_run(OK, "mkdir bin && cp $L bin");
    assert_run(USAGE, "L=bin/lossctl; %s " EVAL, rank[0]);
    ck_assert_str_eq(lossctl_out, "");
    assert_has(lossctl_err, "lossctl: mpirun has started 3 ranks, but lossctl-");
    assert_has(lossctl_err, "-dev, and run `make mpi`\n");
    assert_run(USAGE, "L=bin/lossctl; %s " EVAL, rank[1]);
    ck_assert_str_eq(lossctl_err, "");
    assert_run(USAGE,
               "mkdir -p lib/lossd && echo >lib/lossd/lossctl-%s.so; L=bin/lossctl; %s " EVAL,
               mpis[_i].name, rank[0]);
    assert_has(lossctl_err, "the module that connects them cannot be loaded: ");
    /* as installed */
    assert_run(OK, "cp $(dirname $L)/lossctl-%s.so lib/lossd && L=bin/lossctl && %s -np 2 " EVAL,
               mpis[_i].name, mpis[_i].run);
}
END_TEST

START_TEST(tasks_of_srun_without_mpi_are_refused)
{
    write_classes();
    assert_wrong(USAGE,
                 "srun has started 4 ranks, but does not connect them; use `srun --mpi=pmix` with "
                 "Open MPI, `srun --mpi=pmi2` with MPICH, or mpirun",
                 "SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=0 SLURM_LOCALID=0 " EVAL);
    assert_run(USAGE, "SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=1 SLURM_LOCALID=1 " EVAL);
    ck_assert_str_eq(lossctl_err, "");
    /* a batch script of Slurm, and one task */
    assert_run(OK, "SLURM_NTASKS=4 SLURM_PROCID=0 " EVAL);
    assert_run(OK, "SLURM_STEP_NUM_TASKS=1 SLURM_PROCID=0 PMIX_RANK=0 " EVAL);
}
END_TEST

#define RANK(n) "OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=" n " $L "

START_TEST(commands_that_ranks_would_repeat_are_refused)
{
    assert_wrong(USAGE,
                 "mpirun has started 4 ranks, which would each run all of `lossctl bench`; only "
                 "`lossctl eval` divides its work among ranks",
                 RANK("0") "bench");
    assert_wrong(USAGE,
                 "mpirun has started 4 ranks, which would each run all of `lossctl compare`; only "
                 "`lossctl eval` divides its work among ranks",
                 RANK("0") "compare mse l1 --local --input x.npy --target x.npy");
    assert_run(USAGE, RANK("1") "bench");
    ck_assert_str_eq(lossctl_err, "");
    assert_run(OK, RANK("1") "bench --help");
    /* other commands run on each rank */
    assert_run(OK, RANK("1") "list --local");
    assert_has(lossctl_out, "mse");
    assert_run(UNREACHABLE, RANK("1") "doctor");
    assert_has(lossctl_err, "lossctl: ");
}
END_TEST

/* ---- Checkpoints ---- */

/* Starts three ranks with the arguments of $a that write a checkpoint after each row, and waits for
   that of the last. The file pidR contains the process of rank R. */
#define START                                                                                      \
    "export L; echo 'echo $$ >pid${OMPI_COMM_WORLD_RANK:-$PMI_RANK}; exec $L \"$@\"' >run.sh; "    \
    "if [ -e c.rank2 ]; then mv c.rank2 c.rank9; fi; %s -np 3 sh run.sh eval $a --step-rows 1 "    \
    "--checkpoint c --checkpoint-every 0 --grad g & p=$!; i=0; while ! [ -e c.rank2 ] && "         \
    "[ $i -lt 2000 ]; do sleep 0.005; i=$((i + 1)); done; "
#define CLASSES                                                                                    \
    "set -f; a=\"cross_entropy --input x-*.npy --target y-*.npy --weight c.npy --sample-weight "   \
    "w-*.npy\"; "
#define RESUME " $L eval $a -q --checkpoint c --grad g"

START_TEST(a_killed_rank_is_resumed_on_another_number_of_ranks)
{
    write_classes();
    const char *const run = mpis[_i].run;
    assert_run(OK, CLASSES START "kill -9 $(cat pid%d); ! wait $p", run, _i == OPENMPI ? 1 : 2);
    ck_assert_ptr_null(strstr(lossctl_out, "loss"));
    assert_run(OK, "test -e c.rank2 && ! ls g/*.npy 2>/dev/null");
    assert_run(OK, CLASSES "%s -np 2" RESUME, run);
    ck_assert_str_eq(lossctl_out, shard_whole_loss);
    ck_assert_str_eq(lossctl_err, "");
    shard_check_gradients("g", &shard_splits[1][0]);
    assert_run(OK, "! ls c c.rank* 2>/dev/null");
}
END_TEST

#define LARGE                                                                                      \
    "set -f; a='l1 --input raw:float32,(*,10):x --target raw:float32,(*,10):y --threads 1'; "

START_TEST(interrupted_ranks_write_checkpoints)
{
    static char loss[LOSSCTL_TEXT];
    const char *const run = mpis[_i].run;
    assert_run(OK, "truncate -s 4000000 x; yes abcdefg | head -c 4000000 >y; " LARGE
                   "$L eval $a -q --grad whole");
    strcpy(loss, lossctl_out);
    /* mpirun of Open MPI sends SIGTERM to the ranks, and returns a code of its own */
    assert_run(_i == OPENMPI ? OK : 130,
               LARGE START "kill -INT $(cat /proc/$p/task/$p/children); %s wait $p", run,
               _i == OPENMPI ? "!" : "");
    ck_assert_ptr_null(strstr(lossctl_out, "loss"));
    assert_has(lossctl_err, "lossctl: interrupted after ");
    assert_has(lossctl_err, " of 100000 rows; run again to resume\n");
    /* a signal to one rank ends all */
    assert_run(130, LARGE START "kill -INT $(cat pid2); wait $p", run);
    assert_has(lossctl_err, "lossctl: resuming: ");
    assert_has(lossctl_err, "lossctl: interrupted after ");
    assert_run(OK, LARGE "%s -np 4" RESUME, run);
    ck_assert_str_eq(lossctl_out, loss);
    assert_run(OK, "cmp whole/x g/x && ! ls c c.rank* 2>/dev/null");
}
END_TEST

/* ---- Suite ---- */

Suite *lossctl_mpi_suite(void)
{
    Suite *const suite = suite_create("lossctl_mpi");
    if (!lossctl_find())
        return suite;
    TCase *const slow = suite_add_case(suite, "lossctl_mpi_slow", 120, setup, teardown);
    TCase *const tcase = suite_add_case(suite, "lossctl_mpi", 60, setup, teardown);
    tcase_set_tags(slow, TAG_SLOW);
    CASE_ADD(tcase, tasks_of_srun_without_mpi_are_refused,
             commands_that_ranks_would_repeat_are_refused);
    tcase_add_loop_test(slow, ranks_have_the_loss_and_gradients_of_one_process, 0, SHARD_SPLITS);
    for (int i = 0; i < MPIS; i++) {
        if (!is_here(i)) {
            fprintf(stderr,
                    "lossctl_mpi: %s is not tested: the module lossctl-%s.so is not built, "
                    "or %s are not installed\n",
                    mpis[i].name, mpis[i].name, mpis[i].packages);
            continue;
        }
        tcase_add_loop_test(tcase, rank_0_writes_the_partial_result, i, i + 1);
        tcase_add_loop_test(tcase, a_fault_is_one_line, i, i + 1);
        tcase_add_loop_test(tcase, an_invalid_element_of_any_rank_is_named, i, i + 1);
        tcase_add_loop_test(tcase, ranks_evaluate_the_same_batch, i, i + 1);
        tcase_add_loop_test(tcase, ranks_without_a_module_are_refused, i, i + 1);
        tcase_add_loop_test(tcase, a_killed_rank_is_resumed_on_another_number_of_ranks, i, i + 1);
        tcase_add_loop_test(tcase, interrupted_ranks_write_checkpoints, i, i + 1);
    }
    return suite;
}
