#!/usr/bin/env bash
# What a container does: the given command; without one, the CPU quickstart where there is no GPU, else a shell.
set -euo pipefail

SOURCE=${ZPPO_SOURCE:-/opt/open-zppo}

has_gpu() {
    # With the driver mounted but no GPU handed over, nvidia-smi is there and lists none.
    command -v nvidia-smi > /dev/null && [[ "$(nvidia-smi -L 2> /dev/null)" == *GPU* ]]
}

explain() {
    cat >&2 << 'TEXT'
open-zppo: Zone of Proximal Policy Optimization on verl.
  docker run IMAGE                        no GPU: the CPU quickstart; with --gpus all -it: a shell
  docker run IMAGE quickstart [key=value] the CPU quickstart, GPU or not; its results are in ~/outputs
  docker run IMAGE help                   this text
  docker run IMAGE COMMAND ...            any command, for example python -m verl.trainer.main_zppo key=value
Give --gpus all --ipc=host (or --shm-size=16g); mount ~/outputs and ~/.cache/huggingface to keep results and models.
TEXT
}

quickstart() {
    # Ray's shared memory; with docker's default of 64 MB it falls back on files, slowly.
    local shared
    shared=$(df --output=size -k /dev/shm 2> /dev/null | tail -n 1 || true)
    if [[ "${shared// /}" =~ ^[0-9]+$ ]] && ((shared < 600000)); then
        echo "open-zppo: /dev/shm is small ($((shared / 1000)) MB): --shm-size=2g makes this faster" >&2
    fi
    # As in `make quickstart`: nothing is downloaded, and processes outnumber cores.
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} HF_HUB_OFFLINE=${HF_HUB_OFFLINE:-1} PYTHON=${PYTHON:-python}
    exec "${SOURCE}/examples/quickstart/run_cpu.sh" "$@"
}

case "${1:-}" in
    "")
        explain
        if ! has_gpu; then
            echo "open-zppo: no GPU found, running the CPU quickstart" >&2
            quickstart
        fi
        if [[ -t 0 ]]; then exec bash; fi
        ;;
    help | --help | -h) explain ;;
    quickstart) quickstart "${@:2}" ;;
    *) exec "$@" ;;
esac
