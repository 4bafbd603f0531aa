"""Two sides on the same benchmarks, and the interval of App. F.6."""

import random
from pathlib import Path

import pytest

from recipe.zppo.bootstrap import bootstrap_difference
from recipe.zppo.evaluate import compare
from recipe.zppo.evaluate.results import write_results
from tests.evaluate.test_table import model_results
from tests.event_lines import measured


def test_the_interval_is_that_of_a_slow_bootstrap() -> None:
    first, second = [0.2, 0.5, 0.4, 0.9, 0.1], [0.3, 0.4, 0.6, 0.9, 0.4]
    result = bootstrap_difference(first, second)
    assert (result.mean, result.won, result.benchmarks) == (pytest.approx(0.1), 3, 5)
    rng, means = random.Random(1), []
    for _ in range(10_000):
        drawn = [rng.randrange(5) for _ in range(5)]
        means.append(sum(second[i] for i in drawn) / 5 - sum(first[i] for i in drawn) / 5)
    means.sort()
    assert (result.low, result.high) == (pytest.approx(means[250], abs=0.01), pytest.approx(means[9750], abs=0.01))
    assert bootstrap_difference(first, second) == result


def test_equal_sides_have_no_width() -> None:
    result = bootstrap_difference([0.1, 0.7], [0.2, 0.8])
    assert result.low == pytest.approx(0.1) == result.high


@pytest.mark.parametrize("sides", [([0.1], [0.2]), ([0.1, 0.2], [0.1])])
def test_what_has_no_interval(sides: tuple[list[float], list[float]]) -> None:
    with pytest.raises(ValueError, match="at least two benchmarks"):
        bootstrap_difference(*sides)


def run_folder(folder: Path, *steps: dict[str, float]) -> Path:
    folder.mkdir()
    rows = [
        {"step": 10 * i} | {f"val-core/{name}/acc/mean@1": value for name, value in step.items()}
        for i, step in enumerate(steps)
    ]
    (folder / "events.jsonl").write_text(measured(rows))
    return folder


def test_two_runs(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    one = run_folder(tmp_path / "one", {"geo": 0.1, "chart": 0.2, "only": 1.0}, {"geo": 0.5, "chart": 0.4, "only": 1.0})
    two = run_folder(tmp_path / "two", {"geo": 0.6, "chart": 0.5})
    assert compare.main([str(one), str(two)]) == 0
    shown = capsys.readouterr().out
    assert "45.0%" in shown and "55.0%" in shown and "+10.0" in shown and "better on 2" in shown
    assert "one side only: only" in shown
    assert compare.main([str(one)]) == 0
    assert "+20.0 points" in capsys.readouterr().out


def evaluation(folder: Path, scores: dict[str, float | None]) -> Path:
    folder.mkdir(parents=True)
    write_results(folder, model_results(folder.name, scores))
    return folder


def test_an_evaluation_and_the_paper(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    own = evaluation(tmp_path / "own", {"AI2D": 66.6, "VisP": 23.5, "MMVU": 39.0, "HLE": None, "VMME": 51.3})
    assert compare.main([str(own), "paper:0.8B/base"]) == 0
    shown = capsys.readouterr().out
    rows = [line for line in shown.splitlines() if "%" in line and "points" not in line]
    lines = {line.strip().split("  ")[0]: line.split() for line in rows}
    assert list(lines) == ["AI2D", "VisP", "VLM mean", "MMVU", "VMME", "Video mean"]
    assert lines["VLM mean"][2:] == ["45.0%", "43.0%", "-2.0"] and lines["VMME"][1:] == ["51.3%", "50.3%", "-1.0"]
    assert "VLM: -2.0 points, 95% interval -3.0 to -1.0 (bootstrap over 2 benchmarks); better on 0" in shown
    assert "Video: -0.5 points" in shown and "one side only: AIME25, AIME26, BabyV" in shown


def test_a_run_that_validates_on_benchmarks(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = run_folder(tmp_path / "run", {"eval/AI2D": 0.656, "geo": 0.1})
    assert compare.main(["paper:0.8B/zppo", str(run)]) == 0
    shown = capsys.readouterr().out
    assert "76.5%" in shown and "65.6%" in shown and "-10.9" in shown and "VLM: One benchmark" in shown
    assert "benchmarks as its validation asked them" in shown


def test_what_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    one, other = run_folder(tmp_path / "one", {"geo": 0.1}), run_folder(tmp_path / "other", {"chart": 0.1})
    assert compare.main([str(one), str(other)]) == 2
    assert "no benchmark in common: geo; chart" in capsys.readouterr().err
    assert compare.main([str(run_folder(tmp_path / "none", {}))]) == 2
    assert "has no validation" in capsys.readouterr().err
    assert compare.main([str(one), "paper:2B/zppo"]) == 2
    assert "in common: geo; AI2D, AIME25, AIME26, BabyV, CEval, CharXiv, DynaM, EmbSp and 23" in capsys.readouterr().err
    several = evaluation(tmp_path / "evaluations" / "a", {"AI2D": 1.0}).parent
    assert compare.main([str(evaluation(several / "b", {"AI2D": None})), "paper:2B/hint"]) == 2
    assert "no benchmark of b has a number yet" in capsys.readouterr().err
    for sides, message in (
        (["paper:2B/hint", str(one)], "paper:2B/hint: the paper prints its averages alone"),
        (["paper:2B/zpo", str(one)], "no row '2B/zpo'; 2B/zppo is one"),
        ([str(several), str(one)], f"holds evaluations of 2 models; give one of {several / 'a'}, {several / 'b'}"),
        ([str(several / "a")], "one side alone; give another"),
        (["paper:2B/zppo"], "one side alone; give another"),
        (["", str(one)], "is not a folder"),
        ([str(one), "nowhere"], "'nowhere' is not a folder; give that of an evaluation or of a run"),
    ):
        assert compare.main(sides) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert compare.main([str(one), str(run_folder(tmp_path / "more", {"geo": 0.3}))]) == 0
    assert "One benchmark" in capsys.readouterr().out


def test_names_are_shown_as_they_are_and_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    one, two = (run_folder(tmp_path / name / "[red]x", {"[/bold]$q$": 0.5, "y": 0.1}) for name in "ab")
    assert compare.main([str(one), str(two)]) == 0
    shown = capsys.readouterr().out
    assert "a/[red]x" in shown and "b/[red]x" in shown and "[/bold]$q$" in shown
