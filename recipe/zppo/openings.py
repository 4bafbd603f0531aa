"""Tokens that a response begins with because the teacher wrote them (prefix baseline, off-policy distillation)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recipe.zppo.records import Opening
from recipe.zppo.run_errors import PromptTooLongError


@dataclass(frozen=True, slots=True)
class Given:
    """``token_ids`` in the student's vocabulary; ``whole``: they are the response, end token included."""

    token_ids: tuple[int, ...]
    whole: bool


def given_tokens(opening: Opening, tokenizer: Any, response_length: int) -> Given:
    """The opening in the tokens of ``tokenizer``; a part of a response leaves room for at least one token.

    The text is a model's: a special token spelled out in it becomes ordinary tokens.

    Raises:
        PromptTooLongError: a whole response is longer than ``response_length``.
    """
    ids = tokenizer.encode(opening.text, add_special_tokens=False, split_special_tokens=True)
    if not opening.whole:
        return Given(tuple(ids[: min(opening.num_tokens(len(ids)), response_length - 1)]), whole=False)
    ids.append(tokenizer.eos_token_id)
    if len(ids) > response_length:
        raise PromptTooLongError(
            f"a teacher's response is {len(ids)} tokens of the student, end token included; data.max_response_length "
            f"is {response_length}"
        )
    return Given(tuple(ids), whole=True)
