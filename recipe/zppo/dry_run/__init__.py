"""What a run would do, and whether it would: planned from the config alone, before Ray starts.

    python -m verl.trainer.main_zppo ... zppo.dry_run=true zppo.hardware=8x8x80

`plan` checks and counts, `Plan.page` shows it, `launch.dry_run` is the command. Importing this package is cheap; the
config's schema uses it to check `zppo.hardware`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from recipe.zppo.dry_run.planning import Plan


def plan(config: DictConfig) -> Plan:
    """Plan the run of a composed config; `config` stays as it is. Ray is not started."""
    from recipe.zppo.dry_run.planning import plan as make

    return make(config)
