import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from recipe.zppo.run.folder import RunFolder
from recipe.zppo.view import plots
from tests.event_lines import measured

figures = pytest.importorskip("recipe.zppo.view.figures")
buffer_figures = pytest.importorskip("recipe.zppo.view.buffer_figures")

ALL = {
    "held_out_accuracy",
    "cumulative_graduations",
    "batch_and_turnover",
    "buffer_composition",
    "fate_by_entry_accuracy",
    "fate_by_visits",
    "training_signal",
    "loss_and_reformulations",
}


@pytest.fixture(scope="module")
def rows(finished_run: Path) -> list[dict]:
    return RunFolder(finished_run).metrics()


@pytest.fixture(scope="module")
def frame(rows) -> pd.DataFrame:
    return figures.metrics_frame(rows)


def test_every_figure_is_written(finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    out = tmp_path / "new" / "folder"
    assert plots.main([str(finished_run), "--out", str(out)]) == 0
    assert {path.stem for path in out.iterdir()} == ALL
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in out.iterdir())
    assert set(capsys.readouterr().out.split()) == {str(path) for path in out.iterdir()}
    assert not (finished_run / "plots").exists()


def test_curves_are_the_metrics(frame, finished_run: Path):
    lines = [json.loads(line) for line in (finished_run / "metrics.jsonl").read_text().splitlines()][1:]
    (axes,) = figures.cumulative_graduations(frame).axes
    for line, level in zip(axes.lines, ("0.000", "0.125", "0.250", "0.375"), strict=True):
        assert list(line.get_xdata()) == list(range(1, 13))
        assert list(line.get_ydata()) == [row.get(f"zppo/buffer/graduations/from_{level}", 0) for row in lines]
    turnover = figures.batch_and_turnover(frame).axes[2]
    assert list(turnover.lines[1].get_ydata()) == [row["zppo/buffer/evictions"] for row in lines]
    accuracy, positive, entropy = figures.training_signal(frame).axes
    assert [line.get_label() for line in accuracy.lines] == ["new", "replayed", "all plain"]
    assert list(entropy.lines[0].get_ydata()) == pytest.approx([row["actor/entropy"] for row in lines])
    assert len(positive.lines) == 1


def test_composition_of_the_buffer_adds_up_to_its_size(frame):
    sizes = buffer_figures.by_entry_accuracy(frame, "size")
    assert list(sizes.sum(axis=1)) == list(frame["zppo/buffer/size"])
    assert list(sizes) == [0.0, 0.125, 0.25, 0.375]


def test_odd_entry_accuracies_are_gathered_into_eighths():
    """Groups that lost rollouts: thirds, fifths, sevenths."""
    levels = ["0.000", "0.125", "0.143", "0.167", "0.200", "0.250", "0.286", "0.333", "0.375", "0.400"]
    columns = {f"zppo/buffer/size/from_{level}": 1.0 for level in levels}
    sizes = buffer_figures.by_entry_accuracy(figures.metrics_frame([{"step": 1} | columns]), "size")
    assert sizes.iloc[0].to_dict() == {0.0: 1, 0.125: 4, 0.25: 3, 0.375: 2}


def test_bars_show_the_rate_of_those_that_left(frame):
    (axes,) = figures.fate_by_entry_accuracy(frame).axes
    graduated, evicted = axes.containers
    last = frame.iloc[-1]
    for bar, rest, level in zip(graduated, evicted, axes.get_xticklabels(), strict=True):
        accuracy, _, total = level.get_text().partition("%\nof ")
        name = f"from_{float(accuracy) / 100:.3f}"
        done, lost = last[f"zppo/buffer/graduations/{name}"], last[f"zppo/buffer/evictions/{name}"]
        assert float(total) == done + lost
        assert bar.get_height() == pytest.approx(done / (done + lost))
        assert bar.get_height() + rest.get_height() == pytest.approx(1)


def test_fates_by_visits_are_the_counts_of_the_buffer(frame):
    """Fig. 24."""
    counts, last = buffer_figures.by_visits(frame), frame.iloc[-1]
    assert counts["graduated"].sum() == last["zppo/buffer/graduations"] > 0
    assert counts["improved"].sum() + counts["never improved"].sum() == last["zppo/buffer/evictions"] > 0
    assert list(counts.index) == sorted(counts.index) and counts.index[0] == 0 and counts["graduated"][0] == 0
    (axes,) = figures.fate_by_visits(frame).axes
    assert [bars.get_label() for bars in axes.containers] == ["graduated", "improved", "never improved"]
    for *bars, label in zip(*axes.containers, axes.get_xticklabels(), strict=True):
        names = ("graduations", "evictions", "evictions_improved")
        done, lost, better = (last[f"zppo/buffer/{name}/after_{label.get_text().split()[0]}"] for name in names)
        shares = [count / (done + lost) for count in (done, better, lost - better)]
        assert [bar.get_height() for bar in bars] == pytest.approx(shares)


def test_many_visits_have_one_bar():
    rows = [
        {"step": 1, "zppo/buffer/graduations/after_9": 1.0, "zppo/buffer/evictions/after_9": 0.0},
        {"step": 2, "zppo/buffer/graduations/after_9": 1.0, "zppo/buffer/evictions/after_9": 3.0}
        | {"zppo/buffer/graduations/after_16": 2.0, "zppo/buffer/evictions/after_16": 0.0},
    ]
    (axes,) = figures.fate_by_visits(figures.metrics_frame(rows)).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["9\nof 4", "16 or more\nof 2"]
    assert [bar.get_height() for bar in axes.containers[0]] == [0.25, 1.0]


