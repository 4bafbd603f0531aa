"""The writer of a run's events (`recipe.zppo.run.events`): one write a step, one a line of metrics."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.replay_buffer import BufferEntry
from recipe.zppo.run.events import VERSION
from recipe.zppo.run.line_log import LineLog
from recipe.zppo.run.metrics_log import plain_metrics
from recipe.zppo.run.step_events import Place, evicted, step_events
from recipe.zppo.step import StepOutcome

VALIDATION = ("val-", "zppo/validation/")
"""What the names of a validation's metrics begin with."""


class EventLog(LineLog):
    """Also a logger back end for verl's `Tracking`: what is logged becomes ``measured`` and ``validated``.

    ``resume(step)`` drops the events of later steps, which come again. What a run that was killed right after its
    checkpoint of ``step`` had not written any more is written then: that the checkpoint is there, and the metrics that
    it holds, ``restored``.
    """

    restored: dict[str, Any] | None = None
    gone: Sequence[BufferEntry] = ()
    """What left the replay buffer at the resume, as the data changed."""

    def resume(self, step: int, *, trains: bool = True) -> None:
        super().resume(step, trains=trains)
        if not trains:
            return
        started = {"type": "started", "step": step, "time": time.time(), "version": VERSION}
        self.append([started, *(evicted(entry, step, "data_changed") for entry in self.gone)])

    def comes_again(self, content: dict[str, Any], step: int) -> bool:
        """What left the buffer at a resume from the same checkpoint is found out anew."""
        return super().comes_again(content, step) or (
            content["step"] == step and content.get("reason") == "data_changed"
        )

    def missing(self, step: int, there: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
        types = {event.get("type") for event in there}
        if self.restored is not None and not types & {"measured"}:
            yield from _logged(self.restored, step)
        if "rolled_out" in types and "checkpointed" not in types:  # a run from another folder has none of its steps
            yield _checkpointed(step)

    def step(self, outcome: StepOutcome, config: ZPPOConfig, place: Place | None = None) -> None:
        self.append(step_events(outcome, config, place))

    def log(self, data: dict[str, Any], step: int, **_: Any) -> None:
        self.append(_logged(data, step))

    def checkpointed(self, step: int) -> None:
        self.append([_checkpointed(step)])


def _logged(data: dict[str, Any], step: int) -> Iterator[dict[str, Any]]:
    metrics = plain_metrics(data)
    validated = {name: value for name, value in metrics.items() if name.startswith(VALIDATION)}
    measured = {name: value for name, value in metrics.items() if name not in validated}
    for name, values in (("validated", validated), ("measured", measured)):
        if values:
            yield {"type": name, "step": int(step), "time": time.time(), "metrics": values}


def _checkpointed(step: int) -> dict[str, Any]:
    return {"type": "checkpointed", "step": int(step), "time": time.time()}
