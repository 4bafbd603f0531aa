"""Which weights of a run are meant: a checkpoint of verl's engines, the local back end's state, a whole model."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recipe.zppo.errors import ExportError
from recipe.zppo.local.export import saved_step
from recipe.zppo.run.checkpoint_files import COMPLETE_FILE, LOCAL_STATE, is_complete, latest_complete, saved_steps

SIGNS = ("metrics.jsonl", "starts.jsonl", "status.json")
"""Files that make a folder one of a run, if it has nothing to export yet."""


@dataclass(frozen=True)
class Source:
    """What is exported."""

    run: Path
    kind: Literal["verl", "local", "whole"]
    path: Path
    step: int | None
    """None for the model that a run left at its end, if nothing says at which step that was."""

    @property
    def name(self) -> str:
        return "hf_model" if self.step is None else f"step_{self.step}"


def find(folder: str, step: int | None) -> Source:
    """The checkpoint of this step; without a step the newest, or `hf_model/` where all checkpoints are gone.

    Raises:
        ExportError: the folder is not one of a run, or there is no whole checkpoint of this step; the message names
            the steps that there are.
    """
    run = Path(folder).expanduser().resolve()
    if not run.is_dir():
        raise ExportError(f"{folder} is not a folder; give the trainer.default_local_dir of a run")
    if match := re.fullmatch(r"global_step_(\d+)", run.name):
        raise ExportError(f"{folder} is a checkpoint; give its run: {run.parent} --step {match[1]}")
    steps = saved_steps(str(run))
    whole = [saved for saved in steps if is_complete(str(_checkpoint(run, saved)))]
    local = saved_step(run)
    if step is not None:
        if step in whole:
            return Source(run, "verl", _checkpoint(run, step), step)
        if step == local:
            return Source(run, "local", run / LOCAL_STATE, step)
        there = sorted({*whole, *([] if local is None else [local])})
        instead = f"there are: {', '.join(map(str, there))}" if there else "there is none"
        if step in steps:
            half = f"{_checkpoint(run, step)} is half-written (it has no {COMPLETE_FILE})"
            raise ExportError(f"--step {step}: {half}; of whole checkpoints {instead}")
        raise ExportError(f"--step {step}: {run} has no checkpoint of this step; {instead}")
    latest = latest_complete(str(run))
    if latest is not None and (local is None or _changed(Path(latest, COMPLETE_FILE)) >= _changed(run / LOCAL_STATE)):
        return Source(run, "verl", Path(latest), int(latest.rsplit("_", 1)[1]))
    if local is not None:
        return Source(run, "local", run / LOCAL_STATE, local)
    if (run / "hf_model" / "config.json").is_file():
        return Source(run, "whole", run / "hf_model", None)
    if steps:
        raise ExportError(f"{run}: its checkpoints are half-written (global_step_{steps[-1]} has no {COMPLETE_FILE})")
    if any((run / sign).exists() for sign in SIGNS):
        raise ExportError(f"{run} has no checkpoint yet (trainer.save_freq)")
    raise ExportError(f"{run} is not the folder of a run: no global_step_<n>, {LOCAL_STATE} or hf_model in it")


def _checkpoint(run: Path, step: int) -> Path:
    return run / f"global_step_{step}"


def _changed(path: Path) -> float:
    return path.stat().st_mtime
