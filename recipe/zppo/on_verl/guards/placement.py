"""Which node holds which part of which pool: student and teacher side by side on each node.

A pool asks for one group of slots (accelerators) on each of some nodes, and a group lies on one node, whole. Ray on its
own packs groups: two student groups of 3 may fill one node of 8, and two teacher groups of 5 then find one node only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

CPUS_A_SLOT = 3
"""verl's max_colocate_count: CPUs that a placement bundle asks for beside its accelerator."""

Room = tuple[float, float]
"""Accelerators and CPUs that a node has left."""


@dataclass(frozen=True)
class Pool:
    """A resource pool: `slots` accelerators on each of `nodes` nodes."""

    name: str
    slots: int
    nodes: int


Placement = dict[str, list[int]]
"""Of each pool, by name: the index of the node that holds each of its groups."""


def place(nodes: Sequence[Room], pools: Sequence[Pool]) -> Placement | None:
    """A node for each group, so that the i-th groups of all pools share a node where that is possible.

    Otherwise groups are placed one by one, large ones first, where each leaves least. None when they do not fit.
    """
    return _side_by_side(nodes, pools) or _anywhere(nodes, pools)


def _side_by_side(nodes: Sequence[Room], pools: Sequence[Pool]) -> Placement | None:
    """Column i holds the i-th group of every pool that has one; each column takes a node of its own."""
    placement: Placement = {pool.name: [] for pool in pools}
    free = {index: tuple(room) for index, room in enumerate(nodes)}
    for i in range(max((pool.nodes for pool in pools), default=0)):
        column = [pool for pool in pools if i < pool.nodes]
        chosen = _tightest(free, sum(pool.slots for pool in column))
        if chosen is None:
            return None
        del free[chosen]
        for pool in column:
            placement[pool.name].append(chosen)
    return placement


def _anywhere(nodes: Sequence[Room], pools: Sequence[Pool]) -> Placement | None:
    placement: Placement = {pool.name: [] for pool in pools}
    free = {index: tuple(room) for index, room in enumerate(nodes)}
    for pool in sorted(pools, key=lambda pool: -pool.slots):
        for _ in range(pool.nodes):
            chosen = _tightest(free, pool.slots)
            if chosen is None:
                return None
            free[chosen] = (free[chosen][0] - pool.slots, free[chosen][1] - pool.slots * CPUS_A_SLOT)
            placement[pool.name].append(chosen)
    return placement


def _tightest(free: dict[int, Room], slots: int) -> int | None:
    """The node with the least room that is enough; of equals the first."""
    enough = [i for i, room in free.items() if room[0] >= slots and room[1] >= slots * CPUS_A_SLOT]
    return min(enough, key=lambda i: (free[i], i)) if enough else None
