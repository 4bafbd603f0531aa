"""MathVista testmini: mathematics in charts, figures, tables and photographs.

`AI4Math/MathVista`, split testmini, 1,000 questions. Columns: pid, question, decoded_image, choices (list of texts, or
null), unit, precision (digits of a float), answer, question_type (multi_choice, free_form), answer_type (text, integer,
float, list), metadata. The column query has the hints on form and is not used; the unit, which query shows too, belongs
to the question.

Its own rule: an option by label or text; an integer, or a float rounded to the row's precision, is right or wrong by
its value, also with its unit; a list by its numbers. Whatever is of another form is the judge's.
"""

from collections.abc import Iterator

from recipe.zppo.benchmarks.contract import Benchmark, Decision, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.questions import lettered
from recipe.zppo.benchmarks.scoring.choice import decide_choice
from recipe.zppo.benchmarks.scoring.number import decide_list, decide_rounded
from recipe.zppo.benchmarks.scoring.short import decide_short
from recipe.zppo.benchmarks.seen import image, seen, without_form
from recipe.zppo.errors import DataError


def _questions(row: Row, part: str | None, place: int) -> Iterator[Question]:
    options = lettered(row["choices"]) if row["question_type"] == "multi_choice" else {}
    gold = next((label for label, text in options.items() if text == row["answer"].strip()), "")
    if options and not gold:
        raise DataError(f"the answer {row['answer']!r:.80} is none of the choices")
    unit = row["unit"] or ""
    yield seen(
        str(row["pid"]),
        [image(row, "decoded_image")],
        without_form(row["question"]) + (f" (Unit: {unit})" if unit else ""),
        gold or row["answer"],
        options,
        category=(row["metadata"] or {}).get("task", ""),
        extra={"kind": row["answer_type"], "digits": int(row["precision"] or 0), "unit": unit},
    )


def _decide(question: Question, response: str) -> Decision:
    if question.options:
        return decide_choice(question, response)
    match question.extra["kind"]:
        case "integer":
            return decide_rounded(question, response, 9, question.extra["unit"])
        case "float":
            return decide_rounded(question, response, question.extra["digits"], question.extra["unit"])
        case "list":
            return decide_list(question, response)
    return decide_short(question, response)


BENCHMARK = Benchmark(
    name="MVista",
    title="MathVista testmini",
    family=Family.VLM,
    scoring=Scoring.RULE_JUDGE,
    source=Source(
        "AI4Math/MathVista",
        "testmini",
        columns=(
            "pid",
            "question",
            "decoded_image",
            "choices",
            "unit",
            "precision",
            "answer",
            "question_type",
            "answer_type",
            "metadata",
        ),
    ),
    questions=_questions,
    decide=_decide,
    size=1000,
)
