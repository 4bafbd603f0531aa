#!/usr/bin/env bash
# SmolLM2-135M on reasoning-gym's arithmetic, on a machine without accelerators: data, weights, format for the student,
# teacher, accuracies, training, summary. Hours; see README.md. What is done is kept: start it again to go on.
#   examples/smollm2/run_cpu.sh                              ZPPO on verl's whole stack
#   BACKEND=local examples/smollm2/run_cpu.sh                in one process without Ray
#   METHOD=grpo_replay examples/smollm2/run_cpu.sh           a rival; data and models are shared
# Further arguments go to the trainer, for example trainer.total_training_steps=10.
set -xeuo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
PYTHON=${PYTHON:-python}
BACKEND=${BACKEND:-verl}
METHOD=${METHOD:-zppo}
THREADS=${THREADS:-$(nproc)}
HOME_DIR=${ZPPO_HOME:-outputs/smollm2}
RUN=${RUN:-${HOME_DIR}/${METHOD}-${BACKEND}}
TEACHER_ROWS=${TEACHER_ROWS:-1920}
STUDENT_ROWS=${STUDENT_ROWS:-288}
export TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS=${THREADS} PYTHONPATH=${HERE}/../..${PYTHONPATH:+:${PYTHONPATH}}

case ${BACKEND} in
    verl) TRAINER=verl.trainer.main_zppo ;;
    local) TRAINER=recipe.zppo.local ;;
    *) echo "BACKEND is verl or local, not ${BACKEND}" >&2; exit 2 ;;
esac
source "${HERE}/common.sh"

make_data "${TEACHER_ROWS}" "${STUDENT_ROWS}"
make_models --threads "${THREADS}" --micro-batch 4
measure --samples 2

# bfloat16, unlike the default of platform=cpu: with AMX several times as fast. Weights to be trained stay in fp32.
train "${PYTHON}" -m "${TRAINER}" \
    platform=cpu \
    "${TRAINING[@]}" \
    data.train_batch_size=8 \
    zppo.replay.fraction=0.5 \
    zppo.reformulation.fraction=0.5 \
    actor_rollout_ref.actor.optim.lr=1.0e-5 \
    actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype=bf16 \
    actor_rollout_ref.actor.ppo_max_token_len_per_gpu=2048 \
    actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu=2048 \
    actor_rollout_ref.rollout.dtype=bfloat16 \
    actor_rollout_ref.rollout.max_num_seqs=128 \
    ray_kwargs.ray_init.object_store_memory=2000000000 \
    ray_kwargs.ray_init.runtime_env.env_vars.OMP_NUM_THREADS="'${THREADS}'" \
    zppo.teacher.n_gpus_per_node=1 \
    zppo.updates_per_step=2 \
    trainer.total_training_steps=40 \
    trainer.save_freq=5 \
    trainer.test_freq=20 \
    "$@"
