"""What is taken off questions, and what is made of answers."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe.zppo import prompts
from recipe.zppo.data.answers import answer_type, clean_answer, is_gradable
from recipe.zppo.directives import is_directive, strip_directives

QUESTION = "Find the value of x. It is an integer."


@pytest.mark.parametrize(
    "directive",
    [
        " Let's think step by step and output the final answer within \\boxed{}.",
        ' Let\'s think step by step and output the final answer after "####".',
        "\n\n" + prompts.CLOSER.text,
        " " + prompts.CLOSER.text,
        " Please reason step by step, and put your final answer within \\boxed{}.",
        " Output the thinking process in <think> </think> and the final answer in <answer> </answer> tags.",
        " Please enclose your final answer in $\\boxed{}$.",
        " Make sure to put your answer (and only your answer) inside \\boxed{}.",
        " Think step by step before answering.\nWrite your final answer last.",
        "\nAnswer the question with a step-by-step explanation.",
        "\nGive your answer after careful reasoning.",
        " Solve the problem step by step, giving your final answer.",
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
        "Which? The last line of your response should be of the form Answer: $LETTER, where LETTER is one of ABCD.",
        'Which word rhymes? Put the word on its own line after "Answer:".',
        "Explain why the sky is blue.",
        "Let f be a function. Show that f is even.",
        "Give the answer as a fraction in simplest form.",
        "What comes next? State the units in your final answer.",
        "What is it? Please answer the question using a single word or phrase.",
        "Which?\nA. one\nB. two\nAnswer with the option's letter from the given choices directly.",
        "Which? Write only the letter of the correct option as your final answer.",
        "Here is a goal. Give a step-by-step plan to reach it.",
        "Let's think step by step.",
        # The directive is all that asks for something, or has a word of the question.
        "A train leaves at 3 pm. Solve for its speed step by step, and write the final answer.",
        "x + 3 = 7. Solve it step by step, giving your final answer.",
        "Let a + 3 = 7. Give a in \\boxed{}.",
        "Let a + 3 = 7. Think step by step to find a and put it in \\boxed{}, then stop.",
        "Order the numbers. Give the first in \\boxed{}.",
        "f is even. Show it step by step.",
        "Let $x$ solve $x + 1 = 7, and put it in \\boxed{}$.",
        "Which number fits in 3 + \\boxed{} = 7, and why is it that of <answer>.",
        "Which? Answer with the option's letter in \\boxed{}.",
        # A first line with a task.
        "Find x. Put your answer in \\boxed{}.\nHere x > 0.",
        "Compute the total and enclose it in \\boxed{}.\nThe table has 3 rows.",
        # Options are text, whatever they say.
        "Which?\nA. <think>\nB. <reasoning>\nC. <answer>\nD. <solution>",
        "Which is best?\nA. Guess.\nB. Give your answer after careful reasoning.",
        "Which is best?\nA. Guess.\nB. Draw it, then give your answer in \\boxed{}.",
    ],
)
def test_the_rest_stays(question):
    assert strip_directives(question) == question


@pytest.mark.parametrize(
    ("question", "left"),
    [
        (
            "As shown, AB is parallel to CD. Find the measure of angle A and put your final answer within \\boxed{}.",
            "As shown, AB is parallel to CD. Find the measure of angle A.",
        ),
        ("Consider the table. Compute the total and enclose it in \\boxed{}", "Consider the table. Compute the total"),
        ("How many are there, and then give the final answer in \\boxed{answer}.", "How many are there."),
        ("Round it to two decimals and put it in \\boxed{}. Think step by step.", "Round it to two decimals."),
        ("Which? Answer with a letter inside <answer></answer> tags.", "Which? Answer with a letter."),
        ("x + 3 = 7. Solve it step by step and put it in \\boxed{}.", "x + 3 = 7. Solve it step by step."),
    ],
)
def test_of_a_sentence_that_asks_something_only_the_clause_goes(question, left):
    assert strip_directives(question) == left
    assert strip_directives("<image>\n" + question) == "<image>\n" + left


ENDINGS = (
    " and put your final answer within \\boxed{}.",
    ", then write the answer in <answer> </answer> tags",
    " step by step, and give the final answer.",
    " in \\boxed{}.",
    ". Let's think step by step and output the final answer within \\boxed{}.",
    ". " + prompts.CLOSER.text,
    "\n" + prompts.CLOSER.text,
    ".\nA. <answer>\nB. <solution>",
)
WORDS = ("find", "compute", "rank", "the", "angle", "speed", "a", "x", "of", "for", "12", "it", "and", "total.", "or,")
TASKS = st.lists(st.sampled_from([*WORDS, "then", "it?", "$y$"]), min_size=1, max_size=8).map(" ".join)


@given(TASKS, st.sampled_from(ENDINGS), st.sampled_from(["", "Think step by step. ", "Please give your answer: "]))
def test_no_word_of_the_question_is_ever_lost(task, ending, start):
    kept = {"find", "compute", "rank", "angle", "speed", "x", "12", "total", "y", "a"}

    def telling(text: str) -> list[str]:
        return [word for word in re.findall(r"\w+", text.lower()) if word in kept]

    question = start + task
    assert telling(strip_directives(question + ending))[: len(telling(question))] == telling(question)


def test_a_first_line_of_directives_goes():
    assert strip_directives(f"Think step by step.\nQuestion: {QUESTION}") == f"Question: {QUESTION}"


DAPO_BEFORE = (
    "Solve the following math problem step by step. The last line of your response should be of the form "
    "{} (without quotes) where {} is the answer to the problem.\n\n"
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("Answer: $Answer", "$Answer"), 'after "Answer:".'),  # DAPO-Math
        (("Answer: \\$ANSWER", "$ANSWER"), 'after "Answer:", and you do not need to use a \\boxed command.'),
        (
            ('"ANSWER: $ANSWER"', "$ANSWER"),
            'at the end in the form "ANSWER: $ANSWER" (without quotes) where $ANSWER is the answer to the problem, and '
            "you do not need to use a \\boxed command.",
        ),
    ],
)
def test_the_frame_of_dapo_and_its_kin_goes(before, after):
    framed = f"{DAPO_BEFORE.format(*before)}{QUESTION}\n\nRemember to put your answer on its own line {after}"
    assert strip_directives(framed) == QUESTION


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


@pytest.mark.parametrize("phrase", ["a final answer, ", "first, answer ", "you first answer "])
def test_a_sentence_full_of_directives_words_is_read_in_a_moment(phrase):
    """A pattern that goes back over its choices would take twice as long for each repetition, and never end here."""
    assert not is_directive(f"Please answer {phrase * 60}zebra \\boxed{{}}")
