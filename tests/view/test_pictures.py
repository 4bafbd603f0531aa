"""What a reader of a picture needs: whose it is, what is drawn, in which unit; read from what matplotlib has drawn."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from recipe.zppo.config.paths import CONFIG_DIR
from recipe.zppo.run.folder import RunFolder
from recipe.zppo.view import plots
from recipe.zppo.view.title import all_shown, method_of, run_title, told_apart

figures = pytest.importorskip("recipe.zppo.view.figures")
from matplotlib.text import Text  # noqa: E402

LABELS = {
    "zppo": "ZPPO",
    "grpo": "GRPO",
    "grpo_replay": "GRPO†",
    "grpo_both": "GRPO + Both",
    "grpo_replay_bcq": "GRPO† + BCQ",
    "grpo_replay_ncq": "GRPO† + NCQ",
    "hint": "Hint",
    "prefix": "Prefix",
    "off_distill": "Off-Distill",
    "off_distill_replay": "Off-Distill†",
    "on_distill": "On-Distill",
    "on_distill_replay": "On-Distill†",
    "worked_solution": "GRPO† + worked",
}


@functools.cache
def drawn(run: Path, title: str = "a run · ZPPO") -> dict:
    return figures.all_figures(RunFolder(run).metrics(), title)


@pytest.fixture(scope="module")
def long_run(written) -> Path:
    return written("long", steps=60, total_steps=60)


@pytest.fixture(scope="module")
def pictures(long_run, hint_run, distilled_run) -> list:
    return [figure for run in (long_run, hint_run, distilled_run) for figure in drawn(run).values()]


def test_each_method_has_the_papers_name() -> None:
    default = OmegaConf.load(CONFIG_DIR / "zppo_trainer.yaml").zppo
    files = {path.stem: OmegaConf.load(path) for path in (CONFIG_DIR / "method").glob("*.yaml")}
    merged = {name: OmegaConf.merge(default, (content or {}).get("zppo") or {}) for name, content in files.items()}
    assert {name: method_of(OmegaConf.to_container(zppo)) for name, zppo in merged.items()} == LABELS


def test_no_two_pictures_have_one_title_and_each_names_run_and_method(finished_run: Path, hint_run: Path) -> None:
    for run, of in ((finished_run, "finished · ZPPO"), (hint_run, "helped · GRPO† + hint + NCQ")):
        title = run_title(RunFolder(run))
        found = [figure.get_suptitle().split("\n") for figure in drawn(run, title).values()]
        assert len(found) > 7 and {second for _, second in found} == {of}
        assert len({first for first, _ in found}) == len(found)
        panels = [[axes.get_title("left") for axes in figure.axes] for figure in drawn(run).values()]
        assert all(len(set(titles)) == len(titles) for titles in panels)


def test_a_run_from_before_its_configuration_was_kept(tmp_path: Path) -> None:
    assert run_title(RunFolder(tmp_path)) == f"{tmp_path.name} · method not recorded"
    (tmp_path / "config_1.yaml").write_text("zppo: [")
    assert run_title(RunFolder(tmp_path)) == f"{tmp_path.name} · method not recorded"


def test_the_last_start_counts_and_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folders = [tmp_path / name / "run" for name in ("first", "second")]
    for folder in folders:
        folder.mkdir(parents=True)
        for number in range(1, 11):
            zppo = {"replay": {"enable": number == 10}}
            (folder / f"config_{number}.yaml").write_text(json.dumps({"zppo": zppo}))
    titles = [run_title(RunFolder(folder)) for folder in folders]
    assert told_apart(titles, folders) == [
        "first/run · GRPO†",
        "second/run · GRPO†",
    ]


def test_band_and_smoothing_are_explained_on_the_picture(long_run: Path, finished_run: Path) -> None:
    found = drawn(long_run)
    for name in ("training_signal", "loss_and_reformulations"):
        assert "Faint: each step. Bold: mean over 7 steps" in found[name].get_supxlabel()
        assert "not smoothed" in drawn(finished_run)[name].get_supxlabel()
    assert "95% interval" in found["held_out_accuracy"].get_supxlabel()


def test_the_bold_line_is_the_mean_that_it_says(long_run: Path) -> None:
    rows = RunFolder(long_run).metrics()[1:]
    bold = figures.training_signal(figures.metrics_frame(rows)).axes[0].lines[1]
    for step in (1, 4, 30, 60):
        around = [row["zppo/accuracy/new"] for row in rows if abs(row["step"] - step) <= 3]
        assert bold.get_ydata()[step - 1] == pytest.approx(np.mean(around))


def test_every_series_is_in_the_legend(pictures: list) -> None:
    for axes in (axes for figure in pictures for axes in figure.axes):
        shown = {text.get_text() for text in axes.get_legend().get_texts()}
        series = [line for line in axes.lines if line.get_alpha() != 0.25 and len(line.get_xdata())]
        series = [line for line in series if line.get_label() != "_nolegend_" and not line.get_label().startswith("_c")]
        labels = {artist.get_label() for artist in (*series, *axes.containers, *axes.collections)}
        assert {label for label in labels if not label.startswith("_")} == shown != set()
        assert not any(line.get_label().startswith("_child") for line in series)


def test_steps_and_counts_have_whole_ticks(pictures: list, finished_run: Path) -> None:
    for axes in (axes for figure in pictures for axes in figure.axes):
        if axes.get_xlabel() == "step":
            assert all(tick == int(tick) for tick in axes.get_xticks())
        if "questions" in axes.get_ylabel() and "share" not in axes.get_ylabel():
            assert all(tick == int(tick) for tick in axes.get_yticks())


def test_numbers_stand_at_the_bar_they_belong_to(finished_run: Path) -> None:
    for name in ("fate_by_entry_accuracy", "fate_by_visits"):
        (axes,) = drawn(finished_run)[name].axes
        bars, numbers = axes.containers[0], axes.texts
        assert len(bars) == len(numbers) > 1
        for bar, number in zip(bars, numbers, strict=True):
            assert number.xy == pytest.approx((bar.get_x() + bar.get_width() / 2, bar.get_height()))
            assert number.get_text().startswith(f"{bar.get_height():.0%}\n")


def test_a_name_shows_as_itself(written, tmp_path: Path) -> None:
    odd = [r"cost $5$ and \frac{", "$x$", "_hidden", "a\tb", "long " * 60]
    run = written(odd[0], steps=1, total_steps=1)
    rows = RunFolder(run).metrics()
    for source in odd:
        rows[0][f"val-core/{source}/acc/mean@1"] = rows[1][f"val-core/{source}/acc/mean@1"] = 0.5
    figure = figures.all_figures(rows, run_title(RunFolder(run)))["held_out_accuracy"]
    figure.draw_without_rendering()
    assert figure.get_suptitle() == f"Held-out accuracy\n{odd[0]} · ZPPO"
    assert not any(
        text.get_parse_math() or text.get_usetex() for text in figure.findobj(Text) if "$" in text.get_text()
    )
    sources = [text.get_text().strip() for text in figure.axes[0].get_legend().get_texts()]
    assert set(odd[:3]) < set(sources) and len(sources) == 6 and max(map(len, sources)) < 40
    assert "a\N{REPLACEMENT CHARACTER}b" in sources


def test_many_data_sources_fit_into_the_legend() -> None:
    rows = [{"step": step} | {f"val-core/s{i}/acc/mean@1": i / 30 for i in range(30)} for step in (0, 1)]
    figure = figures.all_figures(rows)["held_out_accuracy"]
    figure.draw_without_rendering()
    (axes,) = figure.axes
    legend = axes.get_legend().get_window_extent()
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines[:28]}) == 28
    assert legend.y0 >= 0 and legend.y1 <= figure.bbox.y1 and legend.x1 <= figure.bbox.x1


def test_pictures_of_a_run_with_an_odd_name_are_saved(written, tmp_path: Path) -> None:
    run = written("a $\\frac{$ run", steps=1, total_steps=1)
    assert all(path.stat().st_size > 5000 for path in plots.write_plots(RunFolder(run), tmp_path))


def test_long_names_stay_apart() -> None:
    names = ["x" * 100, "x" * 99 + "y", "x" * 101]
    assert len(set(all_shown(names))) == 3 and max(map(len, all_shown(names))) <= 40


def test_a_run_of_one_step_is_drawn(written) -> None:
    found = drawn(written("short", steps=1, total_steps=1))
    assert {"held_out_accuracy", "batch_and_turnover", "training_signal", "buffer_composition"} <= found.keys()
    assert all(line.get_marker() == "o" for line in found["training_signal"].axes[0].lines)
    shares = found["batch_and_turnover"].axes[1]
    assert sum(bar.get_height() for bars in shares.containers for bar in bars) == pytest.approx(1)


def test_gaps_and_columns_without_a_value_do_not_break() -> None:
    rows = [{"step": step, "zppo/accuracy/new": step / 50} for step in (1, 2, 30, 40)]
    rows[1] |= {"zppo/bcq/accuracy": 1.0, "actor/entropy": 0.0, "actor/pg_loss": -1e-7}
    found = figures.all_figures(rows)
    line = found["training_signal"].axes[0].lines[1]
    assert list(line.get_xdata()) == [1, 2, 30, 40] and list(line.get_ydata()) == pytest.approx([0.03, 0.03, 0.6, 0.8])
    frame = figures.metrics_frame(rows).assign(**{"zppo/accuracy/replayed": np.nan})
    assert [text.get_text() for text in figures.training_signal(frame).axes[0].get_legend().get_texts()] == ["new"]
