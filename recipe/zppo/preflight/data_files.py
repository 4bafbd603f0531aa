"""Checks of the data files: that every row has a question and an answer, and every training row an id of its own.

An answer is of a type that the reward function reads, and files that are given together have columns that go together.

Only the needed columns are read, in batches. Row numbers in messages count from 0 within their file.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any

import datasets
import pyarrow as pa
from omegaconf import DictConfig, ListConfig

from recipe.zppo.config.engine import shown
from recipe.zppo.config.run_keys import DataConfig
from recipe.zppo.errors import ConfigError, DataError, RewardError, first_line
from recipe.zppo.judge import is_free_form, options_text
from recipe.zppo.on_verl.columns import Columns
from recipe.zppo.on_verl.joined_files import common_features, golds_become_text
from recipe.zppo.on_verl.row_files import ENDINGS, read_rows, read_schema
from recipe.zppo.preflight.gold_answers import ANSWER, EXTRACTS, answer_problem, is_whole_solution
from recipe.zppo.reward import gold_answer

ROWS_PER_BATCH = 4096


def check_training_files(
    data: DictConfig, prompt_id_key: str, judge_route: str | None, own_reward: bool = True, papers: bool = False
) -> int | None:
    """Number of training rows; None where a file is remote and so was not read.

    The id column may be absent while it has its default name: the data set then makes ids of its own.

    Args:
        judge_route: who is judged, ``free_form`` or ``unresolved``; None where there is no judge.
        own_reward: answers are graded by a reward function of ours, not by one that may know other types of them.
        papers: by the paper's, which compares final answers.

    Raises:
        ConfigError: a file is missing, empty, unreadable or lacks a column; a row lacks question, answer, id or judge;
            two rows share an id; the files' columns are of types that can't be joined.
    """
    seen: dict[Any, tuple[str, int]] = {}
    num_rows: int | None = 0
    for file in data_files(data, "train_files"):
        if _is_remote(file):
            num_rows = None
            continue
        duplicates: list[tuple[int, Any, tuple[str, int]]] = []
        for number, row in _checked_rows(
            file, "data.train_files", data, prompt_id_key, judge_route, own_reward, papers
        ):
            num_rows = None if num_rows is None else num_rows + 1
            prompt_id = row.get(prompt_id_key)
            if not _is_id(prompt_id):
                continue
            first = seen.setdefault(str(prompt_id), (file, number))
            if first != (file, number):
                duplicates.append((number, prompt_id, first))
        if duplicates:
            number, prompt_id, (first_file, first_number) = duplicates[0]
            where = f"row {first_number}" if first_file == file else f"row {first_number} of {first_file}"
            raise ConfigError(
                f"data.train_files: {file} row {number} repeats {prompt_id_key}={shown(prompt_id)} of {where} "
                f"({len(duplicates)} repeated in all); every prompt needs an id of its own"
            )
    check_types(data, "train_files", own_reward)
    return num_rows


def check_validation_files(
    data: DictConfig, judge_route: str | None, own_reward: bool = True, papers: bool = False
) -> None:
    """Like `check_training_files`, for validation rows, which need no id."""
    for file in data_files(data, "val_files"):
        if not _is_remote(file):
            for _ in _checked_rows(file, "data.val_files", data, None, judge_route, own_reward, papers):
                pass
    check_types(data, "val_files", own_reward)


def check_types(data: DictConfig, key: str, own_reward: bool) -> None:
    """Raises `ConfigError` for a column of short floats, and for files whose columns can't be joined."""
    features, columns = {}, Columns(data)
    for file in local_files(data, key):
        try:
            empty = datasets.Dataset(read_schema(file, columns.answers).empty_table())
        except ValueError as error:  # a type that `datasets` does not have, such as a map
            raise ConfigError(f"data.{key}: {file}: {first_line(error)}") from error
        features[file] = columns.frame(empty).features
        if own_reward and (bits := _short_float(features[file])):
            raise ConfigError(
                f"data.{key}: {file}: {ANSWER} is a {bits}-bit float, in which 0.3 is not 0.3; make it text or float64"
            )
    try:
        skipped = [data.get("image_key") or "images", data.get("video_key") or "videos"]
        common = common_features(features, skipped, data.get("prompt_id_key") or DataConfig().prompt_id_key)
    except DataError as error:
        raise ConfigError(f"data.{key}: {error}") from error
    for file in [] if own_reward else features:  # our own has looked at each
        if golds_become_text(features[file], common):
            _check_texts(file, key, data)


def _check_texts(file: str, key: str, data: DictConfig) -> None:
    """Raises `ConfigError` for a gold answer that can't be brought to the type of those of the other files."""
    for number, row in enumerate(named_rows(file, f"data.{key}", data)):
        gold = (row["reward_model"] or {}).get("ground_truth")
        try:
            gold is None or gold_answer(gold)
        except RewardError as error:
            raise ConfigError(
                f"data.{key}: {file} row {number}: {error}; files with gold answers of several types go together as "
                "text only, so give those of one type"
            ) from error


def _short_float(features: datasets.Features) -> int:
    """Bits of the gold answers' type, or of the items of their lists, where it is a float of less than 64; else 0."""
    top, _, inner = ANSWER.partition(".")
    kind = features[top].get(inner) if isinstance(features[top], dict) else None
    dtype = getattr(getattr(kind, "feature", kind), "dtype", "")
    return {"float16": 16, "float32": 32}.get(dtype, 0)


def local_files(data: DictConfig, key: str) -> list[str]:
    """The files of ``data.<key>`` that lie on this machine's file system."""
    return [file for file in data_files(data, key) if not _is_remote(file)]


