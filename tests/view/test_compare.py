"""Two runs on the same benchmarks, and the interval of App. F.6."""

import random
from pathlib import Path

import pytest

from recipe.zppo.bootstrap import bootstrap_difference
from recipe.zppo.view import compare
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


def test_what_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    one, other = run_folder(tmp_path / "one", {"geo": 0.1}), run_folder(tmp_path / "other", {"chart": 0.1})
    assert compare.main([str(one), str(other)]) == 2
    assert "no benchmark in common: geo; chart" in capsys.readouterr().err
    assert compare.main([str(run_folder(tmp_path / "none", {}))]) == 2
    assert "has no validation" in capsys.readouterr().err
    assert compare.main([str(one), str(run_folder(tmp_path / "more", {"geo": 0.3}))]) == 0
    assert "One benchmark" in capsys.readouterr().out


def test_names_are_shown_as_they_are_and_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    one, two = (run_folder(tmp_path / name / "[red]x", {"[/bold]$q$": 0.5, "y": 0.1}) for name in "ab")
    assert compare.main([str(one), str(two)]) == 0
    shown = capsys.readouterr().out
    assert "a/[red]x" in shown and "b/[red]x" in shown and "[/bold]$q$" in shown
