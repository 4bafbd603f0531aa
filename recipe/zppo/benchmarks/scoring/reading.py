r"""Where the final answer stands in a response, before it is known what kind of answer it is.

The student was asked to think within tags and to box its answer (Fig. 8), and mostly does. So the last box behind
`</think>` counts first; then what is said there in plain words; then the last box of the thought, for which training
gives the reward too. Plain words of a thought are none: they are often taken back.

Responses are a model's text of any length. Patterns search only their end, and go over it once.
"""

import re
from typing import NamedTuple

from mathruler.grader import extract_boxed_content

from recipe.zppo.answer_format import MAX_ANSWER
from recipe.zppo.reward import extract_answer

_BOX = "\\boxed{"
_TAIL = 8000  # characters
_MOST_BOXES = 26

_BETWEEN = re.compile(r"[\s$,;/*&.\\()\[\]]{0,40}(?:(?:and|or)\b[\s$,;*\\()\[\]]{0,40})?")
"""What stands between two boxes of one list."""

_STATED = re.compile(
    r"(?:\b(?:answer|option|choice)\b[*_ ]{0,4}(?:is|[:：])|答案[*_ ]{0,4}[是为选:：]|故选)[*_ :：]{0,6}"
    r"(?=([^\n]{1,400}))",  # a look ahead: they may overlap
    re.IGNORECASE,
)
_REST = re.compile(r"[。，；]|[.;](?=\s+[A-Z*(\\]|\s*$)|,?\s+(?:because|since|as|which)\b")


class Reading(NamedTuple):
    r"""What may be a response's final answer, the surest first.

    Boxes are the last one, or all of a list (`\boxed{1} and \boxed{2}`), each content once. A box is none if it is
    empty, unclosed or too long (`recipe.zppo.reward.extract_answer`).
    """

    boxes: tuple[str, ...] = ()
    """Behind the thought, or anywhere if it is not closed."""
    stated: tuple[str, ...] = ()
    """What follows each "the answer is" (Chinese too) behind the thought, to the end of its line. Of a response that
    never closes a thought only its last line is read, and none at all if it began one: it was cut."""
    lines: tuple[str, ...] = ()
    """Behind the thought, from its end, each without spaces around; empty ones are left out."""
    thought_boxes: tuple[str, ...] = ()
    closed: bool = True
    """The thought was; then the lines hold the final answer and no more."""


def read(response: str) -> Reading:
    thought, closed, final = response.rpartition("</think>")
    if boxes := _boxes(final):
        return Reading(boxes)
    if not closed and "<think>" in response:
        return Reading()
    lines = tuple(line.strip() for line in final[-_TAIL:].splitlines() if line.strip())
    spoken = lines if closed else lines[-1:]
    stated = tuple(match[1].strip() for line in spoken for match in _STATED.finditer(line))
    return Reading((), stated, lines, _boxes(thought), bool(closed))


def first_sentence(text: str) -> str:
    """Without its reason: ``B`` of ``B, because ...``."""
    return _REST.split(text, maxsplit=1)[0].strip()


def _boxes(text: str) -> tuple[str, ...]:
    last = extract_answer(text)
    found, start = [last] if last else [], text.rfind(_BOX)
    while found and start > 0 and len(found) < _MOST_BOXES:
        before = text.rfind(_BOX, max(0, start - MAX_ANSWER), start)
        content = extract_boxed_content(text[before:start]) if before >= 0 else ""
        _, closed, between = text[before:start].partition(content + "}")
        if not content or not closed or not _BETWEEN.fullmatch(between):
            break
        found.append(content)
        start = before
    return tuple(dict.fromkeys(reversed(found)))
