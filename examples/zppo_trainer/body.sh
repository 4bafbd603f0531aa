# shellcheck shell=bash disable=SC2154  # what is read here is set by the scripts that source it
# What all scripts share: data, models, placement, and the call. body_fsdp.sh and body_megatron.sh set ACTOR, the training
# engine's settings, and source this file last. Everything of the paper's Table 8 is a default of zppo_trainer.yaml,
# platform/gpu.yaml and platform_engine/; here is only what depends on model, data and machine.
# docs/method/paper-map.md has the whole table.

PYTHON=${PYTHON:-python3}
TRAIN_FILE=${TRAIN_FILE:-data/zppo_77k}
VAL_FILE=${VAL_FILE:-data/zppo_77k}
TEACHER_PATH=${TEACHER_PATH:-Qwen/Qwen3.5-27B-FP8}
# method=grpo is a run of its own, in a folder of its own
for argument in "$@"; do
    [[ ${argument} == method=* && ${argument} != method=zppo ]] && EXPERIMENT+=_${argument#method=}
done
RUN_DIR=${RUN_DIR:-outputs/${EXPERIMENT}}

# shellcheck source=dry_run.sh
source "$(dirname "${BASH_SOURCE[0]}")/dry_run.sh"
NNODES=${NNODES:-1}
STUDENT_GPUS=${STUDENT_GPUS:-6}
TEACHER_GPUS=${TEACHER_GPUS:-2}

DATA=(
    data.train_files="${TRAIN_FILE}"
    data.val_files="${VAL_FILE}"
    # of Qwen3.5's vision tower; verl's default is 14
    data.image_patch_size=16
)

MODEL=(
    actor_rollout_ref.model.path="${MODEL_PATH}"
)

ROLLOUT=(
    # share of a GPU's memory for vLLM, while it is awake, beside the sharded training state
    actor_rollout_ref.rollout.gpu_memory_utilization="${ROLLOUT_MEMORY:-0.7}"
    # off in verl's own Qwen3.5 scripts: the recurrent states of linear attention make a poor prefix cache
    actor_rollout_ref.rollout.enable_prefix_caching=false
)

TEACHER=(
    zppo.teacher.path="${TEACHER_PATH}"
    zppo.teacher.n_gpus_per_node="${TEACHER_GPUS}"
    # about what a GPU's cache holds at once; further requests wait here, where no request timeout runs
    zppo.teacher.max_concurrent_requests=$((64 * TEACHER_GPUS * NNODES))
    +zppo.teacher.inference.enable_prefix_caching=false
    # true where the data have free-form rows (extra_info.answer_type), which the teacher then grades
    zppo.judge.enable="${JUDGE:-false}"
)

TRAINER=(
    trainer.nnodes="${NNODES}"
    trainer.n_gpus_per_node="${STUDENT_GPUS}"
    trainer.experiment_name="${EXPERIMENT}"
    # on a disk that all nodes see
    trainer.default_local_dir="${RUN_DIR}"
    # a step of the paper's takes 20 to 33 minutes; a checkpoint one or two
    trainer.save_freq="${SAVE_FREQ:-5}"
    # each has weights and optimiser: 18 GB at 2B, 75 GB at 9B on FSDP
    trainer.max_actor_ckpt_to_keep="${KEEP_CHECKPOINTS:-2}"
)

# A job that Slurm has requeued goes on from what it has saved, whatever it was told to start from.
RESUME=()
last=$(cat "${RUN_DIR}/latest_checkpointed_iteration.txt" 2> /dev/null || true)
if ((${SLURM_RESTART_COUNT:-0} > 0)) && [[ -f ${RUN_DIR}/global_step_${last}/zppo_complete.json ]]; then
    RESUME=(trainer.resume_mode=auto trainer.resume_from_path=null)
fi

exec "${PYTHON}" -m verl.trainer.main_zppo \
    "${DATA[@]}" \
    "${MODEL[@]}" \
    "${ACTOR[@]}" \
    "${ROLLOUT[@]}" \
    "${TEACHER[@]}" \
    "${TRAINER[@]}" \
    "$@" "${RESUME[@]}"
