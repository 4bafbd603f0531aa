"""For each patch of verl: verl still needs it (else remove the patch), and with it verl works."""

import importlib.util
import types

import pytest
import torch
import torch.distributed as dist


@pytest.fixture
def cpu_platform(monkeypatch):
    from verl.plugin.platform import platform_manager

    from recipe.cpu.platform import PlatformCPU

    monkeypatch.setenv("VERL_PLATFORM", "cpu")
    monkeypatch.setattr(platform_manager, "_current_platform", PlatformCPU())


@pytest.fixture
def one_process(monkeypatch, tmp_path):
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "DIST_INIT_METHOD": f"file://{tmp_path}/store"}.items():
        monkeypatch.setenv(name, value)
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


@pytest.fixture
def distributed() -> types.ModuleType:
    """A fresh, unpatched copy of verl.utils.distributed."""
    file = importlib.util.find_spec("verl.utils.distributed").origin  # its own loader would patch it
    spec = importlib.util.spec_from_file_location("unpatched_distributed", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_one_backend_for_cpu_is_still_needed(cpu_platform, one_process, distributed):
    with pytest.raises(ValueError, match="cpu"):
        distributed.initialize_global_process_group_ray()


def test_one_backend_for_cpu_works(cpu_platform, one_process, distributed):
    from recipe.cpu.verl_patches import one_backend_for_cpu

    one_backend_for_cpu(distributed)
    distributed.initialize_global_process_group_ray(timeout_second=30)
    value = torch.ones(1)
    dist.all_reduce(value)
    assert value.item() == 1


def test_pinned_offloading_still_needs_an_accelerator():
    """Why recipe.cpu.engines builds forward-only models without verl's CPUOffloadPolicy(pin_memory=True)."""
    if torch.cuda.is_available():
        pytest.skip("there is an accelerator")
    with pytest.raises(RuntimeError):
        torch.ones(1).pin_memory()
