"""InfographicVQA: questions about infographics, answered by words and numbers that stand in them.

`lmms-lab/DocVQA`, config InfographicVQA, split validation, 2,801 questions; the answers of split test are not public.
Columns: questionId, question, answers (all that are accepted), answer_type (list), image. The metric is ANLS with its
threshold of 0.5, on the final answer without the box.
"""

from collections.abc import Iterator

from recipe.zppo.benchmarks.contract import Benchmark, Decision, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.scoring.anls import anls
from recipe.zppo.benchmarks.scoring.final import short_answer
from recipe.zppo.benchmarks.seen import image, seen
from recipe.zppo.errors import DataError


def _questions(row: Row, part: str | None, place: int) -> Iterator[Question]:
    accepted = list(row["answers"] or ())
    if not accepted:
        raise DataError("column 'answers' is empty")
    kind = ", ".join(row["answer_type"] or ())
    extra = {"accepted": accepted}
    yield seen(str(row["questionId"]), [image(row)], row["question"], accepted[0], category=kind, extra=extra)


def _decide(question: Question, response: str) -> Decision:
    answer = short_answer(response)
    return Decision(anls(answer, question.extra["accepted"]), answer)


BENCHMARK = Benchmark(
    name="InfoVQA",
    title="InfographicVQA",
    family=Family.VLM,
    scoring=Scoring.DETERMINISTIC,
    source=Source(
        "lmms-lab/DocVQA",
        "validation",
        configs=("InfographicVQA",),
        columns=("questionId", "question", "answers", "answer_type", "image"),
    ),
    questions=_questions,
    decide=_decide,
    size=2801,
)
