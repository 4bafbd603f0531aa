"""Groups of slots on nodes: side by side where possible, and never two where only one fits."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe.zppo.on_verl.guards.placement import CPUS_A_SLOT, Pool, place


def rooms(*slots: int) -> list[tuple[int, int]]:
    return [(n, n * CPUS_A_SLOT) for n in slots]


def test_the_papers_layout_has_student_and_teacher_on_each_node() -> None:
    placement = place(rooms(*[8] * 8), [Pool("student", 6, 8), Pool("teacher", 2, 8)])
    assert sorted(placement["student"]) == sorted(placement["teacher"]) == list(range(8))


def test_a_node_that_could_hold_two_groups_of_a_pool_holds_one() -> None:
    placement = place(rooms(8, 8), [Pool("student", 3, 2), Pool("teacher", 5, 2)])
    assert sorted(placement["student"]) == sorted(placement["teacher"]) == [0, 1]


@pytest.mark.parametrize(
    ("nodes", "student", "teacher", "possible"),
    [
        ([(8, 96)] * 8, (8, 4), (2, 8), True),
        ([(8, 96)] * 8, (6, 8), (4, 4), False),  # 16 are free, but never 4 on one node
        ([(8, 20)] * 8, (6, 8), (2, 8), False),  # 24 CPUs a node are asked for
        ([(2, 16)], (1, 1), (1, 1), True),
        ([(1, 16)], (1, 1), (1, 1), False),
        ([(0, 16), (8, 96)], (6, 1), (2, 1), True),  # a head node without accelerators
    ],
)
def test_what_fits(nodes, student, teacher, possible: bool) -> None:
    assert (place(nodes, [Pool("student", *student), Pool("teacher", *teacher)]) is not None) == possible


def test_pools_of_other_shapes_find_room_too() -> None:
    assert place(rooms(8, 8, 2), [Pool("student", 8, 2), Pool("teacher", 2, 1)]) == {"student": [0, 1], "teacher": [2]}
    assert place(rooms(8), [Pool("student", 4, 1), Pool("teacher", 2, 2)]) == {"student": [0], "teacher": [0, 0]}
    assert place(rooms(8), [Pool("student", 6, 1), Pool("teacher", 3, 1)]) is None
    assert place([(8, 23)], [Pool("student", 8, 1)]) is None


pools = st.tuples(st.integers(1, 8), st.integers(1, 4), st.integers(1, 8), st.integers(1, 4))


@given(slots=st.lists(st.integers(0, 8), min_size=1, max_size=5), shape=pools)
def test_a_placement_holds_every_group_and_overfills_no_node(slots: list[int], shape: tuple[int, ...]) -> None:
    student, teacher = Pool("student", *shape[:2]), Pool("teacher", *shape[2:])
    placement = place(rooms(*slots), [student, teacher])
    if placement is None:
        return
    used: Counter[int] = Counter()
    for pool in (student, teacher):
        assert len(placement[pool.name]) == pool.nodes
        used.update({node: count * pool.slots for node, count in Counter(placement[pool.name]).items()})
    assert all(slots[node] >= count for node, count in used.items())
