"""Pictures of a study, one function each. Needs matplotlib.

Every function takes the results of one world (`Curves` where steps matter) and gives a figure, or None if there is
nothing to show. Whiskers and bands are 95% intervals over seeds; a row with one seed has none.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from recipe.zppo.run.folder import Row as Metrics
from recipe.zppo.run.folder import RunFolder
from recipe.zppo.study.comparison import RowResult, baseline_of, results
from recipe.zppo.study.intervals import Interval, mean_interval
from recipe.zppo.study.ledger import Ledger
from recipe.zppo.study.measures import MEASURES, Measure, accuracy_by_step
from recipe.zppo.study.plan import Plan
from recipe.zppo.view.figures import styled

# Okabe and Ito's colours, which the colour-blind can tell apart; with line styles they last for 28 rows.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_LINES = ("-", "--", ":", "-.")
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


def all_figures(plan: Plan, ledger: Ledger) -> dict[str, Figure]:
    """Every figure that there are results for, by file name; the world is in the name."""
    drawn: dict[str, Figure | None] = {}
    for world, rows in results(plan, ledger).items():
        metrics, held_out = _metrics(plan, ledger, world), ledger.sources(world).get("held_out", ())
        accuracy = {row: {s: accuracy_by_step(m, held_out) for s, m in seeds.items()} for row, seeds in metrics.items()}
        drawn[f"{world}_accuracy"] = bars(rows, ("accuracy", "shifted_accuracy"), f"{world}: accuracy after training")
        drawn[f"{world}_graduation"] = bars(
            rows, ("graduation_rate", "graduation_rate_from_0"), f"{world}: graduated of those that left the buffer"
        )
        drawn[f"{world}_differences"] = forest(rows, plan.config.baseline, world)
        drawn[f"{world}_accuracy_over_steps"] = over_steps(
            [Curves(row.label, accuracy[row.row]) for row in rows],
            f"{world}: held-out accuracy",
            "right answers",
            percent=True,
        )
        drawn[f"{world}_graduations_over_steps"] = over_steps(
            [_curves(row, metrics[row.row], "zppo/buffer/graduations") for row in rows],
            f"{world}: graduations so far",
            "questions",
            percent=False,
        )
    return {name: figure for name, figure in drawn.items() if figure is not None}


@styled
def bars(rows: Sequence[RowResult], measures: Sequence[str], title: str) -> Figure | None:
    """Means by row, one panel a measure; the seeds as dots."""
    by_key = {measure.key: measure for measure in MEASURES}
    shown = [by_key[key] for key in measures if any(row.by_seed(key) for row in rows)]
    rows = [row for row in rows if row.values]
    if not shown or not rows:
        return None
    figure, panels = _rows_figure([f"{row.label} (n={len(row.values)})" for row in rows], len(shown), title)
    for axes, measure in zip(panels, shown, strict=True):
        for place, row in enumerate(rows):
            interval = row.mean(measure.key)
            if interval is None:
                axes.annotate(" none", (0, place), va="center", color="#666666", fontsize=8)
                continue
            axes.barh(place, interval.mean, height=0.62, color=_COLOURS[0], alpha=0.75)
            _whisker(axes, interval, place)
            values = list(row.by_seed(measure.key).values())
            axes.plot(values, [place] * len(values), "o", color="black", alpha=0.45, markersize=3)
        axes.set(title=measure.title, xlim=(0, None))
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return figure


@styled
def forest(rows: Sequence[RowResult], baseline: str, world: str) -> Figure | None:
    """Differences to the baseline, seed by seed: mean, interval, and every pair as a dot."""
    base = baseline_of(rows, baseline)
    if base is None:
        return None
    others = [row for row in rows if row is not base and row.values.keys() & base.values.keys()]
    shown = [m for m in MEASURES if m.key in _FOREST and any(row.difference(m.key, base) for row in others)]
    if not others or not shown:
        return None
    labels = [f"{row.label} (n={len(row.values.keys() & base.values.keys())})" for row in others]
    figure, panels = _rows_figure(labels, len(shown), f"{world}: difference to {base.label}, same seed")
    for axes, measure in zip(panels, shown, strict=True):
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
        axes.plot([interval.mean], [place], "D", color=_COLOURS[1], markersize=5)


@styled
def over_steps(curves: Sequence[Curves], title: str, unit: str, *, percent: bool) -> Figure | None:
    """Means over seeds by step, with their bands."""
    measured = [(curve.label, curve.intervals()) for curve in curves]
    if not any(len(intervals) > 1 for _, intervals in measured):
        return None
    figure = Figure(figsize=(7.2, max(3.4, 0.21 * len(curves) + 1)), dpi=160, layout="constrained")
    axes = figure.subplots()
    for place, (label, intervals) in enumerate(measured):
        if not intervals:
            continue
        colour, line = _COLOURS[place % len(_COLOURS)], _LINES[place // len(_COLOURS) % len(_LINES)]
        steps = list(intervals)
        axes.plot(steps, [i.mean for i in intervals.values()], color=colour, linestyle=line, linewidth=1.8, label=label)
        banded = {step: i for step, i in intervals.items() if i.half_width is not None}
        axes.fill_between(
            list(banded),
            [i.mean - (i.half_width or 0) for i in banded.values()],
            [i.mean + (i.half_width or 0) for i in banded.values()],
            color=colour,
            alpha=0.10,
            linewidth=0,
        )
    axes.set(title=title, xlabel="step", ylabel=unit, ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_ylim(0, 1)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=2.4)
    return figure


def _rows_figure(labels: Sequence[str], panels: int, title: str) -> tuple[Figure, list[Axes]]:
    """Panels side by side that share the rows, the first row on top."""
    height = 1.3 + 0.3 * len(labels)
    figure = Figure(figsize=(1.6 + 2.9 * panels, height), dpi=160, layout="constrained")
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    axes = list(figure.subplots(1, panels, sharey=True, squeeze=False)[0])
    axes[0].set_yticks(range(len(labels)), labels)
    axes[0].set_ylim(len(labels) - 0.5, -0.5)
    for panel in axes:
        panel.grid(visible=False, axis="y")
    mean_and_seed = [
        Line2D([], [], color="black", marker="|", label="95% interval over seeds"),
        Line2D([], [], color="#777777", marker="o", linestyle="", markersize=3, label="one seed"),
    ]
    figure.legend(handles=mean_and_seed, loc="outside lower right", ncols=2)
    return figure, axes


def _whisker(axes: Axes, interval: Interval, place: int) -> None:
    if interval.half_width is not None:
        axes.errorbar(interval.mean, place, xerr=interval.half_width, color="black", capsize=3, linewidth=1.2)


def _metrics(plan: Plan, ledger: Ledger, world: str) -> dict[str, dict[int, list[Metrics]]]:
    """Rows of metrics of the finished runs, by row and seed."""
    found: dict[str, dict[int, list[Metrics]]] = {row.name: {} for row in plan.config.chosen}
    read = functools.cache(lambda folder: RunFolder(folder).metrics())
    for cell in plan.cells():
        standing = ledger.of(plan.run(cell))
        if cell.world == world and standing is not None and standing.state == "finished":
            found[cell.row][cell.seed] = read(standing.folder)
    return found


def _curves(row: RowResult, metrics: Mapping[int, list[Metrics]], key: str) -> Curves:
    series = {seed: {int(r["step"]): r[key] for r in rows if key in r} for seed, rows in metrics.items()}
    return Curves(row.label, {seed: values for seed, values in series.items() if values})
