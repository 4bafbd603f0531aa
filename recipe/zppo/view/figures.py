"""The figures that the paper draws of a run, one function each. Needs matplotlib.

Each function takes the run's metrics as a frame, one row a step, the metric names as columns (`metrics_frame`), and
gives a figure, or None if the run has not what it shows. Numbers in the docstrings are the paper's figures.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from recipe.zppo.replay_buffer import MOST_VISITS_COUNTED
from recipe.zppo.run.folder import Row
from recipe.zppo.view import outcome

styled = matplotlib.rc_context(
    {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "grid.color": "#E5E5E5",
        "legend.frameon": False,
        "legend.fontsize": 8,
    }
)
"""Decorates a function that draws: the look of all figures, those of a study too."""

# Okabe and Ito's colours, which the colour-blind can tell apart.
EASY, HARD = "#009E73", "#BBBBBB"
BLUE, RED, ORANGE, SKY = "#0072B2", "#D55E00", "#E69F00", "#56B4E9"
GRADUATED, EVICTED = "#009E73", "#CC79A7"
_FATE_STYLES: dict[str, dict[str, Any]] = {
    "graduated": {"color": GRADUATED},
    "evicted": {"color": EVICTED, "alpha": 0.45},
    "improved": {"color": ORANGE, "alpha": 0.55},
    "never improved": {"color": EVICTED, "alpha": 0.45},
}
OTHERS = ("#F0E442", "#882255", "#44AA99")  # of methods that are added later
KINDS = dict(zip(outcome.KINDS.values(), (BLUE, RED, ORANGE, SKY, *OTHERS), strict=False))
CURVES = {"new": BLUE, "replayed": RED, **KINDS}  # others are black
_PANEL = (4.4, 3.1)
_MAX_LEVELS = 8

Drawing = Callable[[Axes], None]


def metrics_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """One row a step from 1 on, indexed by step; missing values are NaN."""
    frame = pd.DataFrame([row for row in rows if row["step"] >= 1])
    return frame.astype({"step": int}).set_index("step") if len(frame) else frame


@styled
def cumulative_graduations(frame: pd.DataFrame) -> Figure | None:
    """Questions graduated so far, by accuracy at entry (Fig. 4)."""
    counts = by_entry_accuracy(frame, "graduations").rename(columns="{:.1%}".format)
    return _totals(counts, "Graduations so far, by accuracy at entry", "questions", legend="accuracy at entry")


@styled
def batch_and_turnover(frame: pd.DataFrame) -> Figure | None:
    """What a step offers, what its batch is made of; graduated against evicted questions (Fig. 5); groups left out."""
    shares, eligible = batch_shares(frame), eligible_shares(frame)
    if shares.empty:
        return None
    totals = _columns(frame, {"graduated": "zppo/buffer/graduations", "evicted": "zppo/buffer/evictions"})
    dropped = _columns(frame, {"": "zppo/batch/dropped_trivial"})
    drawings: list[Drawing] = [lambda axes: _draw_shares(axes, shares, "Groups of a step's batch, after the cap")]
    if not eligible.empty:
        drawings.insert(0, lambda axes: _draw_shares(axes, eligible, "What the step offers, before the cap"))
    if not totals.empty:
        drawings.append(lambda axes: _draw_turnover(axes, totals))
    return _drawn(drawings + _curves(dropped, "Left out as trivial", "groups of a step", percent=False))


def batch_shares(frame: pd.DataFrame) -> pd.DataFrame:
    """Shares of a step's groups, which add up to 1: plain ones of easy and hard questions, each kind the run has."""
    names = {"easy": "zppo/batch/easy_share"}
    names |= {label: f"zppo/batch/{kind}_share" for kind, label in outcome.KINDS.items()}
    shares = _columns(frame, names)
    if "easy" not in shares:
        return pd.DataFrame()
    shares = shares[shares["easy"].notna()].fillna(0)
    shares = shares[[name for name in shares if name == "easy" or shares[name].any()]]
    shares.insert(1, "hard, plain", (1 - shares.sum(axis=1)).clip(lower=0))
    return shares


