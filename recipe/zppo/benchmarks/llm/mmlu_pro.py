"""MMLU-Pro: three to ten options, 14 categories. The score is the mean of all questions alike.

The set fills up short lists of options with ``N/A``, which its authors take out before they ask.
"""

from collections.abc import Iterator
from string import ascii_uppercase

from recipe.zppo.benchmarks.contract import Benchmark, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.questions import asked, lettered, with_options
from recipe.zppo.benchmarks.scoring.choice import decide_choice


def questions(row: Row, config: str | None, place: int) -> Iterator[Question]:
    places = [place for place, option in enumerate(row["options"]) if option != "N/A"]
    options = lettered(row["options"][place] for place in places)
    yield Question(
        id=str(row["question_id"]),
        messages=asked(with_options(row["question"], options)),
        gold=ascii_uppercase[places.index(row["answer_index"])],
        options=options,
        category=row["category"],
    )


BENCHMARK = Benchmark(
    name="MMLU-Pro",
    title="MMLU-Pro",
    family=Family.LLM,
    scoring=Scoring.EXACT_JUDGE,
    source=Source(
        "TIGER-Lab/MMLU-Pro", "test", columns=("question_id", "question", "options", "answer_index", "category")
    ),
    questions=questions,
    decide=decide_choice,
    size=12032,
)
