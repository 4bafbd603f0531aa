"""Room for checkpoints and rollout files: how large they are, how many are kept, and what is free."""

import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.dry_run.workload import Workload

TOKEN_BYTES = 4
"""Of a token's text in a rollout file, about: mathematics and code have less, and escapes and UTF-8 add some."""


@dataclass(frozen=True)
class Disk:
    """Bytes. `kept` checkpoints exist at once at most (None: as many as are saved, of an unknown number of steps)."""

    folder: str
    place: str
    """What exists of the folder on this machine: the disk that was looked at."""
    checkpoint: int | None
    kept: int | None
    exported: int
    free: int | None
    rollouts: int | None = None
    """All rollout files of the run on this disk, an upper estimate (`rollout_bytes`); None if it is unknown."""
    logged: int = 0
    """Of the rollout files, what an earlier start has written."""

    @property
    def needed(self) -> int | None:
        """By checkpoints and the final model, which is certain."""
        if self.checkpoint is None or self.kept is None:
            return None
        return self.checkpoint * self.kept + self.exported

    @property
    def estimate(self) -> int | None:
        """An upper estimate of what is yet to be written, rollout files and all; None if nothing is known."""
        if self.needed is None and self.rollouts is None:
            return None
        return (self.needed or 0) + max((self.rollouts or 0) - self.logged, 0)


def rollout_bytes(zppo: ZPPOConfig, work: Workload, prompt: int) -> int | None:
    """The rollout files of a whole run: an upper estimate, which runs stay well below.

    Every group of every step is there, every response is as long as it may be, and so is every prompt of `prompt`
    tokens. The prompt counts once a response, though a file holds it once a group: candidates, which are in it, and
    beside it once more, are what makes up for that. Only `zppo.logging.text_limit` bounds the text of one response.

    Returns:
        0 without rollout files; None if the number of steps is unknown.
    """
    if not zppo.logging.rollouts_dir:
        return 0
    if work.steps is None:
        return None
    student = work.rollouts * (_text(prompt, zppo) + _text(work.response, zppo))
    return work.steps * (student + work.teacher_rollouts * _text(work.teacher_response, zppo))


def _text(tokens: int, zppo: ZPPOConfig) -> int:
    size, limit = TOKEN_BYTES * tokens, zppo.logging.text_limit
    return size if limit is None else min(size, limit)


def checkpoints_kept(config: DictConfig, steps: int | None) -> int | None:
    """Checkpoints that exist at once: one more than are to be kept while a new one is written."""
    frequency, keep = config.trainer.save_freq, config.trainer.get("max_actor_ckpt_to_keep", None)
    if frequency <= 0:
        return 0
    saved = None if steps is None else math.ceil(steps / frequency)
    if keep:
        return keep + 1 if saved is None else min(keep + 1, saved)
    return saved


def disk_of(
    config: DictConfig,
    steps: int | None,
    checkpoint: int | None,
    exported: int,
    rollouts: int | None = None,
    rollouts_dir: str | None = None,
) -> Disk:
    """The disk that `trainer.default_local_dir` is on; what this run has saved before is room that it has.

    Args:
        rollouts: bytes that come into `rollouts_dir` (`rollout_bytes`); they count if it is on the same disk.
    """
    folder = Path(str(config.trainer.default_local_dir)).expanduser().absolute()
    logs = Path(rollouts_dir).expanduser().absolute() if rollouts_dir else None
    there = _nearest(folder)
    try:
        free = shutil.disk_usage(there).free + _written(folder) if there else None
    except OSError:
        free = None
    if logs and not _same_disk(logs, folder):
        logs, rollouts = None, 0
    kept = checkpoints_kept(config, steps)
    return Disk(
        str(config.trainer.default_local_dir),
        str(there or ""),
        checkpoint,
        kept,
        exported,
        free,
        rollouts,
        _logged(logs) if logs else 0,
    )


def _nearest(folder: Path) -> Path | None:
    """What exists of a path."""
    return next((parent for parent in (folder, *folder.parents) if parent.is_dir()), None)


def _same_disk(one: Path, other: Path) -> bool:
    """Taken to be so where it can't be told."""
    places = [_nearest(one), _nearest(other)]
    try:
        return None in places or len({os.stat(place).st_dev for place in places}) == 1
    except OSError:
        return True


def _written(folder: Path) -> int:
    """Bytes of the checkpoints and the final model of an earlier start, which count among those that are needed."""
    found = [*folder.glob("global_step_*"), folder / "hf_model"]
    return sum(file.stat().st_size for saved in found for file in saved.rglob("*") if file.is_file())


def _logged(folder: Path) -> int:
    """Bytes of the rollout files of an earlier start, which a resumed run keeps or replaces."""
    try:
        return sum(file.stat().st_size for file in folder.glob("step_*.jsonl"))
    except OSError:  # an estimate is no reason to fail
        return 0
