"""Where a run is, in a small file that a progress display (or a person) can read at any time."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from recipe.zppo.run.files import DispensableWrites, write_text_atomically


class StatusFile:
    """Writes ``{"step", "stage", "since", "pid", "started", "total_steps"}``; stages: start, generate, log_probs,
    ref_log_probs, update, checkpoint, weights, validate, export, done, and ``after <stage>`` between two of them.

    ``started`` is when this process began; ``total_steps`` is null until the trainer knows and sets it.
    A write that the disk refuses leaves the file as it was, and the run goes on.
    """

    def __init__(self, path: str):
        self.path = path
        self.started = time.time()
        self.total_steps: int | None = None
        self._writes = DispensableWrites()

    def write(self, step: int, stage: str) -> None:
        content = {
            "step": step,
            "stage": stage,
            "since": time.time(),
            "pid": os.getpid(),
            "started": self.started,
            "total_steps": self.total_steps,
        }
        with self._writes.attempt(self.path):
            write_text_atomically(self.path, json.dumps(content))

    @contextmanager
    def stage(self, step: int, stage: str) -> Iterator[None]:
        self.write(step, stage)
        yield
        self.write(step, f"after {stage}")
