"""From a composed config to a finished run: checks first, then Ray, and errors as messages instead of stack traces."""

import sys

from omegaconf import DictConfig

from recipe.zppo.errors import ConfigError
from recipe.zppo.preflight.data_folders import list_folders
from recipe.zppo.preflight.everything import check
from recipe.zppo.preflight.platform import set_platform


def launch(config: DictConfig) -> int:
    """Check the config, run the training, and return the exit status of the process."""
    try:
        set_platform(config)  # before anything of verl's that decides on one is imported
        from recipe.zppo.dry_run.command import may_start, print_plan

        list_folders(config.data)
        if config.zppo.get("dry_run") is True:
            return print_plan(config)
        check(config)
    except ConfigError as error:
        print(f"zppo: {error}", file=sys.stderr)
        return 2
    if not may_start(config):
        return 2

    from recipe.zppo.on_verl.start import start

    return start(config)
