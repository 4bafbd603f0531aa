"""The optimiser's name and verl's own keys agree (verl/trainer/config/optimizer/)."""

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import ConfigError

ACTOR = "actor_rollout_ref.actor"
_FREE = {"eps"}
"""Of an optimiser's arguments: what may differ from what its name sets."""
_MEGATRONS_BETAS = (0.9, 0.999)
"""Its defaults (OptimizerConfig); verl's `init_megatron_optim_config` passes no others."""
_SAME = {"bf16": "bfloat16", "fp32": "float32"}
"""verl's short names of types."""


def check_optimizer(config: DictConfig, zppo: ZPPOConfig) -> None:
    """
    Raises:
        ConfigError: the engine has no such optimiser, or a key of verl's says something else than `zppo.optimizer`.
    """
    if config.actor_rollout_ref.actor.strategy == "megatron":
        _check_megatron(config, zppo)
    for key, wanted in _meant(config, zppo.optimizer):
        found = OmegaConf.select(config, key)
        if _plain(found) != _plain(wanted):
            raise ConfigError(
                f"{key}: {found} contradicts zppo.optimizer={zppo.optimizer}, which means {wanted}; leave this key as "
                "it is and choose by zppo.optimizer"
            )


def _check_megatron(config: DictConfig, zppo: ZPPOConfig) -> None:
    if zppo.optimizer == "stochastic":
        raise ConfigError(
            "zppo.optimizer: Megatron keeps fp32 weights and has none that rounds by chance; set it to anyprecision "
            "(bf16 moments) or fp32"
        )
    if zppo.optimizer == "anyprecision" and config.trainer.device == "cpu":
        raise ConfigError(
            "zppo.optimizer: anyprecision on Megatron is TransformerEngine's FusedAdam, which needs a GPU; "
            "set it to fp32, as platform=cpu does"
        )
    optim = config.actor_rollout_ref.actor.optim
    own = optim.get("override_optimizer_config") or {}
    given = [own.get(f"adam_beta{n}", usual) for n, usual in enumerate(_MEGATRONS_BETAS, 1)]
    if list(optim.betas) != given:
        first, second = optim.betas
        raise ConfigError(
            f"{ACTOR}.optim.betas: verl does not hand them to Megatron, which would take {given}; set also "
            f"+{ACTOR}.optim.override_optimizer_config.adam_beta1={first} and .adam_beta2={second}"
        )


def _meant(config: DictConfig, name: str) -> Iterator[tuple[str, Any]]:
    """Key and value of everything that the name sets; nothing for an engine that it says nothing about."""
    for key, wanted in config.get("optimizers", {}).get(name, {}).items():
        path = f"{ACTOR}.fsdp_config.{key}" if key == "model_dtype" else f"{ACTOR}.optim.{key}"
        if isinstance(wanted, DictConfig):
            yield from ((f"{path}.{argument}", value) for argument, value in wanted.items() if argument not in _FREE)
        elif wanted is not None:
            yield path, wanted


def _plain(value: Any) -> Any:
    return _SAME.get(value, value) if isinstance(value, str) else value
