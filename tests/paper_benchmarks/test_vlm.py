r"""The picture benchmarks: what a row of each becomes."""

import json

import pytest
from datasets import Dataset

from recipe.zppo.benchmarks.contract import Benchmark, Decision, Family, Question, Scoring
from recipe.zppo.benchmarks.seen import without_form
from recipe.zppo.benchmarks.vlm import (
    ai2d,
    babyvision,
    charxiv,
    dynamath,
    embspatial,
    infovqa,
    mathverse,
    mathvision,
    mathvista,
    mmmu_pro,
    mmvet,
    ocrbench_v2,
    visualpuzzles,
    vlmsareblind,
    wemath,
)
from recipe.zppo.errors import DataError
from recipe.zppo.media.parts import decoded, has_media
from recipe.zppo.prompts import question_text, with_closer
from tests.paper_benchmarks import rows

BENCHMARKS = [
    ai2d.BENCHMARK,
    babyvision.BENCHMARK,
    charxiv.BENCHMARK,
    dynamath.BENCHMARK,
    embspatial.BENCHMARK,
    infovqa.BENCHMARK,
    mathverse.BENCHMARK,
    mathvision.BENCHMARK,
    mathvista.BENCHMARK,
    mmmu_pro.BENCHMARK,
    mmvet.BENCHMARK,
    ocrbench_v2.ENGLISH,
    ocrbench_v2.CHINESE,
    visualpuzzles.BENCHMARK,
    vlmsareblind.BENCHMARK,
    wemath.BENCHMARK,
]
TEN, VARIANT = "standard (10 options)", "sample_variant3"
THOUGHT = "<think>The answer is A. Or \\boxed{A}? No.</think>\n"

# Benchmark, row, part, then what the student reads, the gold answer, the options' labels, and the category.
CASES = [
    (ai2d, rows.AI2D, None, "<image>Which label shows the egg?\nA. A\nB. B\nC. larva\nD. pupa", "C", "ABCD", ""),
    (
        babyvision,
        rows.BABYVISION,
        None,
        "<image>Which exit does the path reach?\nA. the left one\nB. the right one",
        "B",
        "AB",
        "Visual Tracking",
    ),
    (
        babyvision,
        rows.BABYVISION_BLANK,
        None,
        "<image>In which row and column does it differ? Give (row,column).",
        "(4,7)",
        "",
        "Visual Tracking",
    ),
    (
        dynamath,
        rows.DYNAMATH,
        VARIANT,
        "<image>What is the area of the shaded region?",
        "2.667",
        "",
        "plane geometry",
    ),
    (
        dynamath,
        rows.DYNAMATH_CHOICE,
        VARIANT,
        "<image>Is the function convex? choice: (A) convex (B) concave",
        "B",
        "AB",
        "plane geometry",
    ),
    (
        embspatial,
        rows.EMBSPATIAL,
        None,
        "<image>Which object is behind the table?\nA. cushion\nB. plant\nC. lamp\nD. bed",
        "B",
        "ABCD",
        "behind",
    ),
    (infovqa, rows.INFOVQA, "InfographicVQA", f"<image>{rows.INFOVQA['question']}", "2", "", "single span"),
    (mathverse, rows.MATHVERSE, "testmini", f"<image>{rows.MATHVERSE['question']}", "C", "ABCD", "Text Dominant"),
    (mathverse, rows.MATHVERSE_VISION, "testmini", "<image>", "C", "ABCD", "Vision Only"),
    (mathverse, rows.MATHVERSE_FREE, "testmini", "<image>Find the length of AB.", "2\\sqrt{3}", "", "Text Dominant"),
    (
        mathvision,
        rows.MATHVISION,
        None,
        "<image>Which piece completes the square?\nA. <image2>\nB. <image3>\nC. <image4>",
        "B",
        "ABC",
        "combinatorial geometry",
    ),
    (mathvision, rows.MATHVISION_FREE, None, "<image>How many?", "12", "", "combinatorial geometry"),
    (
        mathvista,
        rows.MATHVISTA,
        None,
        "<image>What is the fraction of females facing the camera?",
        "0.6",
        "",
        "visual question answering",
    ),
    (
        mathvista,
        rows.MATHVISTA | {"unit": "$"},
        None,
        "<image>What is the fraction of females facing the camera? (Unit: $)",
        "0.6",
        "",
        "visual question answering",
    ),
    (
        mathvista,
        rows.MATHVISTA_CHOICE,
        None,
        "<image>What fraction of the shape is blue?\nA. 3/11\nB. 8/11\nC. 6/11",
        "B",
        "ABC",
        "visual question answering",
    ),
    (
        mmmu_pro,
        rows.MMMU_PRO,
        TEN,
        "<image> Compare it with <image>. Which is older?\nA. the first\nB. <image>\nC. neither",
        "A",
        "ABC",
        TEN,
    ),
    (mmmu_pro, rows.MMMU_PRO_VISION, "vision", "<image>", "A", "ABC", "vision"),
    (mmvet, rows.MMVET, None, "<image>What is x in the equation?", "-1<AND>-5", "", "ocr,math"),
    (
        visualpuzzles,
        rows.VISUALPUZZLES,
        None,
        "<image>What is the maximum number of pieces that he can eat?\nA. 32\nB. 35\nC. 37\nD. 40",
        "C",
        "ABCD",
        "spatial",
    ),
    (
        visualpuzzles,
        rows.VISUALPUZZLES_DRAWN,
        None,
        "<image>Which figure in <image2> fits <image1>?",
        "C",
        "ABCD",
        "spatial",
    ),
    (
        vlmsareblind,
        rows.VLMSAREBLIND,
        None,
        "<image>How many single-colored paths go from A to C?",
        "2",
        "",
        "Subway Connections",
    ),
    (
        wemath,
        rows.WEMATH,
        None,
        "<image>As shown in the diagram, how long is the fence (  )?\nA. 12 m\nB. 16 m\nC. 18 m\nD. No correct answer",
        "B",
        "ABCD",
        "2steps_1",
    ),
    (
        wemath,
        rows.WEMATH | {"option": "12, 16 or 18"},
        None,
        "<image>As shown in the diagram, how long is the fence (  )?\n12, 16 or 18",
        "B",
        "",
        "2steps_1",
    ),
]


