"""Pictures of a study, one function each. Needs matplotlib.

Every function takes the results of one world (`Curves` where steps matter) and gives a figure, or None if there is
nothing to show. Whiskers and bands are 95% intervals over seeds (Student's t), which is written on the pictures; a row
with one seed has none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from recipe.zppo.run.folder import Row as Metrics
from recipe.zppo.study.comparison import RowResult, baseline_of, metrics_by_row, results
from recipe.zppo.study.equal_time import PROCESSOR, spent, time_key
from recipe.zppo.study.intervals import Interval, mean_interval
from recipe.zppo.study.ledger import Ledger
from recipe.zppo.study.measures import MEASURES, Measure, accuracy_by_step
from recipe.zppo.study.plan import Plan
from recipe.zppo.view import drawing
from recipe.zppo.view.drawing import BLUE, RED, styled
from recipe.zppo.view.title import all_shown, shown

_FOREST = ("accuracy", "shifted_accuracy", "graduation_rate", "graduation_rate_from_0")


@dataclass(frozen=True)
class Curves:
    """One quantity of a row over steps, by seed."""

    label: str
    by_seed: Mapping[int, Mapping[int, float]]

    def intervals(self) -> dict[int, Interval]:
        """By step, where every seed was measured."""
        seeds = list(self.by_seed.values())
        steps = sorted(set.intersection(*map(set, seeds))) if seeds else []
        intervals = {step: mean_interval([series[step] for series in seeds]) for step in steps}
        return {step: interval for step, interval in intervals.items() if interval is not None}


@styled
def all_figures(plan: Plan, ledger: Ledger) -> dict[str, Figure]:
    """Every figure that there are results for, by file name; the world is in the name and in the title."""
    drawn: dict[str, tuple[str, Figure | None]] = {}
    study = shown(Path(plan.config.out).resolve().name)
    for world, rows in results(plan, ledger).items():
        metrics, held_out = metrics_by_row(plan, ledger, world), ledger.sources(world).get("held_out", ())
        accuracy = {row: {s: accuracy_by_step(m, held_out) for s, m in seeds.items()} for row, seeds in metrics.items()}
        curves = [Curves(row.label, accuracy[row.row]) for row in rows]
        over = over_steps(curves, "right answers", percent=True)
        time = time_key([m for seeds in metrics.values() for m in seeds.values()])
        spans = [_minutes([spent(m, time) for m in metrics[row.row].values()]) for row in rows]
        clock = "processor time" if time == PROCESSOR else "wall-clock time"
        graduations = [_curves(row, metrics[row.row], "zppo/buffer/graduations") for row in rows]
        base = baseline_of(rows, plan.config.baseline)
        figures = {
            "accuracy": ("Accuracy after training", bars(rows, ("accuracy", "shifted_accuracy"))),
            "graduation": (
                "Graduated, of those that left the buffer",
                bars(rows, ("graduation_rate", "graduation_rate_from_0")),
            ),
            "differences": (
                f"Difference to {shown(base.label) if base else ''}, seed by seed",
                forest(rows, plan.config.baseline),
            ),
            "accuracy_over_steps": ("Held-out accuracy over steps", over),
            "accuracy_over_time": (
                f"Held-out accuracy over {clock}",
                over_steps(curves, "right answers", percent=True, places=spans, along=f"minutes of {clock}"),
            ),
            "graduations_over_steps": ("Graduations so far", over_steps(graduations, "questions", percent=False)),
        }
        drawn |= {
            f"{world}_{name}": (f"{title}\n{study} · {shown(world)}", figure)
            for name, (title, figure) in figures.items()
        }
    return {name: drawing.titled(figure, title) for name, (title, figure) in drawn.items() if figure is not None}


@styled
def bars(rows: Sequence[RowResult], measures: Sequence[str]) -> Figure | None:
    """Means by row with their numbers, one panel a measure; the seeds as dots."""
    by_key = {measure.key: measure for measure in MEASURES}
    kept = [by_key[key] for key in measures if any(row.by_seed(key) for row in rows)]
    rows = [row for row in rows if row.values]
    if not kept or not rows:
        return None
    figure, panels = _rows_figure([(row.label, len(row.values)) for row in rows], len(kept), BLUE)
    for axes, measure in zip(panels, kept, strict=True):
        for place, row in enumerate(rows):
            interval = row.mean(measure.key)
            if interval is None:
                axes.annotate(" none", (0, place), va="center", color="#666666", fontsize=8)
                continue
            axes.barh(place, interval.mean, height=0.62, color=BLUE, alpha=0.75)
            _whisker(axes, interval, place)
            values = list(row.by_seed(measure.key).values())
            axes.plot(values, [place] * len(values), "o", color="black", alpha=0.45, markersize=3)
            end = max(*values, interval.mean + (interval.half_width or 0))
            axes.annotate(f" {interval.mean:.1%}", (min(end, 1), place), va="center", fontsize=8, annotation_clip=False)
        axes.set(title=measure.title, xlim=(0, min(1, 1.05 * axes.get_xlim()[1])))
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return figure


@styled
def forest(rows: Sequence[RowResult], baseline: str) -> Figure | None:
    """Differences to the baseline, seed by seed: mean, interval, and every pair as a dot."""
    base = baseline_of(rows, baseline)
    if base is None:
        return None
    others = [row for row in rows if row is not base and row.values.keys() & base.values.keys()]
    kept = [m for m in MEASURES if m.key in _FOREST and any(row.difference(m.key, base) for row in others)]
    if not others or not kept:
        return None
    labels = [(row.label, len(row.values.keys() & base.values.keys())) for row in others]
    figure, panels = _rows_figure(labels, len(kept), RED)
    for axes, measure in zip(panels, kept, strict=True):
        axes.axvline(0, color="black", linewidth=0.8)
        for place, row in enumerate(others):
            _difference(axes, row, base, measure, place)
        axes.set(title=measure.title, xlabel="percentage points")
    return figure


def _difference(axes: Axes, row: RowResult, base: RowResult, measure: Measure, place: int) -> None:
    mine, other = row.by_seed(measure.key), base.by_seed(measure.key)
    points = [100 * (mine[seed] - other[seed]) for seed in sorted(mine.keys() & other.keys())]
    if (interval := mean_interval(points)) is not None:
        axes.plot(points, [place] * len(points), "o", color="#999999", markersize=3)
        _whisker(axes, interval, place)
        axes.plot([interval.mean], [place], "D", color=RED, markersize=5)
        end = max(*points, interval.mean + (interval.half_width or 0))
        text = f" {interval.mean:+.1f}"
        axes.annotate(text, (end, place), (3, 0), textcoords="offset points", va="center", fontsize=8)


@styled
def over_steps(
    curves: Sequence[Curves],
    unit: str,
    *,
    percent: bool,
    places: Sequence[Mapping[int, float]] | None = None,
    along: str = "step",
) -> Figure | None:
    """Means over seeds by step, with their bands; ``places``: where each row's steps stand on the axis ``along``."""
    measured = [curve.intervals() for curve in curves]
    if not any(len(intervals) > 1 for intervals in measured):
        return None
    figure = Figure(figsize=(7.2, max(3.6, 0.21 * len(curves) + 1.4)), dpi=160, layout="constrained")
    axes = figure.subplots()
    labels = all_shown(curve.label for curve in curves)
    for place, (label, intervals) in enumerate(zip(labels, measured, strict=True)):
        style = drawing.line_style(place) | {"marker": "o" if len(intervals) < 5 else "", "linewidth": 1.8}
        name = label if intervals else f"{label} (not measured)"
        at = dict(zip(intervals, intervals, strict=True)) if places is None else places[place]
        axes.plot([at[step] for step in intervals], [i.mean for i in intervals.values()], label=name, **style)
        banded = {step: (i.low, i.high) for step, i in intervals.items() if i.low is not None and i.high is not None}
        low, high = zip(*banded.values(), strict=True) if banded else ((), ())
        axes.fill_between([at[step] for step in banded], low, high, color=style["color"], alpha=0.10, linewidth=0)
    axes.set(xlabel=along, ylabel=unit)
    if places is None:
        axes.xaxis.set_major_locator(drawing.whole_numbers())
    if percent:
        drawing.percent_axis(axes, to_one=axes.get_ylim()[1] > 0.5)
    else:
        drawing.counts_axis(axes)
    drawing.legend_right(axes)
    drawing.note(figure, "Lines: mean over seeds. Bands: its 95% interval (Student's t); a single seed has none.")
    return figure


