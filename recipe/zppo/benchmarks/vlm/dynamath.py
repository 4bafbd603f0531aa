"""DynaMath: 501 seed questions, each in ten variants with other numbers, functions or pictures.

`DynaMath/DynaMath_Sample`, ten splits sample_variant1 to sample_variant10 of 501 rows, 5,010 questions. Columns: id,
question (with its options, where it has some), image (a path), decoded_image, ground_truth, answer_type (float,
multiple choice, text), subject, knowledge_level. A float is right within 0.001, the authors' tolerance.

The score is the authors' worst case: the share of seed questions whose variants are all answered right. The paper says
neither this nor the average, but its numbers are worst cases: its 9B model has 62.5 here and 86.9 on MathVerse.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from recipe.zppo.benchmarks.contract import Benchmark, Decision, Family, Question, Row, Scored, Scoring, Source
from recipe.zppo.benchmarks.scoring.number import decide_within
from recipe.zppo.benchmarks.scoring.short import decide_exact
from recipe.zppo.benchmarks.seen import IN_A_ROW, image, options_in, seen

_TOLERANCE = 0.001


def _questions(row: Row, part: str | None, place: int) -> Iterator[Question]:
    text, gold = row["question"], str(row["ground_truth"])
    options = options_in(text, IN_A_ROW, gold) if row["answer_type"] == "multiple choice" else {}
    yield seen(
        f"{part}/{row['id']}",
        [image(row, "decoded_image")],
        text,
        gold,
        options,
        category=row["subject"],
        shown=False,
        extra={"seed": str(row["id"]), "answer_type": row["answer_type"]},
    )


def _decide(question: Question, response: str) -> Decision:
    if question.extra["answer_type"] == "float":
        return decide_within(question, response, _TOLERANCE)
    return decide_exact(question, response)


def worst_case(scored: Sequence[Scored]) -> float:
    """The share of seeds without a wrong variant."""
    worst: dict[str, float] = defaultdict(lambda: 1.0)
    for each in scored:
        worst[each.extra["seed"]] = min(worst[each.extra["seed"]], each.score)
    return sum(worst.values()) / len(worst)


BENCHMARK = Benchmark(
    name="DynaM",
    title="DynaMath",
    family=Family.VLM,
    scoring=Scoring.EXACT_JUDGE,
    source=Source(
        "DynaMath/DynaMath_Sample",
        "+".join(f"sample_variant{number}" for number in range(1, 11)),
        columns=("id", "question", "decoded_image", "ground_truth", "answer_type", "subject"),
    ),
    questions=_questions,
    decide=_decide,
    aggregate=worst_case,
    size=5010,
)
