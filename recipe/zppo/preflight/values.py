"""Values of verl's keys that no run can work with, and that verl would notice late or never."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from recipe.zppo.config.engine import shown
from recipe.zppo.errors import ConfigError

Test = Callable[[Any], bool]


def _whole(least: int) -> Test:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def _number(test: Callable[[float], bool]) -> Test:
    return lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and test(value)
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


POSITIVE, ANY_TEMPERATURE = _number(lambda value: value > 0), _number(lambda value: value >= 0)
SHARE = _number(lambda value: 0 < value <= 1)
COUNT, STEPS = "a whole number of at least 1", _whole(1)

OPTIM = "actor_rollout_ref.actor.optim"
POLICY_LOSS = "actor_rollout_ref.actor.policy_loss"
ROLLOUT = "actor_rollout_ref.rollout"

ENGINES = ("fsdp", "fsdp2", "fsdp_turbo", "megatron", "veomni", "torchtitan", "automodel", "mindspeed")
"""verl's names for its training engines. Its registry knows those only whose packages are installed."""

KL = tuple(f"{name}{end}" for name in ("kl", "k1", "abs", "mse", "k2", "low_var_kl", "k3") for end in ("", "+"))
"""verl's estimates of a KL divergence; with a plus their gradient is that of k2."""

CHOICES = (
    ("actor_rollout_ref.actor.strategy", ENGINES),
    ("actor_rollout_ref.actor.kl_loss_type", KL),
    (f"{ROLLOUT}.name", ("vllm", "sglang", "trtllm", "hf")),
    ("data.truncation", ("error", "left", "right", "middle")),
    ("trainer.device", ("cuda", "npu", "cpu")),
    ("trainer.resume_mode", ("auto", "disable", "resume_path")),
)
"""Keys of which verl says late, or never, that it does not know the value."""

SERVERS = ("auto", "half", "float")
"""Further names of types that the inference engines take, to which verl hands them as they are."""

