"""What a run came to, as the numbers of the table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from recipe.zppo.run.folder import Row
from recipe.zppo.view import outcome
from recipe.zppo.view.held_out import validations


@dataclass(frozen=True)
class Measure:
    """A column of the table."""

    key: str
    title: str
    kind: str
    """`share` (shown in per cent), `seconds` or `count`."""
    compared: bool = False
    """Whether the difference to the baseline is shown."""


OF_SOURCE = "accuracy/"
"""Before the name of a data source: accuracy after the last validation on it alone, a measure beside the columns."""

MEASURES = (
    Measure("accuracy", "held-out accuracy", "share", compared=True),
    Measure("shifted_accuracy", "shifted accuracy", "share", compared=True),
    Measure("graduation_rate", "graduation rate", "share", compared=True),
    Measure("graduation_rate_from_0", "graduation rate, admitted at 0%", "share", compared=True),
    Measure("positive_advantage_share", "positive advantages", "share", compared=True),
    Measure("step_seconds", "seconds a step", "seconds"),
    Measure("processor_step_seconds", "processor seconds a step", "seconds"),
    Measure("train_seconds", "training time (s)", "seconds", compared=True),
    Measure("student_tokens", "student tokens", "count"),
    Measure("teacher_tokens", "tokens written by the teacher", "count"),
)
"""The table's columns; runs.csv has all keys of `measure`."""


def measure(rows: Sequence[Row], sources: Mapping[str, Sequence[str]]) -> dict[str, float | None]:
    """All measures of a run, by key; None where a run has nothing of the kind (no buffer, no shifted questions).

    Args:
        rows: of `RunFolder.metrics`.
        sources: data sources of the validation, by `held_out` and `shifted`.
    """
    held_out, shifted = (accuracy_by_step(rows, sources.get(name, ())) for name in ("held_out", "shifted"))
    fate = outcome.buffer_fate(rows)
    from_0 = outcome.buffer_fate_by_entry(rows).get(0.0)
    time = outcome.step_time(rows)
    return {
        "accuracy_before": held_out.get(0),  # a run may validate after some steps only
        "accuracy": held_out[max(held_out)] if held_out else None,
        "shifted_accuracy_before": shifted.get(0),
        "shifted_accuracy": shifted[max(shifted)] if shifted else None,
        "graduation_rate": fate.graduation_rate if fate else None,
        "graduation_rate_from_0": from_0.graduation_rate if from_0 else None,
        **_counts("", fate),
        **_counts("_from_0", from_0),
        "positive_advantage_share": _over(rows, "zppo/batch/positive_advantage_share", lambda v: sum(v) / len(v)),
        "step_seconds": time.mean_s if time else None,
        "processor_step_seconds": _over(rows, "timing_s/processor", lambda v: sum(v) / len(v)),
        "train_seconds": outcome.total(rows, "timing_s/step") if time else None,
        "student_tokens": _over(rows, "zppo/tokens/student", sum),
        "teacher_tokens": _over(rows, "zppo/tokens/teacher", sum),
        "bcq_groups": outcome.total(rows, "zppo/bcq/count"),
        "ncq_groups": outcome.total(rows, "zppo/ncq/count"),
        **_last_by_source(rows),
    }


def accuracy_by_step(rows: Sequence[Row], sources: Sequence[str]) -> dict[int, float]:
    """Accuracy over all questions of these data sources, by step."""
    sums: dict[int, tuple[float, float]] = {}
    for validation in validations(rows):
        if validation.source in sources:
            for accuracy in validation.history:
                right, weights = sums.get(accuracy.step, (0.0, 0.0))
                weight = validation.questions or 1
                sums[accuracy.step] = (right + accuracy.value * weight, weights + weight)
    return {step: right / weights for step, (right, weights) in sorted(sums.items())}


def _last_by_source(rows: Sequence[Row]) -> dict[str, float | None]:
    """Accuracy after the last validation, for each data source by itself."""
    return {
        OF_SOURCE + validation.source: validation.history[-1].value
        for validation in validations(rows)
        if validation.history
    }


def _counts(suffix: str, fate: outcome.Fate | None) -> dict[str, float | None]:
    names = ("admitted", "graduated", "evicted")
    return {f"{name}{suffix}": float(getattr(fate, name)) if fate else None for name in names}


def _over(rows: Sequence[Row], key: str, figure: Callable[[list[float]], float]) -> float | None:
    values = [row[key] for row in rows if key in row]
    return figure(values) if values else None
