#!/bin/sh
# Evaluates a loss over shards with MPI: one rank per NUMA domain, one thread per core. In the
# folder of the shards, on 4 nodes with 2 NUMA domains of 16 cores each:
#
#   sbatch --nodes=4 --ntasks-per-node=2 --cpus-per-task=16 eval-mpi.sh checkpoint \
#       cross_entropy --input 'logits-*.npy' --target 'labels-*.npy'
#
# The first argument is the name of the checkpoint, on a file system that all nodes share. The other
# arguments are those of `lossctl eval`. If the job reaches its time limit, submit it again: it
# continues after the checkpoint, also with another number of ranks.
#
# SLURM_MPI_TYPE selects the interface between Slurm and MPI: pmix for Open MPI, pmi2 for MPICH.
#
#SBATCH --job-name=lossctl-eval
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=2
#SBATCH --cpus-per-task=16
#SBATCH --exclusive
#SBATCH --time=01:00:00
#SBATCH --requeue
set -eu
checkpoint=$1
shift
export SLURM_MPI_TYPE="${SLURM_MPI_TYPE:-pmix}"
exec srun --cpus-per-task="$SLURM_CPUS_PER_TASK" --cpu-bind=ldoms --kill-on-bad-exit \
    lossctl eval "$@" --checkpoint "$checkpoint" --threads "$SLURM_CPUS_PER_TASK" --json
