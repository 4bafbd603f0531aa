"""The paper's numbers, and what follows from them: averages, and the intervals of Tables 14 and 15."""

import csv
from pathlib import Path
from statistics import fmean

import pytest

from recipe.zppo.benchmarks.contract import Family
from recipe.zppo.evaluate.compare import intervals
from recipe.zppo.evaluate.paper import (
    LABELS,
    PaperError,
    families,
    paper_row,
    paper_rows,
    paper_rows_for,
)

PRINTED = list(csv.DictReader(Path(__file__).with_name("paper_intervals.csv").open(encoding="utf-8")))
"""Tables 14 and 15, in points. The column of the best method repeats another one, but against the base of 4B and 9B."""


def test_every_row_is_whole() -> None:
    sizes = {Family.VLM: 16, Family.LLM: 10, Family.VIDEO: 5}
    assert {family: list(families().values()).count(family) for family in Family} == sizes
    for row in paper_rows().values():
        assert row.method in LABELS
        for family, average in row.averages.items():
            found = [name for name in row.scores if families()[name] is family]
            assert 0 < average < 100 and len(found) == (0 if row.method in ("hint", "prefix") else sizes[family])


def test_averages_are_those_printed_but_for_seven() -> None:
    gaps = {}
    for row in paper_rows().values():
        for family, printed in row.averages.items():
            if scores := [score for name, score in row.scores.items() if families()[name] is family]:
                gaps[f"{row.name} {family}"] = abs(fmean(scores) - printed)
    assert {cell for cell, gap in gaps.items() if gap > 0.05 + 1e-9} == {
        "0.8B/grpo_replay vlm",
        "0.8B/zppo video",
        "2B/on_distill_replay llm",
        "2B/grpo_replay llm",
        "4B/grpo_both llm",
        "9B/grpo_both llm",
        "9B/grpo_replay llm",
    }
    assert max(gaps.values()) < 0.1


def test_every_cell_of_tables_14_and_15() -> None:
    """The scores are rounded to 0.1, and the paper's were not."""
    assert len(PRINTED) == 74
    for cell in PRINTED:
        rows = [paper_row(f"{cell['student']}/{method}").scores for method in (cell["against"], "zppo")]
        found = intervals(*rows)[cell["family"]]
        assert (found.won, found.benchmarks) == (int(cell["won"]), int(cell["benchmarks"])), cell
        printed = [float(cell[name]) for name in ("mean", "low", "high")]
        assert [found.mean, found.low, found.high] == pytest.approx(printed, abs=0.4), cell


def test_a_row_that_is_not_there() -> None:
    assert paper_row("0.8B/zppo").label == "0.8B · ZPPO" and paper_row("2B/base").scores["AI2D"] == 81.9
    with pytest.raises(PaperError, match=r"no row '0.8B/grpo†'; 0.8B/grpo is one: .* of the students 0.8B, 2B, 4B, 9B"):
        paper_row("0.8B/grpo†")
    one, other = paper_row("2B/base"), paper_row("2B/zppo")
    assert paper_rows_for(["a", "b"], ["2B/base"]) == [one, one] and paper_rows_for(["a"], []) == [None]
    assert paper_rows_for(["a", "b"], ["2B/base", "2B/zppo"]) == [one, other]
    with pytest.raises(PaperError, match="2 rows for 3 models"):
        paper_rows_for(["a", "b", "c"], ["2B/base", "2B/zppo"])
