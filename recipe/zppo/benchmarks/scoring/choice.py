r"""Which option a response chose, read where it is sure, and left to the judge elsewhere ("Exact", Table 5).

Resolved, right or wrong, is a response whose final answer names one option: by its label (`\boxed{C}`, `(C)`,
`\text{C. }12`, "The answer is C."), by its text, or by both. Unresolved is everything else: no final answer, several,
a value that is no option's text as it is written, a label that no option has, a label beside another option's text.
So a rule never calls wrong what a reader would call right because of its form, and the judge gets what is left.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from recipe.zppo.benchmarks.contract import Decision, Question
from recipe.zppo.benchmarks.scoring.reading import Reading, first_sentence, read

_MAX_LINE = 400

_FONT = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal|up)?|math(?:rm|bf|sf|it|tt|bb|cal)|mbox|operatorname|bm|boldsymbol)\s*"
    r"\{([^{}]*)\}"
)
_SPACE = re.compile(r"(?:\s|~|\\[,;:! ]|\\q?quad\b)+")
_MARKUP = re.compile(r"\$|\\[()\[\]]|\*\*|__|`|\\(?:left|right)\b(?!arrow)")
_WIDE = str.maketrans("（）．：，。", "().:,.")
_DEGREES = re.compile(r"\^\s*(?:\\circ|\{\s*\\circ\s*\})")

_LABELLED = re.compile(
    r"(?:(?:the )?(?:(?:correct|final|right|best) )?(?:answer|option|choice)(?: is)?\s*:?\s*)?"
    r"(?P<open>[(\[{]?)\s*(?P<label>[A-Za-z0-9]{1,3})(?![A-Za-z0-9])\s*(?P<close>[)\]}]?)\s*(?P<mark>[.:,、–—-]?)\s*(?P<rest>.*)",
    re.DOTALL | re.IGNORECASE,
)
_FURTHER = re.compile(r"(?:and|or)\b|[,;/&+]|.*[(\[][A-Za-z0-9][)\]]", re.IGNORECASE | re.DOTALL)
"""The rest names another label."""


def decide_choice(question: Question, response: str) -> Decision:
    """Of a question with options, whose gold is a label: 1.0, 0.0, or unresolved. See the module."""
    reading = read(response)
    label = _chosen(reading, question.options)
    if label is not None:
        return Decision(float(label == question.gold), label)
    return Decision(None, ", ".join(reading.boxes or reading.thought_boxes))


def label_of(answer: str, options: Mapping[str, str], *, loose: bool = False) -> str | None:
    """The option that an answer names by label, text or both; None if it is not one.

    Args:
        answer: without the words around it: the content of a box, a line.
        loose: a label in brackets counts beside any text but another option's.
    """
    by_label = _by_label(answer, options, loose)
    named = {*_by_text(answer, options), *([by_label] if by_label else [])}
    return named.pop() if len(named) == 1 else None


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """Without fonts, marks of formulas and emphasis; one space for several; without a stop at the end."""
    for _ in range(3):
        text = _FONT.sub(r"\1", text)
    text = _SPACE.sub(" ", _DEGREES.sub("°", _MARKUP.sub("", text.translate(_WIDE))))
    return text.replace("\\dfrac", "\\frac").replace("\\%", "%").strip().rstrip(".").rstrip()


def _chosen(reading: Reading, options: Mapping[str, str]) -> str | None:
    if reading.boxes:
        return _only([label_of(box, options, loose=True) for box in reading.boxes])
    if reading.stated:
        said = [label_of(text, options) or label_of(first_sentence(text), options) for text in reading.stated]
        return _only([*filter(None, said[:-1]), *said[-1:]])
    found = [label_of(line, options) for line in reading.lines if len(line) <= _MAX_LINE]
    if found and (found[-1] or (found[0] and reading.closed)):
        return _only([*filter(None, found)])
    return _only([label_of(box, options, loose=True) for box in reading.thought_boxes])


def _by_label(answer: str, options: Mapping[str, str], loose: bool) -> str | None:
    match = _LABELLED.fullmatch(plain(answer))
    label = match and _label(match["label"], options)
    if not match or not label or (match["open"] and not match["close"]):
        return None
    rest = plain(match["rest"])
    if not rest:
        return label
    texts = _by_text(rest, options)
    if texts == [label]:
        return label if match["close"] or match["mark"] else None
    return label if loose and match["open"] and not texts and not _FURTHER.match(rest) else None


def _only(labels: Sequence[str | None]) -> str | None:
    return labels[0] if len(set(labels)) == 1 else None


def _by_text(answer: str, options: Mapping[str, str]) -> list[str]:
    """Labels of the options that read so; case counts only where it tells two options apart."""
    wanted = plain(answer)
    same = [label for label, text in options.items() if plain(text) == wanted]
    return same or [label for label, text in options.items() if plain(text).casefold() == wanted.casefold()]


def _label(text: str, options: Mapping[str, str]) -> str | None:
    return next((form for form in (text, text.upper()) if form in options), None)
