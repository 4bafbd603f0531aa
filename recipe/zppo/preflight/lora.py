"""A student that trains low-rank adapters (LoRA): what verl would ignore or fail on, checked before Ray starts.

verl has two sets of keys: `model.lora_rank` and its neighbours for FSDP, the node `model.lora` for Megatron, of which
only `merge` counts for both. It does not compare them with the engine.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import ConfigError
from recipe.zppo.preflight.models import model_config

MODEL = "actor_rollout_ref.model"
VLLM_LARGEST_RANK = 512
_OUTER = ("lm_head", "embed_tokens")

# What an adapter may carry that verl's checkpoint does not write down (`_get_lora_train_meta`) or its vLLM
# servers do not load: the trained policy would be another one after a resume, a sync or the export.
_PLAIN = {"use_rslora": False, "use_dora": False, "rank_pattern": {}, "alpha_pattern": {}, "bias": "none"}


def check_lora(config: DictConfig, zppo: ZPPOConfig) -> None:
    """Raise ConfigError for LoRA settings that would do nothing, or not what they say."""
    model, actor = config.actor_rollout_ref.model, config.actor_rollout_ref.actor
    rank, node = model.lora_rank, model.get("lora") or {}
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 0:
        raise ConfigError(f"{MODEL}.lora_rank: must be a whole number of at least 0, got {rank!r}")
    if actor.strategy == "megatron":
        _check_megatron(model, node, zppo)
        return
    if (node.get("rank") or 0) > 0:
        raise ConfigError(
            f"{MODEL}.lora.rank: only Megatron reads it; with actor.strategy={actor.strategy} set {MODEL}.lora_rank"
        )
    if rank == 0:
        if model.lora_adapter_path is not None:
            raise ConfigError(
                f"{MODEL}.lora_adapter_path: ignored while {MODEL}.lora_rank=0; set that to the adapter's rank"
            )
        return
    if model.lora_alpha is None or model.lora_alpha <= 0:
        raise ConfigError(f"{MODEL}.lora_alpha: must be positive, got {model.lora_alpha}: it scales what is trained")
    targets = model.target_modules
    if not targets:
        raise ConfigError(f"{MODEL}.target_modules: names no module to adapt; all-linear is verl's default")
    if not isinstance(targets, str) and not (
        isinstance(targets, ListConfig) and all(isinstance(name, str) for name in targets)
    ):
        raise ConfigError(f"{MODEL}.target_modules: expected all-linear, a pattern or a list of names, got {targets!r}")
    if model.lora_adapter_path is not None:
        _check_adapter(model)
    _check_rollout(config, rank, bool(node.get("merge", False)))
    if outer := [name for name in _OUTER if _targets(model.target_modules, name)]:
        raise ConfigError(
            f"{MODEL}.target_modules: verl's FSDP engine can't adapt {outer[0]} (FSDP2 fails on it, the fused head "
            "passes by its adapter); leave it out"
        )
    if zppo.export.hf_model and OmegaConf.select(actor, "checkpoint.save_lora_only"):
        raise ConfigError(
            "zppo.export.hf_model: the model is written from the last checkpoint, which "
            "actor_rollout_ref.actor.checkpoint.save_lora_only=true leaves without the base; set either to false"
        )


def _check_megatron(model: DictConfig, node: Mapping[str, Any], zppo: ZPPOConfig) -> None:
    for key, instead in (("lora_rank", "lora.rank"), ("lora_adapter_path", "lora.adapter_path")):
        if model.get(key):
            raise ConfigError(f"{MODEL}.{key}: only FSDP reads it; with actor.strategy=megatron set {MODEL}.{instead}")
    if (node.get("rank") or 0) > 0 and zppo.export.hf_model:
        raise ConfigError(
            "zppo.export.hf_model: verl's merger does not add Megatron's adapters to the base; "
            f"set it to false with {MODEL}.lora.rank"
        )


def _check_adapter(model: DictConfig) -> None:
    """The adapter to go on from is there, is of the stated size, and is of the kind that verl keeps."""
    path, key = str(model.lora_adapter_path), f"{MODEL}.lora_adapter_path"
    if "://" in path:
        return
    file = Path(path).expanduser() / "adapter_config.json"
    if not file.is_file():
        raise ConfigError(f"{key}: {path} is not the folder of an adapter; it has no adapter_config.json")
    try:
        adapter = json.loads(file.read_text(encoding="utf-8"))
        found = {"lora_rank": adapter["r"], "lora_alpha": adapter["lora_alpha"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{key}: {file} can't be read as the config of a LoRA adapter: {error!r}") from error
    for name, value in found.items():
        if value != model[name]:
            raise ConfigError(
                f"{MODEL}.{name}: {model[name]} would be ignored; the adapter {path} has {value}, set that"
            )
    for name, plain in _PLAIN.items():
        if adapter.get(name, plain) not in (plain, None):
            raise ConfigError(f"{key}: {path} has {name}={adapter[name]}, which verl's checkpoints and servers lose")
    if adapter.get("modules_to_save"):
        raise ConfigError(f"{key}: {path} has modules_to_save, which verl's checkpoints and servers lose")


def _check_rollout(config: DictConfig, rank: int, merge: bool) -> None:
    rollout, model = config.actor_rollout_ref.rollout, config.actor_rollout_ref.model
    if rollout.name == "hf":
        if not merge:
            raise ConfigError(
                f"{MODEL}.lora.merge: must be true with rollout.name=hf, whose servers take whole weights"
            )
        return
    if rollout.name == "vllm" and not merge and rank > VLLM_LARGEST_RANK:
        raise ConfigError(
            f"{MODEL}.lora_rank: vLLM serves adapters of rank {VLLM_LARGEST_RANK} at most, got {rank}; "
            f"lower it, or set {MODEL}.lora.merge=true"
        )
    if (
        not model.exclude_modules
        and model.target_modules == "all-linear"
        and "vision_config" in model_config(str(model.path))
    ):
        raise ConfigError(
            f"{MODEL}.exclude_modules: {model.path} has a vision tower, whose adapters the rollout servers would not "
            "get in full; keep it out, for example by '.*visual.*'"
        )


def _targets(targets: Any, name: str) -> bool:
    """As peft matches: a text is a regular expression, "all-linear" leaves the output layer out."""
    return name in targets if isinstance(targets, str) else any(str(each).endswith(name) for each in targets)
