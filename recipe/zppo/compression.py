"""What becomes of the teacher's answer to a compression request (Fig. 16).

A summary stands in for a rollout only if it ends where the rollout ended: its final answer must be the rollout's, or
a BCQ would show a wrong "correct" candidate. Otherwise the rollout's own end is shown, bounded, and the reason is
counted. Both are a model's text; `recipe.zppo.prompts` makes them safe.
"""

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

from recipe.zppo.reward import extract_answer


class Fallback(StrEnum):
    """Why a summary is not used."""

    NO_SUMMARY = "no_summary"
    ANSWER_CHANGED = "answer_changed"
    TOO_LONG = "too_long"


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that is used here."""

    def encode(self, text: str, *, add_special_tokens: bool) -> Sequence[int]: ...

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool) -> str: ...


_TAG = re.compile(r"<(/?)summary>", re.IGNORECASE)
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")

# No token is longer than this many characters in the tokenizers in use, white-space runs apart.
_CHARACTERS_A_TOKEN = 64
_USUAL_CHARACTERS_A_TOKEN = 8


def after_thinking(reply: str, *, cut_off: bool = False) -> str:
    """What a model says when it has done with thinking; nothing if it has not come so far.

    Args:
        cut_off: the reply ended at its limit and may have opened with thoughts, the tag before them in the template.
    """
    _, closed, rest = reply.rpartition("</think>")
    if closed:
        return rest
    return "" if cut_off or "<think>" in reply else reply


def parse_summary(text: str) -> str | None:
    """The content of the last `<summary>...</summary>` without tags inside, stripped; `None` if there is none.

    The last, because a model that thinks aloud may mention the tags before it uses them. Linear in the text.
    """
    opened, content = None, None
    for tag in _TAG.finditer(text):
        if not tag.group(1):
            opened = tag.end()
        elif opened is not None:
            content = text[opened : tag.start()].strip() or content
            opened = None
    return content


def why_not_used(
    original_response: str, summary_text: str | None, max_tokens: int, count_tokens: Callable[[str], int]
) -> Fallback | None:
    """Why a result of `parse_summary` does not stand in for the response that was compressed; None if it does.

    Args:
        max_tokens: most tokens of a candidate (512 in the paper).
        count_tokens: number of tokens of a text, for the model that reads the candidate.

    Returns:
        the first reason: there is no summary; its boxed answer is not the response's (compared as by
        `normalized_answer`; a response without a box must get a summary without one); it is too long.
    """
    if not summary_text or not any(map(str.isalnum, summary_text)):  # "...", as in the rules that it was given
        return Fallback.NO_SUMMARY
    if normalized_answer(original_response) != normalized_answer(summary_text):
        return Fallback.ANSWER_CHANGED
    # What cannot fit is not tokenized: a runaway summary may have megabytes.
    if len(summary_text) > max_tokens * _CHARACTERS_A_TOKEN or count_tokens(summary_text) > max_tokens:
        return Fallback.TOO_LONG
    return None


def normalized_answer(text: str) -> str | None:
    """The boxed answer of a text, folded; `None` without a boxed answer."""
    answer = extract_answer(text)
    return None if answer is None else folded_answer(answer)


def folded_answer(answer: str | None) -> str:
    r"""An answer as the paper's audit compares it (App. F.7): lower case, white space folded, ``\text{}`` stripped."""
    return " ".join(_TEXT.sub(r"\1", answer or "").lower().split())


def bounded_tail(text: str, max_tokens: int, tokenizer: Tokenizer) -> str:
    """The last `max_tokens` tokens of a response: where the answer is.

    A response within the limit comes back as it is. Only as much of the end as matters is tokenized: first what
    usually holds so many tokens, then twice as much, and never more than can.
    """
    length = max_tokens * _USUAL_CHARACTERS_A_TOKEN
    while True:
        end = text[-length:]
        tokens = tokenizer.encode(end, add_special_tokens=False)
        if len(tokens) > max_tokens:
            break
        if len(end) == len(text) or length >= max_tokens * _CHARACTERS_A_TOKEN:
            return end
        length *= 2
    # A byte-level token can hold part of a character, which decodes to U+FFFD at the cut.
    return tokenizer.decode(tokens[-max_tokens:], skip_special_tokens=False).lstrip("\ufffd")
