#!/usr/bin/env bash
# Qwen3.5-0.8B on one GPU with 80 GB, for trying things out. Student and teacher never share a GPU (each has a pool of
# its own), so there is no room for a teacher on it:
# - By default this is NOT the paper's method but all of it that needs no teacher: GRPO with replay, and NCQ whose
#   candidates are the tails of the student's wrong responses. BCQ, hint and prefix are refused.
# - TEACHER_URL=http://host:8000/v1 names an OpenAI-compatible endpoint that serves TEACHER_PATH elsewhere: then it is
#   ZPPO, and hint and prefix work too. Distillation does not: it needs probabilities that endpoints do not give.
# - method=grpo_replay and method=grpo need no teacher.
# Sizes: 32 new prompts a step in 4 updates of 8 groups and more, prompts of 2,048 and responses of 4,096 tokens.
set -xeuo pipefail

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3.5-0.8B}
PYTHON=${PYTHON:-python3}
TRAIN_FILE=${TRAIN_FILE:-data/zppo_77k}
VAL_FILE=${VAL_FILE:-data/zppo_77k}
EXPERIMENT=${EXPERIMENT:-qwen3_5_0_8b_1gpu}
# method=grpo is a run of its own, in a folder of its own; so is one with a teacher
[[ -z ${TEACHER_URL:-} ]] || EXPERIMENT+=_teacher
for argument in "$@"; do
    [[ ${argument} == method=* ]] && EXPERIMENT+=_${argument#method=}
done
RUN_DIR=${RUN_DIR:-outputs/${EXPERIMENT}}

if [[ -n ${TEACHER_URL:-} ]]; then
    METHOD=(
        method=zppo
        zppo.teacher.base_url="${TEACHER_URL}"
        # the name under which the endpoint serves it; a key, if it wants one, in ZPPO_TEACHER_API_KEY
        zppo.teacher.path="${TEACHER_PATH:-Qwen/Qwen3.5-27B-FP8}"
    )
else
    METHOD=(
        method=grpo_replay_ncq
        zppo.compression.mode=truncate
    )
fi

DATA=(
    data.train_files="${TRAIN_FILE}"
    data.val_files="${VAL_FILE}"
    # true where the data have free-form rows (extra_info.answer_type), which the teacher at TEACHER_URL then grades
    zppo.judge.enable="${JUDGE:-false}"
    # of Qwen3.5's vision tower; verl's default is 14
    data.image_patch_size=16
    data.train_batch_size=32
    data.max_prompt_length=2048
    data.max_response_length=4096
)

ACTOR=(
    actor_rollout_ref.model.path="${MODEL_PATH}"
    actor_rollout_ref.actor.ppo_max_token_len_per_gpu=16384
    # one rank holds all of the training state, 8.5 GB, 5.1 of them the optimiser's; that leaves while vLLM is awake
    actor_rollout_ref.actor.fsdp_config.optimizer_offload=true
)

ROLLOUT=(
    # prompt + 8 candidates of 512 + templates + response
    actor_rollout_ref.rollout.max_model_len=12288
    actor_rollout_ref.rollout.gpu_memory_utilization="${ROLLOUT_MEMORY:-0.5}"
    # off in verl's own Qwen3.5 scripts: the recurrent states of linear attention make a poor prefix cache
    actor_rollout_ref.rollout.enable_prefix_caching=false
)

TRAINER=(
    # keeps a CPU each; verl's default of 8 is for many nodes
    transfer_queue.backend.SimpleStorage.num_data_storage_units=1
    trainer.nnodes=1
    trainer.n_gpus_per_node=1
    trainer.experiment_name="${EXPERIMENT}"
    trainer.default_local_dir="${RUN_DIR}"
    trainer.save_freq="${SAVE_FREQ:-5}"
    trainer.max_actor_ckpt_to_keep="${KEEP_CHECKPOINTS:-2}"
)

exec "${PYTHON}" -m verl.trainer.main_zppo \
    "${METHOD[@]}" \
    "${DATA[@]}" \
    "${ACTOR[@]}" \
    "${ROLLOUT[@]}" \
    "${TRAINER[@]}" \
    "$@"
