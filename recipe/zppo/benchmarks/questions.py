"""Questions as the student reads them: one way to write options, whatever the source's own prompt does."""

from collections.abc import Iterable, Mapping
from string import ascii_uppercase
from typing import Any

from recipe.zppo.errors import DataError
from recipe.zppo.prompts import Messages


def lettered(options: Iterable[Any]) -> dict[str, str]:
    """Options by A, B, C and so on, as `Question.options` has them.

    Raises:
        DataError: there are none, more than 26, or one is empty.
    """
    texts = ["" if option is None else str(option).strip() for option in options]
    if not 0 < len(texts) <= len(ascii_uppercase):
        raise DataError(f"a question has {len(texts)} options, not 1 to {len(ascii_uppercase)}")
    for letter, text in zip(ascii_uppercase, texts, strict=False):
        if not text:
            raise DataError(f"option {letter} is empty")
    return dict(zip(ascii_uppercase, texts, strict=False))


def label_at(options: Mapping[str, str], row: Mapping[str, Any], column: str) -> str:
    """The label of the option whose place, from 0 on, a column of the row has.

    Raises:
        DataError: it is no place of an option. (A place before the first would be one from the end.)
    """
    try:
        place = int(row[column])
    except (TypeError, ValueError):
        place = -1
    if not 0 <= place < len(options):
        raise DataError(f"column {column!r} is {row[column]!r:.50}, not the place of one of {len(options)} options")
    return list(options)[place]


def with_options(text: str, options: Mapping[str, str]) -> str:
    """The question, and below it an option a line: ``A. text``. Without options, the question."""
    return "\n".join((text.strip(), *(f"{label}. {option}" for label, option in options.items())))


def asked(text: str) -> Messages:
    """A question of text as the only message."""
    return [{"role": "user", "content": text}]
