"""From a composed config to a finished run in this process."""

import logging
import os
import sys
from typing import Any

from omegaconf import DictConfig

from recipe.zppo.config.ending import said
from recipe.zppo.errors import ZPPOError, plain_message
from recipe.zppo.local.device import check_device, check_engine
from recipe.zppo.local.supported import check_rows, check_supported, check_text_models
from recipe.zppo.preflight.benchmarks import add_benchmarks
from recipe.zppo.preflight.data_folders import list_folders
from recipe.zppo.preflight.everything import check
from recipe.zppo.preflight.platform import set_platform
from recipe.zppo.run.start_record import record_start


def launch(config: DictConfig) -> int:
    """Check the config and train; the exit status of the process."""
    try:
        set_platform(config)
        check_engine(config)  # a dry run would miss that engine's packages
        check_supported(config)
        if config.zppo.get("dry_run") is True:
            from recipe.zppo.dry_run.command import print_plan

            return print_plan(config, stack=False, also=(check_rows, check_text_models))
        list_folders(config.data)
        check_device(config)
        check(config)
        check_rows(config)
        check_text_models(config)
        add_benchmarks(config, pictures=False)
        record_start(config)
    except (ZPPOError, OSError) as error:  # the latter of a disk: files of benchmarks are written here
        print(f"zppo: {said(error)}", file=sys.stderr)
        return 2
    try:
        run(config)
    except KeyboardInterrupt:
        print("zppo: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    except ZPPOError as error:
        print(f"zppo: the run stopped: {plain_message(error)}", file=sys.stderr)
        return 1
    return 0


def run(config: DictConfig, models: dict[str, Any] | None = None) -> None:
    """Train; the config has been checked and the platform is set.

    Args:
        models: teachers (`LocalModel`) that earlier runs of this process have loaded, by path; this run adds its own.
    """
    import torch

    from recipe.zppo.config.validation import validate_zppo
    from recipe.zppo.local.trainer import LocalTrainer
    from recipe.zppo.run.lock import RunLock

    logging.getLogger("transformers").setLevel(logging.ERROR)
    # Unless asked for more: in models of a few million parameters threads wait for each other.
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    torch.manual_seed(int(config.zppo.seed))  # nothing should draw from it; in case something does
    with RunLock(config.trainer.default_local_dir):
        LocalTrainer(config, validate_zppo(config.zppo), models).fit()
