"""GPQA-Diamond: 198 questions of biology, physics and chemistry, the right answer among three wrong ones.

The set has no order of options, so they are shuffled by a seed from the record's id: the same order in every process,
for every model. The set is gated; its authors ask that its examples aren't shown in plain text.
"""

from collections.abc import Iterator

from recipe.zppo.benchmarks.contract import Benchmark, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.questions import asked, lettered, with_options
from recipe.zppo.benchmarks.scoring.choice import decide_choice
from recipe.zppo.randomness import generator

ANSWERS = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


def questions(row: Row, config: str | None, place: int) -> Iterator[Question]:
    columns = list(ANSWERS)
    generator("GPQA options", row["Record ID"]).shuffle(columns)
    options = lettered(row[column] for column in columns)
    yield Question(
        id=row["Record ID"],
        messages=asked(with_options(row["Question"], options)),
        gold="ABCD"[columns.index(ANSWERS[0])],
        options=options,
        category=row["High-level domain"],
    )


BENCHMARK = Benchmark(
    name="GPQA-D",
    title="GPQA-Diamond",
    family=Family.LLM,
    scoring=Scoring.EXACT_JUDGE,
    source=Source(
        "Idavidrein/gpqa",
        "train",
        configs=("gpqa_diamond",),
        columns=("Record ID", "Question", *ANSWERS, "High-level domain"),
        gated=True,
    ),
    questions=questions,
    decide=decide_choice,
    size=198,
)
