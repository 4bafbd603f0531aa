"""Where the parts of a world lie."""

import os
from dataclasses import dataclass
from pathlib import Path

from recipe.zppo.errors import ZPPOError


class WorldError(ZPPOError, RuntimeError):
    """The world can't be built."""


class WorldPlaceError(WorldError, ValueError):
    """The world must not be written where it was asked for."""


def cache_folder() -> Path:
    """Where worlds are kept if no path is given."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zppo"


def default_path(seed: int = 0, difficulty: str = "firm") -> Path:
    """In the user's cache folder."""
    return cache_folder() / f"world-{difficulty}-{seed}"


@dataclass
class WorldPaths:
    """Files of a finished world: two checkpoint folders, three parquet files, and `world.json`.

    `meta` holds the settings, the price list, hashes of all files, and what was measured before RL.
    """

    root: Path

    def __post_init__(self) -> None:
        self.student, self.teacher, self.meta = (self.root / n for n in ("student", "teacher", "world.json"))
        self.train_file, self.val_file = self.file("train"), self.file("val")

    def file(self, split: str) -> Path:
        """The questions of `train`, `val` or `shifted`."""
        return self.root / f"{split}.parquet"
