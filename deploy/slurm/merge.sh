#!/bin/sh
# Merges the results of eval-array.sh, whose comment explains how to submit both. The argument is
# the folder of the results. Writes the loss to the output of the job, and the partial result of all
# parts to total.json.
#
#SBATCH --job-name=lossctl-merge
#SBATCH --cpus-per-task=1
#SBATCH --mem=1G
#SBATCH --time=00:05:00
set -eu
exec lossctl merge "$1"/part-*.json --partial "$1/total.json" --json
