#!/usr/bin/env bash
# ZPPO for Qwen3.5-4B with a Qwen3.5-27B-FP8 teacher, on Megatron: one node of 8 GPUs, 6 for the student and 2 for the
# teacher. method=grpo_replay, hint, ... trains the paper's other methods, but for distillation, which needs FSDP.
# All 64 GPUs of the paper: SIZE=4b ENGINE=megatron run_qwen3_5_multinode.sh on every node.
set -xeuo pipefail

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3.5-4B}
EXPERIMENT=${EXPERIMENT:-qwen3_5_4b_megatron}
TP=${TP:-2}
OFFLOAD=${OFFLOAD:-true}

# shellcheck source=body_megatron.sh
source "$(dirname "${BASH_SOURCE[0]}")/body_megatron.sh"
