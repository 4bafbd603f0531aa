"""AI2 Diagrams: school science diagrams, four options.

`lmms-lab/ai2d`, split test, 3,088 questions. Columns: question, options (list of texts), answer (place of the right
option, a string), image. The images are those with labels masked by letters, which the questions name.
"""

from collections.abc import Iterator

from recipe.zppo.benchmarks.contract import Benchmark, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.questions import label_at, lettered
from recipe.zppo.benchmarks.scoring.choice import decide_choice
from recipe.zppo.benchmarks.seen import image, seen


def _questions(row: Row, part: str | None, place: int) -> Iterator[Question]:
    options = lettered(row["options"])
    yield seen(str(place), [image(row)], row["question"], label_at(options, row, "answer"), options)


BENCHMARK = Benchmark(
    name="AI2D",
    title="AI2 Diagrams",
    family=Family.VLM,
    scoring=Scoring.EXACT_JUDGE,
    source=Source("lmms-lab/ai2d", "test", columns=("question", "options", "answer", "image")),
    questions=_questions,
    decide=decide_choice,
    size=3088,
)
