"""What becomes of the teacher's answer to a compression request (Fig. 16).

A summary stands in for a rollout only if it ends where the rollout ended: its final answer must be the rollout's, or
a BCQ would show a wrong "correct" candidate, or two right ones. Another one is asked for; in the end the rollout's own
end is shown, bounded, and the reason is counted. Both are a model's text; `recipe.zppo.prompts` makes them safe.
"""

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

from recipe.zppo.candidates import Draft
from recipe.zppo.reward import extract_answer, is_correct


class Fallback(StrEnum):
    """Why a summary is not used."""

    NO_SUMMARY = "no_summary"
    ANSWER_CHANGED = "answer_changed"
    NOW_RIGHT = "now_right"
    """It gives a wrong response the gold answer."""
    TOO_LONG = "too_long"
    NO_BOX = "no_box"
    """Neither has the response one. Fig. 16 asks for it, so another summary is asked for; the last one is shown."""


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
    draft: Draft, summary: str | None, max_tokens: int, count_tokens: Callable[[str], int]
) -> Fallback | None:
    """Why a result of `parse_summary` does not stand in for the response that was compressed; None if it does.

    Compares answers as the reward does, which can take seconds.

    Args:
        max_tokens: most tokens of a candidate (512 in the paper).
        count_tokens: number of tokens of a text, for the model that reads the candidate.

    Returns:
        the first reason: there is no summary; its answer is not the response's; it makes a wrong response right;
        it is too long; it has no box, like the response.
    """
    if not summary or not any(map(str.isalnum, summary)):  # "...", as in the rules that it was given
        return Fallback.NO_SUMMARY
    kept, shown = draft.answer_read or None, extract_answer(summary)
    if problem := _answer_problem(kept, shown, draft):
        return problem
    # What cannot fit is not tokenized: a runaway summary may have megabytes.
    if len(summary) > max_tokens * _CHARACTERS_A_TOKEN or count_tokens(summary) > max_tokens:
        return Fallback.TOO_LONG
    return Fallback.NO_BOX if shown is None else None


def _answer_problem(kept: str | None, shown: str | None, draft: Draft) -> Fallback | None:
    """What is wrong with the summary's answer ``shown``, where the response has ``kept``."""
    if (kept is None) == (shown is None) and folded_answer(kept) == folded_answer(shown):
        return None  # word for word, whatever the grader would say
    if kept is not None:
        if shown is None or not _is_same(shown, kept):
            return Fallback.ANSWER_CHANGED
    elif draft.correct and not _is_right(shown, draft):  # a judge may have called it so
        return Fallback.ANSWER_CHANGED
    return Fallback.NOW_RIGHT if not draft.correct and _is_right(shown, draft) else None


def _is_same(answer: str, other: str) -> bool:
    """To the grader, in either direction: which of the two stands for the gold answer should make no difference."""
    return is_correct(answer, other) or is_correct(other, answer)


def _is_right(answer: str | None, draft: Draft) -> bool:
    return answer is not None and any(is_correct(answer, gold) for gold in draft.gold)


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
