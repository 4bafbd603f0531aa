"""Data files as tables and rows: the same reading for the checks before a run and for the run's data set."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq

from recipe.zppo.errors import DataError, RewardError, first_line
from recipe.zppo.reward import gold_answer

ENDINGS = (".parquet", ".json", ".jsonl")
ANSWERS = ("reward_model",)
"""Columns with gold answers, where the user has no name of their own for them (`Columns.answers`)."""
GROUND_TRUTH = "ground_truth"


def load_frame(file: str, answers: Sequence[str] = ANSWERS) -> datasets.Dataset:
    """A file as a data set: parquet from `datasets`' cache on disk, JSON in memory.

    `datasets` has a reader of JSON too. It makes a type of its own of objects that are empty or differ, which joins
    with no other.

    Args:
        answers: see `read_json_table`.

    Raises:
        DataError: it is of another kind.
    """
    if not file.endswith(ENDINGS):
        raise DataError(f"{file} is not a .parquet, .json or .jsonl file")
    if file.endswith(".parquet"):
        return datasets.load_dataset("parquet", data_files=file)["train"]
    return datasets.Dataset(read_json_table(file, answers))


def read_schema(file: str, answers: Sequence[str] = ANSWERS) -> pa.Schema:
    """Raises `pa.ArrowException` or `OSError` for a file that can't be read."""
    return pq.read_schema(file) if file.endswith(".parquet") else read_json_table(file, answers).schema


def read_rows(
    file: str, names: Sequence[str], batch_size: int, answers: Sequence[str] = ANSWERS
) -> Iterator[dict[str, Any]]:
    """The rows in order with the named columns, or fields of columns (`extra_info.options`); in batches, of parquet.

    Raises:
        pa.ArrowException, OSError: the file can't be read.
    """
    if file.endswith(".parquet"):
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(batch_size, columns=list(names)):
                yield from batch.to_pylist()
    else:
        table = read_json_table(file, answers)
        whole = dict.fromkeys(name if name in table.column_names else name.partition(".")[0] for name in names)
        yield from table.select(list(whole)).to_pylist()


def read_json_table(path: str | Path, answers: Sequence[str] = ANSWERS) -> pa.Table:
    """A JSON or JSONL file; rows may be of any length, as pictures within them are, and a file may be one list of rows.

    A row need not have all columns. Gold answers that are not all of one type become the text that the reward
    compares, and so do whole numbers that 64 bits don't hold.

    Args:
        answers: columns with gold answers, plain or as a field `ground_truth`.

    Raises:
        pa.ArrowException: it is neither, or the values of a column are of types that don't go together.
    """
    path = Path(path)
    options = pyarrow.json.ReadOptions(block_size=min(max(path.stat().st_size, 1 << 20), (1 << 31) - 1))
    try:
        table = pyarrow.json.read_json(path, read_options=options)
    except pa.ArrowInvalid:
        rows = _json_rows(path)
        if not rows:
            raise
        names = dict.fromkeys(name for row in rows for name in row)
        return pa.table({name: _column(name, rows, answers) for name in names})
    rounded = [name for name in answers if name in table.column_names and _has_floats(table.schema.field(name).type)]
    rows = _json_rows(path) if rounded else None
    if rows and len(rows) == len(table):  # Arrow makes 3.0 of the 3 beside a 0.5, and a float of 2^70
        for name in rounded:
            table = table.set_column(table.column_names.index(name), name, _column(name, rows, answers))
    return table


def _json_rows(path: Path) -> list[dict[str, Any]] | None:
    """By Python's reader; None where it can't read them either."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        if text.lstrip().startswith("["):
            rows = json.loads(text)
        else:
            rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    except (ValueError, RecursionError):
        return None
    return rows if all(isinstance(row, dict) for row in rows) else None


def _column(name: str, rows: list[dict[str, Any]], answers: Sequence[str]) -> pa.Array:
    values = [row.get(name) for row in rows]
    try:
        return pa.array(_of_one_type(values) if name in answers else values)
    except (pa.ArrowException, OverflowError) as error:
        raise pa.ArrowInvalid(f"column {name}: {first_line(error)}") from error


def _has_floats(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        index = kind.get_field_index(GROUND_TRUTH)
        return index >= 0 and _has_floats(kind.field(index).type)
    return pa.types.is_floating(kind.value_type if pa.types.is_list(kind) else kind)


def _of_one_type(values: list[Any]) -> list[Any]:
    """Gold answers as text where they differ in type; as they are where only a reward function of the user's may know
    them.
    """
    golds = [value.get(GROUND_TRUTH) if isinstance(value, dict) else value for value in values]
    given = [gold for gold in golds if gold is not None]
    if len(set(map(_kind, given))) <= 1 and not any(map(_is_long, given)):
        return values
    try:
        texts = [gold if gold is None or isinstance(gold, str) else gold_answer(gold) for gold in golds]
    except RewardError:
        return values
    return [
        value | {GROUND_TRUTH: text} if isinstance(value, dict) else text
        for value, text in zip(values, texts, strict=True)
    ]


def _kind(gold: Any) -> Any:
    return frozenset(map(type, gold)) if isinstance(gold, list) else type(gold)


def _is_long(gold: Any) -> bool:
    value = gold[0] if isinstance(gold, list) and len(gold) == 1 else gold
    return isinstance(value, int) and not -(2**63) <= value < 2**63
