"""A picture of models against the paper, benchmark by benchmark. Needs matplotlib."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recipe.zppo.evaluate.table import FAMILY_TITLES, Beside, columns
from recipe.zppo.view import drawing
from recipe.zppo.view.drawing import OKABE_ITO, styled

PLOT = "plot.png"

_MARKERS = "osD^vPX*"
_ROW = 0.24
"""Inches of a benchmark."""


def write_plot(folder: Path, rows: Sequence[Beside]) -> Path | None:
    """plot.png; None, and no file, where no benchmark has a number yet."""
    if (figure := scores_by_benchmark(rows)) is None:
        return None
    drawing.save({folder / PLOT: figure})
    return folder / PLOT


@styled
def scores_by_benchmark(rows: Sequence[Beside]) -> Figure | None:
    """A panel a family, a line a benchmark: a filled mark for each model, a hollow one for its row of the paper."""
    measured = {name for row in rows for name in row.results.scores()}
    families = {
        family: kept
        for family, names in columns([row.results for row in rows]).items()
        if (kept := [name for name in names if name in measured])
    }
    if not families:
        return None
    heights = [len(names) + 1.0 for names in families.values()]
    size = (7.2, _ROW * sum(heights) + 0.5 * len(heights) + 0.9)
    figure = Figure(figsize=size, dpi=160, layout="constrained")
    panels = figure.subplots(len(families), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (family, names) in zip(panels, families.items(), strict=True):
        _draw(axes, rows, names)
        axes.set(title=FAMILY_TITLES.get(family, family))
    panels[-1].set_xlabel("score")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=3)
    return drawing.titled(figure, "Scores by benchmark")


def _draw(axes: Axes, rows: Sequence[Beside], names: Sequence[str]) -> None:
    shown: set[str] = set()
    for place, row in enumerate(rows):
        scores, colour, marker = row.results.scores(), OKABE_ITO[place % 7], _MARKERS[place % 8]
        xs, ys = _points(scores, names)
        axes.plot(xs, ys, marker, color=colour, markersize=5, label=row.label)
        errors = [row.results.benchmarks[name].standard_error or 0.0 for name in names if name in scores]
        if any(errors):
            axes.errorbar(xs, ys, xerr=errors, fmt="none", color=colour, linewidth=1)
        if row.paper is not None and row.paper.label not in shown:
            shown.add(row.paper.label)
            style = {"markerfacecolor": "none", "markeredgecolor": colour if len(rows) > 1 else "black"}
            axes.plot(
                *_points(row.paper.scores, names), marker, markersize=7, label=f"paper, {row.paper.label}", **style
            )
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(-1.5, 101.5)


def _points(scores: Mapping[str, float], names: Sequence[str]) -> tuple[list[float], list[int]]:
    places = [place for place, name in enumerate(names) if name in scores]
    return [scores[names[place]] for place in places], places
