"""What `recipe.cpu.register()` promises to processes that use it and to those that do not. In fresh interpreters."""

import os
import subprocess
import sys

import pytest

REGISTERED = "import verl, sys; import recipe.cpu; recipe.cpu.register()\n"


def python(code: str, first: str = REGISTERED, **env: str) -> str:
    """Run code with recipe.cpu registered as a plug-in would; its standard output."""
    base = {k: v for k, v in os.environ.items() if k not in ("VERL_PLATFORM", "VERL_ENGINE_DEVICE")}
    result = subprocess.run(
        [sys.executable, "-c", first + code],
        env={**base, "PYTHONPATH": f"{os.getcwd()}:{base['PYTHONPATH']}", **env},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


PLATFORM = "from verl.utils.device import get_device_name; print(get_device_name())"
NOTHING_HEAVY = """
before, HEAVY = set(sys.modules), ("verl.workers", "recipe.zppo.config.engine")  # the plug-in has run by now
recipe.cpu._done.clear(); recipe.cpu.register()
print(sorted(set(sys.modules) - before), [m for m in sys.modules if m.startswith(HEAVY)])
"""


def test_without_the_platform_the_registries_gain_names_only_and_it_is_too_late_to_choose():
    code = f"""{NOTHING_HEAVY}
{PLATFORM}
import verl.utils.distributed as d, verl.workers.engine as e
from verl.workers.rollout.replica import RolloutReplicaRegistry as r
from verl.workers.rollout.base import get_rollout_class
print(d.initialize_global_process_group_ray.__module__, hasattr(d.initialize_global_process_group_ray, "__wrapped__"),
      "cpu" in e.EngineRegistry._engines["language_model"]["fsdp2"], "recipe.cpu.hf_rollout" in sys.modules)
print(r.get("hf").__name__, get_rollout_class("hf").__name__)
try: recipe.cpu.use_cpu()
except RuntimeError as e: print(e)
"""
    said = python(code).splitlines()
    assert said[:2] == ["[] []", "cuda"]  # verl's own fall-back where there is no accelerator
    assert said[-3:-1] == ["verl.utils.distributed False False False", "HFReplica HFServerAdapter"]
    assert "already chosen" in said[-1]


def test_with_the_platform_the_engine_is_registered_with_verls_engines():
    code = f"""{NOTHING_HEAVY}
{PLATFORM}
from verl.workers.engine import EngineRegistry
print(EngineRegistry.get_engine_cls("language_model", "fsdp2").__name__)
"""
    said = python(code, VERL_PLATFORM="cpu").splitlines()
    assert (*said[:2], said[-1]) == ("[] []", "cpu", "CpuFSDPEngineWithLMHead")


def test_a_driver_may_choose_late():
    assert python("recipe.cpu.use_cpu()\n" + PLATFORM) == "cpu"


@pytest.mark.parametrize("name", ["current_device", "memory_allocated", "mem_get_info", "get_rng_state", "Stream"])
def test_the_device_module_answers(name):
    from recipe.cpu.platform import PlatformCPU

    assert getattr(PlatformCPU().device_module, name)() is not None


def test_after_import_runs_once_and_leaves_the_module_alone():
    code = """
from recipe.after_import import after_import
seen = []
after_import("colorsys", lambda m: seen.append(m.rgb_to_hsv(1, 0, 0)))
import colorsys
after_import("colorsys", lambda m: seen.append("now"))
print(seen, type(colorsys.__loader__).__name__, type(colorsys.__spec__.loader).__name__)
"""
    assert python(code, first="") == "[(0.0, 1.0, 1), 'now'] SourceFileLoader SourceFileLoader"