# Key, what it takes in words, whether a value will do, whether null will.
VALUES: tuple[tuple[str, str, Test, bool], ...] = (
    ("data.prompt_key", "the name of a column", _is_text, False),
    ("data.image_key", "the name of a column", _is_text, True),
    ("data.video_key", "the name of a column", _is_text, True),
    ("data.train_max_samples", "a whole number; -1 takes all rows", _whole(-1), False),
    ("data.val_max_samples", "a whole number; -1 takes all rows", _whole(-1), False),
    ("data.max_prompt_length", COUNT, STEPS, False),
    ("data.max_response_length", COUNT, STEPS, False),
    ("data.val_batch_size", COUNT, STEPS, True),
    ("data.dataloader_num_workers", "a whole number; 0 reads in this process", _whole(0), False),
    ("actor_rollout_ref.model.path", "a model folder or hub id", _is_text, False),
    ("actor_rollout_ref.model.tokenizer_path", "a model folder or hub id", _is_text, True),
    ("actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu", COUNT, STEPS, True),
    ("actor_rollout_ref.actor.ppo_max_token_len_per_gpu", COUNT, STEPS, False),
    (
        "actor_rollout_ref.actor.fsdp_config.fsdp_size",
        "-1 for all, or a whole number of at least 1",
        lambda value: _whole(-1)(value) and value != 0,
        True,
    ),
    ("actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size", COUNT, STEPS, True),
    ("actor_rollout_ref.actor.megatron.tensor_model_parallel_size", COUNT, STEPS, True),
    ("actor_rollout_ref.actor.megatron.pipeline_model_parallel_size", COUNT, STEPS, True),
    ("actor_rollout_ref.actor.megatron.context_parallel_size", COUNT, STEPS, True),
    ("actor_rollout_ref.actor.clip_ratio", "a number of at least 0", ANY_TEMPERATURE, False),
    ("actor_rollout_ref.actor.clip_ratio_low", "a number of at least 0", ANY_TEMPERATURE, True),
    ("actor_rollout_ref.actor.clip_ratio_high", "a number of at least 0", ANY_TEMPERATURE, True),
    ("actor_rollout_ref.actor.clip_ratio_c", "a number greater than 1", _number(lambda value: value > 1), False),
    (f"{POLICY_LOSS}.clip_cov_ratio", "a share greater than 0 and at most 1", SHARE, True),
    (f"{POLICY_LOSS}.kl_cov_ratio", "a share greater than 0 and at most 1", SHARE, True),
    (f"{OPTIM}.lr", "a number of at least 0", ANY_TEMPERATURE, False),
    (f"{OPTIM}.weight_decay", "a number of at least 0", ANY_TEMPERATURE, True),
    (f"{OPTIM}.clip_grad", "a number greater than 0, a large one to clip nothing", POSITIVE, False),
    (f"{OPTIM}.lr_warmup_steps_ratio", "a number from 0 to 1", _number(lambda value: 0 <= value <= 1), True),
    (f"{ROLLOUT}.temperature", "a number greater than 0: at 0 all rollouts of a question are one", POSITIVE, False),
    (f"{ROLLOUT}.top_p", "a number greater than 0 and at most 1", SHARE, False),
    (f"{ROLLOUT}.top_k", "-1 for all, or a whole number", _whole(-1), False),
    (f"{ROLLOUT}.gpu_memory_utilization", "a share greater than 0 and at most 1", SHARE, False),
    (f"{ROLLOUT}.tensor_model_parallel_size", COUNT, STEPS, False),
    (f"{ROLLOUT}.agent.num_workers", COUNT, STEPS, False),
    (f"{ROLLOUT}.max_model_len", COUNT, STEPS, True),
    (f"{ROLLOUT}.max_num_seqs", COUNT, STEPS, False),
    (f"{ROLLOUT}.max_num_batched_tokens", COUNT, STEPS, True),
    (f"{ROLLOUT}.log_prob_max_token_len_per_gpu", COUNT, STEPS, False),
    (f"{ROLLOUT}.val_kwargs.n", COUNT, STEPS, False),
    (f"{ROLLOUT}.val_kwargs.temperature", "a number of at least 0", ANY_TEMPERATURE, False),
    (f"{ROLLOUT}.val_kwargs.top_p", "a number greater than 0 and at most 1", SHARE, False),
    ("trainer.default_local_dir", "a folder", _is_text, False),
    ("trainer.nnodes", COUNT, STEPS, False),
    ("trainer.n_gpus_per_node", COUNT, STEPS, False),
    ("trainer.total_epochs", COUNT, STEPS, False),
    ("trainer.total_training_steps", COUNT, STEPS, True),
    ("trainer.save_freq", "a whole number; -1 saves none", _whole(-1), False),
    ("trainer.max_actor_ckpt_to_keep", "a whole number; null keeps all", _whole(0), True),
    ("trainer.test_freq", "a whole number; -1 validates never", _whole(-1), False),
)


def check_values(config: DictConfig) -> None:
    """
    Raises:
        ConfigError: a value is out of range, or none that verl knows.
    """
    for key, expected, fits, takes_null in VALUES:
        value = OmegaConf.select(config, key)
        if not (fits(value) or (value is None and takes_null)):
            raise ConfigError(f"{key}: expected {expected}, got {shown(value)}")
    rollout, shorts = config.actor_rollout_ref.rollout, ("bf16", "fp16", "fp32")
    dtypes = f"{ROLLOUT}.dtype", ("bfloat16", "float16", "float32", *(shorts if rollout.name == "hf" else SERVERS))
    for key, names in (*CHOICES, dtypes):
        if (value := OmegaConf.select(config, key)) not in names:
            raise ConfigError(f"{key}: {shown(value)} is not one of {', '.join(names)}")


def check_overrides(node: Mapping[str, Any], at: str) -> None:
    """
    Raises:
        ConfigError: of keys of verl's rollout config, given at another place, one has a value that is out of range.
    """
    for key, expected, fits, takes_null in VALUES:
        name = key.removeprefix(f"{ROLLOUT}.")
        if name in node and not (fits(value := node[name]) or (value is None and takes_null)):
            raise ConfigError(f"{at}.{name}: expected {expected}, got {shown(value)}")
