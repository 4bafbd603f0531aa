"""The machine or the Ray cluster at hand, looked at without starting anything."""

from __future__ import annotations

import os

from omegaconf import DictConfig, OmegaConf

from recipe.zppo.dry_run.hardware import Hardware, Node


def cluster_address(config: DictConfig) -> str | None:
    """Address of the Ray cluster that the run would join; None when it would start one on this machine."""
    return OmegaConf.select(config, "ray_kwargs.ray_init.address") or os.environ.get("RAY_ADDRESS") or None


def look(config: DictConfig) -> Hardware:
    """This machine's accelerators."""
    ray_init = config.ray_kwargs.ray_init
    if config.trainer.device == "cpu":  # Ray's accelerators are slots that the run itself declares
        return Hardware((Node(int(ray_init.get("num_gpus") or 0), None, ray_init.get("num_cpus")),), "logical slots")
    import torch

    cpus = ray_init.get("num_cpus") or os.cpu_count()
    memory = min((_memory(i)[1] for i in range(torch.cuda.device_count())), default=None)
    return Hardware((Node(torch.cuda.device_count(), memory, cpus),), "this machine")


def _memory(device: int) -> tuple[int, int]:
    """Free and total bytes of an accelerator."""
    import torch

    return torch.cuda.mem_get_info(device)
