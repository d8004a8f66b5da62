#!/usr/bin/env bash
# Train on several GPUs of one or more machines: dist_train.sh CONFIG GPUS [options of train.py]
# Without a GPU, GPUS is the number of processes. Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT
# on each. If OMP_NUM_THREADS is not set, the cores are divided among the processes.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [options of train.py]" >&2
    exit 2
fi
config=$1
gpus=$2
if ! [[ $gpus =~ ^[1-9][0-9]*$ ]]; then
    echo "$(basename "$0"): error: GPUS must be a number of at least 1, got '$gpus'" >&2
    exit 2
fi
if [ "${NNODES:-1}" -gt 1 ] && [ -z "${PORT:-}" ]; then
    PORT=29500 # the machines must agree
fi
port=${PORT:-$(python -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])')}
threads=$(($(nproc) / gpus))
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$((threads > 0 ? threads : 1))}"
# exec: signals reach torchrun, which forwards them to its processes
exec python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="$port" \
    --nproc_per_node="$gpus" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "${@:3}"
