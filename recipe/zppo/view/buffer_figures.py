"""Pictures of the prompt replay buffer: what is in it, and what becomes of its questions (Figs. 4, 20, 21, 23, 24).

As in `figures`, each function takes the metrics as a frame, and gives None if the run has not what it shows.
"""

from collections.abc import Callable
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from recipe.zppo.view import drawing
from recipe.zppo.view.drawing import EVICTED, GRADUATED, ORANGE, note, panels, styled, totals
from recipe.zppo.view.series import by_entry_accuracy, by_visits, visits_label

_FATE_STYLES: dict[str, dict[str, Any]] = {
    "graduated": {"color": GRADUATED},
    "evicted": {"color": EVICTED, "alpha": 0.45},
    "improved": {"color": ORANGE, "alpha": 0.55},
    "never improved": {"color": EVICTED, "alpha": 0.45},
}
_LEVELS = "accuracy at entry"


@styled
def cumulative_graduations(frame: pd.DataFrame) -> Figure | None:
    """Questions graduated so far, by accuracy at entry (Fig. 4)."""
    counts = by_entry_accuracy(frame, "graduations").rename(columns="{:.1%}".format)
    return totals(counts, "questions", legend=_LEVELS)


@styled
def buffer_composition(frame: pd.DataFrame) -> Figure | None:
    """Questions in the buffer by accuracy at entry (Fig. 20)."""
    sizes = by_entry_accuracy(frame, "size")
    if sizes.empty:
        return None
    figure, (axes,) = panels(1)
    drawing.stack(axes, sizes.rename(columns="{:.1%}".format), drawing.level_colours(sizes.shape[1]))
    marker = "o" if len(sizes) == 1 else ""
    axes.plot(sizes.index, sizes.sum(axis=1), color="black", linewidth=0.8, marker=marker, label="all")
    axes.set(ylabel="questions in the buffer")
    drawing.counts_axis(axes)
    drawing.legend_right(axes, _LEVELS, reverse=True)
    return figure


@styled
def fate_by_entry_accuracy(frame: pd.DataFrame) -> Figure | None:
    """Of the questions that left the buffer: graduated and evicted, by accuracy at entry (Figs. 21 and 23)."""
    graduated, evicted = by_entry_accuracy(frame, "graduations"), by_entry_accuracy(frame, "evictions")
    if graduated.empty or evicted.empty:
        return None
    counts = pd.DataFrame({"graduated": graduated.iloc[-1], "evicted": evicted.iloc[-1]}).fillna(0)
    return _fates(counts, _LEVELS, "{:.1%}".format)


@styled
def fate_by_visits(frame: pd.DataFrame) -> Figure | None:
    """By the number of times that they were drawn again: graduated; evicted, improved or never improved (Fig. 24)."""
    counts = by_visits(frame)
    return None if counts.empty else _fates(counts, "times drawn again", visits_label)


def _fates(counts: pd.DataFrame, unit: str, label: Callable[[Any], str]) -> Figure | None:
    """Bars of the share that graduated, one for each row of which some have left; how many below each bar."""
    left = counts.sum(axis=1)
    counts, left = counts[left > 0], left[left > 0]
    if counts.empty:
        return None
    figure, (axes,) = panels(1, width=max(1.0, len(counts) / 6))
    places = range(len(counts))
    bottom = 0.0
    for name, column in counts.items():
        share = column / left
        axes.bar(places, share, bottom=bottom, width=0.7, label=name, **_FATE_STYLES[str(name)])
        bottom = bottom + share
    for place, done, total in zip(places, counts["graduated"], left, strict=True):
        top = done / total
        above = top <= 0.85
        axes.annotate(
            f"{top:.0%}\n({done:.0f})",
            (place, top),
            xytext=(0, 2 if above else -2),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            color="black" if above else "white",
        )
    axes.set_xticks(list(places), [f"{label(row)}\nof {total:.0f}" for row, total in left.items()])
    axes.set_xlim(-0.6, max(len(counts), 2) - 0.4)
    axes.set(xlabel=unit, ylabel="share of questions")
    axes.grid(visible=False, axis="x")
    drawing.percent_axis(axes, to_one=True)
    drawing.legend_right(axes, reverse=True)
    note(figure, "On the bars: share and number that graduated. Below: of how many that left the buffer.")
    return figure
