"""What is taken off questions, and what is made of answers."""

import pytest

from recipe.zppo import prompts
from recipe.zppo.data.answers import answer_type, clean_answer, is_gradable
from recipe.zppo.data.directives import strip_directives

QUESTION = "Find the value of x. It is an integer."


@pytest.mark.parametrize(
    "directive",
    [
        " Let's think step by step and output the final answer within \\boxed{}.",
        ' Let\'s think step by step and output the final answer after "####".',
        "\n\n" + prompts.CLOSER.text,
        " You FIRST think about the reasoning process as an internal monologue and then provide the final answer. The "
        "reasoning process MUST BE enclosed within <think> </think> tags. The final answer MUST BE put in \\boxed{}.",
        " Please reason step by step, and put your final answer within \\boxed{}.",
        " Answer with a letter inside <answer></answer> tags.",
        " Think step by step before answering.\nWrite your final answer last.",
        "\nAnswer the question with a step-by-step explanation.",
        "\nGive your answer after careful reasoning.",
        " Solve it step by step, giving your final answer.",
    ],
)
def test_directives_at_the_end_go(directive):
    assert strip_directives(QUESTION + directive) == QUESTION
    assert strip_directives("<image>\n" + QUESTION + directive) == "<image>\n" + QUESTION


@pytest.mark.parametrize(
    "question",
    [
        "How many are there? Give your final answer to two decimal places.",
        "What is its area? Express your answer in terms of \\pi.",
        "Round your final answer to the nearest cent.",
        "Which of these is right?\nA. one\nB. two",
        "Is \\boxed{3} larger than 2?",
        "Choose the correct answer.",
        "Explain why the sky is blue.",
        "Let f be a function. Show that f is even.",
        "Give the answer as a fraction in simplest form.",
        "What comes next? State the units in your final answer.",
        "What is it? Please answer the question using a single word or phrase.",
        "Which?\nA. one\nB. two\nAnswer with the option's letter from the given choices directly.",
        "Which? Write only the letter of the correct option as your final answer.",
        "Here is a goal. Give a step-by-step plan to reach it.",
        "Let's think step by step.",
    ],
)
def test_the_rest_stays(question):
    assert strip_directives(question) == question


def test_a_first_line_of_directives_goes():
    assert strip_directives(f"Think step by step.\nQuestion: {QUESTION}") == f"Question: {QUESTION}"


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (" 7 ", "7"),
        (7, "7"),
        (0.5, "0.5"),
        (["B"], "B"),
        (["a", "b"], ""),
        (None, ""),
        (True, ""),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("$\\boxed{5}$.", "5"),
        ("x = \\boxed{5}", "x = \\boxed{5}"),
    ],
)
def test_answers_are_cleaned(value, answer):
    assert clean_answer(value) == answer


def test_prose_is_for_the_judge():
    assert answer_type("because the water evaporates in the sun") == "free_form"
    for answer in ("B", "12", "the left front wheel", "x = 3 and y = 4 or x = 1", "\\text{it is the one on the left}"):
        assert answer_type(answer) == "rule"


def test_answers_that_no_response_could_match():
    for answer in ("3", "B", "\\frac{1}{2}", "45^\\circ", "12%", "New York", "(1, 2)", "x+1", "$5$"):
        assert is_gradable(answer)
    for answer in ("\\frac{1", "}", "{"):
        assert not is_gradable(answer)