def eligible_shares(frame: pd.DataFrame) -> pd.DataFrame:
    """Shares of easy questions and of BCQ and NCQ instances by eligibility, whatever the caps take (Fig. 5a).

    A hard question is eligible for BCQ and NCQ, and then counts twice, or for one. The teacher is not asked about all
    hard questions where the caps are full; those it answered stand for the rest.
    """
    eligible = {"bcq": "zppo/bcq/eligible_share", "ncq": "zppo/ncq/eligible_share"}
    built = [kind for kind in eligible if frame.get(f"zppo/batch/{kind}_share", pd.Series(0.0)).any()]
    names = {outcome.KINDS[kind]: eligible[kind] for kind in built}
    shares = _columns(frame, {"hard": "zppo/hard_share"} | names)
    if not set(names) or not set(names) < set(shares):
        return pd.DataFrame()
    hard = shares.pop("hard")
    shares = shares.mul(hard, axis=0).fillna(0)
    shares.insert(0, "easy", 1 - hard)
    return shares.div(shares.sum(axis=1), axis=0)


def _draw_shares(axes: Axes, shares: pd.DataFrame, title: str) -> None:
    colours = [({"easy": EASY, "hard, plain": HARD} | KINDS)[name] for name in shares]
    _stack(axes, shares, colours, alpha=0.85)
    _percent(axes, limits=(0, 1))
    axes.set(title=title, ylabel="share")
    _legend_below(axes, shares.shape[1])


def _draw_turnover(axes: Axes, totals: pd.DataFrame) -> None:
    for name, colour in (("graduated", GRADUATED), ("evicted", EVICTED)):
        if name in totals:
            axes.plot(totals.index, totals[name], color=colour, linewidth=1.8, label=name)
    axes.set(title="Questions that left the buffer", ylabel="questions so far")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    _legend_below(axes, 2)


@styled
def buffer_composition(frame: pd.DataFrame) -> Figure | None:
    """Questions in the buffer by accuracy at entry (Fig. 20)."""
    sizes = by_entry_accuracy(frame, "size")
    if sizes.empty:
        return None
    figure, (axes,) = _panels(1)
    _stack(axes, sizes.rename(columns="{:.1%}".format), _level_colours(sizes.shape[1]))
    axes.plot(sizes.index, sizes.sum(axis=1), color="black", linewidth=0.8)
    axes.set(title="Buffer, by accuracy at entry", ylabel="questions", ylim=(0, None))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(title="accuracy at entry", loc="center left", bbox_to_anchor=(1.0, 0.5), reverse=True)
    return figure


@styled
def fate_by_entry_accuracy(frame: pd.DataFrame) -> Figure | None:
    """Of the questions that left the buffer: graduated and evicted, by accuracy at entry (Figs. 21 and 23)."""
    graduated, evicted = by_entry_accuracy(frame, "graduations"), by_entry_accuracy(frame, "evictions")
    if graduated.empty or evicted.empty:
        return None
    counts = pd.DataFrame({"graduated": graduated.iloc[-1], "evicted": evicted.iloc[-1]}).fillna(0)
    return _fates(counts, "accuracy at entry", "{:.1%}".format)


@styled
def fate_by_visits(frame: pd.DataFrame) -> Figure | None:
    """By the number of times that they were drawn again: graduated; evicted, improved or never improved (Fig. 24)."""
    counts = by_visits(frame)
    return None if counts.empty else _fates(counts, "times drawn again", _visits_label)


def by_visits(frame: pd.DataFrame) -> pd.DataFrame:
    """Entries of the whole run that left by each way, one row a number of visits, ascending.

    A run from before improvement was counted has ``evicted`` only; otherwise that is split into ``improved`` and
    ``never improved``.
    """
    ways_out = {"graduated": "zppo/buffer/graduations/after_", "evicted": "zppo/buffer/evictions/after_"}
    ways_out |= {"improved": "zppo/buffer/evictions_improved/after_"}
    counts = {
        name: {int(column.removeprefix(prefix)): frame[column].max() for column in frame if column.startswith(prefix)}
        for name, prefix in ways_out.items()
    }
    table = pd.DataFrame(counts, columns=list(ways_out)).fillna(0).sort_index()
    if not counts["improved"]:
        return table.drop(columns="improved")
    return table.assign(**{"never improved": table["evicted"] - table["improved"]}).drop(columns="evicted")


