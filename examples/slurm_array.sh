#!/bin/bash
# One dataset on many machines; VIDEOS and OUT are at the same place on all of them:
#
#   sbatch --array=1-16 examples/slurm_array.sh VIDEOS OUT [options of lolblur-synth build]
#
# Task I of N builds the I-th of N shares. A task that is stopped, killed or submitted again continues, and the dataset is
# the same, byte by byte, whatever N is. Afterwards: lolblur-synth verify OUT
#SBATCH --job-name=lolblur-synth
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@120

set -u
videos=$1 out=$2
shift 2
share=$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN + 1))
# exec: the signal before the time limit reaches the build, which finishes the pairs in hand
exec lolblur-synth build "$videos" "$out" --shard "$share/$SLURM_ARRAY_TASK_COUNT" --jobs "$SLURM_CPUS_PER_TASK" "$@"
