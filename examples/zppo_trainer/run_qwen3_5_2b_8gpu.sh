#!/usr/bin/env bash
# ZPPO on one node of 8 GPUs with 80 GB, in reasonable time: run_qwen3_5_2b_fsdp.sh with a quarter of the paper's batch.
# What differs from the paper: 96 new prompts a step (4 updates of 24 groups and more, not of 96), a replay buffer of a
# quarter, responses of 8,192 tokens, not 12,288. Groups, thresholds, fractions and optimiser are the paper's. Expect
# curves of the paper's shape at best, not its numbers. SIZE and ENGINE choose another student.
set -xeuo pipefail

SIZE=${SIZE:-2b}
ENGINE=${ENGINE:-fsdp}
export EXPERIMENT=${EXPERIMENT:-qwen3_5_${SIZE}_${ENGINE}_8gpu}

exec "$(dirname "${BASH_SOURCE[0]}")/run_qwen3_5_${SIZE}_${ENGINE}.sh" \
    data.train_batch_size=96 \
    data.max_response_length=8192 \
    actor_rollout_ref.rollout.max_model_len=20480 \
    zppo.replay.capacity=2500 \
    "$@"