def questions(benchmark: Benchmark, row: dict, part: str | None = None, place: int = 0) -> list[Question]:
    return list(benchmark.questions(row, part, place))


def question(module, row: dict, part: str | None = None) -> Question:
    (only,) = questions(module.BENCHMARK, row, part)
    return only


def decide(module, row: dict, response: str, part: str | None = None) -> Decision:
    return module.BENCHMARK.decide(question(module, row, part), response)


def test_they_are_the_sixteen_rows_of_table_5():
    names = "AI2D BabyV CharXiv DynaM EmbSp InfoVQA MVerse MVision MVista MMMUPro MM-Vet OCREN OCRZH VisP VBlind WeMath"
    assert [benchmark.name for benchmark in BENCHMARKS] == names.split()
    assert {benchmark.family for benchmark in BENCHMARKS} == {Family.VLM}
    assert {b.name for b in BENCHMARKS if b.scoring is Scoring.DETERMINISTIC} == {"InfoVQA", "OCREN", "OCRZH"}
    assert {b.name for b in BENCHMARKS if b.judge} == {"CharXiv", "MM-Vet"}
    assert {b.name for b in BENCHMARKS if b.decide is None} == {"CharXiv", "MM-Vet"}


@pytest.mark.parametrize(
    ("module", "row", "part", "text", "gold", "labels", "category"),
    CASES,
    ids=[f"{module.BENCHMARK.name}-{number}" for number, (module, *_) in enumerate(CASES)],
)
def test_a_row_becomes_a_question(module, row, part, text, gold, labels, category):
    asked = question(module, row, part)
    assert question_text(asked.messages) == text
    assert (asked.gold, "".join(asked.options), asked.category) == (gold, labels, category)
    assert has_media(asked.messages) and decoded(with_closer(asked.messages))
    assert json.loads(json.dumps(dict(asked.extra))) == asked.extra
    assert set(module.BENCHMARK.source.columns) <= row.keys()


@pytest.mark.parametrize(("module", "row", "part"), [case[:3] for case in CASES])
def test_a_row_says_the_same_as_a_file_of_columns_has_it(module, row, part):
    (stored,) = Dataset.from_list([row])
    assert question(module, stored, part) == question(module, row, part)


def test_no_free_answer_stands_in_its_question():
    free = [(text, gold) for _, _, _, text, gold, labels, _ in CASES if not labels]
    assert len(free) == 10 and not [gold for text, gold in free if gold in text]


def test_media_stand_where_the_source_has_them():
    content = question(mmmu_pro, rows.MMMU_PRO, TEN).messages[0]["content"]
    assert [part["type"] for part in content] == ["image", "text", "image", "text", "image", "text"]
    assert [part["image"] for part in content if part["type"] == "image"] == [
        rows.MMMU_PRO[f"image_{number}"] for number in (1, 2, 2)
    ]


@pytest.mark.parametrize(("module", "row", "part"), [case[:3] for case in CASES if case[0] is not mmmu_pro])
def test_a_row_without_its_image_is_refused_by_column(module, row, part):
    column = next(name for name in ("decoded_image", "image_path", "image") if name in row)
    with pytest.raises(DataError, match=f"no image in column '{column}'"):
        question(module, row | {column: None}, part)
    with pytest.raises(DataError, match=f"no image in column '{column}'"):
        question(module, row | {column: {"bytes": None, "path": None}}, part)


