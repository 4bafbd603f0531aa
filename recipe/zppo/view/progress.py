"""How a run stands, in words and numbers, from its folder: what `recipe.zppo.watch` shows."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from recipe.zppo.run.folder import Row, RunFolder
from recipe.zppo.view import outcome
from recipe.zppo.view.held_out import validations

_STAGES = {
    "start": "starting up: Ray, the servers of student and teacher, the training engine",
    "validate": "validating on held-out questions",
    "generate": "answers of student and teacher are generated",
    "after generate": "preparing the batch",
    "log_probs": "computing log-probs",
    "after log_probs": "computing advantages",
    "ref_log_probs": "computing the reference's log-probs",
    "after ref_log_probs": "computing advantages",
    "update": "updating the student",
    "after update": "finishing the step",
    "checkpoint": "saving a checkpoint",
    "after checkpoint": "finishing the step",
    "weights": "handing the new weights to the student's servers",
    "after weights": "finishing the step",
    "export": "writing the final model in Hugging Face format",
    "after export": "ending",
    "done": "done",
}
_USUALLY = {
    "generate": "gen",
    "validate": "testing",
    "log_probs": "old_log_prob",
    "ref_log_probs": "ref",
    "update": "update_actor",
    "checkpoint": "save_checkpoint",
    "weights": "update_weights",
}
"""A stage's ``timing_s/*``."""

LINES = {
    "accuracy new": "zppo/accuracy/new",
    "accuracy replayed": "zppo/accuracy/replayed",
    "BCQ right": "zppo/bcq/accuracy",
    "NCQ right": "zppo/ncq/accuracy",
    "graduated": "zppo/buffer/graduations",
    "entropy": "actor/entropy",
    "divergence": "actor/distillation/loss",
    "step time": "timing_s/step",
}
"""The main numbers, as lines over the steps."""

_RECENT_STEPS = 20


@dataclass(kw_only=True)
class Progress:
    """One look at a run."""

    stage: str = ""
    step: int = 0
    """The step under way; 0 before the first."""
    finished: int = 0
    """Steps whose metrics are there."""
    total: int | None = None
    stage_seconds: float = 0.0
    seconds_to_go: float | None = None
    done: bool = False
    rows: list[Row] = field(default_factory=list)

    @property
    def words(self) -> str:
        """What is going on, for a person."""
        return _STAGES.get(self.stage, self.stage) if self.stage else "starting: nothing written yet"

    @property
    def usual_seconds(self) -> float | None:
        """Median of the stage's seconds in the last steps that had it; None for one that is not timed."""
        key = f"timing_s/{_USUALLY.get(self.stage, '')}"
        seconds = [row[key] for row in self.rows if key in row][-_RECENT_STEPS:]
        return median(seconds) if seconds else None

    @property
    def waited_for(self) -> str:
        """What is going on, for how long, and how long it takes as a rule."""
        if self.done or not self.stage:
            return self.words
        usual = "" if self.usual_seconds is None else f", as a rule {clock(self.usual_seconds)}"
        return f"{self.words} (for {clock(self.stage_seconds)}{usual})"


