"""AIME 2025, I and II: 30 problems whose answers are whole numbers from 0 to 999.

The set's configs are the two exams of 15 problems. It writes one gold answer with its unit, ``336^\\circ`` (II, 5).
"""

from collections.abc import Iterator

from recipe.zppo.benchmarks.contract import Benchmark, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.questions import asked
from recipe.zppo.benchmarks.scoring.short import decide_integer
from recipe.zppo.directives import strip_directives


def questions(row: Row, config: str | None, place: int) -> Iterator[Question]:
    yield Question(
        id=f"{config}-{place + 1}",
        messages=asked(strip_directives(row["question"])),
        gold=str(row["answer"]).strip(),
        category=str(config),
    )


BENCHMARK = Benchmark(
    name="AIME25",
    title="AIME 2025",
    family=Family.LLM,
    scoring=Scoring.EXACT_JUDGE,
    source=Source(
        "opencompass/AIME2025", "test", configs=("AIME2025-I", "AIME2025-II"), columns=("question", "answer")
    ),
    questions=questions,
    decide=decide_integer,
    size=30,
)
