"""Which tasks of reasoning-gym are taken."""

import json
from pathlib import Path

import pytest

from recipe.zppo.data import reasoning_gym_checks, reasoning_gym_table
from recipe.zppo.data.reasoning_gym_checks import (
    CHECKED,
    NONSENSE,
    accepts,
    accepts_own_answer,
    check_tasks,
    examine,
    is_usable,
    texts,
)
from recipe.zppo.data.reasoning_gym_table import table
from recipe.zppo.data.reasoning_gym_tasks import Generator, Task, TaskError, task_names

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "reasoning-gym.md"


@pytest.fixture(scope="module")
def generators():
    pytest.importorskip("reasoning_gym")
    with Generator() as first, Generator() as second:
        yield first, second


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("game_of_life_halting", "its verifier accepts 'zzz' as the answer to every question"),
        ("complex_arithmetic", "its verifier accepts 'nan' as the answer to every question"),
        ("puzzle24", "its verifier accepts the gold answers of other questions (200 of 200)"),
        ("boxnet", "its questions have no gold answer"),
    ],
)
def test_refused(generators, name: str, reason: str) -> None:
    assert examine(Task(name), *generators).refusal == reason


@pytest.mark.parametrize("name", ["gcd", "word_sorting", "polynomial_multiplication", "n_queens", "ransom_note"])
def test_taken(generators, name: str) -> None:
    """Numbers, words, expressions, a question with many answers, two answers only."""
    report = examine(Task(name), *generators)
    assert not report.refusal
    assert report.tried >= CHECKED


def test_questions_that_differ_between_processes_are_refused(generators) -> None:
    with Generator(hash_seed=1) as other:
        found = examine(Task("ransom_note"), generators[0], other).refusal
    assert found == "the same seed gives other questions in another process"


def test_equal_requests_give_equal_questions_in_any_environment(generators, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    with Generator() as other:
        for name in ("isomorphic_strings", "polynomial_multiplication", "word_ladder"):
            here, there = (texts(each.entry(Task(name), 3, i) for i in range(5)) for each in (generators[0], other))
            assert here == there


def test_a_question_that_takes_any_answer_is_not_usable(generators) -> None:
    entry = generators[0].entry(Task("game_of_life_halting"), 0, 0)
    assert accepts_own_answer(entry) and accepts(entry, NONSENSE[0])
    assert not is_usable(entry)


def test_settings_that_a_row_cannot_hold() -> None:
    with pytest.raises(TaskError, match=r"task time_intervals: .*; give numbers, words, lists, true or false"):
        check_tasks([Task.parse("time_intervals:min_date=2020-01-01")])


def test_verdicts_in_bounded_time(generators, monkeypatch) -> None:
    monkeypatch.setattr(reasoning_gym_checks, "LIMIT_S", 0)
    assert examine(Task("gcd"), *generators).refusal == f"grading {CHECKED} questions of it takes more than 0 s"


def test_results_are_kept(reasoning_gym, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(reasoning_gym_table, "task_names", lambda: ["ab", "gcd", "nothing"])
    results = tmp_path / "results.jsonl"
    results.write_text(json.dumps({"task": "ab", "refusal": "kept"}) + "\n")
    assert reasoning_gym_table.main([str(results)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| `ab` | no: kept | | | |" and lines[3].startswith("| `gcd` | yes | rule | 0 of ")
    assert lines[4].startswith("| `nothing` | no: reasoning-gym has no task 'nothing'")
    assert len(results.read_text().splitlines()) == 3


def test_the_table() -> None:
    taken = {"task": "b", "refusal": "", "graders": ["rule"], "tried": 200, "accepted": 3, "unhashed": CHECKED}
    assert table([{**taken, "unhashed": 1}, {"task": "a", "refusal": "bad"}]).splitlines()[2:] == [
        "| `a` | no: bad | | | |",
        f"| `b` | yes | rule | 3 of 200 | 1 of {CHECKED} |",
    ]


def test_the_page_has_every_task(reasoning_gym) -> None:
    page = PAGE.read_text()
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert rows == task_names()
    assert "| `game_of_life_halting` | no:" in page
