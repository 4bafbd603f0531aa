"""Waiting for a Ray cluster, on a clock of the test's own."""

import pytest

from recipe.zppo.errors import ZPPOError
from recipe.zppo.preflight.wait_for_nodes import wait_for_nodes


class Cluster:
    """Nodes that come at given seconds; sleeping is what makes time pass."""

    def __init__(self, *arrivals: tuple[float, str, float]):
        self.arrivals, self.now, self.said = arrivals, 0.0, []

    def wait(self, nodes: int, limit_s: float) -> None:
        def sleep(seconds: float) -> None:
            self.now += seconds

        wait_for_nodes(
            lambda: [(name, gpus) for at, name, gpus in self.arrivals if at <= self.now],
            nodes=nodes,
            gpus=8,
            limit_s=limit_s,
            say=self.said.append,
            clock=lambda: self.now,
            sleep=sleep,
        )


def test_it_returns_when_the_last_node_is_there() -> None:
    cluster = Cluster((0, "a", 8), (10, "b", 8), (50, "c", 8))
    cluster.wait(3, 100)
    assert 50 <= cluster.now < 55
    assert cluster.said[0].startswith("1 of 3 nodes with 8 GPUs are in the Ray cluster (a with 8); waiting, 0 of 100 s")
    assert cluster.said[1].startswith("2 of 3 nodes with 8 GPUs are in the Ray cluster (a with 8, b with 8)")
    assert "waiting, 40 of 100 s" in cluster.said[2]  # half a minute without news
    assert cluster.said[3] == "all 3 nodes are there: a with 8, b with 8, c with 8"


def test_the_limit_says_who_is_there_and_who_counts() -> None:
    cluster = Cluster((0, "head", 0), (5, "b", 8))
    with pytest.raises(TimeoutError) as error:
        cluster.wait(2, 60)
    assert isinstance(error.value, ZPPOError) and 60 <= cluster.now < 65
    assert str(error.value) == (
        "after 60 s 1 of 2 nodes with 8 GPUs are in the Ray cluster (b with 8), and some with fewer: head with 0"
    )


def test_more_nodes_than_asked_for_are_no_problem() -> None:
    cluster = Cluster((0, "a", 8), (0, "b", 8))
    cluster.wait(1, 0)
    assert cluster.now == 0
