#include "shards/rank_check.h"

#include <inttypes.h>
#include <string.h>

/* Appends lines that must be the same on all ranks. */
static void describe(const struct shard_job *job, struct buffer *text)
{
    partial_append(&job->result, text);
    buffer_printf(text, "\npart %" PRIu64 " of %" PRIu64 " in steps of %" PRIu64 " rows\n",
                  job->part, job->parts, job->batch.step_rows);
    gradient_files_describe(&job->gradients, text);
    buffer_printf(text, "checkpoint %s\n", job->checkpoint ? job->checkpoint : "none");
    shard_batch_describe_files(&job->batch, SHARD_WITH_ROWS, text);
    buffer_append(text, "", 1);
}

/* Compares two texts line by line. Reports the first lines that differ. */
static enum exit_code compare(const struct shard_job *job, const char *here, const char *there)
{
    while (*here || *there) {
        const size_t len = strcspn(here, "\n"), other = strcspn(there, "\n");
        if (len != other || memcmp(here, there, len) != 0)
            return fail(EXIT_INPUT,
                        "rank %d does not evaluate the same batch as rank 0: '%.*s' on rank 0, "
                        "'%.*s' here",
                        job->ranks->rank, (int)other, there, (int)len, here);
        here += len + (here[len] == '\n');
        there += other + (there[other] == '\n');
    }
    return EXIT_OK;
}

enum exit_code rank_check(struct shard_job *job)
{
    struct buffer here = {0}, there = {0};
    const bool first = job->ranks->rank == 0;
    if (job->ranks->size == 1)
        return EXIT_OK;
    describe(job, &here);
    ranks_broadcast(job->ranks, first ? &here : &there);
    enum exit_code code = here.failed ? fail_memory() : EXIT_OK;
    if (code == EXIT_OK && !first)
        code = compare(job, here.data, there.data);
    buffer_free(&here);
    buffer_free(&there);
    return code;
}
