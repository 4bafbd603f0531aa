"""What training came to, as numbers: the fate of hard questions, reformulations, teachers, time.

Plain functions over the rows of `RunFolder.metrics`. A row may lack any key (an older run, a method without buffer or
teacher): what cannot be known is None, never 0.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from recipe.zppo.methods import DEFAULT_KINDS, METHODS, WALK
from recipe.zppo.methods.candidate_questions import FORMS
from recipe.zppo.run.folder import Row

STEP_PARTS = {
    "gen": "generation",
    "old_log_prob": "log-probs",
    "ref": "reference log-probs",
    "adv": "advantages",
    "update_actor": "update",
    "save_checkpoint": "checkpoint",
    "update_weights": "weight sync",
}
"""verl's ``timing_s/*`` of which ``timing_s/step`` is made, as a person calls them."""

KINDS = {kind.value: METHODS[kind].label for kind in dict.fromkeys((*DEFAULT_KINDS, *WALK))}
"""Kinds of groups beside the plain ones, as in the metrics' names, and as a person calls them."""

_ASKED = re.compile(r"zppo/teacher/(\d+)/asked")


@dataclass(frozen=True)
class Fate:
    """Entries of the replay buffer: all, or those admitted at one accuracy."""

    admitted: int
    graduated: int
    evicted: int
    inside: int

    @property
    def graduation_rate(self) -> float | None:
        """Of the entries that left the buffer."""
        left = self.graduated + self.evicted
        return self.graduated / left if left else None


def buffer_fate(rows: Sequence[Row]) -> Fate | None:
    """Totals since the start; None for a run without buffer."""
    last = _last_of_buffer(rows)
    return _fate(last) if last else None


def buffer_fate_by_entry(rows: Sequence[Row]) -> dict[float, Fate]:
    """The same by accuracy at admission, ascending."""
    last, prefix = _last_of_buffer(rows), "zppo/buffer/admissions/from_"
    entries = sorted(key.removeprefix(prefix) for key in last if re.fullmatch(prefix + r"\d+(\.\d+)?", key))
    return {float(entry): _fate(last, f"/from_{entry}") for entry in entries}


def _last_of_buffer(rows: Sequence[Row]) -> Row:
    return next((row for row in reversed(rows) if "zppo/buffer/size" in row), {})


def _fate(row: Row, suffix: str = "") -> Fate:
    names = ("admissions", "graduations", "evictions", "size")
    return Fate(*(int(row.get(f"zppo/buffer/{name}{suffix}", 0)) for name in names))


@dataclass(frozen=True)
class Reformulations:
    """Groups of one of `KINDS` in a run."""

    groups: int
    solved: int
    """Groups with at least one right rollout."""
    accuracy: float | None
    """Mean over groups of the share of right rollouts."""
    not_fitting: int
    failed: int
    """Without a rollout, or without the hint."""
    leaked: int = 0
    """Hints dropped because they gave the answer away."""
    forms: dict[str, int] = field(default_factory=dict)
    """Groups by the form of their two candidates (`FORMS`)."""
    mixed_dropped: int = 0
    mixed_fell_back: int = 0
    """Pairs that came out as a summary beside a response's own end."""


def reformulations(rows: Sequence[Row], kind: str) -> Reformulations:
    name = f"zppo/{kind}"
    return Reformulations(
        groups=int(total(rows, f"{name}/count")),
        solved=round(sum(row.get(f"{name}/count", 0) * row.get(f"{name}/solved_share", 0) for row in rows)),
        accuracy=weighted_mean(rows, f"{name}/accuracy", f"{name}/count"),
        not_fitting=int(total(rows, f"{name}/does_not_fit")),
        failed=int(total(rows, f"{name}/failed")),
        leaked=int(total(rows, f"{name}/leaked")),
        forms={form: n for form in FORMS if (n := int(total(rows, f"{name}/form_{form}")))},
        mixed_dropped=int(total(rows, f"{name}/mixed_dropped")),
        mixed_fell_back=int(total(rows, f"{name}/mixed_fell_back")),
    )


def kinds(rows: Sequence[Row]) -> tuple[str, ...]:
    """Those of `KINDS` that the run has built or tried to build."""
    counts = ("count", "does_not_fit", "failed", "leaked", "mixed_dropped")
    return tuple(k for k in KINDS if any(row.get(f"zppo/{k}/{name}") for row in rows for name in counts))


@dataclass(frozen=True)
class Teacher:
    asked: int
    """Questions put to the teacher: the hard ones, or with off-policy distillation all."""
    solved_share: float | None
    """Of these, those with at least one right rollout."""
    accuracy: float | None
    failed_requests: int
    late: int
    seconds: float
    hidden_share: float | None
    """Part of the teacher's time during which nobody waited for it."""
    compressions: int
    fall_backs: dict[str, int]
    """Compressions that fell back on the tail of the response, by reason."""
    asked_again: int
    """Further summaries asked for, since the one before would not do."""


