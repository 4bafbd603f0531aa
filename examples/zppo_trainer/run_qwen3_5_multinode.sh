#!/usr/bin/env bash
# The paper's layout by plain `ray start`: 8 nodes of 8 GPUs, on each 6 for the student and 2 for the teacher.
# Start it on every node with the same values, but for NODE_RANK (0 is the head, which also runs the trainer):
#   HEAD_ADDRESS=10.0.0.1 NODE_RANK=0 SIZE=9b ENGINE=fsdp examples/zppo_trainer/run_qwen3_5_multinode.sh method=zppo
# HEAD_ADDRESS is the head's address as the other nodes reach it. Every wait has a limit, WAIT_S, and says what it waits
# for. The head's exit status is the trainer's; when it ends, however it ends, Ray ends on all nodes. Only processes
# that this script started are stopped. On Slurm, use run_qwen3_5_slurm.sbatch.
# With zppo.dry_run=true nothing is started and nothing needs to be set: the plan is printed, for zppo.hardware, or else
# for NNODES x GPUS_PER_NODE x GPU_GB (8x8x80).
set -xeuo pipefail

HERE=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=dry_run.sh
source "${HERE}/dry_run.sh"
export NNODES=${NNODES:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-8}
SIZE=${SIZE:-2b}
ENGINE=${ENGINE:-fsdp}
TRAINER=${HERE}/run_qwen3_5_${SIZE}_${ENGINE}.sh

say() { echo "zppo: node ${NODE_RANK:-0}: $*" >&2; }

if [[ ${DRY_RUN} == true ]]; then
    if ((${NODE_RANK:-0} > 0)); then
        say "a dry run: node 0 prints the plan"
        exit 0
    fi
    exec "${TRAINER}" zppo.hardware="${NNODES}x${GPUS_PER_NODE}x${GPU_GB:-80}" "$@"
fi

HEAD_ADDRESS=${HEAD_ADDRESS:?the address of node 0, as the other nodes reach it}
NODE_RANK=${NODE_RANK:?0 on the head, 1 to NNODES - 1 on the others}
RAY_PORT=${RAY_PORT:-6379}
# seconds that a node may come late
WAIT_S=${WAIT_S:-900}
PYTHON=${PYTHON:-python3}
RAY=${RAY:-ray}
# Ray 2.60 wants a token of whoever joins when one lies in the head's home (~/.ray), but does not show it at an explicit
# address: the trainer would be refused. To have it: RAY_AUTH_MODE=token, and the same token on all nodes.
export RAY_AUTH_MODE=${RAY_AUTH_MODE:-disabled}

head_answers() { (: < "/dev/tcp/${HEAD_ADDRESS}/${RAY_PORT}") 2> /dev/null; }

children=()
clean_up() {
    trap - EXIT INT TERM
    # `ray start --block` takes its own processes down with it
    for child in "${children[@]}"; do
        kill "${child}" 2> /dev/null || true
    done
    for _ in {1..30}; do
        [[ -n $(jobs -rp) ]] || return 0
        sleep 1
    done
    say "stopping what did not end within 30 s"
    for child in "${children[@]}"; do
        kill -KILL "${child}" 2> /dev/null || true
    done
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if ((NODE_RANK > 0)); then
    waited=0
    until head_answers; do
        if ((waited >= WAIT_S)); then
            say "no Ray head at ${HEAD_ADDRESS}:${RAY_PORT} after ${WAIT_S} s: is node 0 up, and the port open?"
            exit 1
        fi
        ((waited % 30)) || say "waiting for the Ray head at ${HEAD_ADDRESS}:${RAY_PORT}, ${waited} of ${WAIT_S} s"
        sleep 1
        waited=$((waited + 1))
    done
    "${RAY}" start --address="${HEAD_ADDRESS}:${RAY_PORT}" --num-gpus="${GPUS_PER_NODE}" --block &
    children+=($!)
    wait "$!" || true
    if head_answers; then
        say "Ray ended on this node while the head goes on: see the log above, and /tmp/ray/session_latest/logs"
        exit 1
    fi
    say "the head has ended; what became of the run is in its log"
    exit 0
fi

"${RAY}" start --head --node-ip-address="${HEAD_ADDRESS}" --port="${RAY_PORT}" --num-gpus="${GPUS_PER_NODE}" --block &
ray_head=$!
children+=("${ray_head}")
export RAY_ADDRESS=${HEAD_ADDRESS}:${RAY_PORT}
"${PYTHON}" -m recipe.zppo.wait_for_nodes --nodes "${NNODES}" --gpus "${GPUS_PER_NODE}" --limit "${WAIT_S}" &
waiting=$!
children+=("${waiting}")
wait -n || true
if ! kill -0 "${ray_head}" 2> /dev/null; then
    say "Ray ended at once on the head: see the log above (is port ${RAY_PORT} taken? RAY_PORT chooses another)"
    exit 1
fi
wait "${waiting}"

# in the background, so that a signal to this script is acted on at once
"${TRAINER}" "$@" &
children+=($!)
wait "$!"
