"""Tokens that a response begins with because the teacher wrote them (prefix baseline, off-policy distillation)."""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recipe.zppo.errors import PromptTooLongError
from recipe.zppo.types import Opening

_THINK = re.compile(r"\A\s*<think>\n?")


@dataclass(frozen=True, slots=True)
class Given:
    """``token_ids`` in the student's vocabulary; ``whole``: they are the response, end token included, and its
    ``answer`` was graded right.
    """

    token_ids: tuple[int, ...]
    whole: bool
    answer: str = ""


class OpeningTokens:
    """Openings in the tokens of the student.

    With a tokenizer of its own: to take special tokens that are spelled out in a model's text as text, a fast tokenizer
    changes its own state, and prompts are being encoded by other threads.

    Args:
        tokenizer: the student's, which is copied.
        response_length: tokens of a response at most.
        template: arguments of its chat template. Where that opens ``<think>`` in the prompt, a teacher's opening that
            begins with the tag (an endpoint's do) goes without.
    """

    def __init__(self, tokenizer: Any, response_length: int, template: Mapping[str, Any] | None = None):
        self._tokenizer = copy.deepcopy(tokenizer)
        self.response_length = response_length
        question, options = [{"role": "user", "content": "?"}], {"add_generation_prompt": True, "tokenize": False}
        prompt = tokenizer.apply_chat_template(question, **options, **(template or {}))
        self._opens_thought = prompt.rstrip().endswith("<think>")

    def __call__(self, opening: Opening) -> Given:
        """A part of a response leaves room for at least one token of the student's. Not thread-safe.

        Raises:
            PromptTooLongError: a whole response is longer than ``response_length``.
        """
        text = _THINK.sub("", opening.text) if self._opens_thought else opening.text
        ids = self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        if not opening.whole:
            return Given(tuple(ids[: min(opening.num_tokens(len(ids)), self.response_length - 1)]), whole=False)
        ids.append(self._tokenizer.eos_token_id)
        if len(ids) > self.response_length:
            raise PromptTooLongError(
                f"a teacher's response is {len(ids)} tokens of the student, end token included; "
                f"data.max_response_length is {self.response_length}"
            )
        return Given(tuple(ids), whole=True, answer=opening.answer)
