"""Imported by the process that `tests/warm.py` forks, and by nothing else."""

from recipe.cpu import use_cpu

use_cpu()

from recipe.cpu.forks import import_undrawn  # noqa: E402

import_undrawn(
    [
        "verl.trainer.main_ppo",
        "recipe.zppo.launch",
        "recipe.zppo.config.command",
        "recipe.zppo.dry_run.command",
        "recipe.zppo.on_verl.config_check",
        "recipe.zppo.on_verl.start",
        "recipe.zppo.on_verl.trainer",
        "recipe.zppo.on_verl.worker",
        "recipe.zppo.preflight.everything",
        "recipe.zppo.preflight.packages",
        "recipe.zppo.preflight.settings",
    ]
)
