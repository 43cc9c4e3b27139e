#!/usr/bin/env bash
# Predict on several GPUs (or, without any, in several CPU processes) of one or more machines.
set -euo pipefail

usage() {
    cat >&2 <<'TEXT'
Usage: tools/dist_predict.sh CONFIG CHECKPOINT GPUS IMAGES... --out DIR [arguments of tools/predict.py]

  GPUS  number of processes on this machine, one per GPU

Several machines: run it on each, with these environment variables.
  NNODES       number of machines (default 1)
  NODE_RANK    0, 1, ... for each machine (default 0)
  MASTER_ADDR  address of the machine with NODE_RANK 0 (default 127.0.0.1)
  PORT         a free port on that machine (default 29500)
PYTHON names the interpreter (default python).
TEXT
    exit 2
}

[[ $# -ge 3 && $3 =~ ^[1-9][0-9]*$ ]] || usage
CONFIG=$1
CHECKPOINT=$2
GPUS=$3
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}" \
    exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$TOOLS/predict.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
