"""What a distillation loss needs of the student's engine, and of the teacher (Algs. 2 and 3)."""

from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import ConfigError
from recipe.zppo.preflight.verl_keys import as_yaml

# What the distillation loss needs of the student's engine: key, whether its value will do, what to set, why.
_DISTILLATION: tuple[tuple[str, Callable[[Any], bool], str, str], ...] = (
    (
        "actor_rollout_ref.model.use_fused_kernels",
        lambda value: not value,
        "false",
        "the fused LM head gives no logits, which the divergence is computed from",
    ),
    (
        "actor_rollout_ref.actor.strategy",
        lambda value: value in ("fsdp", "fsdp2"),
        "fsdp or fsdp2",
        "the divergence is computed from logits over the whole vocabulary, which other engines split",
    ),
    (
        "actor_rollout_ref.rollout.calculate_log_probs",
        bool,
        "true",
        "they stand in for the old log-probs, which are in no loss here",
    ),
    (
        "actor_rollout_ref.rollout.temperature",
        lambda value: value == 1,
        "1.0",
        "verl divides the student's logits by it, and the teacher's scores are those of temperature 1",
    ),
    ("actor_rollout_ref.actor.use_kl_loss", lambda value: not value, "false", "the divergence is the whole loss"),
    ("actor_rollout_ref.actor.entropy_coeff", lambda value: value == 0, "0", "the divergence is the whole loss"),
)


def check_distillation(config: DictConfig, zppo: ZPPOConfig) -> None:
    """With `zppo.distillation.mode`: an engine that can compute the divergence, and one teacher to diverge from."""
    mode = zppo.distillation.mode
    if mode == "none":
        return
    for key, fits, wanted, why in _DISTILLATION:
        value = OmegaConf.select(config, key)
        if not fits(value):
            raise ConfigError(
                f"{key}: must be {wanted} with zppo.distillation.mode={mode}, got {as_yaml(value)}: {why}"
            )
    aggregation = config.actor_rollout_ref.actor.loss_agg_mode
    if mode == "off_policy" and aggregation != "token-mean":
        raise ConfigError(
            "actor_rollout_ref.actor.loss_agg_mode: must be token-mean with zppo.distillation.mode=off_policy, got "
            f"{as_yaml(aggregation)}: Alg. 2 says how its loss is averaged"
        )
    if zppo.teacher.more:
        raise ConfigError(
            "zppo.teacher.more: distillation scores responses with one teacher, zppo.teacher.path; leave it empty"
        )
