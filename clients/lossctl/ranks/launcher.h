/* Programs that start several ranks of lossctl: mpirun and srun. They describe a rank in
   environment variables. */
#ifndef LOSSCTL_RANKS_LAUNCHER_H
#define LOSSCTL_RANKS_LAUNCHER_H

/* The implementations of MPI. */
enum launcher_mpi {
    LAUNCHER_NO_MPI, /* the launcher does not connect the ranks */
    LAUNCHER_OPENMPI,
    LAUNCHER_MPICH
};

struct launcher {
    const char *name;      /* NULL: none, this is the only process */
    enum launcher_mpi mpi; /* of the ranks */
    int size;              /* number of ranks; 0: unknown */
    int rank, node_rank;   /* of this process, among all and among those on this machine */
};

/* Returns the launcher of this process. */
struct launcher launcher_find(void);
enum { LAUNCHER_TEXT = 64 }; /* bytes of a description */
/* Describes the ranks of a launcher: "mpirun has started 4 ranks". Returns `text`. */
const char *launcher_describe(const struct launcher *launcher, char text[LAUNCHER_TEXT]);
/* Gives rank 0 time to print why no rank can run: on the other ranks, sleeps for a second. A
   launcher may kill all ranks as soon as one exits. */
void launcher_let_rank_0_print(const struct launcher *launcher);

#endif