class ProgressReader:
    """Looks at a run's folder again and again; the metrics are parsed only when their file has changed.

    ``since``: what was written before that time is of an earlier run in the same folder and does not count.
    """

    def __init__(self, folder: RunFolder, since: float = 0.0, now: Callable[[], float] = time.time):
        self.folder, self.since, self._now = folder, since, now
        self._seen: tuple[float, int] | None = None
        self._rows: list[Row] = []
        self._measured = 0.0

    def look(self) -> Progress:
        status = self.folder.status() or {}
        if _number(status, "since") < self.since:
            status = {}
        rows = self._metrics(began=max(self.since, _number(status, "started"))) if status else []
        progress = Progress(
            stage=str(status.get("stage", "")),
            step=int(_number(status, "step")),
            finished=int(rows[-1]["step"]) if rows else 0,
            total=int(_number(status, "total_steps")) or None,
            stage_seconds=max(0.0, self._now() - _number(status, "since")) if status else 0.0,
            done=status.get("stage") == "done",
            rows=rows,
        )
        if progress.total is not None and rows:
            progress.seconds_to_go = self._to_go(rows, progress.total - progress.finished, self._measured)
        return progress

    def _metrics(self, began: float) -> list[Row]:
        """Rows, or none while the file is still that of an earlier run: the trainer rewrites it when it resumes."""
        try:
            stat = self.folder.events_file.stat()
        except OSError:
            return []
        if stat.st_mtime < began - 1:  # clocks of file systems are coarse; a run takes longer to start
            return []
        if self._seen != (stat.st_mtime, stat.st_size):
            self._seen, rows = (stat.st_mtime, stat.st_size), self.folder.metrics()
            if rows != self._rows:  # other events come in between
                self._rows, self._measured = rows, stat.st_mtime
        return self._rows

    def _to_go(self, rows: Sequence[Row], steps: int, last_write: float) -> float | None:
        timed = [row for row in rows if "timing_s/step" in row][-_RECENT_STEPS:]
        if not timed:
            return None
        per_step = (outcome.total(timed, "timing_s/step") + outcome.total(timed, "timing_s/testing")) / len(timed)
        return max(0.0, last_write + steps * per_step - self._now())


def figures(row: Row, kinds: Iterable[str]) -> dict[str, str]:
    """The numbers of a step that matter, by label; what the step does not have is left out.

    ``kinds``: the run's kinds of reformulated groups (`outcome.kinds`); one of no group in this step shows as 0.
    """
    shown: dict[str, str] = {}

    def show(label: str, text: str, *keys: str, unless_zero: bool = False) -> None:
        if all(key in row for key in keys) and not (unless_zero and row[keys[0]] == 0):
            shown[label] = text.format(*(row[key] for key in keys))

    show("accuracy new", "{:.1%}", "zppo/accuracy/new")
    show("accuracy replayed", "{:.1%}", "zppo/accuracy/replayed")
    show("hard", "{:.0%}", "zppo/hard_share")
    for kind in kinds:
        count, accuracy = f"zppo/{kind}/count", f"zppo/{kind}/accuracy"
        show(outcome.KINDS[kind], "{:.0f}", count)
        show(outcome.KINDS[kind], "{:.0f} ({:.0%} right)", count, accuracy)
    show("hints dropped", "{:.0f}", "zppo/hint/leaked", unless_zero=True)
    show("sequences", "{:.0f}", "zppo/distillation/sequences")
    show("divergence", "{:.3g}", "actor/distillation/loss")
    show("groups left out", "{:.0f}", "zppo/batch/dropped_trivial")
    show("updates skipped", "{:.0f}", "zppo/batch/skipped_updates", unless_zero=True)
    show("buffer", "{:.0f}", "zppo/buffer/size")
    show("graduated", "{:.0f}", "zppo/buffer/graduations")
    for i in outcome.teachers([row]):
        show(f"teacher {i} solved", "{:.0f} of {:.0f}", f"zppo/teacher/{i}/solved", f"zppo/teacher/{i}/asked")
    show("teacher failures", "{:.0f}", "zppo/teacher/failed_requests", unless_zero=True)
    show("step time", "{:.1f} s", "timing_s/step")
    return shown


def lines(rows: Sequence[Row]) -> dict[str, tuple[float, ...]]:
    """Values of `LINES` over the steps, those with two at least."""
    steps = [row for row in rows if row["step"] >= 1]
    found = {label: tuple(row[key] for row in steps if key in row) for label, key in LINES.items()}
    return {label: values for label, values in found.items() if len(values) > 1}


def last_validation(rows: Sequence[Row]) -> str | None:
    """Held-out accuracy of every data source, the newest beside the first."""
    texts = []
    for validation in validations(rows):
        text = f"{validation.source} {validation.history[-1].value:.1%}"
        if validation.after is not None:
            text += f" after step {validation.after.step} (first {validation.before.value:.1%})"
        texts.append(text)
    return ", ".join(texts) or None


def clock(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def _number(status: dict[str, Any], key: str) -> float:
    value = status.get(key)
    return float(value) if isinstance(value, (int, float)) else 0.0
