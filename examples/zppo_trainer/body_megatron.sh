# shellcheck shell=bash
# What the run_*_megatron.sh scripts share; they set MODEL_PATH, EXPERIMENT, TP, OFFLOAD and source this file.
# Everything of the paper's Table 8 is a default of zppo_trainer.yaml, platform/gpu.yaml and
# platform_engine/gpu_megatron.yaml; here is only what depends on model, data, machine, and on what Megatron can do with
# Qwen3.5. docs/paper-map.md has the whole table. Needs pip install -c constraints/gpu.txt '.[gpu,megatron]'.

PYTHON=${PYTHON:-python3}
TRAIN_FILE=${TRAIN_FILE:-data/zppo_77k}
VAL_FILE=${VAL_FILE:-data/zppo_77k}
TEACHER_PATH=${TEACHER_PATH:-Qwen/Qwen3.5-27B-FP8}
RUN_DIR=${RUN_DIR:-outputs/${EXPERIMENT}}

NNODES=${NNODES:-1}
STUDENT_GPUS=${STUDENT_GPUS:-6}
TEACHER_GPUS=${TEACHER_GPUS:-2}
PP=${PP:-1}
CP=${CP:-1}
# Qwen3.5's gated delta layers take packed sequences from megatron-core 0.18 on, which constraints/gpu.txt has; nobody has
# run them here yet. Without, as in verl's own scripts for this family, a micro-batch is one sequence, padded to the
# longest of its mini-batch, and the LM head is not fused, which needs packed ones.
PADDING_FREE=${PADDING_FREE:-false}

DATA=(
    data.train_files="${TRAIN_FILE}"
    data.val_files="${VAL_FILE}"
    # of Qwen3.5's vision tower; verl's default is 14
    data.image_patch_size=16
)

MODEL=(
    actor_rollout_ref.model.path="${MODEL_PATH}"
)

ACTOR=(
    model_engine=megatron
    actor_rollout_ref.actor.megatron.tensor_model_parallel_size="${TP}"
    actor_rollout_ref.actor.megatron.pipeline_model_parallel_size="${PP}"
    actor_rollout_ref.actor.megatron.context_parallel_size="${CP}"
    # weights, gradients and optimiser leave the GPU while vLLM is awake
    actor_rollout_ref.actor.megatron.param_offload="${OFFLOAD}"
    actor_rollout_ref.actor.megatron.optimizer_offload="${OFFLOAD}"
    # activation checkpointing, every layer
    actor_rollout_ref.actor.megatron.override_transformer_config.recompute_granularity=full
    actor_rollout_ref.actor.megatron.override_transformer_config.recompute_method=uniform
    actor_rollout_ref.actor.megatron.override_transformer_config.recompute_num_layers=1
    actor_rollout_ref.actor.megatron.override_transformer_config.attention_backend=auto
    # the logits of 248,320 words are the largest tensor of all
    actor_rollout_ref.actor.entropy_from_logits_with_chunking=true
)
if [[ ${PADDING_FREE} == true ]]; then
    ACTOR+=(
        actor_rollout_ref.actor.ppo_max_token_len_per_gpu="${MAX_TOKENS:-32768}"
        # the only one that Megatron has
        actor_rollout_ref.model.fused_kernel_options.impl_backend=triton
    )
else
    ACTOR+=(
        actor_rollout_ref.model.use_remove_padding=false
        actor_rollout_ref.model.use_fused_kernels=false
        actor_rollout_ref.actor.megatron.use_remove_padding=false
        actor_rollout_ref.actor.use_dynamic_bsz=false
        actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1
        actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=1
    )
fi

ROLLOUT=(
    # share of a GPU's memory for vLLM, while it is awake
    actor_rollout_ref.rollout.gpu_memory_utilization="${ROLLOUT_MEMORY:-0.7}"
    # off in verl's own Qwen3.5 scripts: the recurrent states of linear attention make a poor prefix cache
    actor_rollout_ref.rollout.enable_prefix_caching=false
)

TEACHER=(
    zppo.teacher.path="${TEACHER_PATH}"
    zppo.teacher.n_gpus_per_node="${TEACHER_GPUS}"
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
    # each has weights and optimiser: 14 GB at 2B, 57 GB at 9B on FSDP
    trainer.max_actor_ckpt_to_keep="${KEEP_CHECKPOINTS:-2}"
)

exec "${PYTHON}" -m verl.trainer.main_zppo \
    "${DATA[@]}" \
    "${MODEL[@]}" \
    "${ACTOR[@]}" \
    "${ROLLOUT[@]}" \
    "${TEACHER[@]}" \
    "${TRAINER[@]}" \
    "$@"
