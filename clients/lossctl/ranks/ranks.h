/*
 * The processes that evaluate one batch together: ranks 0 to size - 1. Each evaluates a part of the
 * rows; rank 0 prints. Without a launcher such as mpirun there is one.
 *
 * While there are several, fail() keeps its line, and ranks_agree() or rank_pass_end() print that
 * of the lowest rank that failed. All ranks must call the functions below in the same order.
 */
#ifndef LOSSCTL_RANKS_RANKS_H
#define LOSSCTL_RANKS_RANKS_H

#include "cli/fail.h"
#include "memory/buffer.h"
#include "mpi/mpi_module.h"

struct ranks {
    int rank, size;
    int cpus; /* how many CPUs this rank may use */

    /* private */
    const struct mpi_module *module; /* NULL: one process */
};

/* Connects this process with the other ranks. Returns EXIT_USAGE if a launcher has started several,
   and they cannot be connected. Call ranks_end() in any case. */
enum exit_code ranks_start(struct ranks *ranks);
/* Waits for all ranks, and ends the connection. If `code` is EXIT_SIGNAL plus the number of a
   signal, ends all processes. From then on, fail() prints again on rank 0. */
void ranks_end(struct ranks *ranks, enum exit_code code);

/* Waits for all ranks. Returns EXIT_OK if `code` is EXIT_OK on all; else the code of the lowest
   rank that failed, after that rank has printed its line. */
enum exit_code ranks_agree(struct ranks *ranks, enum exit_code code);
/* Replaces the sums of each rank by those of all ranks. Returns false if they are out of range:
   see loss_partial_add(). */
bool ranks_add(const struct ranks *ranks, struct loss_partial *sums);
/* Replaces the bytes of each rank by those of rank 0; their sizes may differ. If memory runs out on
   a rank, ends all ranks. */
void ranks_broadcast(const struct ranks *ranks, struct buffer *bytes);

/* ---- Passes through the rows ---- */

/* What ranks tell each other, at most twice a second. */
struct rank_report {
    uint64_t rows; /* how many are done */
    int ended;     /* number of ranks that have ended the pass */
    int code;      /* the exit code of a rank that failed or was interrupted; else EXIT_OK ... */
    int rank;      /* ... and which rank that is */
};

struct rank_pass {
    struct ranks *ranks;
    struct rank_report own, all; /* of this rank; of all, as of the last exchange */
    struct rank_report exchange; /* in progress */
    bool exchanging;
    double next; /* when the next exchange may begin: evaluation_clock() */
};

/* Begins a pass. Borrows `ranks`. */
void rank_pass_begin(struct rank_pass *pass, struct ranks *ranks);
/* Reports that this rank has done `rows` rows of the pass. Returns how many are done on all ranks.
   pass->all.code is not EXIT_OK if another rank ends the pass early. */
uint64_t rank_pass_report(struct rank_pass *pass, uint64_t rows);
/* Ends the pass with an exit code, or with EXIT_SIGNAL plus the number of a signal. Waits for all
   ranks. Returns EXIT_OK if no rank has failed or was interrupted; else the code of the lowest rank
   that failed, after that rank has printed its line, or if none failed, that of a signal. If `code`
   is a failure and the other ranks do not end the pass within five seconds, ends all ranks. */
enum exit_code rank_pass_end(struct rank_pass *pass, enum exit_code code);

#endif
