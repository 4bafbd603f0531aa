"""Methods at equal cost: how accurate each was when every run had used as much time as the shortest one has in all."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from recipe.zppo.run.folder import Row as Metrics
from recipe.zppo.study.comparison import metrics_by_row
from recipe.zppo.study.intervals import mean_interval, paired_difference
from recipe.zppo.study.ledger import Ledger
from recipe.zppo.study.measures import Measure, accuracy_by_step
from recipe.zppo.study.plan import Plan
from recipe.zppo.study.tables import shown
from recipe.zppo.view.text_tables import grid

_MEASURES = {"held-out accuracy": "held_out", "shifted accuracy": "shifted"}
_SHARE = Measure("", "", "share")

PROCESSOR, CLOCK = "timing_s/processor", "timing_s/step"

Course = Sequence[tuple[float, float]]
"""Seconds of training that a run has had, and its accuracy then, validation by validation."""


def time_key(runs: Sequence[Sequence[Metrics]]) -> str:
    """Processor time where every run has measured it in every step: other work on the machine does not count there."""
    timed = [row for rows in runs for row in rows if CLOCK in row]
    return PROCESSOR if timed and all(PROCESSOR in row for row in timed) else CLOCK


def spent(rows: Sequence[Metrics], key: str) -> dict[int, float]:
    """Seconds of training up to each step, validation not counted."""
    seconds, by_step = 0.0, {}
    for row in rows:
        seconds += row.get(key, 0.0)
        by_step[int(row["step"])] = seconds
    return by_step


def at_time(course: Course, seconds: float) -> float | None:
    """Accuracy by linear interpolation between two validations; None before the first one and after the last."""
    for (start, before), (end, after) in pairwise(course):
        if start <= seconds <= end:
            return before + (after - before) * ((seconds - start) / (end - start) if end > start else 1.0)
    return next((accuracy for time, accuracy in course if time == seconds), None)


def section(plan: Plan, ledger: Ledger, world: str) -> str:
    """Of one world, as Markdown: a table after the time of the shortest run, and one after that of the baseline's,
    if it is another. Empty unless two rows have finished runs."""
    metrics = {row: seeds for row, seeds in metrics_by_row(plan, ledger, world).items() if seeds}
    if len(metrics) < 2:
        return ""
    runs = [rows for seeds in metrics.values() for rows in seeds.values()]
    key, sources = time_key(runs), ledger.sources(world)
    base = plan.config.baseline
    budgets = {"run": _shortest(runs, key)}
    if base in metrics and (of_base := _shortest(metrics[base].values(), key)) > budgets["run"]:
        budgets[f"run of {plan.row(base).label}"] = of_base
    kind = "processor time" if key == PROCESSOR else "wall-clock time"
    return "\n\n".join(
        f"After {budget:,.0f} s of {kind} a run, all that the shortest {of} took (by a line between two validations):"
        f"\n\n{_table(plan, metrics, sources, key, budget)}"
        for of, budget in budgets.items()
    )


def _shortest(runs: Iterable[Sequence[Metrics]], key: str) -> float:
    return min(max(spent(rows, key).values()) for rows in runs)


def _table(
    plan: Plan,
    metrics: Mapping[str, Mapping[int, Sequence[Metrics]]],
    sources: Mapping[str, Sequence[str]],
    key: str,
    budget: float,
) -> str:
    lines = [["method", "n", *_MEASURES, *(f"{title}, difference" for title in _MEASURES)]]
    found = {
        row: [accuracies(seeds, sources.get(name, ()), key, budget) for name in _MEASURES.values()]
        for row, seeds in metrics.items()
    }
    base = found.get(plan.config.baseline)
    for row, by_measure in found.items():
        n = len(metrics[row])
        means = [shown(mean_interval(list(values.values())), _SHARE, n) for values in by_measure]
        differences = ["–"] * len(by_measure)
        if base is not None and base is not by_measure:
            pairs = [paired_difference(*both) for both in zip(by_measure, base, strict=True)]
            differences = [shown(pair, _SHARE, pair.n if pair else 0, difference=True) for pair in pairs]
        lines.append([plan.row(row).label, str(n), *means, *differences])
    return grid(lines)


def accuracies(
    seeds: Mapping[int, Sequence[Metrics]], sources: Sequence[str], key: str, seconds: float
) -> dict[int, float]:
    """By seed, where there are validations around that time."""
    found = {}
    for seed, rows in seeds.items():
        times = spent(rows, key)
        course = [(times[step], accuracy) for step, accuracy in accuracy_by_step(rows, sources).items()]
        if (accuracy := at_time(course, seconds)) is not None:
            found[seed] = accuracy
    return found
