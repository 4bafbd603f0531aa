r"""Answers are read as an RL student writes them; what is not sure stays open for the judge."""

import time

import pytest

from recipe.zppo.benchmarks.contract import Decision, Question
from recipe.zppo.benchmarks.questions import asked, lettered, with_options
from recipe.zppo.benchmarks.scoring.choice import decide_choice
from recipe.zppo.benchmarks.scoring.short import decide_exact, decide_integer, decide_short
from recipe.zppo.errors import DataError

THOUGHT = "<think>The answer is A. Or \\boxed{A}? No.</think>\n"
NUMBERS = ["10", "11", "12", "13"]


def choice(response, options=NUMBERS, gold="C"):
    return decide_choice(Question("1", asked("Which?"), gold, lettered(options)), response)


@pytest.mark.parametrize(
    "response",
    [
        "\\boxed{C}",
        "\\boxed{c}",
        "\\boxed{\\text{C}}",
        "\\boxed{\\textbf{(C)}\\ 12}",
        "\\boxed{(C) 12}",
        "\\boxed{(C) 12 \\text{ metres}}",
        "\\boxed{C. 12}",
        "\\boxed{\\text{C: }12}",
        "\\boxed{{C}}",
        "\\boxed{\\textbf{Option C}}",
        "\\boxed{Answer: C}",
        "\\boxed{12}",
        "\\boxed{$12$.}",
        "(A) and (C) look alike, but\n$$\\boxed{C}$$",
        "First \\boxed{B}. But that forgets the tax, so in the end \\boxed{C}",
        "\\boxed{C}, that is \\boxed{C}",
        "\\boxed{\\boxed{C}}",
        "\\boxed{\\boxed{B}, no, \\boxed{C}}",
        "The answer is C",
        "The answer is **C**.",
        "The correct answer is (C) 12.",
        "**Answer:** C",
        "The final answer is: C, because the others are too small",
        "The answer is 12.",
        "The answer is A? No, the answer is C.",
        "\\boxed{（C）12}",
        "因此，正确答案是 C。",
        "答案：**C、12**",
        "三个都太小，故选C，",
        "C",
        "(C)",
        "**C. 12**",
        "12",
        "The tax is 2, so we have 12 in all.\n\nC. 12",
    ],
)
def test_a_named_option_is_resolved(response):
    assert choice(THOUGHT + response) == Decision(1.0, "C")
    assert choice(THOUGHT + response, gold="B") == Decision(0.0, "C")


@pytest.mark.parametrize(
    "response",
    [
        "",
        "I can't tell.",
        "\\boxed{}",
        "\\boxed{C",
        "\\boxed{E}",
        "\\boxed{12.0}",
        "\\boxed{(C) 13}",
        "\\boxed{C. or maybe not}",
        "\\boxed{B, C}",
        "\\boxed{(B) and (C)}",
        "\\boxed{BC}",
        "\\boxed{B} and \\boxed{C}",
        "\\boxed{C}\n\n$\\boxed{B}$",
        "The answer is C or B.",
        "The answer is C. Wait, the answer is B.",
        "The answer is C. No, the answer is not that.",
        "The answer is a matter of taste.",
        "A. 10\nB. 11\nC. 12\nD. 13",
        "We must have C. Let me look at the options:\nC. 12\nis too small",
    ],
)
def test_no_answer_and_several_are_for_the_judge(response):
    said = choice("<think>Hm.</think>\n" + response)
    assert said.score is None, said


def test_a_thought_s_box_counts_if_nothing_is_said_after_it():
    assert choice("<think>So \\boxed{C}") == Decision(1.0, "C")
    assert choice("<think>So \\boxed{C}</think>") == Decision(1.0, "C")
    assert choice("<think>So \\boxed{C}</think> The answer is B.") == Decision(0.0, "B")
    assert choice("<think>So the answer is C.").score is None  # cut, and words are taken back
    assert choice("The answer is A, one may think.\nBut no.\nThe answer is C.") == Decision(1.0, "C")
    assert choice("The answer is C.\nOr is it? Let me see").score is None


