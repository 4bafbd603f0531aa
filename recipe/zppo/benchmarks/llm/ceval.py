"""C-Eval, in Chinese: four options, 52 subjects, each a config of the set. The paper asks its validation split.

The score is the mean of all questions alike, as lm-eval takes it.
"""

from collections.abc import Iterator

from recipe.zppo.benchmarks.contract import Benchmark, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.questions import asked, lettered, with_options
from recipe.zppo.benchmarks.scoring.choice import decide_choice

_SUBJECTS = """
    accountant advanced_mathematics art_studies basic_medicine business_administration
    chinese_language_and_literature civil_servant clinical_medicine college_chemistry college_economics
    college_physics college_programming computer_architecture computer_network discrete_mathematics
    education_science electrical_engineer environmental_impact_assessment_engineer fire_engineer high_school_biology
    high_school_chemistry high_school_chinese high_school_geography high_school_history high_school_mathematics
    high_school_physics high_school_politics ideological_and_moral_cultivation law legal_professional logic
    mao_zedong_thought marxism metrology_engineer middle_school_biology middle_school_chemistry
    middle_school_geography middle_school_history middle_school_mathematics middle_school_physics
    middle_school_politics modern_chinese_history operating_system physician plant_protection
    probability_and_statistics professional_tour_guide sports_science tax_accountant teacher_qualification
    urban_and_rural_planner veterinary_medicine
"""
SUBJECTS = tuple(_SUBJECTS.split())


def questions(row: Row, config: str | None, place: int) -> Iterator[Question]:
    options = lettered(row[letter] for letter in "ABCD")
    yield Question(
        id=f"{config}-{row['id']}",
        messages=asked(with_options(row["question"], options)),
        gold=row["answer"].strip(),
        options=options,
        category=str(config),
    )


BENCHMARK = Benchmark(
    name="CEval",
    title="C-Eval",
    family=Family.LLM,
    scoring=Scoring.EXACT_JUDGE,
    source=Source(
        "ceval/ceval-exam",
        "val",
        configs=SUBJECTS,
        columns=("id", "question", "A", "B", "C", "D", "answer"),
    ),
    questions=questions,
    decide=decide_choice,
    size=1346,
)
