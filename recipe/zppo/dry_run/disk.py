"""Room for checkpoints: how large one is, how many are kept, and what is free."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig


@dataclass(frozen=True)
class Disk:
    """Bytes. `kept` checkpoints exist at once at most (None: as many as are saved, of an unknown number of steps)."""

    folder: str
    checkpoint: int | None
    kept: int | None
    exported: int
    free: int | None

    @property
    def needed(self) -> int | None:
        if self.checkpoint is None or self.kept is None:
            return None
        return self.checkpoint * self.kept + self.exported


def checkpoints_kept(config: DictConfig, steps: int | None) -> int | None:
    """Checkpoints that exist at once: one more than are to be kept while a new one is written."""
    frequency, keep = config.trainer.save_freq, config.trainer.get("max_actor_ckpt_to_keep", None)
    if frequency <= 0:
        return 0
    saved = None if steps is None else math.ceil(steps / frequency)
    if keep:
        return keep + 1 if saved is None else min(keep + 1, saved)
    return saved


def disk_of(config: DictConfig, steps: int | None, checkpoint: int | None, exported: int) -> Disk:
    """The disk that `trainer.default_local_dir` is on; what this run has saved before is room that it has."""
    folder = Path(str(config.trainer.default_local_dir)).expanduser().absolute()
    there = next((parent for parent in (folder, *folder.parents) if parent.is_dir()), None)
    try:
        free = shutil.disk_usage(there).free + _written(folder) if there else None
    except OSError:
        free = None
    return Disk(str(config.trainer.default_local_dir), checkpoint, checkpoints_kept(config, steps), exported, free)


def _written(folder: Path) -> int:
    """Bytes of the checkpoints and the final model of an earlier start, which count among those that are needed."""
    found = [*folder.glob("global_step_*"), folder / "hf_model"]
    return sum(file.stat().st_size for saved in found for file in saved.rglob("*") if file.is_file())
