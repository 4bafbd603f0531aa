"""Builds of the corpus as a user starts them, and what they leave."""

import json
from pathlib import Path

import pyarrow.parquet as pq

from recipe.zppo.data import zppo_77k

AI2D, TQA, PIXMO = "stem-ai2d_merged", "stem-tqa", "counting_grounding_search-pixmo"


def build(out: Path, *arguments: str) -> dict:
    """Without a processor unless asked for; the report."""
    assert _main("vero=null", "mmfinereason=null", *arguments, f"out={out}") == 0
    return json.loads((out / "report-train.json").read_text())


def _main(*arguments: str) -> int:
    """Of a key that comes twice the last value counts."""
    given = dict(argument.split("=", 1) for argument in ("processor=null", "workers=1", *arguments))
    return zppo_77k.main([f"{key}={value}" for key, value in given.items()])


def rows_of(out: Path) -> list[dict]:
    return [row for file in sorted(out.glob("train-*.parquet")) for row in pq.read_table(file).to_pylist()]


def contents(out: Path) -> dict[str, bytes]:
    """All that a build leaves."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def complaint(capfd, *arguments: str) -> str:
    """The one line that a refused command says."""
    assert _main(*arguments) == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0].removeprefix("error: ")
