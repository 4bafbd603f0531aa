"""From a composed config to a `Plan`: all checks, then the numbers, section by section."""

from __future__ import annotations

import contextlib
import copy
import io
from dataclasses import dataclass, field

from omegaconf import DictConfig

from recipe.zppo.checks import find_problems
from recipe.zppo.config import ZPPOConfig
from recipe.zppo.config_validation import validate_zppo
from recipe.zppo.dry_run.hardware import Hardware, parse_hardware
from recipe.zppo.dry_run.layout import Layout, lay_out
from recipe.zppo.dry_run.machine import look
from recipe.zppo.dry_run.page import render
from recipe.zppo.errors import ConfigError
from recipe.zppo.launch import check_with_verl


@dataclass
class Plan:
    """What a run would do. Every problem, warning and omission is one line; a problem names a key and a remedy."""

    problems: list[str] = field(default_factory=list)
    """What would make the run fail."""

    warnings: list[str] = field(default_factory=list)
    """What is estimated to be too much, or can't be right but does no harm."""

    not_checked: list[str] = field(default_factory=list)
    """What could not be looked at here."""

    hardware: Hardware | None = None
    layout: Layout | None = None

    def page(self, width: int | None = None) -> str:
        """The plan as text of one page."""
        return render(self, width)


def plan(config: DictConfig) -> Plan:
    """All checks, and the plan as far as they let it be made; `config` stays as it is."""
    config = copy.deepcopy(config)
    result = Plan(problems=find_problems(config))
    try:
        zppo = validate_zppo(config.zppo)
    except ConfigError:
        return result  # nothing can be counted
    with contextlib.redirect_stdout(io.StringIO()):  # verl says "passed successfully" there
        try:
            check_with_verl(config)
        except ConfigError as error:
            result.problems.append(str(error))
    _plan_hardware(result, config, zppo)
    return result


def _plan_hardware(result: Plan, config: DictConfig, zppo: ZPPOConfig) -> None:
    result.hardware = parse_hardware(zppo.hardware) if zppo.hardware else look(config)
    result.layout = lay_out(config, zppo, result.hardware)
    result.problems += result.layout.problems
