"""CPU support for verl: a platform, FSDP2 engines and a rollout back end that need no accelerator.

`register()` is for a `verl.plugins` entry point and runs in every process that imports verl. It records names only.
The platform is chosen by `VERL_PLATFORM=cpu` and by nothing else, so an installation without a GPU that never sets
it (the head node of a GPU cluster, say) behaves as if this package were absent.

`use_cpu()` is for an entry point whose composed configuration says `trainer.device=cpu`: see its docstring.
"""

import os
import sys

PLATFORM_ENV = "VERL_PLATFORM"
PLATFORM_NAME = "cpu"

_done: set[str] = set()


def selected() -> bool:
    """Whether this process, and by inheritance its children, were asked to run verl on the CPU."""
    return os.environ.get(PLATFORM_ENV, "").strip().lower() == PLATFORM_NAME


def register() -> None:
    """Make the names `cpu` (platform) and `hf` (rollout) known to verl; idempotent.

    With `VERL_PLATFORM=cpu` also arrange for the engines and the patches, each applied when the verl module that
    it belongs to is imported, and let verl find vLLM's CPU build where that is installed. Imports nothing but
    `verl.plugin.platform`, which `import verl` has loaded anyway.
    """
    from recipe.after_import import after_import
    from recipe.cpu import platform  # noqa: F401  (its decorator registers the class)

    def register_replica(module) -> None:
        module.RolloutReplicaRegistry.register("hf", _load_replica)

    def register_adapter(module) -> None:
        # verl has a registry function for replicas but only this dictionary for the trainer's side of a rollout.
        module._ROLLOUT_REGISTRY.setdefault(("hf", "async"), "recipe.cpu.hf_rollout.HFServerAdapter")

    if "names" not in _done:
        _done.add("names")
        after_import("verl.workers.rollout.replica", register_replica)
        after_import("verl.workers.rollout.base", register_adapter)
    if selected() and "engines" not in _done:
        _done.add("engines")
        after_import("verl.workers.engine", _register_engines)
        from recipe.cpu import verl_patches, vllm_cpu

        verl_patches.apply_when_imported()
        vllm_cpu.answer_for_vllm()


def use_cpu() -> None:
    """Select the CPU platform from inside a running driver, before it starts Ray.

    For an entry point that learns the device from its composed configuration. `import verl` does not decide on the
    platform; `verl.trainer.constants_ppo` (imported by `verl.trainer.main_ppo`) does, at import. So: compose, call
    this, and import the rest of verl afterwards.

    Raises:
        RuntimeError: verl has already decided on another platform in this process.
    """
    from verl.plugin.platform import platform_manager

    current = platform_manager._current_platform
    if current is not None and current.device_name != PLATFORM_NAME:
        raise RuntimeError(
            f"verl has already chosen the platform {current.device_name!r} in this process; "
            f"set {PLATFORM_ENV}={PLATFORM_NAME} in the environment, or call recipe.cpu.use_cpu() earlier"
        )
    os.environ[PLATFORM_ENV] = PLATFORM_NAME
    # Read by torch at its first compiled call; there is no compiler to rely on in a CPU environment.
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    register()


def _load_replica():
    from recipe.cpu.hf_rollout import HFReplica

    return HFReplica


def _register_engines(module) -> None:
    from recipe.cpu import engines  # noqa: F401  (its decorator registers the class)

    if "verl.workers.engine.megatron.transformer_impl" in sys.modules:  # Megatron-Core is installed
        from recipe.cpu import megatron_engine  # noqa: F401
