"""What stands in the data sets that verl's users have: one class for each, in the schemas of the hub's usual copies.

`config` is that of the hub's data set, "" if it has one only; `image_column` is "" for text.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from recipe.zppo.data.answers import clean_answer
from recipe.zppo.data.errors import BuildError
from recipe.zppo.data.examine import picture_bytes
from recipe.zppo.data.sources import require
from recipe.zppo.reward import extract_answer


@dataclass(frozen=True)
class Draft:
    """A row before its checks."""

    question: str
    answer: str
    """Empty if there is none."""
    images: tuple[bytes | str, ...] = ()
    """Bytes, or why there are none."""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Tally:
    """What became of a file's rows, counted while they are written."""

    dropped: Counter = field(default_factory=Counter)
    """By reason."""
    changed: int = 0
    """Written rows whose question lost directives."""


class GSM8K:
    """`question`, and `answer`: a solution that ends in `#### 1,234`."""

    name, hub_id, config, ability, image_column = "gsm8k", "openai/gsm8k", "main", "math", ""

    def columns(self, schema: pa.Schema) -> list[str]:
        """The columns of text to read; raises `BuildError` if one is missing."""
        require(schema, ["question", "answer"], self.name)
        return ["question", "answer"]

    def draft(self, row: Mapping[str, Any]) -> Draft:
        _, mark, final = str(row["answer"] or "").rpartition("####")
        number = re.sub(r"(?<=\d),(?=\d{3})", "", final.strip()) if mark else ""
        return Draft(str(row["question"] or ""), number.lstrip("$"))


class MATH:
    """`problem`, and `answer` or a `solution` with a box; `level` and `type` or `subject` are kept."""

    name, hub_id, config, ability, image_column = "math", "DigitalLearningGmbH/MATH-lighteval", "", "math", ""

    def columns(self, schema: pa.Schema) -> list[str]:
        require(schema, ["problem"], self.name)
        answers = [name for name in ("answer", "solution") if name in schema.names]
        if not answers:
            raise BuildError(f"math: column answer or solution is missing; the set has {', '.join(schema.names)}")
        return ["problem", *answers, *(name for name in ("level", "type", "subject") if name in schema.names)]

    def draft(self, row: Mapping[str, Any]) -> Draft:
        answer = clean_answer(row.get("answer")) or extract_answer(str(row.get("solution") or "")) or ""
        metadata = {name: row[name] for name in ("level", "type", "subject") if row.get(name) is not None}
        return Draft(str(row["problem"] or ""), answer.strip(), metadata=metadata)


class Geometry3K:
    """`problem` with `<image>` in it, `answer`, and `images`, a list of one picture."""

    name, hub_id, config, ability, image_column = "geometry3k", "hiyouga/geometry3k", "", "math", "images"

    def columns(self, schema: pa.Schema) -> list[str]:
        require(schema, ["problem", "answer", "images"], self.name)
        return ["problem", "answer"]

    def draft(self, row: Mapping[str, Any]) -> Draft:
        cells = row["images"] if isinstance(row["images"], list) else [row["images"]]
        images = tuple(picture_bytes(cell) for cell in cells if cell is not None)
        return Draft(str(row["problem"] or ""), clean_answer(row["answer"]), images or ("no_image",))


Converter = GSM8K | MATH | Geometry3K
CONVERTERS: dict[str, Converter] = {converter.name: converter for converter in (GSM8K(), MATH(), Geometry3K())}
