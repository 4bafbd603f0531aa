"""The figures that the paper draws of a run, one function each. Needs matplotlib.

Each function takes the run's metrics as a frame, one row a step, the metric names as columns (`metrics_frame`), and
gives a figure, or None if the run has not what it shows. Numbers in the docstrings are the paper's figures.
"""

from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recipe.zppo.run.folder import Row
from recipe.zppo.view import drawing, outcome
from recipe.zppo.view.buffer_figures import (
    buffer_composition,
    cumulative_graduations,
    fate_by_entry_accuracy,
    fate_by_visits,
)
from recipe.zppo.view.drawing import Drawing, curves, drawn, note, panels, styled, totals
from recipe.zppo.view.held_out import Validation, validations
from recipe.zppo.view.interval import Proportion
from recipe.zppo.view.series import batch_shares, columns, eligible_shares, metrics_frame
from recipe.zppo.view.title import all_shown

OTHERS = ("#882255", "#44AA99", "#999933")  # of methods that are added later
KINDS = dict(
    zip(outcome.KINDS.values(), (drawing.BLUE, drawing.RED, drawing.ORANGE, drawing.SKY, *OTHERS), strict=False)
)
CURVES = {"new": drawing.BLUE, "replayed": drawing.RED, **KINDS}


@styled
def batch_and_turnover(frame: pd.DataFrame) -> Figure | None:
    """What a step offers, what its batch is made of; graduated against evicted questions (Fig. 5); groups left out."""
    shares, eligible = batch_shares(frame), eligible_shares(frame)
    if shares.empty:
        return None
    left = columns(frame, {"graduated": "zppo/buffer/graduations", "evicted": "zppo/buffer/evictions"})
    dropped = columns(frame, {"left out": "zppo/batch/dropped_trivial"})
    drawings: list[Drawing] = [lambda axes: _draw_shares(axes, shares, "Groups of a step's batch, after the cap")]
    if not eligible.empty:
        drawings.insert(0, lambda axes: _draw_shares(axes, eligible, "What the step offers, before the cap"))
    if not left.empty:
        drawings.append(lambda axes: _draw_turnover(axes, left))
    return drawn(drawings + curves(dropped, "Left out as trivial", "groups of a step", {}, scale="count"))


def _draw_shares(axes: Axes, shares: pd.DataFrame, title: str) -> None:
    colours = [({"easy": drawing.EASY, "hard, plain": drawing.HARD} | KINDS)[name] for name in shares]
    drawing.stack(axes, shares, colours)
    drawing.percent_axis(axes, to_one=True)
    axes.set(title=title, ylabel="share of groups")
    drawing.legend_below(axes, shares.shape[1])


def _draw_turnover(axes: Axes, totals: pd.DataFrame) -> None:
    for name, colour in (("graduated", drawing.GRADUATED), ("evicted", drawing.EVICTED)):
        if name in totals:
            marker = "o" if len(totals) == 1 else ""
            axes.plot(totals.index, totals[name], color=colour, linewidth=1.8, marker=marker, label=name)
    axes.set(title="Left the buffer so far", ylabel="questions")
    drawing.counts_axis(axes)
    drawing.legend_below(axes, 2)


@styled
def training_signal(frame: pd.DataFrame) -> Figure | None:
    """Rollout accuracy, share of positive advantages, entropy (Fig. 22)."""
    names = {"new": "zppo/accuracy/new", "replayed": "zppo/accuracy/replayed", "all plain": "zppo/accuracy/all"}
    accuracy = columns(frame, names)
    positive = columns(frame, {"above their group's mean": "zppo/batch/positive_advantage_share"})
    entropy = columns(frame, {"policy of the rollouts": "actor/entropy"})
    return drawn(
        curves(accuracy, "Accuracy of plain rollouts", "right answers", CURVES, scale="percent")
        + curves(positive, "Positive advantages", "share of rollouts", {}, scale="percent")
        + curves(entropy, "Entropy", "nats a token", {}, scale="number")
    )


