"""The plan as a page of its own (``zppo.dry_run=true``), and as the last check before a run."""

import sys
from collections.abc import Sequence

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from recipe.zppo.config.command import GROUPS
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.dry_run.counting import add_numbers
from recipe.zppo.dry_run.page import render, summary
from recipe.zppo.dry_run.plan import Plan
from recipe.zppo.dry_run.planning import Check, plan
from recipe.zppo.run.blotting import blotted_command


def print_plan(config: DictConfig, *, stack: bool = True, also: Sequence[Check] = ()) -> int:
    """Print what the run would do, and whether it would; the exit status. `stack` and `also`: see `plan`."""
    result = plan(config, stack=stack, also=also)
    result.command = blotted_command(sys.orig_argv)
    if HydraConfig.initialized():
        chosen = HydraConfig.get().runtime.choices
        result.choices = {group: str(chosen[group]) for group in GROUPS}
    print(render(result), end="")
    return 2 if result.problems else 0


def may_start(config: DictConfig) -> bool:
    """The dry run's numbers before a run, whose checks have passed: problems, warnings, a line; True if it may start.

    Without accelerators, where nothing is large, only problems are said.
    """
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