def _visits_label(visits: int) -> str:
    return f"{visits} or more" if visits == MOST_VISITS_COUNTED else str(visits)


def _fates(counts: pd.DataFrame, unit: str, label: Callable[[Any], str]) -> Figure | None:
    """Bars of the share that graduated, one for each row of which some have left."""
    left = counts.sum(axis=1)
    counts, left = counts[left > 0], left[left > 0]
    if counts.empty:
        return None
    figure, (axes,) = _panels(1, width=max(1.0, len(counts) / 9))
    places = range(len(counts))
    rate = counts["graduated"] / left
    bottom = 0.0
    for name, column in counts.items():
        share = column / left
        axes.bar(places, share, bottom=bottom, width=0.7, label=name, **_FATE_STYLES[str(name)])
        bottom = bottom + share
    for place, share, done, total in zip(places, rate, counts["graduated"], left, strict=True):
        axes.annotate(f"{share:.0%}\n{done:.0f}/{total:.0f}", (place, 0.97), ha="center", va="top", fontsize=8)
    axes.set_xticks(list(places), [label(row) for row in counts.index])
    axes.set(title="Questions that left the buffer")
    axes.set_xlabel(unit)
    axes.grid(visible=False, axis="x")
    _percent(axes, limits=(0, 1))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), reverse=True)
    return figure


@styled
def training_signal(frame: pd.DataFrame) -> Figure | None:
    """Rollout accuracy, share of positive advantages, entropy (Fig. 22)."""
    names = {"new": "zppo/accuracy/new", "replayed": "zppo/accuracy/replayed", "all plain": "zppo/accuracy/all"}
    accuracy = _columns(frame, names)
    positive = _columns(frame, {"": "zppo/batch/positive_advantage_share"})
    return _drawn(
        _curves(accuracy, "Accuracy of plain rollouts", "right answers")
        + _curves(positive, "Positive advantages", "share of rollouts")
        + _curves(_columns(frame, {"": "actor/entropy"}), "Entropy", "nats a token", percent=False)
    )


@styled
def loss_and_reformulations(frame: pd.DataFrame) -> Figure | None:
    """Policy loss, that of a distillation; accuracy of BCQ and NCQ rollouts, of those with hint or prefix (Fig. 25)."""
    loss = _columns(frame, {"": "actor/pg_loss"})
    divergence = _columns(frame, {"": "actor/distillation/loss"})
    accuracy = _columns(frame, {label: f"zppo/{kind}/accuracy" for kind, label in outcome.KINDS.items()})
    return _drawn(
        _curves(loss, "Policy loss", "loss", percent=False)
        + _curves(divergence, "Distillation", "nats a token", percent=False)
        + _curves(accuracy, "Accuracy of reformulated questions", "right answers")
    )


@styled
def solved_by_teacher(frame: pd.DataFrame) -> Figure | None:
    """Questions that each of several teachers has solved, each asked what those before it had not (not the paper's)."""
    teachers = outcome.teachers([dict.fromkeys(frame, 0.0)])
    solved = _columns(frame, {f"teacher {i}": f"zppo/teacher/{i}/solved" for i in teachers})
    return _totals(solved.fillna(0).cumsum(), "Hard questions solved by each teacher", "questions so far")


@styled
def held_out_accuracy(validations: Sequence[outcome.Validation]) -> Figure | None:
    """Accuracy on held-out questions with 95% intervals (not in the paper, which evaluates at the end)."""
    if not any(validation.after for validation in validations):
        return None
    figure, (axes,) = _panels(1)
    for validation in validations:
        points = [(a.step, a.value, 1.96 * (a.std_error or 0.0)) for a in validation.history]
        axes.errorbar(*zip(*points, strict=True), marker="o", markersize=4, capsize=3, label=validation.source)
    axes.set(title="Held-out accuracy", ylabel="right answers")
    _percent(axes, limits=(0, 1))
    axes.legend(loc="lower right")
    return figure


