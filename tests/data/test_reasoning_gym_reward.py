"""Grading of reasoning-gym's rows; but for the last test it needs no reasoning-gym."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe.zppo.data import reasoning_gym_reward
from recipe.zppo.data.reasoning_gym_reward import compute_score, grader_of
from recipe.zppo.errors import RewardError

BY_RULE = {"metadata": json.dumps({"task": "chain_sum", "grader": "rule"})}


def score(text: str, gold: str = "46", info: dict | None = None, source: str = "reasoning_gym/chain_sum") -> float:
    result = compute_score(source, text, gold, BY_RULE if info is None else info)
    assert result["score"] == result["acc"]
    return result["score"]


def test_the_last_box_decides() -> None:
    assert score("<think>\n12 + 34 = 46\n</think>\n\\boxed{46}") == 1
    assert score("\\boxed{46} or \\boxed{47}") == 0
    assert score("46") == 0


@pytest.mark.parametrize("text", ["12 + 34", "92/2", "46.0001", "\\frac{92}{2}", "46 or 47", "046x", ""])
def test_the_question_in_the_box_is_no_answer(text: str) -> None:
    """Else the student of an arithmetic task would learn to copy it."""
    assert score(f"\\boxed{{{text}}}") == 0


@pytest.mark.parametrize("text", ["46", " 46 ", "46.0", "$46$"])
def test_ways_of_writing_a_number(text: str) -> None:
    assert score(f"\\boxed{{{text}}}") == 1


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_only_the_same_number_is_right(left: int, right: int) -> None:
    assert score(f"\\boxed{{{left}}}", str(right)) == (left == right)
    assert score(f"\\boxed{{{right}}}", str(right)) == 1


def test_who_grades() -> None:
    assert grader_of("gcd", "12", one_answer=True) == "rule"
    assert grader_of("chain_sum", "-12", one_answer=False) == "rule"
    assert grader_of("countdown", "12", one_answer=False) == "verifier"
    for text in ("7.14", "1/2", "AB", "Yes", "1 2", "", "12\n"):
        assert grader_of("gcd", text, one_answer=True) == "verifier"


@given(st.text(max_size=30))
def test_no_response_raises(text: str) -> None:
    assert score(f"\\boxed{{{text}}}") in (0, 1)


def test_rows_of_other_sources_are_graded_as_in_the_paper() -> None:
    assert score("\\boxed{\\frac{1}{2}}", "0.5", info={}, source="gsm8k") == 1


@pytest.mark.parametrize("info", [{}, {"metadata": "{}"}, {"metadata": "no JSON"}, {"metadata": '{"grader": "other"}'}])
def test_a_row_that_does_not_say_how_to_grade_it(info: dict) -> None:
    with pytest.raises(RewardError, match="does not say how to grade it; make the file with"):
        score("\\boxed{46}", info=info)


ENTRY = {"question": "?", "answer": "a, b", "metadata": {"sorted_words": ["a", "b"]}}
VERIFIED = {"metadata": json.dumps({"task": "word_sorting", "grader": "verifier", "entry": ENTRY})}


def test_verifier_without_reasoning_gym(monkeypatch: pytest.MonkeyPatch) -> None:
    reasoning_gym_reward._verifier.cache_clear()
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    monkeypatch.setitem(sys.modules, "reasoning_gym.factory", None)
    with pytest.raises(RewardError, match=r"word_sorting .* reasoning-gym can't be imported") as error:
        score("\\boxed{a, b}", "a, b", VERIFIED)
    assert "\n" not in str(error.value)


def test_texts_are_compared_as_the_task_wants(reasoning_gym) -> None:
    entry = {"question": "?", "answer": "AB", "metadata": {}}
    info = {"metadata": json.dumps({"task": "caesar_cipher", "grader": "verifier", "entry": entry})}
    assert score("\\boxed{AB}", "AB", info) == 1
    for wrong in ("BA", "ab", "AB."):
        assert score(f"\\boxed{{{wrong}}}", "AB", info) == 0


def test_an_answer_is_no_program(reasoning_gym) -> None:
    """Some verifiers evaluate it as Python, and would take what computes the answer, or does anything else."""
    entry = {"question": "?", "answer": "1 2 3", "metadata": {}}
    info = {"metadata": json.dumps({"task": "spiral_matrix", "grader": "verifier", "settings": {}, "entry": entry})}
    assert score("\\boxed{1 2 3}", "1 2 3", info) == 1
    entry = {"question": "?", "answer": "x**2 + x", "metadata": {}}
    task = {"task": "polynomial_multiplication", "grader": "verifier", "settings": {}, "entry": entry}
    info = {"metadata": json.dumps(task)}
    for text, right in (
        ("x + x**2", 1),
        ("sum([x, x**2])", 0),
        ("x + x**2 + 0*(0).real", 0),
        ("(lambda: sum([x, x**2]))()", 0),
    ):
        assert score(f"\\boxed{{{text}}}", "x**2 + x", info) == right


def test_a_row_without_the_settings_that_its_verifier_needs(reasoning_gym) -> None:
    entry = {"question": "?", "answer": "1.234567", "metadata": {}}
    old = {"metadata": json.dumps({"task": "decimal_arithmetic", "grader": "verifier", "entry": entry})}
    with pytest.raises(RewardError, match="does not say how to grade it; make the file with"):
        score("\\boxed{1.234567}", "1.234567", old)


def test_partial_credit_is_none(reasoning_gym) -> None:
    assert score("\\boxed{a, b}", "a, b", VERIFIED) == 1
    verifier = reasoning_gym.get_score_answer_fn("word_sorting")
    assert 0 < verifier("b, a", ENTRY) < 1
    assert score("\\boxed{b, a}", "a, b", VERIFIED) == 0
