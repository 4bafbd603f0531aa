"""AIME 2026: 30 problems whose answers are whole numbers from 0 to 999. The first 15 are exam I, the others exam II."""

from collections.abc import Iterator

from recipe.zppo.benchmarks.contract import Benchmark, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.questions import asked
from recipe.zppo.benchmarks.scoring.short import decide_integer
from recipe.zppo.directives import strip_directives


def questions(row: Row, config: str | None, place: int) -> Iterator[Question]:
    yield Question(
        id=str(row["problem_idx"]),
        messages=asked(strip_directives(row["problem"])),
        gold=str(row["answer"]).strip(),
    )


BENCHMARK = Benchmark(
    name="AIME26",
    title="AIME 2026",
    family=Family.LLM,
    scoring=Scoring.EXACT_JUDGE,
    source=Source("MathArena/aime_2026", "train", columns=("problem_idx", "problem", "answer")),
    questions=questions,
    decide=decide_integer,
    size=30,
)
