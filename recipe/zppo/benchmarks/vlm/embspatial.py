"""EmbSpatial-Bench: where things are, as a robot sees them.

`FlagEval/EmbSpatial-Bench`, split test, 3,640 questions. Columns: question_id, question, answer_options (list of
texts), answer (place of the right one), image, relation, data_source (ai2thor, mp3d, scannet).
"""

from collections.abc import Iterator

from recipe.zppo.benchmarks.contract import Benchmark, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.questions import label_at, lettered
from recipe.zppo.benchmarks.scoring.choice import decide_choice
from recipe.zppo.benchmarks.seen import image, seen


def _questions(row: Row, part: str | None, place: int) -> Iterator[Question]:
    options = lettered(row["answer_options"])
    text = row["question"].replace("<image>", "")
    gold = label_at(options, row, "answer")
    yield seen(str(row["question_id"]), [image(row)], text, gold, options, category=row["relation"])


BENCHMARK = Benchmark(
    name="EmbSp",
    title="EmbSpatial-Bench",
    family=Family.VLM,
    scoring=Scoring.EXACT_JUDGE,
    source=Source(
        "FlagEval/EmbSpatial-Bench",
        "test",
        columns=("question_id", "question", "answer_options", "answer", "image", "relation"),
    ),
    questions=_questions,
    decide=decide_choice,
    size=3640,
)
