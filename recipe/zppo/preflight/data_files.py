"""Checks of the data files: that every row has a question and an answer, and every training row an id of its own.

An answer is of a type that the reward function reads, and files that are given together have columns that go together.

Only the needed columns are read, in batches. Row numbers in messages count from 0 within their file.
"""

import datetime
import json
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq
from omegaconf import DictConfig, ListConfig

from recipe.zppo.config.engine import shown
from recipe.zppo.config.schema import DataConfig
from recipe.zppo.errors import ConfigError, RewardError
from recipe.zppo.judge import is_free_form, options_text
from recipe.zppo.on_verl.joined_files import common_features
from recipe.zppo.reward import gold_answer

ANSWER = "reward_model.ground_truth"
CONVERTER = "python -m recipe.zppo.data.convert name=verl source=FILE out=FOLDER"
ROWS_PER_BATCH = 4096


def check_training_files(
    data: DictConfig, prompt_id_key: str, judge_route: str | None, own_reward: bool = True
) -> int | None:
    """Number of training rows; None where a file is remote and so was not read.

    The id column may be absent while it has its default name: the data set then makes ids of its own.

    Args:
        judge_route: who is judged, ``free_form`` or ``unresolved``; None where there is no judge.
        own_reward: answers are graded by a reward function of ours, not by one that may know other types of them.

    Raises:
        ConfigError: a file is missing, empty, unreadable or lacks a column; a row lacks question, answer, id or judge;
            two rows share an id; the files' columns are of types that can't be joined.
    """
    seen: dict[Any, tuple[str, int]] = {}
    num_rows: int | None = 0
    for file in _files(data, "train_files"):
        if _is_remote(file):
            num_rows = None
            continue
        duplicates: list[tuple[int, Any, tuple[str, int]]] = []
        for number, row in _checked_rows(
            file, "data.train_files", data.prompt_key, prompt_id_key, judge_route, own_reward
        ):
            num_rows = None if num_rows is None else num_rows + 1
            prompt_id = row.get(prompt_id_key)
            if not _is_id(prompt_id):
                continue
            first = seen.setdefault(prompt_id, (file, number))
            if first != (file, number):
                duplicates.append((number, prompt_id, first))
        if duplicates:
            number, prompt_id, (first_file, first_number) = duplicates[0]
            where = f"row {first_number}" if first_file == file else f"row {first_number} of {first_file}"
            raise ConfigError(
                f"data.train_files: {file} row {number} repeats {prompt_id_key}={shown(prompt_id)} of {where} "
                f"({len(duplicates)} repeated in all); every prompt needs an id of its own"
            )
    _check_types(data, "train_files")
    return num_rows


def check_validation_files(data: DictConfig, judge_route: str | None, own_reward: bool = True) -> None:
    """Like `check_training_files`, for validation rows, which need no id."""
    for file in _files(data, "val_files"):
        if not _is_remote(file):
            for _ in _checked_rows(file, "data.val_files", data.prompt_key, None, judge_route, own_reward):
                pass
    _check_types(data, "val_files")


def _check_types(data: DictConfig, key: str) -> None:
    """Raises `ConfigError` for a column of short floats, and for files whose columns can't be joined."""
    files = local_files(data, key)
    for file in files:
        kind = _answer_field(pq.read_schema(file)) if file.endswith(".parquet") else None
        if kind in (pa.float16(), pa.float32()):
            raise ConfigError(
                f"data.{key}: {file}: {ANSWER} is a {kind.bit_width}-bit float, in which 0.3 is not 0.3; "
                "make it text or float64"
            )
    if len(files) < 2:
        return
    schemas = {file: _schema(file) for file in files}
    try:
        features = {file: datasets.Features.from_arrow_schema(schema) for file, schema in schemas.items()}
        common_features(features, skipped=[data.get("image_key") or "images", data.get("video_key") or "videos"])
    except ValueError as error:  # a DataError, or a type that `datasets` does not have, such as a map
        raise ConfigError(f"data.{key}: {error}") from error


def _answer_field(schema: pa.Schema) -> pa.DataType | None:
    top, _, inner = ANSWER.partition(".")
    kind = schema.field(top).type
    return kind.field(inner).type if pa.types.is_struct(kind) and kind.get_field_index(inner) >= 0 else None


def _schema(file: str) -> pa.Schema:
    return pq.read_schema(file) if file.endswith(".parquet") else read_json_table(file).schema


def local_files(data: DictConfig, key: str) -> list[str]:
    """The files of ``data.<key>`` that lie on this machine's file system."""
    return [file for file in _files(data, key) if not _is_remote(file)]


def _files(data: DictConfig, key: str) -> list[str]:
    value = data.get(key)
    files = list(value) if isinstance(value, ListConfig | list) else [value]
    if not files or not all(isinstance(file, str) and file for file in files):
        raise ConfigError(f"data.{key}: set it to a parquet file, or to a list of them")
    return [str(Path(file).expanduser()) if not _is_remote(file) else file for file in files]


def _is_remote(file: str) -> bool:
    return "://" in file


