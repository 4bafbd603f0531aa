"""Decided pairs of answer and gold answer: what the careful grader says of each.

`pairs.csv` is read by `benchmarks/graders.py` too, which says what other graders make of it. Rows of the kind "not
attempted" are those on which the careful grader is known to be wrong. None of them is a wrong answer that it accepts.
"""

import csv
from pathlib import Path

import pytest

from recipe.zppo.careful.compare import is_equal

with open(Path(__file__).parent / "pairs.csv", newline="", encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))
DECIDED = [row for row in ROWS if row["kind"] != "not attempted"]
NOT_ATTEMPTED = [row for row in ROWS if row["kind"] == "not attempted"]
KINDS = sorted({row["kind"] for row in DECIDED})


@pytest.mark.parametrize("kind", KINDS)
def test_each_pair_is_decided_as_the_table_says(kind):
    rows = [row for row in DECIDED if row["kind"] == kind]
    verdicts = {(row["answer"], row["gold"]): is_equal(row["answer"], row["gold"]) for row in rows}
    assert verdicts == {(row["answer"], row["gold"]): row["equal"] == "1" for row in rows}


def test_what_is_not_attempted_is_refused():
    assert not any(is_equal(row["answer"], row["gold"]) for row in NOT_ATTEMPTED)
    assert {row["equal"] for row in NOT_ATTEMPTED} == {"1"}


def test_the_table_is_large_broad_and_half_of_it_differs():
    pairs = {(row["answer"], row["gold"]) for row in ROWS}
    assert len(pairs) == len(ROWS) >= 2400 and len(KINDS) >= 30
    assert 0.45 <= sum(row["equal"] == "0" for row in ROWS) / len(ROWS) <= 0.55


@pytest.mark.parametrize("column", ["answer", "gold"])
def test_each_answer_equals_itself(column):
    assert all(is_equal(row[column], row[column]) for row in ROWS)


def test_what_differs_does_so_in_both_directions():
    """But for pairs that the table has both ways: what a gold decimal is rounded from is right, not the reverse."""
    right = {(row["answer"], row["gold"]) for row in ROWS if row["equal"] == "1"}
    turned = [(row["gold"], row["answer"]) for row in ROWS if row["equal"] == "0"]
    assert not [pair for pair in turned if pair not in right and is_equal(*pair)]