def teacher(rows: Sequence[Row]) -> Teacher | None:
    """None if the teacher was never asked, and nothing was compressed."""
    seconds, exposed = total(rows, "zppo/time_s/teacher"), total(rows, "zppo/time_s/teacher_exposed")
    prefix = "zppo/compression/fall_back_"
    keys = sorted({key for row in rows for key in row if key.startswith(prefix)} - {f"{prefix}share"})
    outcome = Teacher(
        asked=int(total(rows, "zppo/teacher/asked")),
        solved_share=weighted_mean(rows, "zppo/teacher/solved_share", "zppo/teacher/asked"),
        accuracy=weighted_mean(rows, "zppo/teacher/accuracy", "zppo/teacher/asked"),
        failed_requests=int(total(rows, "zppo/teacher/failed_requests")),
        late=int(total(rows, "zppo/teacher/late")),
        seconds=seconds,
        hidden_share=max(0.0, 1 - exposed / seconds) if seconds else None,
        compressions=int(total(rows, "zppo/compression/count")),
        fall_backs={key.removeprefix(prefix): n for key in keys if (n := int(total(rows, key)))},
        asked_again=int(total(rows, "zppo/compression/asked_again")),
    )
    return outcome if outcome.asked or outcome.compressions else None


@dataclass(frozen=True)
class Judge:
    """Verdicts in training."""

    verdicts: int
    unresolved: int
    """On rows that are not free-form; 0 also for a run from before they were counted."""
    correct: int
    malformed: int
    """Replies that were no verdict; they count as wrong."""
    failed: int
    """Responses lost because no verdict came."""
    tokens: int


def judge(rows: Sequence[Row]) -> Judge | None:
    """None for a run without."""
    if not any("zppo/judge/verdicts" in row for row in rows):
        return None
    names = ("judge/verdicts", "judge/unresolved", "judge/correct", "judge/malformed", "judge/failed", "tokens/judge")
    return Judge(*(int(total(rows, f"zppo/{name}")) for name in names))


@dataclass(frozen=True)
class TeacherShare:
    """One of several teachers, each of which is asked what those before it did not solve."""

    asked: int
    solved: int


def teachers(rows: Sequence[Row]) -> dict[int, TeacherShare]:
    """By place in the order in which they are asked; empty for a run with one teacher."""
    found = {int(match[1]) for row in rows for key in row if (match := _ASKED.fullmatch(key))}

    def count(i: int, name: str) -> int:
        return int(total(rows, f"zppo/teacher/{i}/{name}"))

    return {i: TeacherShare(count(i, "asked"), count(i, "solved")) for i in sorted(found)}


@dataclass(frozen=True)
class Distillation:
    """Loss: mean divergence a token (nats) over the first and the last tenth of the steps."""

    sequences: int | None
    """Correct teacher rollouts learned from; None where the student learns on its own."""
    first_loss: float | None
    last_loss: float | None


def distillation(rows: Sequence[Row]) -> Distillation | None:
    """None for a run without."""
    losses = [row["actor/distillation/loss"] for row in rows if "actor/distillation/loss" in row]
    off_policy = any("zppo/distillation/sequences" in row for row in rows)
    if not losses and not off_policy:
        return None
    tenth = max(1, len(losses) // 10)
    return Distillation(
        sequences=int(total(rows, "zppo/distillation/sequences")) if off_policy else None,
        first_loss=sum(losses[:tenth]) / tenth if losses else None,
        last_loss=sum(losses[-tenth:]) / tenth if losses else None,
    )


@dataclass(frozen=True)
class LeftOut:
    """What dynamic sampling kept from the update."""

    groups: int
    """Groups of the run."""
    dropped: int
    """Those without an advantage, all of whose rewards were alike."""
    skipped_updates: int
    """For want of groups."""


def left_out(rows: Sequence[Row]) -> LeftOut | None:
    """None for a run that trains on all its groups."""
    keys = ("zppo/batch/groups", "zppo/batch/dropped_trivial", "zppo/batch/skipped_updates")
    found = LeftOut(*(int(total(rows, key)) for key in keys))
    return found if found.skipped_updates or any(keys[1] in row for row in rows) else None


@dataclass(frozen=True)
class StepTime:
    mean_s: float
    parts_s: dict[str, float]
    """Mean of each part over all steps, a checkpoint every ten steps counting a tenth; ``other`` is the rest."""
    validation_s: float | None
    """Mean of one validation; not part of a step."""


def step_time(rows: Sequence[Row]) -> StepTime | None:
    timed = [row for row in rows if "timing_s/step" in row]
    if not timed:
        return None
    mean_s = total(timed, "timing_s/step") / len(timed)
    parts = {name: total(timed, f"timing_s/{key}") / len(timed) for key, name in STEP_PARTS.items()}
    parts = {name: seconds for name, seconds in parts.items() if seconds}
    parts["other"] = max(0.0, mean_s - sum(parts.values()))
    tests = [row["timing_s/testing"] for row in timed if "timing_s/testing" in row]
    return StepTime(mean_s, parts, sum(tests) / len(tests) if tests else None)


def total(rows: Sequence[Row], key: str) -> float:
    return sum(row.get(key, 0.0) for row in rows)


def weighted_mean(rows: Sequence[Row], key: str, weight: str) -> float | None:
    """Mean of ``key`` over the steps that have both, weighted; None over nothing."""
    both = [row for row in rows if key in row and row.get(weight)]
    weights = sum(row[weight] for row in both)
    return sum(row[key] * row[weight] for row in both) / weights if weights else None
