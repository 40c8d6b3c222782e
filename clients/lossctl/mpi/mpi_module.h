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

/* Combines two values of the same type in *into. The order of the values is unspecified. */
typedef void mpi_combine(void *into, const void *from);

/* Only the thread that called start() calls these functions. At most one reduction or broadcast is
   in progress. All ranks must begin the same ones, in the same order. Until is_done() returns true,
   the caller must neither use nor free the memory that one replaces. */
struct mpi_module {
    char version[16]; /* LOSS_VERSION of the lossctl that this was built with */
    /* Starts MPI, and sets the rank of this process and the number of ranks. Returns false if the
       implementation does not support programs with threads. */
    bool (*start)(int *rank, int *size);
    /* Replaces the `len` bytes of `bits` on each rank by the union (bitwise OR) over the ranks on
       the same machine. Returns the number of these ranks. Waits for them. */
    int (*unite_on_node)(unsigned char *bits, int len);
    /* Begins to replace the value of each rank, of `size` bytes, by the combination of all. */
    void (*begin_reduce)(void *value, size_t size, mpi_combine *combine);
    /* Begins to replace the `len` bytes of each rank by those of rank 0. */
    void (*begin_broadcast)(void *bytes, size_t len);
    /* Returns true if the reduction or broadcast has ended. */
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
