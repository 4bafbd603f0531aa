"""What must be installed: a verl that was tried, and what training on accelerators imports in its workers only."""

from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig

from recipe.zppo.errors import ConfigError

TRIED = (Path(__file__).parents[1] / "REQUIRED_VERL.txt").read_text().split()
"""Requirements, one a version of verl."""


def check_verl() -> None:
    """
    Raises:
        ConfigError: the installed verl is none of those that this version of ZPPO was tried with.
    """
    import verl

    if f"verl=={verl.__version__}" not in TRIED:
        raise ConfigError(
            f"verl {verl.__version__} is installed, and ZPPO overrides parts of verl that change from version to "
            f"version; it was tried with {', '.join(TRIED)}: pip install {TRIED[-1]}"
        )


def missing_packages(config: DictConfig) -> list[str]:
    """Names, as pip knows them, of what the engine of this config needs and is not installed here."""
    actor, model, device = config.actor_rollout_ref.actor, config.actor_rollout_ref.model, config.trainer.device
    if device != "cuda" and (device, actor.strategy) != ("cpu", "megatron"):  # on NPUs verl brings attention of its own
        return []
    attention = (model.get("override_config") or {}).get("attn_implementation", "flash_attention_2")
    needs = {}
    if actor.strategy == "megatron":
        needs["megatron.core"] = "megatron-core"
        if actor.megatron.get("use_mbridge") and not actor.megatron.get("vanilla_mbridge"):
            needs["megatron.bridge"] = "megatron-bridge"
        if actor.optim.get("use_precision_aware_optimizer"):
            needs["transformer_engine"] = "transformer-engine"
    elif attention == "flash_attention_2" and not _installed("kernels"):  # which takes a kernel from the hub
        needs["flash_attn"] = "flash-attn"
    return [package for module, package in needs.items() if not _installed(module)]


def check_packages(config: DictConfig) -> None:
    """
    Raises:
        ConfigError: there are such.
    """
    optimizer = str(config.actor_rollout_ref.actor.optim.get("optimizer_impl", ""))
    if optimizer.startswith("torchao") and not _installed("torchao"):
        raise ConfigError(
            f"zppo.optimizer: {config.zppo.optimizer} needs torchao, which is not installed here: pip install torchao"
        )
    if missing := missing_packages(config):
        strategy = config.actor_rollout_ref.actor.strategy
        needs = f"actor_rollout_ref.actor.strategy: {strategy} needs {', '.join(missing)}, not installed here"
        if config.trainer.device == "cpu":
            raise ConfigError(f"{needs}; docs/guides/cpu.md, 'Megatron', has the commands")
        raise ConfigError(
            f"{needs} and not part of the extras, since they are compiled; docs/guides/docker.md, 'Without Docker', "
            "has the commands"
        )


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:  # the package around it is missing
        return False