def data_files(data: DictConfig, key: str) -> list[str]:
    """The files of ``data.<key>``. Raises `ConfigError` if there are none."""
    value = data.get(key)
    files = list(value) if isinstance(value, ListConfig | list) else [value]
    if not files or not all(isinstance(file, str) and file for file in files):
        raise ConfigError(f"data.{key}: set it to a parquet file, or to a list of them")
    return [str(Path(file).expanduser()) if not _is_remote(file) else file for file in files]


def _is_remote(file: str) -> bool:
    return "://" in file


def _checked_rows(
    file: str,
    key: str,
    data: DictConfig,
    id_key: str | None,
    judge_route: str | None,
    own_reward: bool,
    papers: bool,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row's number and needed columns; raises at the end for the rows without question, answer, id or judge."""
    prompt_key = data.prompt_key
    lacking: dict[str, list[int]] = defaultdict(list)
    number = -1
    for number, row in enumerate(named_rows(file, key, data, id_key)):
        if not has_question(row[prompt_key]):
            lacking[f"question ({prompt_key} has no user message with text)"].append(number)
        elif (null := _null_content(row[prompt_key])) is not None:
            lacking[f"content in message {null} of {prompt_key} (null; only a system message may be)"].append(number)
        elif (odd := _odd_content(row[prompt_key])) is not None:
            lacking[f"usable content in message {odd} of {prompt_key} (neither a text nor a list of parts)"].append(
                number
            )
        free_form = is_free_form(row)
        judged = judge_route == "unresolved" or (judge_route and free_form)
        if problem := answer_problem(row["reward_model"], own_reward or bool(judged)):
            lacking[problem].append(number)
        elif papers and not (judged or free_form) and is_whole_solution(row["reward_model"]["ground_truth"]):
            lacking[f"final answer ({ANSWER} is a whole solution; {EXTRACTS})"].append(number)
        if id_key in row and not _is_id(row[id_key]):
            lacking[f"id ({id_key} must be a text or a whole number)"].append(number)
        if not judge_route and free_form:
            lacking["judge (extra_info.answer_type is free_form; set zppo.judge.enable=true)"].append(number)
        if judged and not _has_usable_options(row):
            lacking["usable options (extra_info.options: a list of at most 26 texts, or labels with texts)"].append(
                number
            )
        yield number, row
    if number < 0:
        raise ConfigError(f"{key}: {file} has no rows")
    for what, numbers in lacking.items():
        raise ConfigError(f"{key}: {file} row {numbers[0]} has no {what}; {len(numbers)} such row(s) in all")


def named_rows(file: str, key: str, data: DictConfig, id_key: str | None = None) -> Iterator[dict[str, Any]]:
    """Question, answer, id and what the judge needs of a parquet, JSON or JSONL file, as verl's data set reads them."""
    path = Path(file)
    if not path.is_file():
        raise ConfigError(f"{key}: {file} does not exist")
    if path.suffix not in ENDINGS:
        raise ConfigError(f"{key}: {file} is not a .parquet, .json or .jsonl file")
    if path.stat().st_size == 0:
        raise ConfigError(f"{key}: {file} is empty (0 bytes)")
    columns = Columns(data)
    try:
        schema = read_schema(file, columns.answers)
        needed = [data.prompt_key, "reward_model"]
        if id_key is not None and (id_key in schema.names or id_key != DataConfig().prompt_id_key):
            needed.append(id_key)
        names = [columns.in_file(name, schema.names) for name in needed]
        for name, name_in_file in zip(needed, names, strict=True):
            if name_in_file not in schema.names:
                raise ConfigError(_no_column(file, key, data, name, schema.names))
        for row in read_rows(file, [*names, *_for_the_judge(schema)], ROWS_PER_BATCH, columns.answers):
            yield columns.row(row)
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"{key}: {file} can't be read: {first_line(error)}") from error


def _no_column(file: str, key: str, data: DictConfig, name: str, present: list[str]) -> str:
    """The message for a column that is missing, under the name that the user has given it, if any."""
    mapping = {data.prompt_key: "prompt", "reward_model": "answer"}.get(name, "")
    given = (data.get("columns") or {}).get(mapping)
    there = f"it has {', '.join(present) or 'none'}"
    if given:
        return f"data.columns.{mapping}: {file} has no column {given!r}, nor {name!r}; {there}"
    remedy = f"; data.columns.{mapping}=NAME takes another" if mapping else ""
    return f"{key}: {file} has no column {name!r}; {there}{remedy}"


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


def has_question(messages: Any) -> bool:
    """The last user message says something: text, or parts such as an image."""
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        return False
    user = [message.get("content") for message in messages if message.get("role") == "user"]
    return bool(user) and bool(user[-1].strip() if isinstance(user[-1], str) else user[-1])


def _null_content(messages: list[dict[str, Any]]) -> int | None:
    """The number of the first message whose content is null where none may be."""
    found = (i for i, each in enumerate(messages) if each.get("content") is None and each.get("role") != "system")
    return next(found, None)


def _odd_content(messages: list[dict[str, Any]]) -> int | None:
    """The number of the first message whose content is neither a text nor a list of parts, which are objects."""
    for number, message in enumerate(messages):
        content = message.get("content")
        parts = content if isinstance(content, list) else []
        if not isinstance(content, str | list | NoneType) or not all(isinstance(part, dict) for part in parts):
            return number
    return None


def _is_id(value: Any) -> bool:
    return (isinstance(value, str) and value != "") or (isinstance(value, int) and not isinstance(value, bool))
