"""CharXiv: charts of scientific papers. One question that takes reasoning and four that describe, for each chart.

`princeton-nlp/CharXiv`, split validation (test has no answers), 1,000 charts, 5,000 questions. Columns: figure_path,
image, subplot_row, subplot_col, subplot_loc, reasoning_q, reasoning_a, reasoning_a_type (1 to 4: the rubric),
descriptive_q1 to descriptive_q4 (1 to 19: the question), descriptive_a1 to descriptive_a4. Both halves are judged by
the authors' rules, one response at a time where the authors ask for five. All questions count alike, so that
description weighs four fifths; the categories have the halves.
"""

from collections.abc import Iterator

from recipe.zppo.benchmarks.contract import Benchmark, Family, OfficialJudge, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.scoring.charxiv import CLASS_OF, DESCRIPTIVE, descriptive, messages, score
from recipe.zppo.benchmarks.seen import Part, image, seen


def _questions(row: Row, part: str | None, place: int) -> Iterator[Question]:
    figure, picture = row["figure_path"], image(row)
    rule = int(row["reasoning_a_type"])
    yield _question(f"{figure}/reasoning", picture, row["reasoning_q"], row["reasoning_a"], "reasoning", rule)
    for number in range(1, 5):
        template = int(row[f"descriptive_q{number}"])
        text = descriptive(template, row["subplot_row"] or 0, row["subplot_col"] or 0, row["subplot_loc"])
        yield _question(
            f"{figure}/{number}",
            picture,
            text,
            row[f"descriptive_a{number}"],
            "descriptive",
            CLASS_OF[template],
            DESCRIPTIVE[template],
        )


def _question(
    id: str, picture: Part, text: str, gold: str, half: str, rule: int | str, asked: str | None = None
) -> Question:
    return seen(id, [picture], text, str(gold), category=half, extra={"rule": rule, "asked": asked or text})


BENCHMARK = Benchmark(
    name="CharXiv",
    title="CharXiv",
    family=Family.VLM,
    scoring=Scoring.BENCHMARK_JUDGE,
    source=Source(
        "princeton-nlp/CharXiv",
        "validation",
        columns=(
            *("figure_path", "image", "subplot_row", "subplot_col", "subplot_loc"),
            *("reasoning_q", "reasoning_a", "reasoning_a_type"),
            *(f"descriptive_{kind}{number}" for kind in "qa" for number in range(1, 5)),
        ),
    ),
    questions=_questions,
    judge=OfficialJudge(messages, score),
    size=5000,
)
