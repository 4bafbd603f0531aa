"""Where the models of a local run are: the CPU or one GPU. All that depends on it is here.

Nobody else names a device. Code that makes tensors for a model runs within `recipe.cpu.tensors_on`; what is drawn is
drawn on the CPU, so that seeds give the same numbers everywhere.
"""

import torch
from omegaconf import DictConfig

from recipe.zppo.errors import ConfigError


def check_device(config: DictConfig) -> None:
    """
    Raises:
        ConfigError: `trainer.device` is nothing that one process can train on, or is not here, or `check_engine`.
    """
    check_engine(config)
    device, trainer = config.trainer.device, config.trainer
    if device == "cpu":
        return
    if device != "cuda":
        raise ConfigError(f"trainer.device: recipe.zppo.local knows cpu and cuda, not {device}; use main_zppo for it")
    if trainer.n_gpus_per_node * trainer.nnodes != 1:
        raise ConfigError(
            f"trainer.n_gpus_per_node: recipe.zppo.local trains on one GPU, not on {trainer.n_gpus_per_node} x "
            f"{trainer.nnodes}; choose platform=local_gpu, or use verl.trainer.main_zppo"
        )
    if config.actor_rollout_ref.rollout.name != "hf":
        raise ConfigError(
            f"actor_rollout_ref.rollout.name: recipe.zppo.local samples by itself, without "
            f"{config.actor_rollout_ref.rollout.name}; choose platform=local_gpu"
        )
    if not torch.cuda.is_available():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        raise ConfigError(
            f"trainer.device: cuda, but PyTorch {torch.__version__} ({built}) sees no GPU; look at nvidia-smi and "
            "CUDA_VISIBLE_DEVICES, install PyTorch for CUDA, or choose platform=cpu"
        )
    dtype = config.actor_rollout_ref.rollout.dtype
    if dtype in ("bf16", "bfloat16") and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ConfigError(
            f"actor_rollout_ref.rollout.dtype: {torch.cuda.get_device_name()} has no bfloat16; set float32"
        )


def check_engine(config: DictConfig) -> None:
    """
    Raises:
        ConfigError: the keys are those of an engine of verl's which is not FSDP.
    """
    if (strategy := config.actor_rollout_ref.actor.strategy) not in ("fsdp", "fsdp2"):
        raise ConfigError(
            "actor_rollout_ref.actor.strategy: recipe.zppo.local trains by itself and reads FSDP's keys only, not "
            f"those of {strategy}; choose model_engine=dp, or use verl.trainer.main_zppo"
        )


def model_device(config: DictConfig) -> torch.device:
    """The CPU, or the first GPU that this process may use (CUDA_VISIBLE_DEVICES)."""
    return torch.device("cpu") if config.trainer.device == "cpu" else torch.device(config.trainer.device, 0)


def release(device: torch.device) -> None:
    """Give memory that nothing uses back to the GPU: generation and update want it in other pieces."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
