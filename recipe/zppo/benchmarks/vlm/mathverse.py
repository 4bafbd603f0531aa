"""MathVerse testmini: 788 problems of geometry and functions, each with its contents moved between text and diagram.

`CaraJ/MathVerse-lmmseval`, config and split testmini, 3,940 questions in five versions. Columns: sample_index, question
(with its options as lines ``A:5``), image, answer (a letter or a value), question_type, problem_version,
question_for_eval (what a judge reads). The columns query_wo and query_cot carry directives and are not used. A question
of the version Vision Only has no text: the picture has it all.
"""

from collections.abc import Iterator

from recipe.zppo.benchmarks.contract import Benchmark, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.scoring.short import decide_exact
from recipe.zppo.benchmarks.seen import BY_LINE, image, options_in, seen


def _questions(row: Row, part: str | None, place: int) -> Iterator[Question]:
    chosen = row["question_type"] == "multi-choice"
    options = options_in(row["question_for_eval"], BY_LINE, row["answer"]) if chosen else {}
    yield seen(
        str(row["sample_index"]),
        [image(row)],
        row["question"],
        row["answer"],
        options,
        category=row["problem_version"],
        shown=False,
    )


BENCHMARK = Benchmark(
    name="MVerse",
    title="MathVerse testmini",
    family=Family.VLM,
    scoring=Scoring.EXACT_JUDGE,
    source=Source(
        "CaraJ/MathVerse-lmmseval",
        "testmini",
        configs=("testmini",),
        columns=(
            "sample_index",
            "question",
            "image",
            "answer",
            "question_type",
            "problem_version",
            "question_for_eval",
        ),
    ),
    questions=_questions,
    decide=decide_exact,
    size=3940,
)
