"""Which platform verl runs on in this process: chosen before anything of verl that decides on one is imported."""

import os

from omegaconf import DictConfig, open_dict

from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.errors import ConfigError
from recipe.zppo.preflight.packages import check_verl

OFFLINE = "HF_HUB_OFFLINE"

# What processes of a run import sooner or later.
_WORKERS_MODULES = (
    "verl.trainer.main_ppo",
    "recipe.zppo.on_verl.trainer",
    "recipe.zppo.on_verl.worker",
    "recipe.zppo.on_verl.agent_loop",
    "recipe.cpu.hf_server",
    "ray._private.workers.default_worker",
)


def set_platform(config: DictConfig) -> None:
    """Choose verl's platform in this process, and let what Ray's workers find in their environment hold here too.

    verl decides on its platform once, on the import of `verl.trainer.main_ppo` at the latest: call this before.

    Raises:
        ConfigError: it is a version of verl that ZPPO was not tried with.
    """
    check_verl()
    if config.trainer.nnodes == 1 and not config.ray_kwargs.ray_init.get("address"):
        # Else Ray would join whatever cluster an earlier command, or another user, has left on this machine.
        os.environ.setdefault("RAY_ADDRESS", "local")
    runtime_env = config.ray_kwargs.ray_init.runtime_env
    if config.trainer.device == "cpu":
        with open_dict(runtime_env):
            runtime_env.setdefault("env_vars", {})
            runtime_env.env_vars.setdefault("VERL_PLATFORM", "cpu")
            if config.actor_rollout_ref.rollout.name == "hf" and config.trainer.nnodes == 1:
                from recipe.cpu.forks import py_executable

                runtime_env.py_executable = runtime_env.get("py_executable") or py_executable(_WORKERS_MODULES)
    for name, value in (runtime_env.get("env_vars") or {}).items():
        os.environ.setdefault(name, str(value))
    if OFFLINE in (runtime_env.get("env_vars") or {}):  # a user who lets this process ask the hub means the workers too
        runtime_env.env_vars[OFFLINE] = os.environ[OFFLINE]
    if config.trainer.device == "cpu":
        from recipe.cpu import use_cpu

        use_cpu()
    if config.trainer.device == "cpu" or config.actor_rollout_ref.rollout.name == "hf":
        _declare_slots(config)


def _declare_slots(config: DictConfig) -> None:
    """Without accelerators Ray's "GPU" is a logical resource: as many as student and teacher ask for."""
    slots = int(config.trainer.n_gpus_per_node) * int(config.trainer.nnodes)
    try:
        zppo = validate_zppo(config.zppo)
    except ConfigError:
        return  # `check` comes next and says so
    slots += len(zppo.placed_teachers) * zppo.teacher.n_gpus_per_node * zppo.teacher.nnodes
    with open_dict(config.ray_kwargs.ray_init):
        config.ray_kwargs.ray_init.num_gpus = max(int(config.ray_kwargs.ray_init.get("num_gpus") or 0), slots)
