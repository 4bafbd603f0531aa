#!/usr/bin/env bash
# ZPPO with pictures on a machine without accelerators: build the embedded world of drawn pictures (once; a tiny
# Qwen3.5 student and teacher), train, summarise. Further arguments go to the trainer.
set -xeuo pipefail

PYTHON=${PYTHON:-python}
ZPPO_HOME=${ZPPO_HOME:-outputs}
WORLD=${WORLD:-${ZPPO_HOME}/picture-world}
RUN=${RUN:-${ZPPO_HOME}/pictures}

# Linear attention has no notion of packed sequences without its kernels for GPUs: use_remove_padding stays false.
train() {
    exec "${PYTHON}" -m verl.trainer.main_zppo \
        platform=cpu \
        method=zppo \
        data.train_files="${WORLD}/train.parquet" \
        data.val_files="${WORLD}/val.parquet" \
        data.train_batch_size=16 \
        data.max_prompt_length=64 \
        data.max_response_length=24 \
        actor_rollout_ref.model.path="${WORLD}/student" \
        actor_rollout_ref.model.use_remove_padding=false \
        actor_rollout_ref.actor.optim.lr=3e-4 \
        actor_rollout_ref.actor.ppo_max_token_len_per_gpu=4096 \
        actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu=4096 \
        actor_rollout_ref.rollout.max_model_len=512 \
        zppo.teacher.path="${WORLD}/teacher" \
        zppo.teacher.n_gpus_per_node=1 \
        zppo.replay.capacity=40 \
        zppo.reformulation.max_candidate_tokens=24 \
        zppo.compression.max_tokens=32 \
        trainer.experiment_name=pictures \
        trainer.default_local_dir="${RUN}" \
        trainer.total_training_steps=60 \
        trainer.save_freq=20 \
        trainer.test_freq=10 \
        "$@"
}

# shellcheck source=common.sh
source "$(dirname "$0")/common.sh"
quickstart recipe.zppo.picture_world 960 "$@"