def frame_of(run: Path) -> pd.DataFrame:
    return figures.metrics_frame(RunFolder(run).metrics())


def test_the_batch_is_made_of_what_the_run_has(frame, hint_run: Path, prefix_run: Path, distilled_run: Path):
    for of_run, kinds in (
        (frame, ["BCQ", "NCQ"]),
        (frame_of(hint_run), ["NCQ", "hint"]),
        (frame_of(prefix_run), ["prefix"]),
        (frame_of(distilled_run), []),
    ):
        shares = figures.batch_shares(of_run)
        assert list(shares) == ["easy", "hard, plain", *kinds]
        assert list(shares.sum(axis=1)) == pytest.approx([1.0] * 12)
        groups = of_run["zppo/batch/groups"]
        for kind in kinds:
            assert list(shares[kind] * groups) == pytest.approx(list(of_run[f"zppo/{kind.lower()}/count"]))
        drawn = [axes for axes in figures.batch_and_turnover(of_run).axes if "after the cap" in axes.get_title("left")]
        assert [text.get_text() for text in drawn[0].get_legend().get_texts()] == list(shares)


def test_what_a_step_offers_is_by_eligibility(frame, distilled_run: Path):
    """Fig. 5a: a question of which both can be made counts twice."""
    rows = [{"step": 1, "zppo/hard_share": 0.6, "zppo/bcq/eligible_share": 0.5, "zppo/ncq/eligible_share": 1.0}]
    rows[0] |= {"zppo/batch/bcq_share": 0.1, "zppo/batch/ncq_share": 0.1}
    shares = figures.eligible_shares(figures.metrics_frame(rows))
    assert shares.iloc[0].to_dict() == pytest.approx({"easy": 0.4 / 1.3, "BCQ": 0.3 / 1.3, "NCQ": 0.6 / 1.3})
    unknown, easy = ({"step": step, "zppo/hard_share": share} for step, share in ((2, 0.6), (3, 0.0)))
    shares = figures.eligible_shares(figures.metrics_frame([rows[0], unknown, easy]))
    assert list(shares.index) == [1, 3] and shares.loc[3].to_dict() == {"easy": 1, "BCQ": 0, "NCQ": 0}
    of_run = figures.eligible_shares(frame)
    assert list(of_run) == ["easy", "BCQ", "NCQ"] and list(of_run.sum(axis=1)) == pytest.approx([1.0] * 12)
    offered, taken, _ = figures.batch_and_turnover(frame).axes
    assert ("before the cap" in offered.get_title("left"), "after the cap" in taken.get_title("left")) == (True, True)
    assert figures.eligible_shares(frame_of(distilled_run)).empty


def test_groups_left_out_and_each_teachers_share_are_drawn(frame, hint_run: Path):
    of_run = frame_of(hint_run)
    assert len(figures.batch_and_turnover(frame).axes) == 3
    dropped = figures.batch_and_turnover(of_run).axes[-1]
    assert list(dropped.lines[0].get_ydata()) == pytest.approx(list(of_run["zppo/batch/dropped_trivial"]))
    (axes,) = figures.solved_by_teacher(of_run).axes
    assert [line.get_label() for line in axes.lines] == ["teacher 0", "teacher 1"]
    assert [list(line.get_ydata()) for line in axes.lines] == [list(range(n, 12 * n + 1, n)) for n in (5, 1)]
    assert figures.solved_by_teacher(frame) is None


def test_accuracies_with_help_and_the_divergence_are_drawn(hint_run: Path, prefix_run: Path, distilled_run: Path):
    for run, kinds in ((hint_run, ["NCQ", "hint"]), (prefix_run, ["prefix"])):
        accuracy = figures.loss_and_reformulations(frame_of(run)).axes[-1]
        assert [line.get_label() for line in accuracy.lines] == kinds
    divergence = figures.loss_and_reformulations(frame_of(distilled_run)).axes[-1]
    assert divergence.get_title("left") == "Distillation"
    assert list(divergence.lines[-1].get_ydata()) == pytest.approx([0.5 / step for step in range(1, 13)])


def test_a_method_without_buffer_or_reformulation_gets_what_there_is():
    rows = [{"step": step, "zppo/accuracy/new": 0.5, "actor/pg_loss": 0.1} for step in (1, 2, 3)]
    assert set(figures.all_figures(rows)) == {"training_signal", "loss_and_reformulations"}


def test_what_half_a_run_has_is_drawn(broken_run: Path, tmp_path: Path):
    paths = plots.write_plots(RunFolder(broken_run), tmp_path)
    assert {path.stem for path in paths} == ALL


@pytest.mark.parametrize(
    "lines", ["", measured([{"step": 0, "a": 1}]), measured([{"step": 1, "b": 1}]) + '{"type": "m']
)
def test_nothing_to_draw_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture, lines: str):
    (tmp_path / "events.jsonl").write_text(lines)
    assert plots.main([str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("zppo: ") and captured.err.count("\n") == 1
    assert not (tmp_path / "plots").exists()


def test_without_matplotlib_the_error_says_what_to_install(finished_run: Path, tmp_path: Path, capsys, monkeypatch):
    for name in ("drawing", "buffer_figures", "figures"):
        monkeypatch.delitem(sys.modules, f"recipe.zppo.view.{name}")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert plots.main([str(finished_run), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "zppo: plots need matplotlib: pip install 'open-zppo[plots]'\n"
