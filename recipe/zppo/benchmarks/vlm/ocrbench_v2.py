"""OCRBench v2, English and Chinese: reading, locating, extracting, parsing, computing with and reasoning about text.

`ling99/OCRBench_v2`, split test, 10,000 questions of 30 types, 7,400 English and 2,600 Chinese. Columns: id, question,
type (``table parsing en``), answers (texts), image, eval, bbox, bbox_list, content. The metrics are the official ones
(`recipe.zppo.benchmarks.scoring.ocrbench_v2`), on the final answer without thought and box. A table, a list of boxes or
a JSON object is asked for by the question itself, which stays. The score is the authors': the mean of eight English or
five Chinese abilities, each the mean of its questions.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from recipe.zppo.benchmarks.contract import Benchmark, Decision, Family, Question, Row, Scored, Scoring, Source
from recipe.zppo.benchmarks.scoring import ocrbench_v2
from recipe.zppo.benchmarks.scoring.final import whole_answer
from recipe.zppo.benchmarks.seen import image, seen
from recipe.zppo.errors import DataError

_TYPES = {
    "text recognition": ("text recognition", "fine-grained text recognition", "full-page OCR"),
    "text detection": ("text grounding", "VQA with position"),
    "text spotting": ("text spotting",),
    "relationship extraction": (
        *("key information extraction", "key information mapping"),
        "handwritten answer extraction",
    ),
    "element parsing": ("document parsing", "chart parsing", "table parsing", "formula recognition"),
    "mathematical calculation": ("math QA", "text counting"),
    "visual text understanding": ("document classification", "cognition VQA", "diagram QA"),
    "knowledge reasoning": (
        *("reasoning VQA", "science QA", "APP agent", "ASCII art classification"),
        "text translation",
    ),
}
ABILITY = {kind: ability for ability, kinds in _TYPES.items() for kind in kinds}

_METRIC = ("question", "answers", "type", "eval", "bbox", "bbox_list", "content")
_LETTER = re.compile(r"\W*([A-Z])\s*(?:[.:)\]].*)?", re.DOTALL)


def _of(language: str) -> Callable[[Row, str | None, int], Iterable[Question]]:
    def questions(row: Row, part: str | None, place: int) -> Iterator[Question]:
        kind, _, spoken = row["type"].rpartition(" ")
        if kind not in ABILITY:
            raise DataError(f"column 'type' is {row['type']!r:.60}, which has no metric")
        if spoken != language:
            return
        gold = "\n".join(row["answers"] or row["content"] or ())
        extra = {name: row[name] for name in _METRIC}
        yield seen(str(row["id"]), [image(row)], row["question"], gold, category=ABILITY[kind], extra=extra)

    return questions


def _decide(question: Question, response: str) -> Decision:
    answer = whole_answer(response, latex=question.extra["type"].startswith("formula"))
    if question.extra["eval"] == "multiple choice" and (letter := _LETTER.fullmatch(answer)):
        answer = letter[1]  # the metric takes no option's text beside it
    return Decision(ocrbench_v2.score(question.extra, answer), answer)


def mean_of_abilities(scored: Sequence[Scored]) -> float:
    scores: dict[str, list[float]] = defaultdict(list)
    for each in scored:
        scores[each.category].append(each.score)
    return sum(sum(group) / len(group) for group in scores.values()) / len(scores)


def _benchmark(name: str, title: str, language: str, size: int) -> Benchmark:
    return Benchmark(
        name=name,
        title=f"OCRBench v2, {title}",
        family=Family.VLM,
        scoring=Scoring.DETERMINISTIC,
        source=Source("ling99/OCRBench_v2", "test", columns=("id", "image", *_METRIC)),
        questions=_of(language),
        decide=_decide,
        aggregate=mean_of_abilities,
        check=ocrbench_v2.check,
        size=size,
    )


ENGLISH = _benchmark("OCREN", "English", "en", 7400)
CHINESE = _benchmark("OCRZH", "Chinese", "cn", 2600)
