"""Metrics of every step as one JSON object a line, going on correctly after a resume."""

import math
from typing import Any

import numpy as np

from recipe.zppo.run.line_log import LineLog


class MetricsLog(LineLog):
    """A logger back end for verl's `Tracking`: ``log(data, step)`` and ``finish()``.

    ``resume(step)`` drops the lines of later steps, which a run that was killed after its last checkpoint has left;
    they are logged again. If the line of ``step`` itself is missing it is written from ``restored``, the metrics that
    the checkpoint holds.
    """

    restored: dict[str, Any] | None = None

    def missing(self, step: int, there: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [_row(self.restored, step)] if self.restored is not None and not there else []

    def log(self, data: dict[str, Any], step: int, **_: Any) -> None:
        self.append([_row(data, step)])


def plain_metrics(data: dict[str, Any]) -> dict[str, Any]:
    """Metrics as plain numbers and strings; what is not finite becomes null."""
    return {key: _number(value) for key, value in data.items()}


def _row(data: dict[str, Any], step: int) -> dict[str, Any]:
    return {"step": int(step)} | plain_metrics(data)


def _number(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if hasattr(value, "item") and getattr(value, "numel", lambda: 1)() == 1:
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (int, float, str, bool, type(None))) else str(value)
