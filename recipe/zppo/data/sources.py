"""What is assumed of the two sources' schemas: one class for each, and nothing of it elsewhere.

Neither set could be opened while this was written. The columns are those that the publishers' own code and other
public code read (docs/guides/data.md says which); a set that has others is refused with the name of the missing column.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from recipe.zppo.data.answers import answer_type, clean_answer
from recipe.zppo.data.errors import BuildError
from recipe.zppo.data.rows import FREE_FORM, IMAGE, RULE
from recipe.zppo.data.subsets import MMFINEREASON, VERO

UNGRADED = "ungraded"
"""Answer type of rows that neither the rule nor the judge can grade, such as boxes to draw or points to click."""


@dataclass(frozen=True)
class RawRow:
    """What a row of a source says, before any filter."""

    subset: str
    """As the source calls it."""
    row_id: str
    question: str
    """May be empty, as may be the answer."""
    answer: str
    answer_type: str
    pass_rate: float | None


class Vero:
    """zlab-princeton/Vero-600k: verl's schema, a picture a row, a config for each sub-set.

    `extra_info.reward_type` says how Vero itself grades a row.
    """

    name = VERO
    hub_id = "zlab-princeton/Vero-600k"
    by_config = True
    """Whether each sub-set is a config of its own, so that those that are not listed need not be read."""
    image_column = "image"

    _ungraded = frozenset(
        {"grounding", "clicking", "web_action", "instruction_following", "instruction_following_llm_judge"}
    )

    def text_columns(self, schema: pa.Schema) -> list[str]:
        """The columns to read beside the picture; raises `BuildError` if one is missing."""
        require(schema, ["prompt", "image", "reward_model.ground_truth", "extra_info"], self.name)
        return [name for name in ("id", "data_source", "prompt", "reward_model", "extra_info") if name in schema.names]

    def read(self, row: Mapping[str, Any], config: str) -> RawRow:
        extra = row["extra_info"] or {}
        answer = clean_answer((row["reward_model"] or {}).get("ground_truth"))
        reward_type = str(extra.get("reward_type") or "").strip().lower()
        if reward_type in self._ungraded:
            kind = UNGRADED
        elif reward_type == "llm_judge":
            kind = FREE_FORM
        else:
            kind = RULE if reward_type else answer_type(answer)
        row_id = row.get("id") if row.get("id") is not None else extra.get("id")
        return RawRow(
            subset=config or str(row.get("data_source") or ""),
            row_id="" if row_id is None else str(row_id),
            question=str(extra.get("question") or "") or user_text(row["prompt"]),
            answer=answer,
            answer_type=kind,
            pass_rate=None,
        )


class MMFineReason:
    """OpenDataArena/MMFineReason-SFT-586K: one config; `source` names the sub-set, `answer` is the short answer.

    `answer` is null in some rows; `original_answer`, a whole solution in many rows, does not stand in for it.
    """

    name = MMFINEREASON
    hub_id = "OpenDataArena/MMFineReason-SFT-586K-Qwen3-VL-235B-Thinking"
    by_config = False
    image_column = "image"

    _pass_rate = ("pass_rate", "qwen3vl_4b_pass_rate")
    """The second name is that of the publishers' description, the first that of the files."""

    def text_columns(self, schema: pa.Schema) -> list[str]:
        require(schema, ["source", "question", "answer", "image"], self.name)
        rates = [name for name in self._pass_rate if name in schema.names]
        if not rates:
            require(schema, [self._pass_rate[0]], self.name)
        return [*(["id"] if "id" in schema.names else []), "source", "question", "answer", rates[0]]

    def read(self, row: Mapping[str, Any], config: str) -> RawRow:
        answer = clean_answer(row["answer"])
        rate = next((row[name] for name in self._pass_rate if name in row), None)
        try:
            pass_rate = None if rate is None else float(rate)
        except (TypeError, ValueError):
            pass_rate = None
        return RawRow(
            subset=str(row["source"] or ""),
            row_id="" if row.get("id") is None else str(row["id"]),
            question=str(row["question"] or ""),
            answer=answer,
            answer_type=answer_type(answer),
            pass_rate=pass_rate,
        )


Source = Vero | MMFineReason


def require(schema: pa.Schema, columns: Sequence[str], where: str) -> None:
    """Raises `BuildError` that names the first of the columns (`a` or `a.b`) that the schema lacks."""
    for column in columns:
        top, _, inner = column.partition(".")
        if top not in schema.names:
            raise BuildError(f"{where}: column {top} is missing; the set has {', '.join(schema.names) or 'none'}")
        kind = schema.field(top).type
        if inner and not (pa.types.is_struct(kind) and kind.get_field_index(inner) >= 0):
            fields = ", ".join(field.name for field in kind) if pa.types.is_struct(kind) else str(kind)
            raise BuildError(f"{where}: column {column} is missing; {top} has {fields}")


def user_text(prompt: Any) -> str:
    """Text of the last user message, of a list of messages or of a struct of lists, as `datasets` may give it."""
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, Mapping):
        roles, contents = prompt.get("role"), prompt.get("content")
        if not isinstance(roles, list):
            roles, contents = [roles], [contents]
        prompt = [{"role": role, "content": content} for role, content in zip(roles, contents or [], strict=False)]
    if not isinstance(prompt, list):
        return ""
    users = [message.get("content") for message in prompt if isinstance(message, Mapping) and message["role"] == "user"]
    return _text(users[-1]) if users else ""


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(
            IMAGE if part.get("type") == "image" else str(part.get("text") or "")
            for part in content
            if isinstance(part, Mapping)
        )
    return str(content or "")
