"""MMLU: four options, 57 subjects, each a config of the set. The score is the mean of all questions alike."""

from collections.abc import Iterator

from recipe.zppo.benchmarks.contract import Benchmark, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.questions import asked, label_at, lettered, with_options
from recipe.zppo.benchmarks.scoring.choice import decide_choice

_SUBJECTS = """
    abstract_algebra anatomy astronomy business_ethics clinical_knowledge college_biology college_chemistry
    college_computer_science college_mathematics college_medicine college_physics computer_security
    conceptual_physics econometrics electrical_engineering elementary_mathematics formal_logic global_facts
    high_school_biology high_school_chemistry high_school_computer_science high_school_european_history
    high_school_geography high_school_government_and_politics high_school_macroeconomics high_school_mathematics
    high_school_microeconomics high_school_physics high_school_psychology high_school_statistics
    high_school_us_history high_school_world_history human_aging human_sexuality international_law jurisprudence
    logical_fallacies machine_learning management marketing medical_genetics miscellaneous moral_disputes
    moral_scenarios nutrition philosophy prehistory professional_accounting professional_law professional_medicine
    professional_psychology public_relations security_studies sociology us_foreign_policy virology world_religions
"""
SUBJECTS = tuple(_SUBJECTS.split())


def questions(row: Row, config: str | None, place: int) -> Iterator[Question]:
    options = lettered(row["choices"])
    yield Question(
        id=f"{config}-{place}",
        messages=asked(with_options(row["question"], options)),
        gold=label_at(options, row, "answer"),
        options=options,
        category=str(config),
    )


BENCHMARK = Benchmark(
    name="MMLU",
    title="MMLU",
    family=Family.LLM,
    scoring=Scoring.EXACT_JUDGE,
    source=Source("cais/mmlu", "test", configs=SUBJECTS, columns=("question", "choices", "answer")),
    questions=questions,
    decide=decide_choice,
    size=14042,
)
