"""The verl platform `cpu`: gloo, no accelerator, Ray's "GPU" as a logical resource.

verl places workers by counting accelerators (`ResourcePoolManager` knows "GPU" and "NPU" only), so a CPU run
announces as many logical GPUs as it wants slots: `ray_kwargs.ray_init.num_gpus=N`. No device stands behind them.
"""

import os
import resource
import types
from contextlib import nullcontext
from typing import Any

import torch
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry

from recipe.cpu import PLATFORM_NAME, selected


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm") as f:
            return int(f.read().split()[1]) * resource.getpagesize()
    except OSError:  # no /proc (macOS)
        return _peak_resident_bytes()


def _peak_resident_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _nothing(self: object, *args: Any, **kwargs: Any) -> None:
    """What is asked of a device, where there is none to ask it of."""


class _CpuDeviceModule(types.ModuleType):
    """What verl asks of `torch.cuda`, answered for a CPU; anything else comes from `torch.cpu`.

    Memory is that of the process in bytes, so verl's `perf/max_memory_allocated_gb` reports the peak RSS.
    """

    def __init__(self) -> None:
        super().__init__("recipe.cpu.device")

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.cpu, name)

    # device
    def is_available(self) -> bool:
        return True

    def current_device(self) -> str:
        return "cpu"

    def device_count(self) -> int:
        return 1

    def get_device_name(self, device=None) -> str:
        return "cpu"

    set_device = synchronize = _nothing

    # memory
    empty_cache = ipc_collect = set_per_process_memory_fraction = reset_peak_memory_stats = _nothing

    def memory_allocated(self, device=None) -> int:
        return _resident_bytes()

    def max_memory_allocated(self, device=None) -> int:
        return _peak_resident_bytes()

    memory_reserved, max_memory_reserved = memory_allocated, max_memory_allocated

    def mem_get_info(self, device=None) -> tuple[int, int]:
        import psutil

        memory = psutil.virtual_memory()
        return memory.available, memory.total

    # random numbers
    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    def get_rng_state(self, device=None) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device=None) -> None:
        torch.set_rng_state(state)


_device_module = _CpuDeviceModule()


@PlatformRegistry.register(platform=PLATFORM_NAME)
class PlatformCPU(PlatformBase):
    """Opt-in: available only under `VERL_PLATFORM=cpu`, so auto-detection never picks it."""

    @property
    def device_name(self) -> str:
        return "cpu"

    @property
    def vendor_name(self) -> str:
        return "cpu"

    @property
    def device_module(self) -> types.ModuleType:
        return _device_module

    def is_available(self) -> bool:
        return selected()

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        return selected()

    def current_device(self) -> str:
        # verl passes it to `Tensor.to` and friends, where an index would mean an accelerator.
        return "cpu"

    def device_count(self) -> int:
        return 1

    set_device = synchronize = set_allocator_settings = empty_cache = _nothing

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"  # what Ray sets for its resource "GPU"

    def ray_resource_name(self) -> str:
        return "GPU"

    def ray_resource_options(self, num_gpus: float) -> dict[str, Any]:
        return {"num_gpus": num_gpus}

    def ray_noset_envvars(self) -> list[str]:
        return ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"]

    def is_ipc_supported(self) -> bool:
        return False

    def rollout_env_vars(self) -> dict[str, str]:
        return {name: os.environ[name] for name in ("OMP_NUM_THREADS",) if name in os.environ}

    def nvtx_range(self, msg: str) -> nullcontext:
        return nullcontext()

    profiler_start = profiler_stop = cudart = _nothing
