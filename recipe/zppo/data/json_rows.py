"""JSON and JSONL files as tables in which an answer stays the text that it is.

Arrow's readers make a timestamp of a text such as 2024-01-31, and a float of a whole number beyond 64 bits.
"""

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa

from recipe.zppo.data.errors import BuildError
from recipe.zppo.errors import RewardError, first_line
from recipe.zppo.on_verl.columns import Columns
from recipe.zppo.reward import gold_answer

ENDINGS = (".json", ".jsonl")


def read_json_rows(path: Path, columns: Columns) -> pa.Table:
    """One object a line, or one list of them, under verl's names; gold answers as text.

    Null where there is no usable one.

    Raises:
        BuildError: a line is not a JSON object, or values of a column are of types that don't go together.
    """
    where = f"source={path}"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BuildError(f"{where}: can't be read: {first_line(error)}") from error
    if text.lstrip().startswith("["):
        rows = _parsed(text, where)
    else:
        lines = enumerate(text.split("\n"), start=1)
        rows = [_parsed(line, f"{where}: line {number}") for number, line in lines if line.strip()]
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise BuildError(f"{where}: row {number} is not an object with columns")
        row = rows[number] = columns.row(row)
        if isinstance(graded := row.get("reward_model"), dict):
            graded["ground_truth"] = _text(graded.get("ground_truth"))
    names = dict.fromkeys(name for row in rows for name in row)
    try:
        return pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})
    except (pa.ArrowException, OverflowError) as error:
        raise BuildError(f"{where}: its rows don't fit one table: {first_line(error)}") from error


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BuildError(f"{where} is not JSON: {error}") from error


def _text(answer: Any) -> str | None:
    if isinstance(answer, float) and not math.isfinite(answer):
        return None
    try:
        return gold_answer(answer)
    except RewardError:
        return None
