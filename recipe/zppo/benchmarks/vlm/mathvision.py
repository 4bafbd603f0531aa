"""MathVision: problems of mathematical competitions with a picture.

`MathLLMs/MathVision`, split test, 3,040 questions. Columns: id, question, options (list of texts, empty for a free
answer), image (a path), decoded_image, answer (a letter or a value), level, subject. The text names parts of its one
picture (`<image1>`, also among the options); the mark of the whole picture is taken off, the others stay.
"""

from collections.abc import Iterator

from recipe.zppo.benchmarks.contract import Benchmark, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.questions import lettered
from recipe.zppo.benchmarks.scoring.short import decide_exact
from recipe.zppo.benchmarks.seen import image, seen


def _questions(row: Row, part: str | None, place: int) -> Iterator[Question]:
    yield seen(
        str(row["id"]),
        [image(row, "decoded_image")],
        row["question"].replace("<image1>", ""),
        str(row["answer"]),
        lettered(row["options"]) if row["options"] else {},
        category=row["subject"],
    )


BENCHMARK = Benchmark(
    name="MVision",
    title="MathVision",
    family=Family.VLM,
    scoring=Scoring.EXACT_JUDGE,
    source=Source(
        "MathLLMs/MathVision", "test", columns=("id", "question", "options", "decoded_image", "answer", "subject")
    ),
    questions=_questions,
    decide=decide_exact,
    size=3040,
)
