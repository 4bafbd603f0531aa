"""What a study's pictures show, and that everything on them is named."""

import pytest

from recipe.zppo.study.comparison import RowResult
from tests.study.test_tables import RESULTS

figures = pytest.importorskip("recipe.zppo.study.figures")
Curves = figures.Curves


def labels(artist) -> list[str]:
    return [text.get_text() for text in artist.get_legend().get_texts()]


def test_figures_show_every_row_that_has_results():
    figure = figures.bars(RESULTS["firm"], ("accuracy", "graduation_rate"))
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["GRPO (n=1)", "GRPO† (n=2)", "ZPPO (n=2)"]
    assert [bar.get_width() for bar in figure.axes[0].patches] == pytest.approx([0.45, 0.5, 0.6])
    differences = figures.forest(RESULTS["firm"], "grpo_replay")
    assert [text.get_text() for text in differences.axes[0].get_yticklabels()] == ["GRPO (n=1)", "ZPPO (n=1)"]


def test_each_number_stands_in_its_row():
    for figure, numbers in (
        (figures.bars(RESULTS["firm"], ("accuracy", "graduation_rate")), ["45.0%", "50.0%", "60.0%"]),
        (figures.forest(RESULTS["firm"], "grpo_replay"), ["+5.0", "+30.0"]),
    ):
        shown = figure.axes[0].texts
        assert [text.get_text().strip() for text in shown] == numbers
        assert [text.xy[1] for text in shown] == list(range(len(numbers)))
        (legend,) = figure.legends
        assert [text.get_text() for text in legend.get_texts()] == ["mean", "95% interval over seeds (t)", "one seed"]


def test_curves_name_every_row_and_what_the_band_means():
    measured = {seed: {0: 0.2, 10: 0.4 + seed / 10} for seed in (0, 1)}
    rows = [Curves("ZPPO", measured), Curves("$x$", {0: {10: 1.0}}), Curves("_none", {})]
    figure = figures.over_steps(rows, "questions", percent=False)
    (axes,) = figure.axes
    assert [label.strip() for label in labels(axes)] == ["ZPPO", "$x$", "_none (not measured)"]
    assert "mean over seeds" in figure.get_supxlabel() and "95% interval" in figure.get_supxlabel()
    assert axes.lines[1].get_marker() == "o"  # of a single step
    assert all(tick == int(tick) for tick in (*axes.get_yticks(), *axes.get_xticks()))
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 3
    figure.draw_without_rendering()


def test_labels_are_no_mathematics():
    rows = [RowResult("firm", "a", r"a $\frac{ row$", {0: {"accuracy": 0.4}})]
    figure = figures.bars(rows, ("accuracy",))
    figure.draw_without_rendering()
    (label,) = figure.axes[0].get_yticklabels()
    assert label.get_text() == r"a $\frac{ row$ (n=1)" and not label.get_parse_math()


def test_titles_differ_and_name_study_and_world(study, monkeypatch: pytest.MonkeyPatch):
    drawn: dict = {}
    monkeypatch.setattr("recipe.zppo.view.drawing.save", drawn.update)
    study("seeds=[0]")
    titles = [figure.get_suptitle() for figure in drawn.values()]
    assert len(set(titles)) == len(titles) == 6
    assert {title.split("\n")[1] for title in titles} == {"out · own"}
    assert "Difference to GRPO†, seed by seed\nout · own" in titles


def test_figures_of_nothing_are_none():
    empty = [RowResult("firm", "zppo", "ZPPO", {}, {0: "not begun"})]
    assert figures.bars(empty, ("accuracy",)) is None
    assert figures.forest(empty, "grpo_replay") is None
    assert figures.over_steps([Curves("ZPPO", {})], "unit", percent=True) is None


def test_a_curve_is_drawn_where_all_its_seeds_were_measured():
    intervals = Curves("ZPPO", {0: {0: 0.2, 10: 0.4, 20: 0.6}, 1: {0: 0.2, 10: 0.6}}).intervals()
    assert {step: interval.mean for step, interval in intervals.items()} == {0: 0.2, 10: 0.5}
