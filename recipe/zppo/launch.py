"""From a composed config to a finished run: checks first, then Ray, and errors as messages instead of stack traces."""

import sys

from omegaconf import DictConfig

from recipe.zppo.config.ending import said
from recipe.zppo.errors import ConfigError
from recipe.zppo.preflight.benchmarks import add_benchmarks
from recipe.zppo.preflight.data_folders import list_folders
from recipe.zppo.preflight.everything import check
from recipe.zppo.preflight.platform import set_platform
from recipe.zppo.preflight.ray_start import check_ray
from recipe.zppo.preflight.stack import check_stack
from recipe.zppo.run.start_record import record_start


def launch(config: DictConfig) -> int:
    """Check the config, run the training, and return the exit status of the process."""
    try:
        set_platform(config)  # before anything of verl's that decides on one is imported
        from recipe.zppo.dry_run.command import may_start, print_plan

        if config.zppo.get("dry_run") is True:
            return print_plan(config)
        list_folders(config.data)
        check(config)
        check_stack(config)
        check_ray(config)
    except (ConfigError, OSError) as error:
        print(f"zppo: {said(error)}", file=sys.stderr)
        return 2
    if not may_start(config):
        return 2
    try:
        add_benchmarks(config)
        record_start(config)
    except (ConfigError, OSError) as error:  # the latter of a disk: files of benchmarks are written here
        print(f"zppo: {said(error)}", file=sys.stderr)
        return 2

    from recipe.zppo.on_verl.start import start

    return start(config)
