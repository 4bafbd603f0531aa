"""The metrics page as data: which keys it lists, and which of them each run writes."""

import re
from collections.abc import Iterable
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
OF_VERL = ("The update", "The batch that trained", "Servers against trainer", "Seconds and speed")
"""Sections whose names are verl's."""

SOMETIMES = re.compile(
    "actor/distillation/.*|actor/entropy_loss|actor/kl_.*|timing_.*/ref|timing_s/(testing|save_checkpoint)"
)
"""Rows that a run writes in some settings or steps only, as they say themselves."""

_NAMES = {"<of>": "(mean|max|min)", "<source>": ".+", "<name>": ".+", "<statistic>": ".+", "<accuracy>": r"[\d.]+"}


def sections() -> dict[str, dict[str, list[str]]]:
    """Cells of each row by key, by section; the key itself is not among them."""
    found: dict[str, dict[str, list[str]]] = {}
    for part in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]:
        title, _, text = part.partition("\n")
        rows = (line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `"))
        found[title] = {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in rows}
    return found


def healthy_ranges() -> dict[str, str]:
    """The cell of each row, by key."""
    return {key: cells[-2] for rows in sections().values() for key, cells in rows.items()}


def pattern(key: str) -> str:
    """A regular expression for what the page writes with `<...>`."""
    parts = re.split(r"(<[^>]*>)", key)
    return "".join(_NAMES.get(p, "[^/]+") if p.startswith("<") else re.escape(p) for p in parts)


def unlisted(keys: Iterable[str]) -> list[str]:
    """Of a run's keys, those without a row."""
    known = re.compile("|".join(pattern(key) for rows in sections().values() for key in rows))
    return sorted(key for key in keys if key != "step" and not known.fullmatch(key))


def always(written_by: set[str]) -> list[str]:
    """Rows with verl's names that every step of GRPO or ZPPO writes, on a back end that is in ``written_by``."""
    rows = [(key, cells) for title in OF_VERL for key, cells in sections()[title].items()]
    return [
        key
        for key, cells in rows
        if not SOMETIMES.fullmatch(key) and (cells[0] if len(cells) == 4 else "stack") in written_by
    ]


def missing(rows: Iterable[str], keys: Iterable[str]) -> list[str]:
    """Rows that none of the keys is of; of `<of>` each of the three."""
    spelt = [row.replace("<of>", of) for row in rows for of in (("mean", "max", "min") if "<of>" in row else ("",))]
    keys = list(keys)
    return [row for row in spelt if not any(re.fullmatch(pattern(row), key) for key in keys)]
