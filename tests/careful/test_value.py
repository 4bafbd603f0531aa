"""Formulas against Python's own arithmetic, and texts of all sorts."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipe.zppo.careful.arithmetic import evaluate
from recipe.zppo.careful.compare import is_equal
from recipe.zppo.careful.syntax import NotRead, read
from recipe.zppo.careful.text import normalized


def leaf(number):
    return (str(number), Fraction(number))


def joined(pair):
    (a, x), sign, (b, y) = pair
    text = {"+": f"({a}+{b})", "-": f"({a}-({b}))", "*": f"({a})\\cdot({b})", "/": f"\\frac{{{a}}}{{{b}}}"}[sign]
    return (text, {"+": x + y, "-": x - y, "*": x * y, "/": x / y if y else None}[sign])


EXPRESSIONS = st.recursive(
    st.integers(0, 99).map(leaf),
    lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(joined).filter(lambda pair: pair[1] is not None),
    max_leaves=8,
)


@given(EXPRESSIONS)
def test_arithmetic_is_exact(expression):
    text, expected = expression
    assert evaluate(read(normalized(text)), {}, False) == expected


@given(EXPRESSIONS, st.fractions(max_denominator=50))
def test_numbers_are_equal_where_they_are(expression, other):
    text, number = expression
    assert is_equal(text, f"\\frac{{{number.numerator}}}{{{number.denominator}}}")
    assert is_equal(text, str(other)) == (number == other)


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 4)), min_size=1, max_size=5), st.randoms())
def test_a_polynomial_in_another_order_is_the_same_and_plus_one_is_not(terms, generator):
    def written(terms):
        return "+".join(f"({a})x^{{{n}}}" for a, n in terms)

    other = terms[:]
    generator.shuffle(other)
    assert is_equal(written(terms), written(other)) and not is_equal(written(terms), written(other) + "+1")


@pytest.mark.parametrize(
    "text", ["1/2x", "x/yz", "\\sin x/2", "hello", "3 4", "n!!", "\\sum_k k", "(1", "1_2", "", "^2"]
)
def test_what_has_two_meanings_or_none_is_not_read(text):
    with pytest.raises(NotRead):
        read(text)


SIGNS = st.sampled_from(
    [*"0159xyπ+-*/^(){}[].,!%°<=_ |'$½²√", "\\frac", "\\sqrt", "\\text{", "\\pm", "\\cup", " or ", "\\{"]
)


@settings(max_examples=500)
@given(st.lists(SIGNS, max_size=25).map("".join), st.sampled_from(["5", "x+1", "(1,2)", "45^\\circ", "\\{1,2\\}"]))
def test_any_text_gets_a_verdict(answer, gold):
    assert is_equal(answer, gold) in (True, False)
    assert is_equal(answer, answer)
