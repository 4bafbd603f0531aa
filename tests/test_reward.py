"""The reward agrees with mathruler, is 0 or 1, and never raises on a response. What never ends: test_bounded_grader."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mathruler.grader import grade_answer

from recipe.zppo.errors import RewardError
from recipe.zppo.reward import MAX_ANSWER, compute_score, extract_answer, is_correct, is_doubtful, use_grader


def score(answer, gold):
    result = compute_score("any", f"<think>x</think> so \\boxed{{{answer}}}", gold)
    assert result["score"] is not True and result["score"] == result["acc"] and result["score"] in (0.0, 1.0)
    return result["score"]


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        *[("14", "14"), ("14.0", "14"), ("1,000", "1000"), ("\\frac{1}{2}", "0.5"), ("\\dfrac12", "\\frac{1}{2}")],
        *[("2\\sqrt{3}", "\\sqrt{12}"), ("x^2+2x+1", "(x+1)^2"), ("\\text{Paris}", "paris"), ("(1, 2)", "(1,2)")],
        *[("\\sqrt2+\\sqrt3+\\sqrt6", "\\sqrt6+\\sqrt2+\\sqrt3"), ("a_1+a_2", "a_2+a_1")],
        ("\\frac{\\sqrt6-\\sqrt2}{4}+\\sqrt3", "\\sqrt3+\\frac{\\sqrt6-\\sqrt2}{4}"),
        *[("\\pi/2", "0.5\\pi"), ("3+x", "x+3"), ("7 \\text{ cm}", "7"), ("\\$5", "5"), ("2\\pi r", "2 r \\pi")],
        *[("15", "14"), ("1/3", "0.33"), ("B", "A"), ("\\sqrt{12}", "3"), ("x+1", "x+2"), ("(2,1)", "(1,2)")],
        *[("2^{-n}", "\\frac{1}{2^n}"), ("1-e^{-x}", "-e^{-x}+1"), ("1+n!", "n!+1"), ("x^{0.5}+1", "1+x^{0.5}")],
        *[("8\\ln(2)", "\\ln(2)8"), ("a_{10}+a_1", "a_1+a_{10}"), ("x^{12}", "x^{13}")],
        *[("3/6", "1/2"), ("2.5", "5"), ("ln(4)", "2ln(2)"), ("(x+1)^9", "(1+x)^9"), ("1/(1+x)", "1/(x+1)")],
    ],
)
def test_ordinary_answers_are_graded_as_by_mathruler(answer, gold):
    assert score(answer, gold) == float(grade_answer(answer, gold))


def test_some_of_those_are_right_and_some_are_wrong():
    assert [score("2\\sqrt{3}", "\\sqrt{12}"), score("x^2+2x+1", "(x+1)^2"), score("15", "14")] == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        *[("x=45^\\circ", "x=45"), ("45°", "45"), ("45", "45^{\\circ}"), ("4\\degree", "4°")],
        *[("45\\circ", "45"), ("45", "45 \\deg"), ("45∘", "45°"), ("45^∘", "45")],
        *[("\\angle A = 30^ \\circ", "\\angle A=30")],
        *[("45^{∘}", "45"), ("45^{°}", "45"), ("45^{\\deg}", "45"), ("\\frac{1}{2}^{ \\degree }", "\\frac{1}{2}")],
        *[("about 50\\%", "about 50"), ("50%", "50 \\%"), ("(30^{\\circ},60^{\\circ})", "(30, 60)")],
    ],
)  # fmt: skip
def test_marks_of_degree_and_percent_do_not_matter(answer, gold):
    assert score(answer, gold) == score(gold, answer) == 1.0


@pytest.mark.parametrize(("answer", "gold"), [("°", "%"), ("%", "°"), ("°", "5"), ("5", "°")])
def test_nothing_but_marks_equals_no_other_answer(answer, gold):
    assert score(answer, gold) == 0.0


def test_the_second_pass_needs_a_box():
    assert compute_score("any", "45°", "45")["score"] == 0.0


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("\\boxed{1} and \\boxed{ \\frac{1}{2} }.", "\\frac{1}{2}"),
        ("\\boxed{None}", "None"),
        ("\\boxed{ None }", "None"),
        ("\\boxed{1} then \\boxed{None of", None),
        ("no box", None),
        ("\\boxed{}", None),
        ("\\boxed{  }", None),
        ("\\boxed{1", None),
        ("", None),
        ("\\boxed{" + "1" * MAX_ANSWER + "}", "1" * MAX_ANSWER),
        ("\\boxed{" + "1" * (MAX_ANSWER + 1) + "}", None),
    ],
)
def test_the_last_box_is_the_answer_if_it_is_whole_and_short(text, answer):
    assert extract_answer(text) == answer
    assert compute_score("any", text, "x")["answer"] == (answer or "")


def test_no_box_is_wrong_even_where_none_is_the_answer():
    assert compute_score("any", "I give up", "None")["score"] == 0.0
    assert compute_score("any", "\\boxed{None}", "None")["score"] == 1.0


@pytest.mark.parametrize("gold", [5, 5.0, "5", " 5 ", ["5"], (5,), np.array(["5"]), np.int64(5), np.array(5.0)])
def test_gold_answers_of_the_types_that_data_rows_hold(gold):
    assert (score("5", gold), score("6", gold)) == (1.0, 0.0)


@pytest.mark.parametrize("gold", [None, "", "  ", [], ["1", "2"], {"a": 1}, [None]])
def test_a_gold_answer_that_is_missing_or_of_another_type_is_an_error(gold):
    with pytest.raises(RewardError, match="gold answer"):
        compute_score("any", "\\boxed{1}", gold)


@pytest.mark.parametrize("unit", ["\\boxed{", "{", "}", "\\boxed{1}", "\\boxed{1", "a ", "\\boxed{}"])
def test_megabytes_are_graded_in_a_moment(unit):
    start = time.process_time()
    compute_score("any", unit * (2_000_000 // len(unit)), "5")
    assert time.process_time() - start < 1


ALPHABET = st.sampled_from([*"0159xyπ+-*/^(){}[].,!%°<=_ ", "\\frac", "\\sqrt", "sqrt(", "\\text{", "pi", "ln("])


@settings(max_examples=300)
@given(st.lists(ALPHABET, max_size=25).map("".join), st.sampled_from(["5", "x+1", "(1,2)", "45^\\circ"]))
def test_no_text_raises(answer, gold):
    score(answer, gold)
    assert is_correct(answer, answer) or not answer.strip()


@pytest.fixture
def careful():
    use_grader("careful")


@pytest.mark.parametrize(
    ("answer", "gold", "paper", "careful"),
    [
        *[("hour", "second", True, False), ("3 2 1", "1 2 3", True, False), ("-5/4", "-2 3/4", True, False)],
        *[("x²", "x^2", False, True), ("12\\%", "0.12", False, True), ("B. Paris", "B", False, True)],
        *[("1/2", "0.5", True, True), ("7", "8", False, False)],
    ],
)
def test_each_grader_has_its_verdict_and_a_difference_is_doubtful(answer, gold, paper, careful):
    assert [is_correct(answer, gold, "paper"), is_correct(answer, gold, "careful")] == [paper, careful]
    assert is_doubtful(answer, gold) is (paper != careful)
    text = f"\\boxed{{{answer}}}"
    for grader, right in (("paper", paper), ("careful", careful)):
        result = compute_score("any", text, gold, grader=grader)
        assert result["score"] == float(right)
        assert result["doubtful"] == float(grader == "paper" and paper != careful)


def test_what_has_no_box_is_not_doubtful():
    assert compute_score("any", "x²", "x^2")["doubtful"] == 0.0


def test_a_process_grades_by_the_grader_that_it_was_told(careful):
    assert [is_correct("x²", "x^2"), is_correct("hour", "second")] == [True, False]
    assert compute_score("any", "\\boxed{x²}", "x^2") == {"score": 1.0, "acc": 1.0, "answer": "x²", "doubtful": 0.0}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so \\boxed 7", "7"),
        ("so $\\boxed 7$.", "7"),
        ("\\boxed 7.", "7"),
        ("\\boxed{1} no, \\boxed 7", "7"),
        ("\\boxed 7 no, \\boxed{1}", "1"),
        ("\\boxed{1}", "1"),
        ("\\boxed", None),
        ("\\boxed 7 and \\boxed{", None),
    ],
)
def test_the_careful_grader_takes_a_box_without_braces(text, answer):
    assert extract_answer(text, "careful") == answer
    if answer == "7":
        assert extract_answer(text, "paper") != "7"


def test_the_log_is_not_flooded(caplog, capfd):
    """pylatexenc warns of a formula that it can't read, where it is called; that is not in this process."""
    broken = "\\frac"
    assert not grade_answer(broken, "7") and caplog.records
    caplog.clear()
    capfd.readouterr()  # a handler that an earlier test's library left may have written this warning too
    for grader in ("paper", "careful"):
        assert compute_score("any", f"\\boxed{{{broken}}}", "7", grader=grader)["score"] == 0.0
    assert not caplog.records and tuple(capfd.readouterr()) == ("", "")
