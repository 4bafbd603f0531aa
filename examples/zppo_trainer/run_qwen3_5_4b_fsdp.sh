#!/usr/bin/env bash
# ZPPO for Qwen3.5-4B with a Qwen3.5-27B-FP8 teacher, on FSDP: one node of 8 GPUs, 6 for the student and 2 for the teacher.
# method=grpo_replay, hint, on_distill, ... trains the paper's other methods. All 64 GPUs of the paper:
# SIZE=4b ENGINE=fsdp run_qwen3_5_multinode.sh on every node. With one node a step of 384 prompts takes hours.
set -xeuo pipefail

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3.5-4B}
EXPERIMENT=${EXPERIMENT:-qwen3_5_4b_fsdp}
MAX_TOKENS=${MAX_TOKENS:-32768}

# shellcheck source=body_fsdp.sh
source "$(dirname "${BASH_SOURCE[0]}")/body_fsdp.sh"
