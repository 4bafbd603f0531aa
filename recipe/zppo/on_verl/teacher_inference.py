"""The rollout config of the teacher's servers."""

from omegaconf import DictConfig, OmegaConf

from recipe.zppo.config.schema import ZPPOConfig

PARALLEL_SIZES = ("tensor_model_parallel_size", "data_parallel_size", "pipeline_model_parallel_size")
"""Their product is the number of accelerators of a replica."""

SCORED_CHUNK = 2048
"""Tokens that a vLLM server scores at once, unless `zppo.teacher.inference.max_num_batched_tokens` says otherwise."""


def inference_of(config: DictConfig, zppo: ZPPOConfig) -> DictConfig:
    """What replaces verl's defaults for a teacher's servers."""
    teacher, rollout = zppo.teacher, config.actor_rollout_ref.rollout
    inference = OmegaConf.create(dict(teacher.inference))
    if not inference.get("max_model_len"):
        inference.max_model_len = rollout.max_model_len
    # verl's manager asks for room for prompt + response + 1 token of scoring (`validate_and_prepare_for_distillation`)
    inference.response_length = teacher.response_length
    inference.prompt_length = max(1, inference.max_model_len - teacher.response_length - 1)
    inference.free_cache_engine = False  # the teacher never shares its accelerators
    for key in ("engine_kwargs", "enforce_eager", "dtype", "full_determinism"):
        if key not in inference and key in rollout:
            inference[key] = rollout[key]
    if zppo.distillation.mode != "none" and rollout.name == "vllm":
        # vLLM holds a chunk's logits in fp32 twice, beyond the memory that it has measured: 4 GB for 2,048 tokens of
        # Qwen3.5's vocabulary, 16 GB for the 8,192 of verl's default.
        inference.setdefault("max_num_batched_tokens", SCORED_CHUNK)
        # More log-probs a token than this, 20 by default, vLLM refuses; -1 is no limit.
        OmegaConf.update(inference, "engine_kwargs.vllm.max_logprobs", zppo.distillation.topk or -1, force_add=True)
    return inference
