#!/usr/bin/env bash
# What rayjob_qwen3_5.yaml runs on the head of the cluster that KubeRay has started: waits for all nodes, and trains.
# NNODES, GPUS_PER_NODE, SIZE, ENGINE and WAIT_S as in run_qwen3_5_multinode.sh; RAY_ADDRESS is set by Ray.
set -xeuo pipefail

HERE=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=dry_run.sh
source "${HERE}/dry_run.sh"
export NNODES=${NNODES:-8}
PYTHON=${PYTHON:-python3}

if [[ ${DRY_RUN} != true ]]; then
    "${PYTHON}" -m recipe.zppo.wait_for_nodes \
        --nodes "${NNODES}" --gpus "${GPUS_PER_NODE:-8}" --limit "${WAIT_S:-1800}"
fi
exec "${HERE}/run_qwen3_5_${SIZE:-2b}_${ENGINE:-fsdp}.sh" "$@"
