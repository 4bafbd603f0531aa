"""Metrics of every step as one JSON object a line, going on correctly after a resume."""

import json
import logging
import math
import os
from collections import deque
from typing import Any

import numpy as np

from recipe.zppo.run.files import DispensableWrites, write_text_atomically

logger = logging.getLogger(__name__)

_HELD_BACK = 10_000
"""Lines that wait for a disk to take them at most: some tens of MB."""


class MetricsLog:
    """A logger back end for verl's `Tracking`: ``log(data, step)`` and ``finish()``.

    ``resume(step)`` drops the lines of later steps, which a run that was killed after its last checkpoint has left;
    they are logged again. If the line of ``step`` itself is missing it is written from ``restored``, the metrics that
    the checkpoint holds.

    A line that the disk refuses is held back and written, whole and in its place, once the disk takes it; the run goes
    on. Only the start, `resume`, needs a disk that works.
    """

    restored: dict[str, Any] | None = None

    def __init__(self, path: str | None):
        self.path = path
        self._file = None
        self._writes = DispensableWrites()
        self._waiting: deque[bytes] = deque(maxlen=_HELD_BACK)
        self._end: int | None = None  # of the whole lines, while half a line may follow them

    def resume(self, step: int) -> None:
        if self.path is None:
            return
        os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
        lines = self._lines() if step else []
        kept = [line for number, line in lines if number <= step]
        if step and self.restored is not None and step not in [number for number, _ in lines]:
            kept.append(_line(self.restored, step))
        write_text_atomically(self.path, "".join(kept))
        # Without a buffer: what the disk refused must not stay there and come out in front of the next line.
        self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 (closed by finish)

    def _lines(self) -> list[tuple[float, str]]:
        """Every line with its step; what is no metrics of a step is passed over, as every reader does."""
        if not os.path.exists(self.path):
            return []
        found, garbage = [], 0
        with open(self.path, encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line.endswith("\n"):
                    continue  # a killed writer may leave half a line
                step = _step_of(line)
                if step is None:
                    garbage += 1
                else:
                    found.append((step, line))
        if garbage:
            logger.warning("%s: %d line(s) that are no metrics of a step are dropped", self.path, garbage)
        return found

    def log(self, data: dict[str, Any], step: int, **_: Any) -> None:
        if self._file is not None:
            self._waiting.append(_line(data, step).encode())
            self._write()

    def _write(self) -> None:
        with self._writes.attempt(self.path):
            while self._waiting:
                self._append(self._waiting[0])
                self._waiting.popleft()

    def _append(self, line: bytes) -> None:
        """All of ``line``, or nothing of it; if half of it can't be removed at once, the next call does."""
        if self._end is not None:
            self._file.truncate(self._end)
        self._end = os.fstat(self._file.fileno()).st_size
        rest = line
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._file.truncate(self._end)
            raise
        finally:
            if not rest:
                self._end = None

    def finish(self, **_: Any) -> None:
        if self._file is None:
            return
        self._write()
        if self._waiting:
            logger.warning("%s: the last %d line(s) could not be written", self.path, len(self._waiting))
            self._waiting.clear()
        file, self._file, self._end = self._file, None, None
        with self._writes.attempt(self.path):
            file.close()


def plain_metrics(data: dict[str, Any]) -> dict[str, Any]:
    """Metrics as plain numbers and strings; what is not finite becomes null."""
    return {key: _number(value) for key, value in data.items()}


def _line(data: dict[str, Any], step: int) -> str:
    return json.dumps({"step": int(step)} | plain_metrics(data)) + "\n"


def _step_of(line: str) -> float | None:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    step = content.get("step") if isinstance(content, dict) else None
    return step if isinstance(step, (int, float)) and not isinstance(step, bool) else None


def _number(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if hasattr(value, "item") and getattr(value, "numel", lambda: 1)() == 1:
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (int, float, str, bool, type(None))) else str(value)
