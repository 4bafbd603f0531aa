"""From a composed config to a finished run: checks first, then Ray, and errors as messages instead of stack traces."""

import os
import re
import sys
from collections.abc import Iterator

from omegaconf import DictConfig, OmegaConf, open_dict

from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.errors import ConfigError, ZPPOError, plain_message
from recipe.zppo.preflight.data_folders import list_folders
from recipe.zppo.teacher.secret import Secret


def launch(config: DictConfig) -> int:
    """Check the config, run the training, and return the exit status of the process."""
    try:
        set_platform(config)
        list_folders(config.data)
        if config.zppo.get("dry_run") is True:
            return dry_run(config)
        check(config)
    except ConfigError as error:
        print(f"zppo: {error}", file=sys.stderr)
        return 2
    if not preflight(config):
        return 2

    from verl.trainer.main_ppo import run_ppo

    from recipe.zppo.on_verl.task_runner import TaskRunnerWith

    key = config.zppo.teacher.api_key_env
    secret = Secret.from_environment(key)
    try:
        run_ppo(config, task_runner_class=TaskRunnerWith({key: secret} if secret else {}))
    except KeyboardInterrupt:
        print(
            "zppo: interrupted; a later run with trainer.resume_mode=auto goes on from the last checkpoint",
            file=sys.stderr,
        )
        return 130
    except Exception as error:
        known = find_zppo_error(error)
        message = plain_message(known) if known else out_of_memory(error)
        if message is None:
            raise
        print(f"zppo: the run stopped: {message}", file=sys.stderr)
        return 1
    return 0


def dry_run(config: DictConfig) -> int:
    """Print what the run would do, and whether it would; the exit status."""
    from recipe.zppo.dry_run import plan

    result = plan(config)
    print(result.page(), end="")
    return 2 if result.problems else 0


def preflight(config: DictConfig) -> bool:
    """The dry run's numbers before a run, whose checks have passed: problems, warnings, a line; True if it may start.

    Without accelerators, where nothing is large, only problems are said.
    """
    from recipe.zppo.dry_run.page import summary
    from recipe.zppo.dry_run.planning import Plan, add_numbers

    plan = Plan()
    try:
        add_numbers(plan, config, validate_zppo(config.zppo), join=False)
    except Exception as error:  # the checks have passed: what can't be counted is no reason not to run
        print(f"zppo: warning: the run could not be planned: {type(error).__name__}: {error}", file=sys.stderr)
        return True
    lines = list(plan.problems)
    if config.trainer.device != "cpu" and not lines:
        lines = [*(f"warning: {warning}" for warning in plan.warnings), f"plan: {summary(plan)}"]
    for line in lines:
        print(f"zppo: {line}", file=sys.stderr)
    return not plan.problems


def set_platform(config: DictConfig) -> None:
    """Choose verl's platform in this process, and let what Ray's workers find in their environment hold here too.

    verl decides on its platform once, on the import of `verl.trainer.main_ppo` at the latest: call this before.
    """
    runtime_env = config.ray_kwargs.ray_init.runtime_env
    if config.trainer.device == "cpu":
        with open_dict(runtime_env):
            runtime_env.setdefault("env_vars", {})
            runtime_env.env_vars.setdefault("VERL_PLATFORM", "cpu")
    for name, value in (runtime_env.get("env_vars") or {}).items():
        os.environ.setdefault(name, str(value))
    if config.trainer.device == "cpu":
        from recipe.cpu import use_cpu

        use_cpu()
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


def check(config: DictConfig) -> None:
    """Our checks, then verl's own, then what is installed, all of them as ConfigError."""
    from recipe.zppo.preflight.packages import check_packages
    from recipe.zppo.preflight.settings import check_config

    check_config(config)
    check_with_verl(config)
    check_packages(config)


def check_with_verl(config: DictConfig) -> None:
    """verl's own checks; sets `trainer.device` to the accelerator at hand, as verl does."""
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config
    from verl.utils.device import auto_set_device

    auto_set_device(config)
    try:
        OmegaConf.to_container(config, resolve=True)
        validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    except Exception as error:
        # Hydra wraps what the constructor of a verl config raised.
        cause = error.__cause__ or error
        reason = (str(cause) or type(cause).__name__).splitlines()[0]
        raise ConfigError(f"verl does not accept the configuration: {reason}") from error


def find_zppo_error(error: BaseException) -> ZPPOError | None:
    """The first error of ours in a chain of causes, as it was raised: not Ray's copies, which carry tracebacks."""
    from ray.exceptions import RayError

    return next(
        (link for link in _chain(error) if isinstance(link, ZPPOError) and not isinstance(link, RayError)), None
    )


def out_of_memory(error: BaseException) -> str | None:
    """What to do if Ray has ended workers because a node's main memory was full; None if that is not what happened."""
    from ray.exceptions import OutOfMemoryError

    links = list(_chain(error))
    if not any(isinstance(link, OutOfMemoryError) for link in links):
        return None
    used = re.search(r"was ([\d.]+ ?GB used / [\d.]+ ?GB)", " ".join(map(str, links)))
    return (
        f"a node ran out of main memory ({used.group(1) if used else 'see the log'}) and Ray ended workers there; stop "
        "what else runs on it, or lower actor_rollout_ref.actor.ppo_max_token_len_per_gpu, "
        "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu or ray_kwargs.ray_init.object_store_memory. The same "
        "command goes on from the last checkpoint"
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it was raised from: Ray's `.cause`, then Python's own links."""
    seen: set[int] = set()
    stack: list[BaseException | None] = [error]
    while stack:
        link = stack.pop()
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        # Last in, first out: Ray's cause is looked at first.
        stack += [link.__context__, link.__cause__, getattr(link, "cause", None)]
