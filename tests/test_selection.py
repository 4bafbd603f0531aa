"""The selection against Algorithm 1 written out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe.zppo.errors import SelectionError
from recipe.zppo.selection import HardQuestion, Reformulation, reformulation_cap, select_reformulations
from recipe.zppo.types import Kind
from tests.selection_cases import KINDS, LIMITS, PRE_CAPS, THRESHOLDS, x_aug


def algorithm_1(questions, threshold, cap, seed, step, kinds, pre_cap):
    """Steps 2 to 5, word for word: no early exit, one list after the other."""
    if pre_cap == "admissible":
        helped = set(kinds) - {Kind.NCQ}
        questions = [q for q in questions if q.num_wrong and (Kind.NCQ in kinds or (helped and q.num_teacher_correct))]
    kept = x_aug(questions, threshold, cap, seed, step)
    pooled, stopped = [], False
    for q in kept.values():
        instances = []
        for helped in (Kind.BCQ, Kind.HINT, Kind.PREFIX):  # Algs. 5 and 6 take the questions that BCQ takes
            if helped in kinds and q.num_teacher_correct >= 1 and q.num_wrong >= 1:
                instances.append(Reformulation(q.prompt_id, helped))
        if Kind.NCQ in kinds and q.num_wrong >= 1:
            instances.append(Reformulation(q.prompt_id, Kind.NCQ))
        for instance in instances:
            if stopped or len(pooled) + 1 > cap:
                stopped = True
                continue
            pooled.append(instance)
    return pooled


@st.composite
def hard_questions(draw):
    ids = draw(st.lists(st.one_of(st.integers(0, 50), st.text(max_size=2)), unique_by=repr, max_size=12))
    return [HardQuestion(i, draw(st.integers(0, 8)) / 8, draw(st.integers(0, 2)), draw(st.integers(0, 2))) for i in ids]


@given(hard_questions(), THRESHOLDS, st.integers(0, 15), st.integers(0, 3), KINDS, PRE_CAPS, st.randoms())
def test_selection_is_algorithm_1_whatever_the_order_of_the_input(questions, threshold, cap, seed, kinds, pre_cap, rng):
    args = dict(threshold=threshold, cap=cap, seed=seed, step=4, kinds=kinds, pre_cap=pre_cap)
    selected = select_reformulations(questions, **args)
    assert selected == algorithm_1(questions, **args)
    assert len(selected) <= cap
    shuffled = rng.sample(questions, len(questions))
    assert select_reformulations(shuffled, **args) == selected


def test_one_slot_left_goes_to_the_bcq():
    questions = [HardQuestion("a", 0.0, 8, 0), HardQuestion("b", 0.125, 7, 2), HardQuestion("c", 0.25, 6, 1)]
    selected = select_reformulations(questions, threshold=0.5, cap=2, seed=0, step=0)
    assert selected == [Reformulation("a", Kind.NCQ), Reformulation("b", Kind.BCQ)]


def test_a_kept_question_without_instances_keeps_its_place_in_the_pre_cap():
    questions = [HardQuestion("a", 0.0, 8, 0), HardQuestion("b", 0.125, 7, 2)]
    args = dict(threshold=0.5, cap=1, seed=0, step=0, kinds=(Kind.BCQ,))
    assert select_reformulations(questions, **args) == []
    assert select_reformulations(questions, **args, pre_cap="admissible") == [Reformulation("b", Kind.BCQ)]


def test_ties_are_broken_at_random_by_seed_step_and_id():
    questions = [HardQuestion(i, 0.0, 8, 1) for i in range(20)]

    def first(seed, step):
        return select_reformulations(questions, threshold=0.5, cap=1, seed=seed, step=step)[0].prompt_id

    winners = [first(seed, step) for seed in range(20) for step in range(100)]
    # 100 expected for each question, standard deviation 10.
    assert all(50 < winners.count(i) < 150 for i in range(20))
    # The order among some of the questions does not depend on which others are there.
    limits = dict(threshold=0.5, cap=20, seed=1, step=1, kinds=(Kind.NCQ,))
    order = [r.prompt_id for r in select_reformulations(questions, **limits)]
    part = [r.prompt_id for r in select_reformulations(questions[::3], **limits)]
    assert part == [i for i in order if i % 3 == 0]


@pytest.mark.parametrize(
    ("fraction", "num_new", "cap"),
    [
        *[(0.25, 384, 96), (0.25, 16, 4), (0.25, 3, 0), (0.25, 0, 0), (0, 5, 0), (1.0, 7, 7), (0.999, 10, 9)],
        *[(0.29, 100, 29), (0.1, 30, 3), (0.7, 10, 7), (1 / 3, 3, 1)],  # where floats miss the integer
    ],
)
def test_cap_is_the_floor_of_the_decimal_product(fraction, num_new, cap):
    assert reformulation_cap(fraction, num_new) == cap


@given(st.integers(0, 1000), st.integers(0, 10_000))
def test_cap_of_any_thousandth_is_exact(thousandths, num_new):
    assert reformulation_cap(thousandths / 1000, num_new) == thousandths * num_new // 1000


@pytest.mark.parametrize(("fraction", "num_new"), [(-0.1, 4), (float("nan"), 4), (float("inf"), 4), (0.5, -1)])
def test_cap_of_a_bad_fraction_or_count_is_an_error(fraction, num_new):
    with pytest.raises(SelectionError):
        reformulation_cap(fraction, num_new)


OK = HardQuestion("a", 0.5, 4, 1)


@pytest.mark.parametrize(
    ("questions", "changed", "message"),
    [
        ([OK, OK], {}, "'a' occurs twice"),
        ([HardQuestion("b", 1.1, 1, 1)], {}, "1.1 is not in"),
        ([HardQuestion("b", float("nan"), 1, 1)], {}, "nan is not in"),
        ([HardQuestion("b", 0.5, -1, 1)], {}, "negative"),
        ([HardQuestion("b", 0.5, 1, -1)], {}, "negative"),
        ([OK], {"threshold": 0.0}, "threshold"),
        ([OK], {"threshold": 1.5}, "threshold"),
        ([OK], {"cap": -1}, "cap"),
        ([OK], {"kinds": ("plain",)}, "plain"),
        ([OK], {"kinds": (Kind.BCQ, Kind.HINT)}, "a question has one of"),
    ],
)
def test_bad_outcomes_and_limits_are_errors(questions, changed, message):
    with pytest.raises(SelectionError, match=message):
        select_reformulations(questions, **LIMITS | changed)
