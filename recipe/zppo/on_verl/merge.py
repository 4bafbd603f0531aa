"""A checkpoint of verl's engines as a Hugging Face folder, by verl's own mergers."""

import shutil
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor
from verl.model_merger.base_model_merger import BaseModelMerger, ModelMergerConfig
from verl.model_merger.fsdp_model_merger import FSDPModelMerger, merge_non_dtensor_shards

from recipe.zppo.errors import ExportError
from recipe.zppo.on_verl.merge_adapter import merge_adapter


def merge_checkpoint(actor: Path, folder: Path, dtype: str, base: str | None, trust_remote_code: bool) -> None:
    """Write the student of a checkpoint to `folder`; of LoRA, base plus adapter, and the adapter to `lora_adapter/`.

    Weights that a checkpoint holds whole, in Hugging Face's format, are copied: Megatron-Bridge, verl's default with
    Megatron, saves them so, and verl's merger does not read them.

    Args:
        actor: `global_step_<n>/actor`.
        dtype: `bfloat16` is what verl's merger makes of everything. With another, weights keep the type that they have
            in the checkpoint.
        base: the model that LoRA began from; for a checkpoint that has the adapter alone.

    Raises:
        ExportError: there are no weights in the checkpoint, or an adapter without its base.
    """
    # Where verl saves them: verl/model_merger/base_model_merger.py.
    whole = [actor / "model" / "huggingface", actor / "huggingface"]
    if any(actor.glob("model_world_size_*.pt")):
        kind = Rounded if dtype == "bfloat16" else Unrounded
        merger: BaseModelMerger = kind(_settings(actor, folder, "fsdp", whole[1], trust_remote_code), base)
    elif found := [path for path in whole if any(path.glob("*.safetensors"))]:
        shutil.copytree(found[0], folder, dirs_exist_ok=True)
        return
    elif (actor / "model" / "dist_ckpt").is_dir():
        from verl.model_merger.megatron_model_merger import MegatronModelMerger

        merger = MegatronModelMerger(_settings(actor, folder, "megatron", whole[0], trust_remote_code))
    else:
        raise ExportError(f"{actor} has no weights; actor_rollout_ref.actor.checkpoint.save_contents left them out")
    merger.merge_and_save()
    merger.cleanup()
    sums = torch.bfloat16 if dtype == "bfloat16" else torch.float32
    merge_adapter(folder, sums, base, trust_remote_code=trust_remote_code)


def _settings(actor: Path, folder: Path, backend: str, config: Path, trust: bool) -> ModelMergerConfig:
    return ModelMergerConfig(
        operation="merge",
        backend=backend,
        local_dir=str(actor),
        target_dir=str(folder),
        hf_model_config_path=str(config),
        trust_remote_code=trust,
    )


class Rounded(FSDPModelMerger):
    """verl's merger, which also takes a checkpoint of the adapter alone (`save_lora_only`)."""

    def __init__(self, config: ModelMergerConfig, base: str | None):
        super().__init__(config)
        self.base = base

    def save_hf_model_and_tokenizer(self, state_dict: dict[str, torch.Tensor]) -> None:
        if not all("lora_" in name for name in state_dict):
            return super().save_hf_model_and_tokenizer(state_dict)
        if self.base is None:
            raise ExportError(f"{self.config.local_dir} has the adapter alone; name the model it is of with --base")
        shutil.copytree(self.hf_model_config_path, self.config.target_dir, dirs_exist_ok=True)
        self.save_lora_adapter(state_dict)


class Unrounded(Rounded):
    """verl's makes bfloat16 of everything while it loads; here weights stay as they are."""

    def _load_and_merge_state_dicts(
        self, world_size: int, total_shards: int, mesh_shape: tuple[int, ...], mesh_dim_names: tuple[str, ...]
    ) -> dict[str, torch.Tensor]:
        folder = Path(self.config.local_dir)
        files = [folder / f"model_world_size_{world_size}_rank_{rank}.pt" for rank in range(total_shards)]
        shards = [torch.load(file, map_location="cpu", weights_only=False, mmap=True) for file in files]
        return {key: self._whole(key, [shard.pop(key) for shard in shards]) for key in sorted(shards[0])}

    def _whole(self, key: str, parts: list[Any]) -> torch.Tensor:
        if not isinstance(parts[0], DTensor):
            return merge_non_dtensor_shards(key, parts)
        with torch.no_grad():
            return self._merge_by_placement([part.to_local() for part in parts], parts[0].placements[-1])
