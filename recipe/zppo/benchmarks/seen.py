"""Questions about pictures and videos, as the student sees them: the media where the source has them, then the text."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from recipe.zppo.benchmarks.contract import Question, Row
from recipe.zppo.benchmarks.questions import with_options
from recipe.zppo.directives import strip_directives
from recipe.zppo.errors import DataError

Part = dict[str, Any]

_PLACE = re.compile(r"<image ?(\d+)>")

_FORM = re.compile(
    r"(?:^|(?<=[.?!:\n])|(?<=\?\")) *(?:please +)?(?:directly +)?(?:answer|respond|reply)\b(?! *:)[^.?!\n]*?"
    r"(?:single (?:word|number|integer)|word or phrase|options?'?s? letter|letter of the|given (?:choices|options)"
    r"|directly|yes ?(?:/|or) ?no)[^?!\n]{0,60}$",
    re.IGNORECASE,
)
"""A last sentence on the form of the answer, which `strip_directives` leaves: it says no more than that an option or a
short answer is asked for."""

IN_A_ROW = re.compile(r"\(([A-J])\)\s*(.*?)(?=\s*\([A-J]\)|\s*$)", re.DOTALL)
"""``(A) 5 (B) 6``"""
BY_LINE = re.compile(r"^\s*([A-J])\s*[:.．]\s*(.*?)\s*$", re.MULTILINE)
"""Lines of ``A: 5`` or ``A. 5``."""
BY_SEMICOLON = re.compile(r"(?:^|;)\s*([A-J])\s*[:.．]\s*(.*?)\s*(?=;\s*[A-J]\s*[:.．]|;?\s*$)", re.DOTALL)
"""``A. 5; B. 6``"""
_LABELS = "ABCDEFGHIJ"


def seen(
    id: str,
    media: Sequence[Part],
    text: str,
    gold: str,
    options: Mapping[str, str] | None = None,
    *,
    category: str = "",
    shown: bool = True,
    extra: Mapping[str, Any] | None = None,
) -> Question:
    """A question whose media stand first.

    Args:
        text: directives on reasoning and form are taken off. Empty where the picture has the question.
        shown: the options are written below the text. Else they stand in it, or in the picture.
    """
    text = without_form(text)
    text = with_options(text, options) if options and shown else text
    content = [*media, *([{"type": "text", "text": text}] if text else [])]
    return Question(id, [{"role": "user", "content": content}], gold, options or {}, category, extra or {})


def without_form(text: str) -> str:
    """Without directives on reasoning and form at the end; unchanged if nothing would be left."""
    stripped = strip_directives(text.strip())
    while (shorter := _FORM.sub("", stripped).rstrip()) not in ("", stripped):
        stripped = strip_directives(shorter)
    return stripped


def image(row: Row, column: str = "image") -> Part:
    """The picture of a row.

    Raises:
        DataError: it has none.
    """
    found = row.get(column)
    if found in (None, "", b"") or (isinstance(found, Mapping) and not any(found.values())):
        raise DataError(f"there is no image in column {column!r}")
    return {"type": "image", "image": found}


def video(row: Row, column: str = "video") -> Part:
    """Of the file that `Source.row_files` names.

    Raises:
        DataError: it is not on this machine.
    """
    if not row.get(column):
        raise DataError(f"the video of column {column!r} is not among the data set's files")
    return {"type": "video", "video": row[column]}


def interleaved(text: str, row: Row) -> list[Part]:
    """The text with the picture of column `image_3` in place of each `<image 3>`.

    Raises:
        DataError: the row lacks one of them.
    """
    pieces = _PLACE.split(text)  # text, number, text and so on
    parts = [image(row, f"image_{piece}") if place % 2 else _text(piece) for place, piece in enumerate(pieces)]
    return [part for part in parts if part.get("text", "-").strip()]


def options_in(text: str, form: re.Pattern[str], gold: str) -> dict[str, str]:
    """Options that a text holds in one of these forms; none unless they run from A on, the gold label among them."""
    found = form.findall(text)
    in_order = "".join(label for label, _ in found) == _LABELS[: len(found)]
    options = dict(found) if in_order and len(found) > 1 else {}
    return options if gold in options else {}


def _text(text: str) -> Part:
    return {"type": "text", "text": text}
