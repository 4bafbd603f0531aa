"""The paper's numbers as data (Tables 1 to 4 and 10 to 13): ``paper_tables.csv``, beside this file.

A row is a student and a method, named as in ``0.8B/zppo``. Scores are 0 to 100.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from recipe.zppo.benchmarks.contract import Family
from recipe.zppo.errors import ZPPOError

_AVERAGE = "Avg"

LABELS = {
    "base": "base",
    "off_distill": "Off-Distill",
    "off_distill_replay": "Off-Distill†",
    "on_distill": "On-Distill",
    "on_distill_replay": "On-Distill†",
    "grpo": "GRPO",
    "grpo_replay": "GRPO†",
    "grpo_both": "GRPO + Both",
    "grpo_replay_bcq": "GRPO† + BCQ",
    "grpo_replay_ncq": "GRPO† + NCQ",
    "hint": "Hint",
    "prefix": "Prefix",
    "zppo": "ZPPO",
}
"""Methods, as the tables print them. Of Hint and Prefix the paper has averages alone."""


class PaperError(ZPPOError, ValueError):
    """The paper has no such row."""


@dataclass(frozen=True)
class PaperRow:
    """What the paper's tables print of a student after a method."""

    student: str
    method: str
    scores: Mapping[str, float]
    """By benchmark, in the order of the tables."""
    averages: Mapping[Family, float]
    """As printed. Seven differ from the mean of the printed scores by more than rounding."""

    @property
    def name(self) -> str:
        """As it is asked for: ``0.8B/zppo``."""
        return f"{self.student}/{self.method}"

    @property
    def label(self) -> str:
        """Such as ``0.8B · ZPPO``."""
        return f"{self.student} · {LABELS[self.method]}"


def paper_row(name: str) -> PaperRow:
    """Of a name such as ``2B/grpo_replay``.

    Raises:
        PaperError: there is none, with the names that there are.
    """
    rows = paper_rows()
    if name in rows:
        return rows[name]
    students, methods = (dict.fromkeys(part) for part in zip(*(key.split("/") for key in rows), strict=True))
    near = get_close_matches(name, rows, 1)
    raise PaperError(
        f"the paper has no row {name!r:.80}{f'; {near[0]} is one' if near else ''}: STUDENT/METHOD, of the students "
        f"{', '.join(students)} and the methods {', '.join(methods)} (hint and prefix at 0.8B and 2B)"
    )


def paper_rows_for(models: Sequence[str], names: Sequence[str]) -> list[PaperRow | None]:
    """The row that stands beside each model: one name for all, or as many names as models, in their order.

    Raises:
        PaperError: the paper has no such row, or the names are of another number.
    """
    rows: list[PaperRow | None] = [paper_row(name) for name in names]
    if len(rows) not in (0, 1, len(models)):
        raise PaperError(f"paper: {len(rows)} rows for {len(models)} models; give one for all, or one for each")
    return rows if len(rows) == len(models) else (rows or [None]) * len(models)


@cache
def paper_rows() -> dict[str, PaperRow]:
    """All, by name."""
    lines: dict[tuple[str, str], list[dict[str, str]]] = {}
    for line in _lines():
        lines.setdefault((line["student"], line["method"]), []).append(line)
    rows = [
        PaperRow(
            student,
            method,
            {line["benchmark"]: _score(line) for line in of_row if line["benchmark"] != _AVERAGE},
            {_family(line): _score(line) for line in of_row if line["benchmark"] == _AVERAGE},
        )
        for (student, method), of_row in lines.items()
    ]
    return {row.name: row for row in rows}


@cache
def families() -> dict[str, Family]:
    """Of the 31 benchmarks, in the order of the tables."""
    return {line["benchmark"]: _family(line) for line in _lines() if line["benchmark"] != _AVERAGE}


def _family(line: Mapping[str, str]) -> Family:
    return Family(line["family"].lower())


def _score(line: Mapping[str, str]) -> float:
    return float(line["score"])


@cache
def _lines() -> tuple[dict[str, str], ...]:
    with Path(__file__).with_name("paper_tables.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))
