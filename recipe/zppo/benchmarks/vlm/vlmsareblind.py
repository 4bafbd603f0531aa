"""VLMs are blind: what everybody sees at a glance. Crossing lines, touching circles, a circled letter, counts.

`XAI/vlmsareblind`, split valid, 8,016 questions. Columns: task, image, prompt, groundtruth (``3``; ``yes``; a letter;
rows and columns as ``3,4``). Prompts end with how to answer ("in curly brackets, e.g., {5}"), which is taken off. The
score is the mean over questions; the authors average tasks.
"""

import re
from collections.abc import Iterator

from recipe.zppo.benchmarks.contract import Benchmark, Decision, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.scoring.choice import plain
from recipe.zppo.benchmarks.scoring.short import decide_integer, decide_short
from recipe.zppo.benchmarks.seen import image, seen

_FORM = re.compile(
    r"[,.]?\s*(?:\band\s+)?(?:\bplease\s+)?\b(?:answer|put|provide|give|write|return|respond)\b[^?]*"
    r"(?:curly (?:brackets?|braces?)|numerical format|yes\s?/\s?no|\(row|\{\w+\})[^?]*$",
    re.IGNORECASE,
)
_PAIR = re.compile(r"\d+,\d+")


def _questions(row: Row, part: str | None, place: int) -> Iterator[Question]:
    text = _FORM.sub("", row["prompt"].strip())
    text = text if text.endswith("?") or text == row["prompt"].strip() else text + "."
    yield seen(str(place), [image(row)], text, row["groundtruth"].strip(), category=row["task"])


def _decide(question: Question, response: str) -> Decision:
    if question.gold.isdigit():
        return decide_integer(question, response)
    said = decide_short(question, response)
    if said.score is not None:
        return said
    return _pair(question, said) if _PAIR.fullmatch(question.gold) else _word(question, said)


def _pair(question: Question, said: Decision) -> Decision:
    """Rows and columns in the order that the answer's own words say; without words, in this one."""
    found = [str(int(digits)) for digits in re.findall(r"\d{1,9}", said.answer)]
    rows, columns = (said.answer.lower().find(word) for word in ("row", "col"))
    if 0 <= columns < rows:
        found.reverse()
    if ",".join(found) == question.gold:
        return Decision(1.0, said.answer)
    named = re.search(r"[^\W\d_]", plain(said.answer))
    return Decision(0.0, said.answer) if len(found) == 2 and not named else said


def _word(question: Question, said: Decision) -> Decision:
    """Yes or no, or a letter."""
    word = plain(said.answer).strip("{}()").casefold()
    if word in ("yes", "no") or len(word) == 1:
        return Decision(float(word == question.gold.casefold()), said.answer)
    return said


BENCHMARK = Benchmark(
    name="VBlind",
    title="VLMs are blind",
    family=Family.VLM,
    scoring=Scoring.EXACT_JUDGE,
    source=Source("XAI/vlmsareblind", "valid", columns=("task", "image", "prompt", "groundtruth")),
    questions=_questions,
    decide=_decide,
    size=8016,
)
