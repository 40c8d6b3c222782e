/*
 * The functions of MPI that lossctl calls, as a table.
 *
 * The binary interfaces of Open MPI and MPICH differ, so there is a module for each:
 * lossctl-openmpi.so and lossctl-mpich.so. lossctl loads one if a launcher has started several
 * ranks; it does not depend on MPI itself. Errors of MPI end all ranks with a message of MPI.
 */
#ifndef LOSSCTL_MPI_MPI_MODULE_H
#define LOSSCTL_MPI_MPI_MODULE_H

#include <stdbool.h>
#include <stddef.h>

/* Combines two values of the same type. The order of the values is unspecified. */
typedef void mpi_combine(void *into, const void *from);

/* Only the thread that called start() calls these functions. At most one reduction or broadcast is
   in progress. All ranks must begin the same ones, in the same order. */
struct mpi_module {
    char version[16]; /* LOSS_VERSION of the lossctl that this was built with */
    /* Starts MPI. Returns false if the implementation does not support threads. */
    bool (*start)(int *rank, int *size);
    /* Replaces `bits` of each rank by the union of those of the ranks on this machine. Returns the
       number of these ranks. */
    int (*unite_on_node)(unsigned char *bits, int len);
    /* Begins to replace the value of each rank by the combination of all. */
    void (*begin_reduce)(void *value, size_t size, mpi_combine *combine);
    /* Begins to replace the bytes of each rank by those of rank 0. */
    void (*begin_broadcast)(void *bytes, size_t len);
    /* Returns true if what has begun has ended. */
    bool (*is_done)(void);
    /* Ends all ranks. Does not return. */
    void (*abort)(int code);
    /* Waits for all ranks, and ends MPI. */
    void (*end)(void);
};

/* The name of the table in a module. */
#define MPI_MODULE_TABLE  lossctl_mpi
#define MPI_MODULE_SYMBOL "lossctl_mpi"

#endif
