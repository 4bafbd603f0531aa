"""Changes to verl 0.9.1 that no hook of verl's can make. All of them, and only with VERL_PLATFORM=cpu.

Each names the place in verl that it works around; tests/cpu/test_verl_patches.py fails when verl stops needing it.
"""

from __future__ import annotations

import functools
from types import ModuleType

from recipe.cpu.after_import import after_import


def apply_when_imported() -> None:
    """Have every patch applied when the module that it changes is imported."""
    after_import("verl.utils.distributed", one_backend_for_cpu)


def one_backend_for_cpu(module: ModuleType) -> None:
    """verl/utils/distributed.py:63 and :89 build `cpu:gloo,<device>:<backend>`.

    With device `cpu` that is `cpu:gloo,cpu:gloo`, and torch refuses a device that is named twice. The name is
    built inside two functions; `initialize_global_process_group_ray` takes a backend, so it gets one. The other
    is called by verl's SFT trainer only and is left alone.
    """
    original = module.initialize_global_process_group_ray

    @functools.wraps(original)
    def initialize_global_process_group_ray(timeout_second=None, backend=None):
        return original(timeout_second=timeout_second, backend=backend or "cpu:gloo")

    module.initialize_global_process_group_ray = initialize_global_process_group_ray
