r"""Whether a number is the gold one, for the benchmarks that say how exact it must be."""

import re

from recipe.zppo.benchmarks.contract import Decision, Question
from recipe.zppo.benchmarks.scoring.choice import plain
from recipe.zppo.benchmarks.scoring.short import decide_short

_NUMBER = re.compile(r"[+-]?(?=\.?\d)(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:[eE][+-]?\d{1,3})?")
_LIST = re.compile(r"[\[({]?\s*([^\[\](){}]*?)\s*[\])}]?")


def number(text: str, unit: str = "") -> float | None:
    r"""Of a text that is a number and nothing else, but for its unit: ``1,024``, ``\text{7}``, ``$0.5$``, ``5 cm``."""
    text, unit = plain(text).replace("{,}", ","), plain(unit)
    if unit and len(text) > len(unit) and text.casefold().endswith(unit.casefold()):
        text = text[: -len(unit)].rstrip()
    return float(text.replace(",", "")) if _NUMBER.fullmatch(text) else None


def numbers(text: str) -> list[float] | None:
    """Of a list and nothing else: ``[2007, 2008]``, ``2007, 2008``."""
    match = _LIST.fullmatch(plain(text).replace("\\{", "{").replace("\\}", "}"))
    found = [number(each) for each in re.split(r"\s*,\s*", match[1])] if match else [None]
    return None if None in found else [each for each in found if each is not None]


def decide_within(question: Question, response: str, tolerance: float) -> Decision:
    """1.0 where the answer is a number that near the gold one, else as `decide_short`: right, or unresolved."""
    said = decide_short(question, response)
    value, gold = number(said.answer), number(question.gold)
    near = value is not None and gold is not None and abs(value - gold) <= tolerance
    return Decision(1.0, said.answer) if near else said


def decide_rounded(question: Question, response: str, digits: int, unit: str = "") -> Decision:
    """Resolved where the answer is a number: right if it is the gold one after rounding. Else as `decide_short`."""
    said = decide_short(question, response)
    value, gold = number(said.answer, unit), number(question.gold)
    if said.score is not None or value is None or gold is None:
        return said
    return Decision(float(round(value, digits) == round(gold, digits)), said.answer)


def decide_list(question: Question, response: str) -> Decision:
    """Resolved where the answer is a list of numbers: right if it has those of the gold one in their order."""
    said = decide_short(question, response)
    values, gold = numbers(said.answer), numbers(question.gold)
    if said.score is not None or values is None or gold is None:
        return said
    return Decision(float(values == gold), said.answer)