def _checked_rows(
    file: str, key: str, prompt_key: str, id_key: str | None, judge_route: str | None, own_reward: bool
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row's number and needed columns; raises at the end for the rows without question, answer, id or judge."""
    lacking: dict[str, list[int]] = defaultdict(list)
    number = -1
    for number, row in enumerate(_read(file, key, [prompt_key, "reward_model"], id_key)):
        if not _has_question(row[prompt_key]):
            lacking[f"question ({prompt_key} has no user message with text)"].append(number)
        if problem := _answer_problem(row["reward_model"], own_reward):
            lacking[problem].append(number)
        if id_key in row and not _is_id(row[id_key]):
            lacking[f"id ({id_key} must be a text or a whole number)"].append(number)
        if not judge_route and is_free_form(row):
            lacking["judge (extra_info.answer_type is free_form; set zppo.judge.enable=true)"].append(number)
        judged = judge_route == "unresolved" or (judge_route and is_free_form(row))
        if judged and not _has_usable_options(row):
            lacking["usable options (extra_info.options: a list of at most 26 texts, or labels with texts)"].append(
                number
            )
        yield number, row
    if number < 0:
        raise ConfigError(f"{key}: {file} has no rows")
    for what, numbers in lacking.items():
        raise ConfigError(f"{key}: {file} row {numbers[0]} has no {what}; {len(numbers)} such row(s) in all")


def _read(file: str, key: str, columns: list[str], id_key: str | None) -> Iterator[dict[str, Any]]:
    """The given columns of a parquet, JSON or JSONL file, as verl's data set reads them."""
    path = Path(file)
    if not path.is_file():
        raise ConfigError(f"{key}: {file} does not exist")
    if path.suffix not in (".parquet", ".json", ".jsonl"):
        raise ConfigError(f"{key}: {file} is not a .parquet, .json or .jsonl file")
    if path.stat().st_size == 0:
        raise ConfigError(f"{key}: {file} is empty (0 bytes)")
    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as parquet:
                columns = _present_columns(parquet.schema_arrow.names, file, key, columns, id_key)
                columns += _for_the_judge(parquet.schema_arrow)
                for batch in parquet.iter_batches(ROWS_PER_BATCH, columns=columns):
                    yield from batch.to_pylist()
        else:
            table = read_json_table(path)
            columns = _present_columns(table.column_names, file, key, columns, id_key)
            if _for_the_judge(table.schema):
                columns.append("extra_info")
            yield from table.select(columns).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"{key}: {file} can't be read: {str(error).splitlines()[0]}") from error


def read_json_table(path: str | Path) -> pa.Table:
    """A JSON or JSONL file; rows may be of any length, as pictures within them are, and a file may be one list of rows.

    Raises:
        pa.ArrowException: it is neither.
    """
    size = Path(path).stat().st_size
    options = pyarrow.json.ReadOptions(block_size=min(max(size, 1 << 20), (1 << 31) - 1))
    try:
        return pyarrow.json.read_json(path, read_options=options)
    except pa.ArrowInvalid:
        try:
            rows = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError:
            rows = None
        if not isinstance(rows, list):
            raise
        return pa.Table.from_pylist(rows)


def _present_columns(present: list[str], file: str, key: str, columns: list[str], id_key: str | None) -> list[str]:
    """`columns`, which must be there, and the id column where it is or must be."""
    if id_key is not None and (id_key in present or id_key != DataConfig().prompt_id_key):
        columns = [*columns, id_key]
    for column in columns:
        if column not in present:
            raise ConfigError(f"{key}: {file} has no column {column!r}; it has {', '.join(present) or 'none'}")
    return list(columns)


def _for_the_judge(schema: pa.Schema) -> list[str]:
    """The paths of the fields that say who grades a row, and what its options are, where they are there."""
    index = schema.get_field_index("extra_info")
    kind = schema.field(index).type if index >= 0 else None
    if kind is None or not pa.types.is_struct(kind):
        return []
    return [f"extra_info.{name}" for name in ("answer_type", "options") if kind.get_field_index(name) >= 0]


def _has_usable_options(row: dict[str, Any]) -> bool:
    try:
        options_text(row)
    except RewardError:
        return False
    return True


def _has_question(messages: Any) -> bool:
    """The last user message says something: text, or parts such as an image."""
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        return False
    user = [message.get("content") for message in messages if message.get("role") == "user"]
    return bool(user) and bool(user[-1].strip() if isinstance(user[-1], str) else user[-1])


def _answer_problem(reward_model: Any, own_reward: bool) -> str:
    """What a row lacks for its answer to be compared; empty if nothing."""
    answer = reward_model.get("ground_truth") if isinstance(reward_model, dict) else None
    if answer is None or answer == [] or (isinstance(answer, str) and not answer.strip()):
        return f"answer ({ANSWER} is empty)"
    if not own_reward:
        return ""
    value = answer[0] if isinstance(answer, list) and len(answer) == 1 else answer
    if isinstance(value, datetime.date):
        return (
            f"answer that the reward can compare ({ANSWER} is a {type(value).__name__}, which readers of JSON make of "
            f"texts such as 2024-01-31; make it text: {CONVERTER})"
        )
    if isinstance(value, float) and not math.isfinite(value):
        return f"answer ({ANSWER} is {value})"
    if isinstance(value, float) and abs(value) >= 2**53:
        return f"exact answer ({ANSWER} is {value}, too large for all digits of a float; make it text: {CONVERTER})"
    try:
        gold_answer(answer)
    except RewardError:
        return (
            f"answer that the reward can compare ({ANSWER} is {shown(answer)} of the type {type(value).__name__}; "
            "make it text, a number, or a list of one of them)"
        )
    return ""


def _is_id(value: Any) -> bool:
    return (isinstance(value, str) and value != "") or (isinstance(value, int) and not isinstance(value, bool))
