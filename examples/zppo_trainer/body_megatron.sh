# shellcheck shell=bash disable=SC2034  # ACTOR is read by body.sh
# What the run_*_megatron.sh scripts share; they set MODEL_PATH, EXPERIMENT, TP, OFFLOAD and source this file. Needs what
# docs/guides/docker.md says under "Without Docker", or the Megatron image.

PP=${PP:-1}
CP=${CP:-1}
# Qwen3.5's gated delta layers take packed sequences from megatron-core 0.18 on, which constraints/gpu.txt has; nobody has
# run them here yet. Without, as in verl's own scripts for this family, a micro-batch is one sequence, padded to the
# longest of its mini-batch, and the LM head is not fused, which needs packed ones.
PADDING_FREE=${PADDING_FREE:-false}

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

# shellcheck source=body.sh
source "$(dirname "${BASH_SOURCE[0]}")/body.sh"
