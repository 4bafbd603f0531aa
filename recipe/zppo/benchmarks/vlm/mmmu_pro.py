"""MMMU-Pro: questions of college subjects that need their pictures, in three forms.

`MMMU/MMMU_Pro`, split test of the configs standard (10 options), standard (4 options) and vision, 1,730 questions each,
5,190 in all; all count alike, so the score is the mean of the three. Columns: id, question, options (a Python list as
text), image_1 to image_7, answer (a letter), subject; vision has id, image, options, answer, subject instead. Pictures
stand where the question or an option has `<image 1>`. In vision the picture shows question and options, and is the
whole prompt.
"""

import ast
from collections.abc import Iterator, Mapping

from recipe.zppo.benchmarks.contract import Benchmark, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.questions import lettered, with_options
from recipe.zppo.benchmarks.scoring.choice import decide_choice
from recipe.zppo.benchmarks.seen import image, interleaved, without_form
from recipe.zppo.errors import DataError


def _questions(row: Row, part: str | None, place: int) -> Iterator[Question]:
    options = _options(row["options"])
    if part == "vision":
        content = [image(row)]
    else:
        content = interleaved(with_options(without_form(row["question"]), options), row)
    yield Question(
        f"{part}/{row['id']}",
        [{"role": "user", "content": content}],
        row["answer"],
        options,
        category=part or "",
        extra={"subject": row["subject"]},
    )


def _options(text: str) -> Mapping[str, str]:
    try:
        return lettered(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError) as error:
        raise DataError(f"column 'options' is {text!r:.80}, not a list as text") from error


BENCHMARK = Benchmark(
    name="MMMUPro",
    title="MMMU-Pro",
    family=Family.VLM,
    scoring=Scoring.EXACT_JUDGE,
    source=Source(
        "MMMU/MMMU_Pro",
        "test",
        configs=("standard (10 options)", "standard (4 options)", "vision"),
        columns=("id", "options", "answer", "subject"),
    ),
    questions=_questions,
    decide=decide_choice,
    size=5190,
)
