"""The student of the last checkpoint as a Hugging Face model, at the end of a run."""

import logging
import os
import shlex
import subprocess
import sys
from pathlib import Path

from recipe.zppo.run.checkpoint_files import latest_complete
from recipe.zppo.run.publish import remove_leftovers

logger = logging.getLogger(__name__)

_TIMEOUT_S = 3600
_STRATEGIES = ("fsdp", "fsdp2", "megatron")
"""Engines (actor.strategy) whose checkpoints verl's merger reads."""


def export_hf_model(run_dir: str, strategy: str) -> str | None:
    """Write ``<run_dir>/hf_model`` from the newest complete checkpoint; it appears whole.

    By `zppo export`, in a process of its own, since verl's merger loads the whole model. Where it fails (shards that
    lie on other nodes' own disks, say), the run is not lost: the cause and the command to run by hand are logged.
    A LoRA student is written merged, and its adapter alone to ``<run_dir>/lora_adapter``.

    Returns:
        the folder, or None if there is no checkpoint or the export failed.
    """
    checkpoint = latest_complete(run_dir)
    if strategy not in _STRATEGIES:
        logger.error("zppo: no Hugging Face model: verl's merger does not read actor.strategy=%s", strategy)
        return None
    if checkpoint is None:
        logger.warning("no checkpoint in %s: no Hugging Face model is written", run_dir)
        return None
    target = os.path.join(run_dir, "hf_model")
    command = [sys.executable, "-m", "recipe.zppo.export", run_dir, "--step", checkpoint.rsplit("_", 1)[1]]
    command += ["--to", target, "--overwrite"]
    if os.path.exists(os.path.join(checkpoint, "actor", "lora_train_meta.json")):
        command += ["--adapter", os.path.join(run_dir, "lora_adapter")]
    places = Path(target), Path(run_dir, "lora_adapter")
    for place in places:
        remove_leftovers(place)
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except (subprocess.SubprocessError, OSError) as error:
        detail = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1:]
        logger.error("zppo: no Hugging Face model: %s; by hand: %s", detail, shlex.join(command))
        for place in places:  # one that was killed could not
            remove_leftovers(place)
        return None
    return target
