"""Where a run is, in a small file that a progress display (or a person) can read at any time."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from recipe.zppo.files import write_atomically


class StatusFile:
    """Writes ``{"step", "stage", "since", "pid"}``; stages: start, generate, log_probs, update, checkpoint, validate,
    sync, done."""

    def __init__(self, path: str):
        self.path = path

    def write(self, step: int, stage: str) -> None:
        content = {"step": step, "stage": stage, "since": time.time(), "pid": os.getpid()}

        def write(path: str) -> None:
            with open(path, "w", encoding="utf-8") as file:
                json.dump(content, file)

        write_atomically(self.path, write)

    @contextmanager
    def stage(self, step: int, stage: str) -> Iterator[None]:
        self.write(step, stage)
        yield
        self.write(step, f"after {stage}")
