"""BabyVision: what a small child sees. Some questions have options, the others a short answer.

`UnipatAI/BabyVision`, split train (its only one), 388 questions. Columns: taskId, type, subtype, image, question,
ansType (choice or blank), options (list of texts, empty for a blank), choiceAns (place of the right option), blankAns.
"""

from collections.abc import Iterator

from recipe.zppo.benchmarks.contract import Benchmark, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.questions import label_at, lettered
from recipe.zppo.benchmarks.scoring.short import decide_exact
from recipe.zppo.benchmarks.seen import image, seen


def _questions(row: Row, part: str | None, place: int) -> Iterator[Question]:
    options = lettered(row["options"]) if row["ansType"] == "choice" else {}
    gold = label_at(options, row, "choiceAns") if options else str(row["blankAns"])
    yield seen(str(row["taskId"]), [image(row)], row["question"], gold, options, category=row["type"])


BENCHMARK = Benchmark(
    name="BabyV",
    title="BabyVision",
    family=Family.VLM,
    scoring=Scoring.EXACT_JUDGE,
    source=Source(
        "UnipatAI/BabyVision",
        "train",
        columns=("taskId", "type", "image", "question", "ansType", "options", "choiceAns", "blankAns"),
    ),
    questions=_questions,
    decide=decide_exact,
    size=388,
)
