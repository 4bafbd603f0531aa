"""From a composed config to a `Plan`: all checks, then the numbers."""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec

from omegaconf import DictConfig, OmegaConf

from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.dry_run.counting import NO_MEMORY, add_numbers
from recipe.zppo.dry_run.elsewhere import leave_out_data, put_files, too_few
from recipe.zppo.dry_run.plan import Plan
from recipe.zppo.errors import ConfigError
from recipe.zppo.on_verl.config_check import check_with_verl
from recipe.zppo.preflight.models import planned_elsewhere
from recipe.zppo.preflight.packages import check_packages
from recipe.zppo.preflight.settings import find_problems
from recipe.zppo.preflight.stack import check_stack
from recipe.zppo.preflight.values import check_values

Check = Callable[[DictConfig], object]
"""Raises `ConfigError`."""

NO_ESTIMATE = "the GPU's memory: the plan knows verl's engines, and recipe.zppo.local is none of them"


def plan(config: DictConfig, *, join: bool = True, stack: bool = True, also: Sequence[Check] = ()) -> Plan:
    """All checks, and the plan as far as they let it be made; `config` stays as it is.

    Args:
        join: connect to a running Ray cluster, if one is configured and `zppo.hardware` is null.
        stack: verl's engines and servers would run it, not `recipe.zppo.local`.
        also: further checks, of whoever would run it instead.
    """
    config = copy.deepcopy(config)
    on_gpu = not stack and config.trainer.device != "cpu"
    if on_gpu:  # in one process, of which nothing is placed
        config.trainer.device = "cpu"
    try:
        check_values(config)
        zppo = validate_zppo(config.zppo)
    except ConfigError:
        return Plan(problems=find_problems(config))  # nothing can be counted
    result = Plan(questions=zppo.plan.questions)
    if result.questions:
        result.not_checked += leave_out_data(config, result.questions)
        result.problems += too_few(config, result.questions)
    result.problems += put_files(config)
    result.problems += find_problems(config)
    checks: list[Check] = [*([check_stack] if stack else []), *also, check_with_verl]
    if not planned_elsewhere(config):
        checks.append(check_packages)
    elif _has_adapters(config) and find_spec("vllm") is None:
        checks[-1] = _check_without_vllm
        result.not_checked.append("vLLM, which serves the student's adapters: not installed here")
    for check in checks:
        try:
            with _quiet():
                check(config)
        except ConfigError as error:
            result.problems.append(str(error))
    try:
        add_numbers(result, config, zppo, join=join)
    except Exception:
        if not result.problems:
            raise
        result.not_checked.append("numbers that presume on what has failed")
    if on_gpu:
        result.not_checked[:] = [NO_ESTIMATE if line == NO_MEMORY else line for line in result.not_checked]
    result.problems = list(dict.fromkeys(result.problems))
    return result


def _has_adapters(config: DictConfig) -> bool:
    model = config.actor_rollout_ref.model
    return bool(model.lora_rank or OmegaConf.select(model, "lora.rank"))


def _check_without_vllm(config: DictConfig) -> None:
    """verl would ask vLLM which ranks it serves; `check_lora` knows the largest."""
    whole = copy.deepcopy(config)
    OmegaConf.update(whole, "actor_rollout_ref.model.lora.merge", True, force_add=True)
    check_with_verl(whole)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """verl says on stdout that checks passed, and warns of the missing critic and, on a login node, accelerator."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
