#!/usr/bin/env bash
# ZPPO end to end on a machine without accelerators: build the embedded world (once), train, summarise,
# make the report.
# `make quickstart` runs this in the project's virtual environment. Further arguments go to the trainer, for example
#   examples/quickstart/run_cpu.sh zppo.reformulation.schedule=next_step
set -xeuo pipefail

PYTHON=${PYTHON:-python}
ZPPO_HOME=${ZPPO_HOME:-outputs}
WORLD=${WORLD:-${ZPPO_HOME}/world}
RUN=${RUN:-${ZPPO_HOME}/quickstart}

train() {
    exec "${PYTHON}" -m verl.trainer.main_zppo \
        platform=cpu \
        data.train_files="${WORLD}/train.parquet" \
        data.val_files="${WORLD}/val.parquet" \
        data.train_batch_size=16 \
        data.max_prompt_length=32 \
        data.max_response_length=32 \
        actor_rollout_ref.model.path="${WORLD}/student" \
        actor_rollout_ref.actor.optim.lr=1.5e-4 \
        actor_rollout_ref.model.use_remove_padding=true \
        actor_rollout_ref.actor.ppo_max_token_len_per_gpu=1024 \
        actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu=1024 \
        actor_rollout_ref.rollout.max_model_len=512 \
        actor_rollout_ref.rollout.full_determinism=true \
        zppo.teacher.path="${WORLD}/teacher" \
        zppo.teacher.n_gpus_per_node=1 \
        zppo.replay.capacity=40 \
        zppo.reformulation.max_candidate_tokens=32 \
        zppo.compression.max_tokens=32 \
        trainer.experiment_name=quickstart \
        trainer.default_local_dir="${RUN}" \
        trainer.total_training_steps=30 \
        trainer.save_freq=15 \
        trainer.test_freq=30 \
        "$@"
}

# shellcheck source=common.sh
source "$(dirname "$0")/common.sh"
quickstart recipe.zppo.world 480 "$@"
