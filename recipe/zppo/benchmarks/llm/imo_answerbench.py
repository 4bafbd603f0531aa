"""IMO-AnswerBench: 400 problems of olympiads, rewritten to have a short answer, often a formula."""

from collections.abc import Iterator

from recipe.zppo.benchmarks.contract import Benchmark, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.questions import asked
from recipe.zppo.benchmarks.scoring.short import decide_short
from recipe.zppo.directives import strip_directives


def questions(row: Row, config: str | None, place: int) -> Iterator[Question]:
    yield Question(
        id=row["Problem ID"],
        messages=asked(strip_directives(row["Problem"])),
        gold=str(row["Short Answer"]).strip(),
        category=row["Category"],
    )


BENCHMARK = Benchmark(
    name="IMO-AB",
    title="IMO-AnswerBench",
    family=Family.LLM,
    scoring=Scoring.EXACT_JUDGE,
    source=Source("OpenEvals/IMO-AnswerBench", "train", columns=("Problem ID", "Problem", "Short Answer", "Category")),
    questions=questions,
    decide=decide_short,
    size=400,
)
