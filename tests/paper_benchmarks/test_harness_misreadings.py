r"""What the usual harnesses misread, read right (docs/method/why-not-the-harness.md)."""

import pytest

from recipe.zppo.benchmarks.contract import Decision, Question
from recipe.zppo.benchmarks.questions import asked, lettered
from recipe.zppo.benchmarks.scoring.choice import decide_choice
from recipe.zppo.benchmarks.scoring.short import decide_exact, decide_integer, decide_short


def of_four(gold: str) -> Question:
    return Question("1", asked("Which?"), gold, lettered(["left", "right", "above", "below"]))


def free(gold: str) -> Question:
    return Question("1", asked("What?"), gold)


@pytest.mark.parametrize(
    ("decide", "question", "response", "answer"),
    [
        pytest.param(decide_short, free("18"), "The answer is $\\boxed{18}$.", "18", id="gsm8k and hendrycks_math"),
        pytest.param(decide_choice, of_four("C"), "\\boxed{C}", "C", id="mmlu_pro"),
        pytest.param(decide_choice, of_four("C"), "<think>Because it is.</think>\\boxed{C}", "C", id="mmlu_redux"),
        pytest.param(decide_integer, free("33"), "\\boxed{033}", "033", id="aime24"),
        pytest.param(decide_short, free("K"), "\\boxed{K}", "K", id="vlmsareblind"),
        pytest.param(decide_choice, of_four("B"), "<think></think>The answer is B", "B", id="embspatial"),
        pytest.param(decide_choice, of_four("B"), "The answer is B", "B", id="embspatial, without tags"),
        pytest.param(
            decide_choice, of_four("B"), "(A) and (C) look alike, but it is \\boxed{B}", "B", id="VisualPuzzles"
        ),
        pytest.param(decide_exact, free("18"), "It costs 18 euros: \\boxed{18}", "18", id="qwen3_5, no </think>"),
    ],
)
def test_a_right_answer_counts(decide, question, response, answer):
    assert decide(question, response) == Decision(1.0, answer)


def test_no_answer_is_none_and_nothing_is_drawn():
    assert {decide_choice(of_four("B"), "I can't tell them apart.") for _ in range(20)} == {Decision(None)}
