r"""Whether a short free answer is the gold one, where a rule is sure ("Exact", Table 5).

The answer is read as `reading.py` says and compared by the project's graders. Right is resolved: the paper's grader
says so, and the careful one does not say otherwise. An answer that does not match is not: it may be the gold one in
words that no grader knows, and is the judge's. Whole numbers (AIME) are resolved both ways.
"""

import re

from recipe.zppo.benchmarks.contract import Decision, Question
from recipe.zppo.benchmarks.scoring.choice import decide_choice, plain
from recipe.zppo.benchmarks.scoring.reading import Reading, first_sentence, read
from recipe.zppo.reward import remembered_verdict

_MAX_LINE = 200
_INTEGER = re.compile(r"([+-]?)(\d{1,3}(?:(?:,|\{,\}| )\d{3})+|\d{1,30})(?:\.0{1,9})?°?")


def decide_exact(question: Question, response: str) -> Decision:
    """`decide_choice` of a question with options, else `decide_short`."""
    return (decide_choice if question.options else decide_short)(question, response)


def decide_short(question: Question, response: str) -> Decision:
    """1.0, or unresolved. Gold is `Question.gold`, or any of ``extra["accepted"]``, a list of texts.

    Raises:
        HelperKilledError: a grader gave no verdict, so that the response has no score.
    """
    answers = _answers(read(response))
    if len(answers) != 1:
        return Decision(None, ", ".join(answers))
    golds = (question.gold, *question.extra.get("accepted", ()))
    right = any(_is_right(answers[0], gold) for gold in golds)
    return Decision(1.0 if right else None, answers[0])


def decide_integer(question: Question, response: str) -> Decision:
    """Of a question whose answer is a whole number: resolved if the response's is one, ``033`` as 33; else as short."""
    answers, gold = _answers(read(response)), integer(question.gold)
    value = integer(answers[0]) if len(answers) == 1 else None
    if value is None or gold is None:
        return decide_short(question, response)
    return Decision(float(value == gold), answers[0])


def _is_right(answer: str, gold: str) -> bool:
    """What the careful grader does not finish in its time it does not contradict."""
    if not remembered_verdict(answer, gold, "paper"):
        return False
    return remembered_verdict(answer, gold, "careful") is not False


def integer(text: str) -> int | None:
    r"""Of a text that is a whole number and nothing else: ``1,024``, ``\text{7}``, ``033``, ``5.0``, ``336^\circ``."""
    match = _INTEGER.fullmatch(plain(text))
    return int(match[1] + re.sub(r"\D", "", match[2])) if match else None


def _answers(reading: Reading) -> tuple[str, ...]:
    """The final answer; of several all."""
    if reading.boxes:
        return reading.boxes
    if reading.stated:
        return tuple(dict.fromkeys(first_sentence(text).strip("* ") for text in reading.stated))
    if len(reading.lines) == 1 and len(reading.lines[0]) <= _MAX_LINE:
        return (plain(reading.lines[0]),)
    return reading.thought_boxes
