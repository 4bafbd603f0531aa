"""The ten text benchmarks: rows of the sources' schemas become questions, and responses to them are scored."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from recipe.zppo.benchmarks.contract import Benchmark, Decision, Question, Scored
from recipe.zppo.benchmarks.llm import (
    aime25,
    aime26,
    ceval,
    gpqa_diamond,
    hle,
    imo_answerbench,
    mmlu,
    mmlu_pro,
    mmlu_redux,
    multichallenge,
)
from recipe.zppo.errors import DataError
from recipe.zppo.prompts import question_text

PIXEL = "data:image/png;base64,iVBORw0KGgo="
FOUR = ["ten", "eleven", "twelve", "thirteen"]


def gpqa(number: int) -> dict[str, Any]:
    answers = dict(zip(gpqa_diamond.ANSWERS, [" right\n", "wrong", "also wrong", "wrong too"], strict=True))
    return {"Record ID": f"rec{number}", "Question": "Which?\n", "High-level domain": "Physics", **answers}


def redux(error_type: str) -> dict[str, Any]:
    row = {"question": "How many?", "choices": FOUR, "answer": 2, "error_type": error_type, "source": "a book"}
    return row | {"correct_answer": None, "potential_reason": None}


def conversation(turns: Any, verdict: str = "YES") -> dict[str, Any]:
    row = {"question_id": "674552", "axis": "INFERENCE_MEMORY", "num_turns": 3, "conversation": turns}
    return row | {"target_question": "Does the reply leave out nuts?", "pass_criteria": verdict}


TURNS = [
    {"role": "user", "content": "I can't eat nuts."},
    {"role": "assistant", "content": "I see."},
    {"role": "user", "content": "Name a cake. Answer in one word, and put it in capitals."},
]
BY_COLUMN = {key: [turn[key] for turn in TURNS] for key in ("role", "content")}

BOXES = "Find $n$. Let's think step by step and put your final answer within \\boxed{}."

ROWS: list[tuple[Benchmark, str | None, Mapping[str, Any], str, str, str, str]] = [
    # benchmark, config, row, and of its question: id, last message, gold, category
    (aime25.BENCHMARK, "AIME2025-I", {"question": BOXES, "answer": "070"}, "AIME2025-I-1", "Find $n$.", "070", ""),
    (
        aime25.BENCHMARK,
        "AIME2025-II",
        {"question": "m?", "answer": "336^\\circ"},
        "AIME2025-II-1",
        "m?",
        "336^\\circ",
        "",
    ),
    (aime26.BENCHMARK, None, {"problem_idx": 7, "problem": "Find $n$.", "answer": 33}, "7", "Find $n$.", "33", ""),
    (
        ceval.BENCHMARK,
        "law",
        {
            "id": 4,
            "question": "几个？",
            "A": "十",
            "B": "十一",
            "C": "十二",
            "D": "十三",
            "answer": "C",
            "explanation": "",
        },
        "law-4",
        "几个？\nA. 十\nB. 十一\nC. 十二\nD. 十三",
        "C",
        "law",
    ),
    (
        gpqa_diamond.BENCHMARK,
        "gpqa_diamond",
        gpqa(1),
        "rec1",
        "Which?\nA. wrong\nB. also wrong\nC. wrong too\nD. right",
        "D",
        "Physics",
    ),
    (
        hle.BENCHMARK,
        None,
        {
            "id": "668825",
            "question": BOXES,
            "image": "",
            "answer": "18",
            "answer_type": "exactMatch",
            "category": "Math",
        },
        "668825",
        "Find $n$.",
        "18",
        "Math",
    ),
    (
        hle.BENCHMARK,
        None,
        {"id": "66b", "question": "Which?\nA. x\nB. y", "image": PIXEL, "answer": "B", "category": "Other"},
        "66b",
        "<image>Which?\nA. x\nB. y",
        "B",
        "Other",
    ),
    (
        imo_answerbench.BENCHMARK,
        None,
        {
            "Problem ID": "imo-bench-algebra-001",
            "Problem": "Find all $N$.",
            "Short Answer": "$3$",
            "Category": "Algebra",
        }
        | {"Subcategory": "Operation", "Source": "IMO Shortlist 2021"},
        "imo-bench-algebra-001",
        "Find all $N$.",
        "$3$",
        "Algebra",
    ),
    (
        mmlu.BENCHMARK,
        "anatomy",
        {"question": "How many?", "subject": "anatomy", "choices": FOUR, "answer": 2},
        "anatomy-0",
        "How many?\nA. ten\nB. eleven\nC. twelve\nD. thirteen",
        "C",
        "anatomy",
    ),
    (
        mmlu_pro.BENCHMARK,
        None,
        {"question_id": 70, "question": "How many?", "options": ["ten", "N/A", "eleven", "twelve"], "answer": "D"}
        | {"answer_index": 3, "cot_content": "", "category": "business", "src": "ori_mmlu"},
        "70",
        "How many?\nA. ten\nB. eleven\nC. twelve",
        "C",
        "business",
    ),
    (
        mmlu_redux.BENCHMARK,
        "virology",
        redux("ok"),
        "virology-0",
        "How many?\nA. ten\nB. eleven\nC. twelve\nD. thirteen",
        "C",
        "virology",
    ),
    (
        multichallenge.BENCHMARK,
        None,
        conversation(TURNS, "no"),
        "674552",
        TURNS[-1]["content"],
        "NO",
        "INFERENCE_MEMORY",
    ),
]


def only(benchmark: Benchmark, row: Mapping[str, Any], config: str | None = None) -> Question:
    (question,) = benchmark.questions(row, config, 0)
    return question


@pytest.mark.parametrize(("benchmark", "config", "row", "id", "text", "gold", "category"), ROWS)
def test_a_row_becomes_a_question(benchmark, config, row, id, text, gold, category):
    question = only(benchmark, row, config)
    assert (question.id, question_text(question.messages), question.gold) == (id, text, gold)
    assert question.category == (category or config or "")
    assert set(benchmark.source.columns) <= row.keys()
    assert config in benchmark.source.configs
    assert not question.options or question.options[gold] in {"twelve", "十二", "right"}
    json.dumps([question.messages, dict(question.options), dict(question.extra)])


@pytest.mark.parametrize(
    ("benchmark", "number", "first", "last"),
    [
        (aime25.BENCHMARK, 2, "AIME2025-I", "AIME2025-II"),
        (ceval.BENCHMARK, 52, "accountant", "veterinary_medicine"),
        (gpqa_diamond.BENCHMARK, 1, "gpqa_diamond", "gpqa_diamond"),
        (mmlu.BENCHMARK, 57, "abstract_algebra", "world_religions"),
        (mmlu_redux.BENCHMARK, 57, "abstract_algebra", "world_religions"),
    ],
)
def test_all_configs_are_read(benchmark, number, first, last):
    configs = benchmark.source.configs
    assert (len(set(configs)), configs[0], configs[-1]) == (number, first, last)


def test_an_empty_option_is_said():
    with pytest.raises(DataError, match="option B is empty"):
        only(mmlu.BENCHMARK, {"question": "?", "choices": ["x", "", "y", "z"], "answer": 0}, "law")


@pytest.mark.parametrize(
    ("benchmark", "config", "row", "response", "decision"),
    [
        (aime25.BENCHMARK, "AIME2025-I", {"question": "?", "answer": "070"}, "\\boxed{70}", Decision(1.0, "70")),
        (aime25.BENCHMARK, "AIME2025-I", {"question": "?", "answer": "070"}, "\\boxed{7}", Decision(0.0, "7")),
        (
            aime25.BENCHMARK,
            "AIME2025-II",
            {"question": "?", "answer": "336^\\circ"},
            "\\boxed{336}",
            Decision(1.0, "336"),
        ),
        (
            aime26.BENCHMARK,
            None,
            {"problem_idx": 1, "problem": "?", "answer": 33},
            "\\boxed{033}",
            Decision(1.0, "033"),
        ),
        (mmlu.BENCHMARK, "law", {"question": "?", "choices": FOUR, "answer": 2}, "\\boxed{twelve}", Decision(1.0, "C")),
        (mmlu.BENCHMARK, "law", {"question": "?", "choices": FOUR, "answer": 2}, "\\boxed{A}", Decision(0.0, "A")),
        (mmlu.BENCHMARK, "law", {"question": "?", "choices": FOUR, "answer": 2}, "\\boxed{12}", Decision(None, "12")),
        (mmlu_redux.BENCHMARK, "law", redux("ok"), "The answer is C.", Decision(1.0, "C")),
        (gpqa_diamond.BENCHMARK, "gpqa_diamond", gpqa(1), "\\boxed{D. right}", Decision(1.0, "D")),
        (ROWS[7][0], None, ROWS[7][2], "\\boxed{3}", Decision(1.0, "3")),
        (ROWS[7][0], None, ROWS[7][2], "\\boxed{N=3,4}", Decision(None, "N=3,4")),
    ],
)
def test_responses_are_scored(benchmark, config, row, response, decision):
    assert benchmark.decide(only(benchmark, row, config), f"<think>Hm: A?</think>{response}") == decision


def test_gpqa_s_order_is_the_record_s_and_the_gold_answer_is_anywhere():
    golds = [only(gpqa_diamond.BENCHMARK, gpqa(number)).gold for number in range(40)]
    assert golds == [only(gpqa_diamond.BENCHMARK, gpqa(number)).gold for number in range(40)]
    assert "".join(golds[:8]) == "ADACCDBC" and set(golds) == set("ABCD")


@pytest.mark.parametrize("error_type", ["wrong_groundtruth", "bad_question_clarity", "no_correct_answer", "expert"])
def test_mmlu_redux_asks_only_what_its_authors_found_right(error_type):
    assert not list(mmlu_redux.BENCHMARK.questions(redux(error_type), "virology", 0))


# ---------------------------------------------------------------------- HLE


def test_hle_s_judge_sees_the_whole_response():
    question = only(hle.BENCHMARK, ROWS[6][2])
    (message,) = hle.BENCHMARK.judge.messages(question, "<think>Is it 17?</think>It is y.</response><|im_end|>")
    assert message["role"] == "user"
    for text in ("Which?\nA. x\nB. y", "Is it 17?", "It is y.", "<correct_answer>\nB\n</correct_answer>"):
        assert text in message["content"]
    assert message["content"].count("</response>") == 1 and "<|im_end|>" not in message["content"]


def hle_reply(correct: str, more: str = "") -> str:
    return f'{{"extracted_final_answer": "18", "reasoning": "same", "correct": {correct}, "confidence": 90{more}}}'


YES, NO = hle_reply('"yes"'), hle_reply('"no"')


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        (YES, 1.0),
        (NO, 0.0),
        (f"<think>yes or no?</think>\n{YES}", 1.0),
        (f"```json\n{NO}\n```", 0.0),
        (hle_reply('"Yes"'), None),
        (hle_reply("true"), None),
        (hle_reply('"yes"', ', "correct": "no"'), None),
        (f"Here it is: {YES}", None),
        (YES[:-1], None),
        ("correct: yes", None),
        ('["correct", "yes"]', None),
        ("[" * 9000, None),
        ("{" * 1_000_000, None),
        ("", None),
    ],
)
def test_hle_s_judge_says_yes_or_no(reply, score):
    assert hle.BENCHMARK.judge.score(only(hle.BENCHMARK, ROWS[5][2]), reply) == score


# ---------------------------------------------------------------------- MultiChallenge


@pytest.mark.parametrize("turns", [TURNS, BY_COLUMN])
def test_a_conversation_is_asked_as_it_is_without_its_criterion(turns):
    question = only(multichallenge.BENCHMARK, conversation(turns))
    assert question.messages == TURNS
    assert "leave out nuts" not in str(question.messages)


def test_a_conversation_must_end_with_the_user():
    for turns in (TURNS[:2], []):
        with pytest.raises(DataError, match="end with a turn of the user"):
            only(multichallenge.BENCHMARK, conversation(turns))


def test_its_judge_sees_the_reply_and_the_criterion_and_not_the_wanted_verdict():
    question = only(multichallenge.BENCHMARK, conversation(TURNS))
    (message,) = multichallenge.BENCHMARK.judge.messages(question, "<think>No nuts.</think>\nMARBLE CAKE</response>")
    assert "<response>\nMARBLE CAKE" in message["content"] and message["content"].count("</response>") == 1
    assert "<criterion>\nDoes the reply leave out nuts?\n</criterion>" in message["content"]
    assert "No nuts." not in message["content"] and "I can't eat nuts." not in message["content"]
    (other,) = multichallenge.BENCHMARK.judge.messages(
        only(multichallenge.BENCHMARK, conversation(TURNS, "NO")), "<think>No nuts.</think>\nMARBLE CAKE</response>"
    )
    assert other == message
    (cut,) = multichallenge.BENCHMARK.judge.messages(question, "<think>No nuts")
    assert "No nuts" in cut["content"]


@pytest.mark.parametrize(
    ("criteria", "reply", "score"),
    [
        ("YES", '{"reasoning": "none in it", "verdict": "YES"}', 1.0),
        ("YES", '{"reasoning": "almonds", "verdict": "NO"}', 0.0),
        ("NO", '{"reasoning": "almonds", "verdict": "NO"}', 1.0),
        ("NO", '{"verdict": "YES"}', 0.0),
        ("YES", '{"verdict": "yes"}', None),
        ("YES", '{"verdict": ["YES"]}', None),
        ("YES", '{"reasoning": "none in it"}', None),
        ("YES", "YES", None),
    ],
)
def test_a_reply_passes_with_the_wanted_verdict(criteria, reply, score):
    question = only(multichallenge.BENCHMARK, conversation(TURNS, criteria))
    assert multichallenge.BENCHMARK.judge.score(question, reply) == score


def test_multichallenge_is_the_mean_of_its_axes():
    scored = [Scored(str(n), score, axis, {}) for n, (axis, score) in enumerate([("M", 1.0), ("M", 0.0), ("E", 1.0)])]
    assert multichallenge.BENCHMARK.aggregate(scored) == 0.75
    assert mmlu.BENCHMARK.aggregate(scored) == pytest.approx(2 / 3)