def _rows_figure(rows: Sequence[tuple[str, int]], panels: int, colour: str) -> tuple[Figure, list[Axes]]:
    """Panels side by side that share the rows (label, number of seeds), the first row on top."""
    labels = all_shown(label for label, _ in rows)
    height = 1.6 + 0.3 * len(labels)
    figure = Figure(figsize=(1.6 + 2.9 * panels, height), dpi=160, layout="constrained")
    axes = list(figure.subplots(1, panels, sharey=True, squeeze=False)[0])
    axes[0].set_yticks(range(len(labels)), [f"{label} (n={n})" for label, (_, n) in zip(labels, rows, strict=True)])
    axes[0].set_ylim(len(labels) - 0.5, -0.5)
    for panel in axes:
        panel.grid(visible=False, axis="y")
    handles = [
        Line2D([], [], color=colour, marker="D" if colour == RED else "s", linestyle="", markersize=5, label="mean"),
        Line2D([], [], color="black", marker="|", label="95% interval over seeds (t)"),
        Line2D([], [], color="#777777", marker="o", linestyle="", markersize=3, label="one seed"),
    ]
    figure.legend(handles=handles, loc="outside lower right", ncols=3)
    return figure, axes


def _whisker(axes: Axes, interval: Interval, place: int) -> None:
    if interval.half_width is not None:
        axes.errorbar(interval.mean, place, xerr=interval.half_width, color="black", capsize=3, linewidth=1.2)


def _minutes(runs: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """By step, the mean over the runs that have it."""
    steps = sorted({step for run in runs for step in run})
    return {step: mean(run[step] for run in runs if step in run) / 60 for step in steps}


def _curves(row: RowResult, metrics: Mapping[int, list[Metrics]], key: str) -> Curves:
    series = {seed: {int(r["step"]): r[key] for r in rows if key in r} for seed, rows in metrics.items()}
    return Curves(row.label, {seed: values for seed, values in series.items() if values})
