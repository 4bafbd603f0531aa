"""The charts of a run: the paper's figures and what stands beside them, as plain data that the page draws.

A chart is ``title``, ``figure`` (the paper's), ``section``, ``kind`` (lines, areas or bars), ``unit``, ``x`` (steps or
labels) and ``series``: ``name`` and ``values``, one for each x, None where there is none; ``faint`` where they are
smoothed, ``low`` and ``high`` of an interval. ``levels`` says that the series are ordered.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from recipe.zppo.run.folder import Row
from recipe.zppo.view import outcome
from recipe.zppo.view.held_out import Validation, validations
from recipe.zppo.view.interval import Proportion
from recipe.zppo.view.series import (
    batch_shares,
    by_entry_accuracy,
    by_visits,
    columns,
    eligible_shares,
    metrics_frame,
    smoothed,
    visits_label,
)

Chart = dict[str, Any]

LEARNING, HARD, BATCH, TIME = "Learning", "Hard questions", "What a step is made of", "Time and tokens"


def all_charts(rows: Sequence[Row]) -> list[Chart]:
    """Those that the run has numbers for, in the order of the page."""
    frame = metrics_frame(rows)
    parts = (_signal, _hard, _batch, _time) if len(frame) else ()
    return [*_held_out(validations(rows)), *(chart for part in parts for chart in part(frame))]


def compared(runs: Mapping[str, Sequence[Row]]) -> list[Chart]:
    """One metric a chart, a line for each run."""
    frames = {name: metrics_frame(rows) for name, rows in runs.items()}
    metrics = {
        "zppo/accuracy/new": ("Accuracy of new questions", "share"),
        "zppo/buffer/graduations": ("Graduated so far", "count"),
        "zppo/bcq/accuracy": ("Accuracy of BCQ", "share"),
        "actor/entropy": ("Entropy", "nats"),
    }
    found = []
    for key, (title, unit) in metrics.items():
        lines = {name: frame[key] for name, frame in frames.items() if key in frame}
        if lines:
            found.append(_curves(pd.DataFrame(lines), title, unit, "", "Runs side by side", smooth=unit != "count"))
    return found + _compared_validations(runs)


def _compared_validations(runs: Mapping[str, Sequence[Row]]) -> list[Chart]:
    sources: dict[str, dict[str, pd.Series]] = {}
    for name, rows in runs.items():
        for validation in validations(rows):
            steps = {accuracy.step: accuracy.value for accuracy in validation.history}
            sources.setdefault(validation.source, {})[name] = pd.Series(steps)
    return [
        _curves(pd.DataFrame(lines), f"Held out: {source}", "share", "", "Runs side by side", smooth=False)
        for source, lines in sources.items()
        if len(lines) > 1
    ]


def _held_out(validations: Sequence[Validation]) -> Iterator[Chart]:
    if not validations:
        return
    once = len({validation.source for validation in validations}) == len(validations)
    steps = sorted({accuracy.step for validation in validations for accuracy in validation.history})
    series = []
    for validation in validations:
        values = {accuracy.step: accuracy.value for accuracy in validation.history}
        line = {
            "name": validation.source if once else f"{validation.source}, {validation.samples} answers each",
            "values": [_plain(values.get(step)) for step in steps],
        }
        if (questions := validation.questions) and all(0 <= value <= 1 for value in values.values()):
            shares = {step: Proportion(value, questions) for step, value in values.items()}
            line["low"] = [_plain(shares[step].low) if step in shares else None for step in steps]
            line["high"] = [_plain(shares[step].high) if step in shares else None for step in steps]
        series.append(line)
    note = "Bands, for eight sources at most: Wilson's 95% interval over the questions. Step 0 is before training."
    yield _chart("Right answers to held-out questions", "lines", "share", steps, series, "", LEARNING, note)


def _hard(frame: pd.DataFrame) -> Iterator[Chart]:
    graduated, evicted, inside = (by_entry_accuracy(frame, name) for name in ("graduations", "evictions", "size"))
    if not graduated.empty:
        title = "Graduated so far, by accuracy at entry"
        yield _of_frame(_levels(graduated), title, "lines", "count", "Fig. 4", HARD, levels=True)
    left = columns(frame, {"graduated": "zppo/buffer/graduations", "evicted": "zppo/buffer/evictions"})
    if not left.empty:
        yield _of_frame(left, "Left the buffer so far", "lines", "count", "Fig. 5b", HARD)
    if not inside.empty:
        title = "Questions in the buffer, by accuracy at entry"
        yield _of_frame(_levels(inside), title, "areas", "count", "Fig. 20", HARD, levels=True)
    if not graduated.empty:
        counts = graduated.iloc[[-1]].T.set_axis(["graduated"], axis=1).rename("{:.1%}".format)
        title = "Graduated, by accuracy at entry"
        yield _of_frame(counts, title, "bars", "count", "Fig. 21", HARD, xlabel="accuracy at entry")
    if not graduated.empty and not evicted.empty:
        counts = pd.DataFrame({"graduated": graduated.iloc[-1], "evicted": evicted.iloc[-1]}).fillna(0)
        title = "Fate of those that left, by accuracy at entry"
        yield from _fates(counts, title, "Fig. 23", "accuracy at entry", "{:.1%}".format)
    title = "Fate of those that left, by times drawn again"
    yield from _fates(by_visits(frame), title, "Fig. 24", "times drawn again", visits_label)


def _fates(counts: pd.DataFrame, title: str, figure: str, xlabel: str, label: Callable[[Any], str]) -> Iterator[Chart]:
    """Shares that add up to 1, for each row of which some have left; the counts go along."""
    left = counts.sum(axis=1)
    counts, left = counts[left > 0], left[left > 0]
    if counts.empty:
        return
    shares = counts.div(left, axis=0)
    labels = [f"{label(row)} (of {total:.0f})" for row, total in left.items()]
    chart = _of_frame(shares.set_axis(labels), title, "bars", "share", figure, HARD, xlabel=xlabel)
    for series, name in zip(chart["series"], counts, strict=True):
        series["counts"] = [int(count) for count in counts[name]]
    yield chart


def _batch(frame: pd.DataFrame) -> Iterator[Chart]:
    offered, shares = eligible_shares(frame), batch_shares(frame)
    if not offered.empty:
        note = (
            "A hard question counts for BCQ and for NCQ if it is eligible for both. The teacher is not asked about all "
            "where the cap is full; those it answered stand for the rest."
        )
        title = "What a step offers: eligible before the cap"
        yield _of_frame(offered, title, "areas", "share", "Fig. 5a", BATCH, note=note)
    if not shares.empty:
        yield _of_frame(shares, "Groups of a step's batch, after the cap", "areas", "share", "", BATCH)
    dropped = columns(frame, {"left out": "zppo/batch/dropped_trivial"})
    if not dropped.empty:
        yield _curves(dropped, "Groups left out as trivial", "count", "", BATCH)


def _signal(frame: pd.DataFrame) -> Iterator[Chart]:
    kinds = {label: f"zppo/{kind}/accuracy" for kind, label in outcome.KINDS.items()}
    teachers = outcome.teachers([dict.fromkeys(frame, 0.0)])
    positive = {"above their group's mean": "zppo/batch/positive_advantage_share"}
    plain = {"new": "zppo/accuracy/new", "replayed": "zppo/accuracy/replayed", "all plain": "zppo/accuracy/all"}
    drawn = (
        (plain, "Accuracy of plain rollouts", "share", "Fig. 22a"),
        (positive, "Positive advantages", "share", "Fig. 22b"),
        ({"policy of the rollouts": "actor/entropy"}, "Entropy", "nats", "Fig. 22c"),
        ({"mean over tokens": "actor/pg_loss"}, "Policy loss", "number", "Fig. 25a"),
        ({"Jensen-Shannon": "actor/distillation/loss"}, "Divergence from the teacher", "nats", ""),
        (kinds, "Accuracy of reformulated questions", "share", "Fig. 25b, c"),
    )
    for names, title, unit, figure in drawn:
        values = columns(frame, names)
        if not values.empty:
            yield _curves(values, title, unit, figure, LEARNING)
    solved = columns(frame, {f"teacher {i}": f"zppo/teacher/{i}/solved" for i in teachers})
    if not solved.empty:
        total = solved.fillna(0).cumsum()
        yield _of_frame(total, "Hard questions solved by each teacher, so far", "lines", "count", "", LEARNING)


def _time(frame: pd.DataFrame) -> Iterator[Chart]:
    parts = columns(frame, {name: f"timing_s/{key}" for key, name in outcome.STEP_PARTS.items()}).fillna(0)
    if not parts.empty and "timing_s/step" in frame:
        rest = frame["timing_s/step"].reindex(parts.index) - parts.sum(axis=1)
        yield _of_frame(parts.assign(other=rest.clip(lower=0)), "A step's time by stage", "areas", "seconds", "", TIME)
    teacher = columns(frame, {"all": "zppo/time_s/teacher", "waited for": "zppo/time_s/teacher_exposed"})
    if {"all", "waited for"} <= set(teacher) and teacher["all"].any():
        hidden = (teacher["all"] - teacher["waited for"]).clip(lower=0)
        shown = pd.DataFrame({"hidden behind other work": hidden, "waited for": teacher["waited for"]})
        yield _of_frame(shown, "The teacher's time", "areas", "seconds", "", TIME)
    tokens = columns(frame, {name: f"zppo/tokens/{name}" for name in ("student", "teacher", "judge")}).fillna(0)
    if not tokens.empty:
        yield _of_frame(tokens.loc[:, tokens.any()], "Tokens written in a step", "areas", "tokens", "", TIME)


def _levels(counts: pd.DataFrame) -> pd.DataFrame:
    return counts.rename(columns="{:.1%}".format)


def _curves(values: pd.DataFrame, title: str, unit: str, figure: str, section: str, *, smooth: bool = True) -> Chart:
    """Each step's value faintly, and a mean over about a tenth of the run."""
    every, means, window = smoothed(values)
    if not smooth or window == 1:
        return _of_frame(values, title, "lines", unit, figure, section)
    note = f"Faint: each step. Bold: mean over {window} steps, of which it is the middle."
    chart = _of_frame(means, title, "lines", unit, figure, section, note=note)
    for series, name in zip(chart["series"], every, strict=True):
        series["faint"] = [_plain(value) for value in every[name]]
    return chart


def _of_frame(
    values: pd.DataFrame,
    title: str,
    kind: str,
    unit: str,
    figure: str,
    section: str,
    *,
    note: str = "",
    levels: bool = False,
    xlabel: str = "step",
) -> Chart:
    series = [{"name": str(name), "values": [_plain(value) for value in column]} for name, column in values.items()]
    x = [label if isinstance(label, str) else int(label) for label in values.index]
    return _chart(title, kind, unit, x, series, figure, section, note, levels, xlabel)


def _chart(
    title: str,
    kind: str,
    unit: str,
    x: list[Any],
    series: list[dict[str, Any]],
    figure: str,
    section: str,
    note: str = "",
    levels: bool = False,
    xlabel: str = "step",
) -> Chart:
    return {
        "title": title,
        "kind": kind,
        "unit": unit,
        "x": x,
        "xlabel": xlabel,
        "series": series,
        "figure": figure,
        "section": section,
        "note": note,
        "levels": levels,
    }


def _plain(value: Any) -> float | int | None:
    """Seven digits are more than a picture shows."""
    if value is None or not math.isfinite(value):
        return None
    short = float(f"{value:.7g}")
    return int(short) if short.is_integer() else short
