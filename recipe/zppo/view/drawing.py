"""How pictures are drawn: their look, panels, titles, legends and axes. Needs matplotlib.

Text is never taken for mathematics: a ``$`` in a run's name or in a data source's shows as itself.
"""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from recipe.zppo.run.files import write_atomically
from recipe.zppo.view.series import smoothed

styled = matplotlib.rc_context(
    {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.titlesize": 9,
        "axes.titlelocation": "left",
        "grid.color": "#E5E5E5",
        "legend.frameon": False,
        "legend.fontsize": 8,
        "text.parse_math": False,
        "text.usetex": False,
    }
)
"""Decorates a function that draws or saves: the look of all figures, those of a study too."""

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colours, which the colour-blind can tell apart."""

BLUE, RED, GREEN, PINK, ORANGE, SKY, _ = OKABE_ITO
EASY, HARD = GREEN, "#BBBBBB"
GRADUATED, EVICTED = GREEN, PINK

_LINES = ("-", "--", ":", "-.")
_PANEL = (4.4, 3.3)

Drawing = Callable[[Axes], None]


@styled
def save(figures: Mapping[Path, Figure]) -> None:
    """As PNG files."""
    for path, figure in figures.items():
        write_atomically(str(path), partial(figure.savefig, format="png"))


def line_style(place: int) -> dict[str, Any]:
    """Colour and dashes of the n-th of many lines; they last for 28."""
    return {
        "color": OKABE_ITO[place % len(OKABE_ITO)],
        "linestyle": _LINES[place // len(OKABE_ITO) % len(_LINES)],
    }


def titled(figure: Figure, headline: str, of: str = "") -> Figure:
    """Two lines over the whole figure: what it shows, and of which run or study."""
    figure.suptitle(f"{headline}\n{of}".strip(), fontsize=10, x=0.01, ha="left")
    return figure


def note(figure: Figure, text: str) -> None:
    """A sentence below the figure, such as what a band means; the same one is written once."""
    before = figure.get_supxlabel()
    if text not in " ".join(before.split()):
        width = int(19 * figure.get_figwidth())
        written = textwrap.fill(" ".join(f"{before} {text}".split()), width)
        figure.supxlabel(written, fontsize=7, x=0.01, ha="left", color="#444444")


def panels(count: int, width: float = 1.0) -> tuple[Figure, list[Axes]]:
    """Side by side, with steps along the horizontal axis."""
    figure = Figure(figsize=(_PANEL[0] * count * width, _PANEL[1]), dpi=160, layout="constrained")
    drawn = list(figure.subplots(1, count, squeeze=False)[0])
    for axes in drawn:
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(whole_numbers())
    return figure, drawn


def drawn(drawings: Sequence[Drawing]) -> Figure | None:
    """A panel for each; None where there are none."""
    if not drawings:
        return None
    figure, axes = panels(len(drawings))
    for draw, panel in zip(drawings, axes, strict=True):
        draw(panel)
    return figure


def whole_numbers() -> MaxNLocator:
    """Ticks for steps and counts."""
    return MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1)


def counts_axis(axes: Axes) -> None:
    axes.yaxis.set_major_locator(whole_numbers())
    axes.set_ylim(0, max(1.0, axes.get_ylim()[1]))


def percent_axis(axes: Axes, *, to_one: bool) -> None:
    """Shares from 0 on; up to 1, or to the largest."""
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.set_ylim(0, 1 if to_one else max(0.08, axes.get_ylim()[1]))  # of less, whole per cents would be few


def totals(lines: pd.DataFrame, unit: str, legend: str | None = None) -> Figure | None:
    """A line for each column, from dark to light."""
    if lines.empty:
        return None
    figure, (axes,) = panels(1)
    marker = "o" if len(lines) == 1 else ""
    for (name, line), colour in zip(lines.items(), level_colours(lines.shape[1]), strict=True):
        axes.plot(line.index, line, color=colour, linewidth=1.8, marker=marker, label=name)
    axes.set(ylabel=unit)
    counts_axis(axes)
    legend_right(axes, legend)
    return figure


def curves(values: pd.DataFrame, title: str, unit: str, colours: Mapping[str, str], *, scale: str) -> list[Drawing]:
    """A panel of each step's value faintly, and of a mean over about a tenth of the run; none without values.

    Args:
        colours: by column; others are black.
        scale: ``percent``, ``count`` or ``number``.
    """
    return [] if values.empty else [lambda axes: _draw_curves(axes, values, title, unit, colours, scale)]


def _draw_curves(
    axes: Axes, values: pd.DataFrame, title: str, unit: str, colours: Mapping[str, str], scale: str
) -> None:
    every, smooth, window = smoothed(values)
    for name in values:
        column, colour = every[name], colours.get(name, "black")
        marker = "o" if column.count() == 1 else ""
        if window > 1:
            axes.plot(column.index, column, color=colour, alpha=0.25, linewidth=0.8)
        known = smooth[name].dropna()
        axes.plot(known.index, known, color=colour, linewidth=1.8, marker=marker, label=name)
    axes.set(title=title, ylabel=unit)
    if scale == "percent":
        percent_axis(axes, to_one=False)
    elif scale == "count":
        counts_axis(axes)
    else:
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
    legend_below(axes, len(values.columns))
    meaning = f"Faint: each step. Bold: mean over {window} steps, of which it is the middle."
    note(axes.figure, meaning if window > 1 else "Lines: each step, not smoothed.")


def legend_below(axes: Axes, columns: int) -> None:
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=columns, handlelength=1.4, columnspacing=1.2)


def legend_right(axes: Axes, title: str | None = None, *, reverse: bool = False) -> None:
    axes.legend(title=title, loc="center left", bbox_to_anchor=(1.0, 0.5), reverse=reverse, handlelength=2.2)


def stack(axes: Axes, parts: pd.DataFrame, colours: Sequence[Any]) -> None:
    """One layer for each column, the first at the bottom; of a single step a bar."""
    if len(parts) > 1:
        axes.stackplot(parts.index, parts.to_numpy().T, labels=list(parts), colors=colours, linewidth=0, alpha=0.85)
        axes.set_xlim(parts.index[0], parts.index[-1])
        return
    bottom = 0.0
    for (name, column), colour in zip(parts.items(), colours, strict=True):
        axes.bar(parts.index, column, bottom=bottom, width=0.5, color=colour, label=name, alpha=0.85)
        bottom += float(column.iloc[0])
    axes.set_xlim(parts.index[0] - 1, parts.index[0] + 1)


def level_colours(count: int) -> list:
    """From dark to light."""
    return [matplotlib.colormaps["viridis"](0.88 * i / max(count - 1, 1)) for i in range(count)]