def test_labels_that_are_texts_too():
    swapped = ["B", "A", "D", "C"]
    assert choice("\\boxed{C}", swapped).score is None  # the label C, or the text of D
    assert choice("\\boxed{C. D}", swapped) == Decision(1.0, "C")
    assert choice("\\boxed{AA}", ["aa", "Aa", "AA"]) == Decision(1.0, "C")
    assert choice("\\boxed{aA}", ["aa", "Aa", "AA"]).score is None
    assert choice("\\boxed{yes}", ["No", "Maybe", "Yes"]) == Decision(1.0, "C")
    assert choice("\\boxed{C. difficile}", ["C. difficile", "E. coli", "S. aureus"]) == Decision(0.0, "A")
    assert choice("\\boxed{90^{\\circ}}", ["30°", "60°", "90°"]) == Decision(1.0, "C")
    assert choice("\\boxed{12}", ["12", "11", "12"]).score is None
    assert choice("\\boxed{Z}", [str(number) for number in range(26)], "Z") == Decision(1.0, "Z")


@pytest.mark.parametrize(
    ("response", "gold", "decision"),
    [
        ("\\boxed{18}", "18", Decision(1.0, "18")),
        ("The answer is $\\boxed{18}$.", "18", Decision(1.0, "18")),
        ("\\boxed{\\frac{1}{2}}", "1/2", Decision(1.0, "\\frac{1}{2}")),
        ("\\boxed{19}", "18", Decision(None, "19")),
        ("\\boxed{1} and \\boxed{2}", "2", Decision(None, "1, 2")),
        ("</think>The answer is 18.", "18", Decision(1.0, "18")),
        ("</think>The answer is 3.5.", "3.5", Decision(1.0, "3.5")),
        ("</think>18", "18", Decision(1.0, "18")),
        ("</think>We get 18 at first.\nBut then more.", "18", Decision(None)),
        ("<think>\\boxed{18}</think>", "18", Decision(1.0, "18")),
        ("", "18", Decision(None)),
    ],
)
def test_a_short_answer_is_right_or_the_judge_s(response, gold, decision):
    assert decide_short(Question("1", asked("How many?"), gold), response) == decision


def test_any_accepted_answer_is_right():
    question = Question("1", asked("Which?"), "car", extra={"accepted": ["automobile"]})
    assert decide_exact(question, "\\boxed{automobile}").score == 1.0
    assert decide_exact(question, "\\boxed{bicycle}").score is None


@pytest.mark.parametrize(
    ("box", "score"),
    [
        ("033", 1.0),
        ("33", 1.0),
        ("\\text{33}", 1.0),
        ("+33.0", 1.0),
        ("34", 0.0),
        ("x = 33", None),
        ("1{,}033", 0.0),
        ("33^\\circ", 1.0),
    ],
)
def test_whole_numbers_are_resolved_both_ways(box, score):
    assert decide_integer(Question("1", asked("n?"), "033"), f"so \\boxed{{{box}}}.").score == score


def test_a_question_with_its_options():
    assert with_options("Which?\n", lettered(["x", 2])) == "Which?\nA. x\nB. 2"
    assert with_options("Which?", {}) == "Which?"
    for broken in (["x", ""], ["x", None], [], ["x"] * 27):
        with pytest.raises(DataError):
            lettered(broken)


@pytest.mark.parametrize(
    "unit", ["a", "\\boxed{", "\\boxed{A} ", "{", "(", "The answer is ", "</think>", "\\text{", "A\n", "**", " "]
)
def test_a_megabyte_takes_no_time(unit):
    text = unit * (1_000_000 // len(unit))
    began = time.process_time()
    for question in (Question("1", asked("?"), "A", lettered(["x", "y"])), Question("1", asked("?"), "1")):
        decide_exact(question, text)
        decide_exact(question, "</think>" + text)
    assert time.process_time() - began < 2
