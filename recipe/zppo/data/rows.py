"""One row of a data file, in verl's schema, and the arrow schema of such rows.

The question stands without the closer and without any other instruction on how to answer: the closer goes on at run
time. `extra_info.answer_type` says who grades the row: `rule` (mathruler) or `free_form` (the judge).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from recipe.zppo.data.errors import RowError

RULE = "rule"
FREE_FORM = "free_form"
IMAGE = "<image>"

_STYLES = {RULE: "rule", FREE_FORM: "model"}
_OTHER_MEDIA = ("<video>", "<audio>")

_TEXT = pa.string()
MESSAGES = pa.list_(pa.struct({"role": _TEXT, "content": _TEXT}))
SCHEMA = pa.schema(
    {
        "data_source": _TEXT,
        "prompt": MESSAGES,
        "images": pa.list_(pa.struct({"bytes": pa.binary(), "path": _TEXT})),
        "ability": _TEXT,
        "reward_model": pa.struct({"style": _TEXT, "ground_truth": _TEXT}),
        "extra_info": pa.struct({"index": pa.int64(), "split": _TEXT, "answer_type": _TEXT, "metadata": _TEXT}),
        "prompt_id": _TEXT,
        "pass_rate": pa.float64(),
    }
)
"""All files that we write have it, so that any of them can be trained on together."""


def build_row(
    *,
    data_source: str,
    question: str,
    answer: str,
    prompt_id: str,
    images: Sequence[bytes] = (),
    ability: str = "reasoning",
    answer_type: str = RULE,
    split: str = "train",
    index: int = 0,
    pass_rate: float | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A row of `SCHEMA`.

    Args:
        question: text of the only message, with one `<image>` for each image, where it stands. Without any
            placeholder the images go before the text.
        answer: the gold answer, as it is compared with the content of the last box.
        prompt_id: unique among all rows that are trained on together, and the same in every build; see `text_id`.
        images: encoded pictures (PNG, JPEG, ...).
        pass_rate: share of another model's rollouts that were right, where the source has it.
        metadata: anything else, kept as JSON in `extra_info.metadata`; no part of the training reads it.

    Raises:
        RowError: question, answer or id is empty, the answer type is unknown, or the number of placeholders is not the
            number of images.
    """
    for name, value in (("question", question), ("answer", answer), ("prompt_id", prompt_id)):
        if not isinstance(value, str) or not value.strip():
            raise RowError(f"a row has no {name}: {value!r:.60}")
    if answer_type not in _STYLES:
        raise RowError(f"answer_type: {answer_type!r} is not one of {', '.join(_STYLES)}")
    return {
        "data_source": data_source,
        "prompt": [{"role": "user", "content": with_placeholders(question, len(images))}],
        "images": [{"bytes": image, "path": None} for image in images],
        "ability": ability,
        "reward_model": {"style": _STYLES[answer_type], "ground_truth": answer},
        "extra_info": {
            "index": index,
            "split": split,
            "answer_type": answer_type,
            "metadata": json.dumps(dict(metadata or {}), sort_keys=True, ensure_ascii=False, default=str),
        },
        "prompt_id": prompt_id,
        "pass_rate": pass_rate,
    }


def with_placeholders(question: str, num_images: int) -> str:
    """The question with one `<image>` an image; those that it lacks altogether go to the front.

    Raises:
        RowError: it has another number of them, or a placeholder of another medium.
    """
    if media := [name for name in _OTHER_MEDIA if name in question]:
        raise RowError(f"the question has {media[0]}, for which there is no file")
    found = question.count(IMAGE)
    if found == 0 and num_images:
        return IMAGE * num_images + "\n" + question
    if found != num_images:
        raise RowError(f"the question has {found} {IMAGE} for {num_images} image(s)")
    return question


def text_id(source: str, *parts: str) -> str:
    """`source` and 16 hex digits that depend on the parts only: an id that is the same in every build."""
    digest = hashlib.blake2b(json.dumps(parts, ensure_ascii=False).encode("utf-8", "surrogatepass"), digest_size=8)
    return f"{source}-{digest.hexdigest()}"