def all_figures(rows: Sequence[Row]) -> dict[str, Figure]:
    """Every figure that the run has data for, by file name; none before the second step."""
    frame = metrics_frame(rows)
    if len(frame) < 2:
        return {}
    of_metrics = (
        *(cumulative_graduations, batch_and_turnover, buffer_composition, fate_by_entry_accuracy, fate_by_visits),
        *(training_signal, loss_and_reformulations, solved_by_teacher),
    )
    drawn = {"held_out_accuracy": held_out_accuracy(outcome.validations(rows))}
    drawn |= {draw.__name__: draw(frame) for draw in of_metrics}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def by_entry_accuracy(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """``zppo/buffer/<name>/from_<accuracy>`` as one column an entry accuracy, ascending; 0 before its first entry.

    Groups that lost rollouts enter at odd fractions; more than eight levels are gathered into eighths.
    """
    prefix = f"zppo/buffer/{name}/from_"
    levels = {column: float(column.removeprefix(prefix)) for column in frame if column.startswith(prefix)}
    counts = frame[sorted(levels, key=levels.__getitem__)].dropna(how="all").fillna(0).rename(columns=levels)
    if counts.shape[1] > _MAX_LEVELS:
        counts = counts.T.groupby(lambda level: math.floor(level * 8 + 1e-3) / 8).sum().T
    return counts


# ---------------------------------------------------------------------- drawing


def _columns(frame: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """The named columns that the run has, under their new names; rows without any of them left out."""
    present = {key: name for name, key in names.items() if key in frame}
    return frame[list(present)].rename(columns=present).dropna(how="all")


def _panels(count: int, width: float = 1.0) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(_PANEL[0] * count * width, _PANEL[1]), dpi=160, layout="constrained")
    panels = list(figure.subplots(1, count, squeeze=False)[0])
    for axes in panels:
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure, panels


def _totals(totals: pd.DataFrame, title: str, unit: str, legend: str | None = None) -> Figure | None:
    """A line for each column, from dark to light."""
    if totals.empty:
        return None
    figure, (axes,) = _panels(1)
    for (name, total), colour in zip(totals.items(), _level_colours(totals.shape[1]), strict=True):
        axes.plot(total.index, total, color=colour, linewidth=1.8, label=name)
    axes.set(title=title, ylabel=unit)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(title=legend, loc="upper left")
    return figure


def _drawn(drawings: Sequence[Drawing]) -> Figure | None:
    if not drawings:
        return None
    figure, panels = _panels(len(drawings))
    for draw, axes in zip(drawings, panels, strict=True):
        draw(axes)
    return figure


def _curves(values: pd.DataFrame, title: str, unit: str, *, percent: bool = True) -> list[Drawing]:
    """A panel of each step's value faintly, and its mean over a tenth of the run; none where there are no values."""
    return [] if values.empty else [lambda axes: _draw_curves(axes, values, title, unit, percent=percent)]


def _draw_curves(axes: Axes, values: pd.DataFrame, title: str, unit: str, *, percent: bool) -> None:
    window = max(1, len(values) // 10)
    for name in values:
        column, colour = values[name].dropna(), CURVES.get(name, "black")
        if window > 1:
            axes.plot(column.index, column, color=colour, alpha=0.25, linewidth=0.8)
        smooth = column.rolling(window, min_periods=1, center=True).mean()
        marker = "o" if len(column) == 1 else ""
        axes.plot(smooth.index, smooth, color=colour, linewidth=1.8, marker=marker, label=name or None)
    axes.set(title=title, ylabel=unit)
    if percent:
        _percent(axes, limits=(0, None))
    if any(values.columns):
        _legend_below(axes, len(values.columns))


def _percent(axes: Axes, *, limits: tuple[float, float | None]) -> None:
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_ylim(*limits)


def _legend_below(axes: Axes, columns: int) -> None:
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=columns, handlelength=1.4, columnspacing=1.2)


def _stack(axes: Axes, parts: pd.DataFrame, colours: list, **style: Any) -> None:
    axes.stackplot(parts.index, parts.to_numpy().T, labels=list(parts), colors=colours, linewidth=0, **style)
    if len(parts) > 1:
        axes.set_xlim(parts.index[0], parts.index[-1])


def _level_colours(count: int) -> list:
    """From dark (never right at entry) to light."""
    return [matplotlib.colormaps["viridis"](0.92 * i / max(count - 1, 1)) for i in range(count)]
