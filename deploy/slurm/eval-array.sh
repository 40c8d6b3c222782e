#!/bin/sh
# Evaluates a loss over shards as a job array. Each task evaluates one part; merge.sh then merges
# the results. This needs no MPI. In the folder of the shards, for 8 tasks:
#
#   array=$(sbatch --parsable --array=1-8 eval-array.sh results \
#       cross_entropy --input 'logits-*.npy' --target 'labels-*.npy')
#   sbatch --dependency=afterok:$array --kill-on-invalid-dep=yes merge.sh results
#
# The first argument is the folder of the results, on a file system that all nodes share. The other
# arguments are those of `lossctl eval`. The indices of the array must begin at 1. If a task is
# preempted or its node fails, Slurm queues it again, and it continues after its checkpoint.
#
#SBATCH --job-name=lossctl-eval
#SBATCH --cpus-per-task=16
#SBATCH --mem=4G
#SBATCH --time=01:00:00
#SBATCH --requeue
set -eu
results=$1
shift
mkdir -p "$results"
part=$results/part-$SLURM_ARRAY_TASK_ID
exec lossctl eval "$@" --part "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" \
    --partial "$part.json" --checkpoint "$part.checkpoint" --threads "$SLURM_CPUS_PER_TASK"
