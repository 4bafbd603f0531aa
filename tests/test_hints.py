"""A hint that gives the answer away is no hint."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe.zppo.hints import leaks


@pytest.mark.parametrize(
    ("hint", "gold"),
    [
        ("the answer is 14", "14"),
        ("so x = 14.", "14"),
        ("14", "14"),
        (r"think of \boxed{3}", "14"),
        (r"use \boxed as usual", "14"),
        ("It is New   York, of course", "new york"),
        (r"we get \frac{1}{2} here", r"\frac{1}{2}"),
        ("add them: 9 + 5 = 14.0", "14"),
        ("halves: 1/2 = 0.5", r"\frac{1}{2}"),
        ("it must be A.", "A"),
        ("compare (A) with the picture", "A"),
        ("option A shows the smallest", "A"),
        ("The answer is A because it is small", "A"),
        ("B has four sides", "B"),
        ("so the reply is no.", "no"),
        ("Answer: no one", "no"),
    ],
)
def test_leaks(hint: str, gold: str) -> None:
    assert leaks(hint, gold)


@pytest.mark.parametrize(
    ("hint", "gold"),
    [
        ("add 9 and 5", "14"),
        ("there are 114 or 140 of them", "14"),
        ("about 14.5", "14"),
        ("near 3.14", "14"),
        ("look at item M14b", "14"),
        ("", "14"),
        ("M2", "2a"),
        ("think of York", "new york"),
        ("anything", ""),
        ("A triangle has a side that is a third of it", "A"),
        ("First, I would compare both sides", "I"),
        ("There is no need to compute", "no"),
        ("let b be the base", "B"),
    ],
)
def test_does_not_leak(hint: str, gold: str) -> None:
    assert not leaks(hint, gold)


@given(before=st.text(max_size=30), gold=st.integers(0, 10**6), after=st.text(max_size=30))
def test_a_gold_number_between_blanks_always_leaks(before: str, gold: int, after: str) -> None:
    assert leaks(f"{before} {gold} {after}", str(gold))


@given(st.text(max_size=200), st.text(max_size=30))
def test_any_text_has_an_answer(hint: str, gold: str) -> None:
    assert leaks(hint, gold) in (True, False)