@styled
def loss_and_reformulations(frame: pd.DataFrame) -> Figure | None:
    """Policy loss, that of a distillation; accuracy of BCQ and NCQ rollouts, of those with hint or prefix (Fig. 25)."""
    loss = columns(frame, {"mean over tokens": "actor/pg_loss"})
    divergence = columns(frame, {"Jensen-Shannon divergence": "actor/distillation/loss"})
    accuracy = columns(frame, {label: f"zppo/{kind}/accuracy" for kind, label in outcome.KINDS.items()})
    return drawn(
        curves(loss, "Policy loss", "loss", {}, scale="number")
        + curves(divergence, "Distillation", "nats a token", {}, scale="number")
        + curves(accuracy, "Accuracy of reformulated questions", "right answers", CURVES, scale="percent")
    )


@styled
def solved_by_teacher(frame: pd.DataFrame) -> Figure | None:
    """Questions that each of several teachers has solved, each asked what those before it had not (not the paper's)."""
    teachers = outcome.teachers([dict.fromkeys(frame, 0.0)])
    solved = columns(frame, {f"teacher {i}": f"zppo/teacher/{i}/solved" for i in teachers})
    return totals(solved.fillna(0).cumsum(), "hard questions")


@styled
def held_out_accuracy(validations: Sequence[Validation]) -> Figure | None:
    """Accuracy on held-out questions with 95% intervals (not in the paper, which evaluates at the end)."""
    if not validations:
        return None
    figure, (axes,) = panels(1, width=1.3)
    figure.set_figheight(max(figure.get_figheight(), 1.3 + 0.18 * len(validations)))  # room for the legend
    once = len({validation.source for validation in validations}) == len(validations)
    names = all_shown(v.source if once else f"{v.source}, {v.samples} answers each" for v in validations)
    for place, (name, validation) in enumerate(zip(names, validations, strict=True)):
        steps, values = zip(*((a.step, a.value) for a in validation.history), strict=True)
        style = drawing.line_style(place) | {"marker": "o", "markersize": 4, "label": name}
        if (questions := validation.questions) and all(0 <= value <= 1 for value in values):
            shares = [Proportion(value, questions) for value in values]
            reach = [[s.value - s.low for s in shares], [s.high - s.value for s in shares]]
            axes.errorbar(steps, values, [[max(0.0, r) for r in side] for side in reach], capsize=3, **style)
        else:
            axes.plot(steps, values, **style)
    axes.set(ylabel="right answers")
    drawing.percent_axis(axes, to_one=True)
    drawing.legend_right(axes, "data source")
    note(figure, "Bars: Wilson's 95% interval over the questions, where their number was logged.")
    return figure


_HEADLINES: dict[Callable[[pd.DataFrame], Figure | None], str] = {
    cumulative_graduations: "Graduations so far, by accuracy at entry",
    batch_and_turnover: "Composition of a step, and turnover of the replay buffer",
    buffer_composition: "Questions in the replay buffer",
    fate_by_entry_accuracy: "Fate in the replay buffer, by accuracy at entry",
    fate_by_visits: "Fate in the replay buffer, by times drawn again",
    training_signal: "Training signal",
    loss_and_reformulations: "Loss, and reformulated questions",
    solved_by_teacher: "Hard questions solved by each teacher, so far",
}


@styled
def all_figures(rows: Sequence[Row], run: str = "") -> dict[str, Figure]:
    """Every figure that the run has data for, by file name; none before the first step.

    Args:
        run: stands in every title (`run_title`).
    """
    frame = metrics_frame(rows)
    if frame.empty:
        return {}
    figures = {"held_out_accuracy": ("Held-out accuracy", held_out_accuracy(validations(rows)))}
    figures |= {draw.__name__: (headline, draw(frame)) for draw, headline in _HEADLINES.items()}
    return {name: drawing.titled(each, title, run) for name, (title, each) in figures.items() if each is not None}
