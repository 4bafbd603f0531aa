"""What is odd about the training questions, though a run could learn from them: one line each."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import pyarrow as pa
from omegaconf import DictConfig

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.directives import strip_directives
from recipe.zppo.errors import ConfigError
from recipe.zppo.on_verl.columns import ANSWER, Columns
from recipe.zppo.on_verl.dataset import known_by
from recipe.zppo.on_verl.row_files import read_schema
from recipe.zppo.preflight.data_columns import DATA_SET
from recipe.zppo.preflight.data_files import has_question, local_files, named_rows
from recipe.zppo.preflight.gold_answers import CONVERTER
from recipe.zppo.preflight.prompt_lengths import text_of

KEY = "data.train_files"
_FIRST = 100
"""Rows of a file in which directives are looked for: a data set has them at most questions, or at none."""


def question_warnings(config: DictConfig, zppo: ZPPOConfig) -> list[str]:
    """Nothing is said of remote files, of files that can't be read, and for a data set class of the user's."""
    data = config.data
    lines: list[str] = []
    if data.custom_cls.path == DATA_SET:
        with suppress(ConfigError, pa.ArrowException, OSError):  # other checks say so
            files = local_files(data, "train_files")
            lines = [directives(files, data) if zppo.answer.closer != "" else "", repeats(files, data)]
    return [line for line in lines if line]


def directives(files: Sequence[str], data: DictConfig) -> str:
    """Of questions that say how to answer, as verl's own GSM8K and MATH do; the closer says it after them."""
    looked = 0
    found: list[str] = []
    for file in files:
        for number, row in enumerate(islice(named_rows(file, KEY, data), _FIRST)):
            looked += 1
            if not has_question(messages := row[data.prompt_key]):
                continue
            text = text_of([message for message in messages if message.get("role") == "user"][-1])
            if strip_directives(text) != text.rstrip():
                found.append(f"{file} row {number}")
    if not found:
        return ""
    return (
        f"{KEY}: {len(found)} of the first {looked} questions say how to answer, and the closer says it again, maybe "
        f"otherwise (the first is {found[0]}); {CONVERTER} takes such instructions off"
    )


def repeats(files: Sequence[str], data: DictConfig) -> str:
    """Of rows without an id that say the same: each is a question of its own. Files with pictures are left out."""
    rows = 0
    seen: set[str] = set()
    for file in files:
        for row in _without_id(file, data):
            rows += 1
            seen.add(known_by({name: row[name] for name in (data.prompt_key, ANSWER)}))
    if rows == len(seen):
        return ""
    return (
        f"{KEY}: {rows - len(seen)} of {rows} rows without {data.prompt_id_key} repeat another's question and answer; "
        f"each copy is a question of its own, in the replay buffer too; {CONVERTER} writes each once"
    )


def _without_id(file: str, data: DictConfig) -> Iterator[dict[str, Any]]:
    columns, key = Columns(data), data.prompt_id_key
    there = read_schema(file, columns.answers).names
    if not any(columns.in_file(name, there) in there for name in (columns.images, data.get("video_key") or "videos")):
        yield from (row for row in named_rows(file, KEY, data, key) if row.get(key) is None)
