"""MMLU-Redux 2.0: 100 questions of each of MMLU's 57 subjects, looked through by its authors for errors.

Only rows whose ``error_type`` is ``ok`` are asked, 5,330 of 5,700, as the authors want it (issue 4 of their repository)
and lm-eval does. The other rows are unclear, or have no right option, several, or a wrong gold answer; what the authors
give as the correct one there is not always an option. Whether the paper left them out as well, it does not say.
"""

from collections.abc import Iterator

from recipe.zppo.benchmarks.contract import Benchmark, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.llm import mmlu
from recipe.zppo.benchmarks.scoring.choice import decide_choice


def questions(row: Row, config: str | None, place: int) -> Iterator[Question]:
    if row["error_type"] == "ok":
        yield from mmlu.questions(row, config, place)


BENCHMARK = Benchmark(
    name="MMLU-Rd",
    title="MMLU-Redux 2.0",
    family=Family.LLM,
    scoring=Scoring.EXACT_JUDGE,
    source=Source(
        "edinburgh-dawg/mmlu-redux-2.0",
        "test",
        configs=mmlu.SUBJECTS,
        columns=("question", "choices", "answer", "error_type"),
    ),
    questions=questions,
    decide=decide_choice,
    size=5330,
)
