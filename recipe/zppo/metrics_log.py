"""Metrics of every step as one JSON object a line, going on correctly after a resume."""

from __future__ import annotations

import json
import math
import os
from typing import Any

import numpy as np

from recipe.zppo.files import write_atomically


class MetricsLog:
    """A logger back end for verl's `Tracking`: ``log(data, step)`` and ``finish()``.

    ``resume(step)`` drops the lines of later steps, which a run that was killed after its last checkpoint has left;
    they are logged again. If the line of ``step`` itself is missing it is written from ``restored``, the metrics that
    the checkpoint holds.
    """

    restored: dict[str, Any] | None = None

    def __init__(self, path: str | None):
        self.path = path
        self._file = None

    def resume(self, step: int) -> None:
        if self.path is None:
            return
        os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
        kept = [line for line in self._lines() if json.loads(line)["step"] <= step] if step else []
        if step and self.restored is not None and step not in [json.loads(line)["step"] for line in kept]:
            kept.append(_line(self.restored, step))

        def write(path: str) -> None:
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(kept)

        write_atomically(self.path, write)
        self._file = open(self.path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 (closed by finish)

    def _lines(self) -> list[str]:
        if not os.path.exists(self.path):
            return []
        with open(self.path, encoding="utf-8") as file:
            return [line for line in file if line.endswith("\n")]  # a killed writer may leave half a line

    def log(self, data: dict[str, Any], step: int, **_: Any) -> None:
        if self._file is not None:
            self._file.write(
                json.dumps({"step": int(step)} | {key: _number(value) for key, value in data.items()}) + "\n"
            )

    def finish(self, **_: Any) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def attach_metrics_log(tracking: Any, log: MetricsLog, step: int) -> Any:
    """Make ``log`` one of the back ends of verl's ``tracking`` (a dict of them, `utils/tracking.py`)."""
    log.resume(step)
    tracking.logger["zppo_metrics_file"] = log
    return tracking


def plain_metrics(data: dict[str, Any]) -> dict[str, Any]:
    """Metrics as plain numbers and strings; what is not finite becomes null."""
    return {key: _number(value) for key, value in data.items()}


def _line(data: dict[str, Any], step: int) -> str:
    return json.dumps({"step": int(step)} | plain_metrics(data)) + "\n"


def _number(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if hasattr(value, "item") and getattr(value, "numel", lambda: 1)() == 1:
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (int, float, str, bool, type(None))) else str(value)
