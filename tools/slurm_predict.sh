#!/usr/bin/env bash
# Predict as a Slurm job, one process per GPU.
set -euo pipefail

usage() {
    cat >&2 <<'TEXT'
Usage: tools/slurm_predict.sh PARTITION JOB_NAME CONFIG CHECKPOINT IMAGES... --out DIR
                              [arguments of tools/predict.py]

Environment variables:
  GPUS           number of processes in all, one per GPU (default 4)
  GPUS_PER_NODE  of them on each machine (default 4, or GPUS if that is less)
  GRES           what to reserve on each machine (default gpu:GPUS_PER_NODE); empty for none, as
                 on a partition without GPUs
  CPUS_PER_TASK  CPU cores for each process (default 5)
  SRUN_ARGS      further arguments of srun, separated by spaces
  MASTER_PORT    a free port on the first machine (default 29500)
PYTHON names the interpreter (default python).
TEXT
    exit 2
}

[[ $# -ge 4 ]] || usage
PARTITION=$1
JOB_NAME=$2
CONFIG=$3
CHECKPOINT=$4
GPUS=${GPUS:-4}
GPUS_PER_NODE=${GPUS_PER_NODE:-$((GPUS < 4 ? GPUS : 4))}
GRES=${GRES-gpu:$GPUS_PER_NODE}
read -r -a EXTRA <<<"${SRUN_ARGS:-}"
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}" \
    exec srun -p "$PARTITION" \
    --job-name="$JOB_NAME" \
    ${GRES:+--gres="$GRES"} \
    --ntasks="$GPUS" \
    --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${EXTRA[@]+"${EXTRA[@]}"} \
    "${PYTHON:-python}" -u "$TOOLS/predict.py" "$CONFIG" "$CHECKPOINT" --launcher slurm "${@:5}"
