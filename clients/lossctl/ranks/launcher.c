#include "ranks/launcher.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Returns the number in an environment variable; `none` if it is not set or not such a number. */
static int number(const char *variable, int none)
{
    char *end;
    const char *const text = variable ? getenv(variable) : NULL;
    const long value = text ? strtol(text, &end, 10) : -1;
    return !text || end == text || *end || value < 0 || value > INT_MAX ? none : (int)value;
}

struct launcher launcher_find(void)
{
    /* mpirun can start its processes with srun, so srun comes after mpirun. Slurm sets the
       variables of a step only in the tasks of srun, not in a batch script. */
    static const struct {
        const char *name, *size, *rank, *node_rank;
        enum launcher_mpi mpi;
    } launchers[] = {
        {"mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK",
         LAUNCHER_OPENMPI},
        {"mpirun", "PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID", LAUNCHER_MPICH},
        {"srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID", LAUNCHER_NO_MPI},
        {"a launcher", NULL, "PMIX_RANK", "PMIX_RANK", LAUNCHER_OPENMPI},
    };
    for (size_t i = 0; i < sizeof launchers / sizeof launchers[0]; i++) {
        const int size = number(launchers[i].size, 0);
        const int rank = number(launchers[i].rank, -1);
        if (rank < 0 || (size == 0 && launchers[i].size))
            continue;
        if (size == 1)
            break;
        struct launcher launcher = {launchers[i].name, launchers[i].mpi, size, rank,
                                    number(launchers[i].node_rank, rank)};
        if (launcher.mpi == LAUNCHER_NO_MPI && getenv("PMIX_RANK"))
            launcher.mpi = LAUNCHER_OPENMPI; /* MPICH of Debian does not support PMIx */
        return launcher;
    }
    return (struct launcher){.name = NULL, .size = 1};
}

const char *launcher_describe(const struct launcher *launcher, char text[LAUNCHER_TEXT])
{
    snprintf(text, LAUNCHER_TEXT,
             launcher->size > 0 ? "%s has started %d ranks" : "%s has started ranks",
             launcher->name, launcher->size);
    return text;
}

void launcher_let_rank_0_print(const struct launcher *launcher)
{
    if (launcher->rank > 0)
        sleep(1);
}
