"""VisualPuzzles: puzzles of five kinds of reasoning that need little knowledge. Four options each.

`neulab/VisualPuzzles`, split train (its only one), 1,168 questions. Columns: id, category, image, question, options
(four texts, or null where they are drawn in the image), answer (a letter). Where the options are drawn, the prompt
names none, and a response is read by its letter.
"""

from collections.abc import Iterator

from recipe.zppo.benchmarks.contract import Benchmark, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.questions import lettered
from recipe.zppo.benchmarks.scoring.choice import decide_choice
from recipe.zppo.benchmarks.seen import image, seen

_DRAWN = {letter: "in the image" for letter in "ABCD"}


def _questions(row: Row, part: str | None, place: int) -> Iterator[Question]:
    options = lettered(row["options"]) if row["options"] else _DRAWN
    yield seen(
        str(row["id"]),
        [image(row)],
        row["question"],
        row["answer"],
        options,
        category=row["category"],
        shown=bool(row["options"]),
    )


BENCHMARK = Benchmark(
    name="VisP",
    title="VisualPuzzles",
    family=Family.VLM,
    scoring=Scoring.EXACT_JUDGE,
    source=Source(
        "neulab/VisualPuzzles", "train", columns=("id", "category", "image", "question", "options", "answer")
    ),
    questions=_questions,
    decide=decide_choice,
    size=1168,
)