def test_broken_rows_are_refused():
    with pytest.raises(DataError, match="no image in column 'image_2'"):
        question(mmmu_pro, rows.MMMU_PRO | {"image_2": None}, TEN)
    with pytest.raises(DataError, match="'options' is 'one, two', not a list as text"):
        question(mmmu_pro, rows.MMMU_PRO | {"options": "one, two"}, TEN)
    with pytest.raises(DataError, match="option B is empty"):
        question(ai2d, rows.AI2D | {"options": ["egg", "", "larva"]})
    for answer in ("-1", "4", "B", None):
        with pytest.raises(DataError, match=r"column 'answer' is .*, not the place of one of 4 options"):
            question(ai2d, rows.AI2D | {"answer": answer})
    with pytest.raises(DataError, match="'9/11' is none of the choices"):
        question(mathvista, rows.MATHVISTA_CHOICE | {"answer": "9/11"})
    with pytest.raises(DataError, match="'answers' is empty"):
        question(infovqa, rows.INFOVQA | {"answers": None})
    with pytest.raises(DataError, match="'sight en', which has no metric"):
        questions(ocrbench_v2.ENGLISH, rows.OCRBENCH | {"type": "sight en"})


def test_variants_configs_and_halves_have_ids_of_their_own():
    variants = dynamath.BENCHMARK.source.parts
    assert [name for _, _, name in variants] == [f"sample_variant{number}" for number in range(1, 11)]
    assert question(dynamath, rows.DYNAMATH, VARIANT).id == "sample_variant3/12"
    assert mmmu_pro.BENCHMARK.source.parts[1] == ("standard (4 options)", "test", "standard (4 options)")
    ids = {question(mmmu_pro, rows.MMMU_PRO, TEN).id, question(mmmu_pro, rows.MMMU_PRO_VISION, "vision").id}
    assert len(ids) == 2
    assert len({each.id for each in questions(charxiv.BENCHMARK, rows.CHARXIV)}) == 5


def test_ocrbench_v2_is_one_data_set_in_two_languages():
    chinese = rows.OCRBENCH | {"type": "full-page OCR cn", "answers": ["你好"]}
    assert [len(questions(ocrbench_v2.ENGLISH, row)) for row in (rows.OCRBENCH, chinese)] == [1, 0]
    (asked,) = questions(ocrbench_v2.CHINESE, chinese)
    assert (asked.gold, asked.category) == ("你好", "text recognition")
    assert asked.extra["answers"] == ["你好"] and "image" not in asked.extra


# ---------------------------------------------------------------------- directives


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        (
            "How often do the lines touch? Answer with a number in curly brackets, e.g., {5}.",
            "How often do the lines touch?",
        ),
        ("Count where they meet. Put your answer in curly brackets, e.g., {2}.", "Count where they meet."),
        ("Are the two circles touching each other? Answer with Yes/No.", "Are the two circles touching each other?"),
        ("Which letter? Please provide your answer in curly brackets, e.g. {a}", "Which letter?"),
        ("How many circles? Answer with only the number in numerical format.", "How many circles?"),
        (
            "Count the number of rows and columns and answer with numbers in curly brackets. For example, rows={5} "
            "columns={6}.",
            "Count the number of rows and columns.",
        ),
        ("How many? Answer with only the numbers in a pair (row, column), e.g., (5,6)", "How many?"),
        ("Which answer is in brackets?", "Which answer is in brackets?"),
    ],
)
def test_vlms_are_blind_s_prompts_lose_their_form(prompt, text):
    asked = question(vlmsareblind, rows.VLMSAREBLIND | {"prompt": prompt})
    assert question_text(asked.messages) == f"<image>{text}"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("What is it?\nAnswer the question using a single word or phrase.", "What is it?"),
        ("What is it? Answer with the option's letter from the given choices directly.", "What is it?"),
        ("Is it? Please answer yes or no.", "Is it?"),
        ("How many? Answer the question using a single integer number.", "How many?"),
        ("Find x. Please solve the problem step by step and put your answer in \\boxed{}.", "Find x."),
        ("Read it.\nAnswer the question using a single word or phrase.\nThink step by step.", "Read it."),
        ("Who answers directly?", "Who answers directly?"),
        ("Find the letter.\nAnswer: the letter of the tile", "Find the letter.\nAnswer: the letter of the tile"),
        ("Answer with the option's letter directly.", "Answer with the option's letter directly."),
        ("Output the table as HTML.", "Output the table as HTML."),
    ],
)
def test_directives_in_a_row_s_own_text_go(text, left):
    assert without_form(text) == left


def test_ready_made_queries_are_not_shown():
    for module, row in ((mathverse, rows.MATHVERSE), (mathvista, rows.MATHVISTA)):
        shown = question_text(question(module, row, "testmini").messages)
        assert "Please" not in shown and "Hint" not in shown
