#include "shards/rank_check.h"

#include <inttypes.h>
#include <string.h>

/* Appends lines that are the same on all ranks. */
static void describe(const struct shard_job *job, struct buffer *text)
{
    partial_append(&job->result, text);
    buffer_printf(text, "\npart %" PRIu64 " of %" PRIu64 " in steps of %" PRIu64 " rows\n",
                  job->part, job->parts, job->batch.step_rows);
    if (job->gradients.count > 0)
        gradient_files_append_upstream(&job->gradients, text);
    for (int i = 0; i < job->gradients.count; i++)
        buffer_printf(text, "%s of %s in %s\n", job->gradients.output[i].hess ? "hess" : "grad",
                      job->batch.list[job->gradients.output[i].tensor].name,
                      job->gradients.output[i].folder);
    buffer_printf(text, "checkpoint %s\n", job->checkpoint ? job->checkpoint : "none");
    for (int k = 0; k < EVALUATION_TENSORS; k++) {
        const struct shard_list *const list = &job->batch.list[k];
        for (size_t i = 0; job->batch.given >> k & 1 && i < list->spec.count; i++)
            buffer_printf(
                text, "%s in %s: %" PRIu64 " bytes, %" PRIu64 " rows, tensor at byte %" PRIu64 "\n",
                list->name, list->shard[i].path, list->shard[i].stamp.size, list->shard[i].rows,
                list->shard[i].offset);
    }
    buffer_append(text, "", 1);
}

/* Compares texts line by line. */
static enum exit_code compare(const struct shard_job *job, const char *here, const char *there)
{
    while (*here || *there) {
        const size_t len = strcspn(here, "\n"), other = strcspn(there, "\n");
        if (len != other || memcmp(here, there, len) != 0)
            return fail(EXIT_INPUT,
                        "rank %d evaluates another batch than rank 0: '%.*s' there, '%.*s' here",
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
