"""Whether student and teacher fit the nodes of a cluster, before Ray would wait for ever."""

import pytest

from recipe.zppo.teacher_pool import fits


@pytest.mark.parametrize(
    ("nodes", "groups", "possible"),
    [
        ([(8, 96)] * 8, [6] * 8 + [2] * 8, True),  # the paper's layout
        ([(8, 96)] * 8, [8] * 4 + [2] * 8, True),
        ([(8, 96)] * 8, [6] * 8 + [4] * 4, False),  # 16 are free, but never 4 on one node
        ([(8, 20)] * 8, [6] * 8 + [2] * 8, False),  # 24 CPUs a node are asked for
        ([(2, 16)], [1, 1], True),
        ([(1, 16)], [1, 1], False),
        ([(0, 16), (8, 96)], [6, 2], True),  # a head node without accelerators
    ],
)
def test_fits(nodes, groups, possible):
    assert fits(nodes, groups) == possible
