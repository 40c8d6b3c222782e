#include "ranks/ranks.h"
#include "cli/progress.h"
#include "evaluation/evaluation.h"
#include "ranks/module_load.h"

#include <omp.h>
#include <sched.h>
#include <time.h>

/* ---- Connection ---- */

/* Returns how many CPUs this rank may use: those that it is bound to, but at most an equal share of
   the CPUs of all ranks on this machine, because several ranks may be bound to the same CPUs. */
static int count_cpus(const struct mpi_module *module)
{
    cpu_set_t cpus;
    const int own = omp_get_num_procs();
    CPU_ZERO(&cpus);
    sched_getaffinity(0, sizeof cpus, &cpus); /* fails if the kernel supports more than 1024 CPUs */
    const int ranks = module->unite_on_node((unsigned char *)&cpus, sizeof cpus);
    const int share = CPU_COUNT(&cpus) / ranks;
    if (share >= own || CPU_COUNT(&cpus) == 0)
        return own;
    return share > 0 ? share : 1;
}

static enum exit_code connect_ranks(struct ranks *ranks, const struct launcher *launcher)
{
    enum exit_code code = module_load(launcher, &ranks->module);
    if (code != EXIT_OK)
        return code;
    const bool threads = ranks->module->start(&ranks->rank, &ranks->size);
    if (ranks->size == 1 && launcher->size != 1)
        code = module_fail_apart(launcher);
    if (code == EXIT_OK && !threads)
        code = fail(EXIT_USAGE, "this MPI does not support programs with threads");
    if (code != EXIT_OK)
        return code;
    ranks->cpus = count_cpus(ranks->module);
    fail_hold(true);
    if (ranks->rank > 0)
        progress_disable();
    return EXIT_OK;
}

enum exit_code ranks_start(struct ranks *ranks)
{
    const struct launcher launcher = launcher_find();
    *ranks = (struct ranks){.size = 1, .cpus = omp_get_num_procs()};
    const enum exit_code code = launcher.name ? connect_ranks(ranks, &launcher) : EXIT_OK;
    if (code != EXIT_OK)
        launcher_let_rank_0_print(&launcher);
    return code;
}

/* ---- Waiting ---- */

/* Waits a little. Ranks that poll without pauses would take CPUs from those that still compute. */
static void pause_briefly(void)
{
    const struct timespec time = {.tv_nsec = 500000};
    nanosleep(&time, NULL);
}

static void wait_until_done(const struct mpi_module *module)
{
    while (!module->is_done())
        pause_briefly();
}

/* Ends all ranks, because this one cannot wait for the others. */
static void abort_all(const struct ranks *ranks, int code)
{
    fail_show();
    ranks->module->abort(code);
}

void ranks_end(struct ranks *ranks, enum exit_code code)
{
    if (ranks->module && code >= EXIT_SIGNAL) {
        ranks_agree(ranks, EXIT_OK); /* all have written their checkpoints */
        /* mpirun of MPICH may return 0 after a signal, whatever the ranks return. */
        if (ranks->rank == 0)
            ranks->module->abort((int)code);
    }
    if (ranks->module)
        ranks->module->end();
    ranks->module = NULL;
    fail_hold(ranks->rank > 0);
}

/* ---- Collective operations ---- */

enum exit_code ranks_agree(struct ranks *ranks, enum exit_code code)
{
    struct rank_pass pass;
    rank_pass_begin(&pass, ranks);
    return rank_pass_end(&pass, code);
}

struct rank_sums {
    struct loss_partial sums;
    bool failed;
};

static void combine_sums(void *into, const void *from)
{
    struct rank_sums *const total = into;
    const struct rank_sums *const part = from;
    total->failed = total->failed || part->failed || !loss_partial_add(&total->sums, &part->sums);
}

bool ranks_add(const struct ranks *ranks, struct loss_partial *sums)
{
    struct rank_sums total = {.sums = *sums};
    if (!ranks->module)
        return true;
    ranks->module->begin_reduce(&total, sizeof total, combine_sums);
    wait_until_done(ranks->module);
    *sums = total.sums;
    return !total.failed;
}

void ranks_broadcast(const struct ranks *ranks, struct buffer *bytes)
{
    uint64_t len = bytes->len;
    if (!ranks->module)
        return;
    ranks->module->begin_broadcast(&len, sizeof len);
    wait_until_done(ranks->module);
    char *text = bytes->data;
    if (ranks->rank > 0) {
        buffer_free(bytes);
        text = buffer_reserve(bytes, (size_t)len);
        bytes->len = text ? (size_t)len : 0;
    }
    if (bytes->failed)
        abort_all(ranks, fail_memory());
    ranks->module->begin_broadcast(text, (size_t)len);
    wait_until_done(ranks->module);
}

/* ---- Passes ---- */

enum {
    EXCHANGE_MS = 500,    /* between two reports */
    FAILED_WAIT_MS = 5000 /* how long a rank that has failed waits for the others */
};

void rank_pass_begin(struct rank_pass *pass, struct ranks *ranks)
{
    *pass = (struct rank_pass){.ranks = ranks, .next = evaluation_clock() + EXCHANGE_MS};
}

static bool is_signal(const struct rank_report *report)
{
    return report->code >= EXIT_SIGNAL;
}

/* Returns true if the code of `a` takes precedence over that of `b`: failures come before signals,
   and lower ranks before higher ones. */
static bool comes_before(const struct rank_report *a, const struct rank_report *b)
{
    if (a->code == EXIT_OK || b->code == EXIT_OK)
        return a->code != EXIT_OK;
    if (is_signal(a) != is_signal(b))
        return is_signal(b);
    return a->rank < b->rank;
}

static void combine_reports(void *into, const void *from)
{
    struct rank_report *const total = into;
    const struct rank_report *const part = from;
    total->rows += part->rows;
    total->ended += part->ended;
    if (comes_before(part, total)) {
        total->code = part->code;
        total->rank = part->rank;
    }
}

/* Ends an exchange of reports if it is complete, and begins the next if it is time. */
static void exchange(struct rank_pass *pass)
{
    const struct mpi_module *const module = pass->ranks->module;
    if (pass->exchanging) {
        if (!module->is_done())
            return;
        pass->exchanging = false;
        pass->all = pass->exchange;
    }
    const double now = evaluation_clock();
    if (pass->all.ended == pass->ranks->size || (!pass->own.ended && now < pass->next))
        return;
    pass->exchange = pass->own;
    pass->exchanging = true;
    pass->next = now + EXCHANGE_MS;
    module->begin_reduce(&pass->exchange, sizeof pass->exchange, combine_reports);
}

uint64_t rank_pass_report(struct rank_pass *pass, uint64_t rows)
{
    pass->own.rows = rows;
    if (!pass->ranks->module)
        pass->all.rows = rows;
    else
        exchange(pass);
    return pass->all.rows;
}

enum exit_code rank_pass_end(struct rank_pass *pass, enum exit_code code)
{
    const struct ranks *const ranks = pass->ranks;
    const double ended = evaluation_clock();
    pass->own.ended = 1;
    pass->own.code = (int)code;
    pass->own.rank = ranks->rank;
    if (!ranks->module)
        return code;
    while (pass->all.ended < ranks->size) {
        exchange(pass);
        if (pass->exchanging)
            pause_briefly();
        if (code != EXIT_OK && !is_signal(&pass->own) &&
            evaluation_clock() - ended > FAILED_WAIT_MS)
            abort_all(ranks, (int)code);
    }
    if (pass->all.code != EXIT_OK && pass->all.rank == ranks->rank)
        fail_show();
    return (enum exit_code)pass->all.code;
}
