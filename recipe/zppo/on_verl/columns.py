"""Columns of a user's files under verl's names (`data.columns`), for the checks and for the data set alike.

A question that is a plain text becomes one user message, a gold answer that is a plain value `reward_model`: also where
the columns have verl's names.
"""

from collections.abc import Iterable, Mapping
from types import NoneType
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.compute as pc
from omegaconf import DictConfig

from recipe.zppo.media.columns import as_list, is_single

ANSWER = "reward_model"
NOTHING = datasets.Value("null")
TEXTS = datasets.Value("string"), datasets.Value("large_string")
MESSAGES = datasets.List({"role": TEXTS[0], "content": TEXTS[0]})

_PLACEHOLDER = "<image>"


class Columns:
    """Which column of a file stands for which of verl's. A file without such a column is read under verl's names.

    Args:
        data: the node `data` of the configuration.
    """

    def __init__(self, data: DictConfig | Mapping[str, Any]):
        self.prompt = data.get("prompt_key") or "prompt"
        self.images = data.get("image_key") or "images"
        names = {"prompt": self.prompt, "answer": ANSWER, "images": self.images, "data_source": "data_source"}
        self._given = {name: column for key, name in names.items() if (column := (data.get("columns") or {}).get(key))}

    @property
    def answers(self) -> tuple[str, ...]:
        """What the column with the gold answers may be called."""
        return tuple(dict.fromkeys((ANSWER, self._given.get(ANSWER, ANSWER))))

    def in_file(self, name: str, file_columns: Iterable[str]) -> str:
        """What verl's column, or its field `column.field`, is called in a file with these columns."""
        column, dot, field = name.partition(".")
        return self._renamed(file_columns).get(column, column) + dot + field

    def changes(self, schema: pa.Schema) -> bool:
        """Whether a file of this schema has other names or forms than verl's."""
        forms = [schema.field(name).type for name in (self.prompt, ANSWER) if name in schema.names]
        return bool(self._renamed(schema.names)) or not all(map(pa.types.is_nested, forms))

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row of the file, or some of its columns, under verl's names and in verl's forms."""
        renamed = self._renamed(row)
        taken = {*renamed, *renamed.values()}
        named = {name: value for name, value in row.items() if name not in taken}
        named |= {name: row[column] for name, column in renamed.items()}
        if isinstance(question := named.get(self.prompt), str):
            named[self.prompt] = _messages(question, len(as_list(named.get(self.images))))
        if ANSWER in named and not isinstance(answer := named[ANSWER], Mapping | NoneType):
            named[ANSWER] = _reward_model(answer)
        return named

    def frame(self, frame: datasets.Dataset) -> datasets.Dataset:
        """The same of a whole file; a column that changes no more than its name stays where it is, on disk."""
        renamed = self._renamed(frame.column_names)
        replaced = [name for name in renamed if name in frame.column_names and name not in renamed.values()]
        frame = frame.remove_columns(replaced).rename_columns({column: name for name, column in renamed.items()})
        if frame.features.get(self.prompt) in TEXTS:
            texts, counts = frame.data.column(self.prompt).to_pylist(), self._num_images(frame)
            found = [text if text is None else _messages(text, n) for text, n in zip(texts, counts, strict=True)]
            frame = with_column(frame, self.prompt, found, MESSAGES)
        kind = frame.features.get(ANSWER)
        if kind not in (None, NOTHING) and not isinstance(kind, dict):
            answers = frame.data.column(ANSWER).to_pylist()
            models = [answer if answer is None else _reward_model(answer) for answer in answers]
            frame = with_column(frame, ANSWER, models, {"style": TEXTS[0], "ground_truth": kind})
        return frame

    def _renamed(self, file_columns: Iterable[str]) -> dict[str, str]:
        """Columns of the file by verl's name, where they are not the same."""
        there = set(file_columns)
        return {name: column for name, column in self._given.items() if column in there and column != name}

    def _num_images(self, frame: datasets.Dataset) -> list[int]:
        kind = frame.features.get(self.images)
        if kind is None or kind == NOTHING:
            return [0] * len(frame)
        column = frame.data.column(self.images)
        counts = pc.is_valid(column) if is_single(kind) else pc.list_value_length(column)
        return [int(count or 0) for count in counts.to_pylist()]


def with_column(frame: datasets.Dataset, name: str, values: list[Any], kind: Any) -> datasets.Dataset:
    """The frame with these values in place of a column's; the others are not copied."""
    features = datasets.Features({**frame.features, name: kind})
    if not len(frame):  # whose columns `datasets` would forget
        return datasets.Dataset.from_dict({column: [] for column in features}, features=features)
    new = datasets.Dataset.from_dict({name: values}, features=datasets.Features({name: kind}))
    others = [column for column in frame.column_names if column != name]
    if not others:
        return new
    joined = datasets.concatenate_datasets([frame.select_columns(others), new], axis=1)
    return joined.select_columns(list(features))


def _messages(question: str, num_images: int) -> list[dict[str, str]]:
    """One user message; pictures that the text has no place for stand before it."""
    if num_images and _PLACEHOLDER not in question:
        question = _PLACEHOLDER * num_images + "\n" + question
    return [{"role": "user", "content": question}]


def _reward_model(answer: Any) -> dict[str, Any]:
    return {"style": "rule", "ground_truth": answer}
