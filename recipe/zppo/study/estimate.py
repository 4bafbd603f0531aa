"""How long a study still takes."""

import heapq
from collections.abc import Sequence
from statistics import mean

from recipe.zppo.study.ledger import Standing
from recipe.zppo.study.plan import Run


def seconds_left(standings: Sequence[Standing], jobs: int) -> float | None:
    """From what steps have taken so far; None while nothing has been measured.

    Runs that have not begun take what others of the same overrides and world took, else others of the world,
    else any. The free worker takes the next run, as in the study.
    """
    if not any(standing.seconds_a_step for standing in standings):
        return None
    free_at = [0.0] * jobs
    for state in ("running", "waiting"):
        for standing in standings:
            if standing.state == state:
                left = (standing.run.steps - standing.step) * _seconds_a_step(standing, standings)
                heapq.heappush(free_at, heapq.heappop(free_at) + left)
    return max(free_at)


def _seconds_a_step(standing: Standing, standings: Sequence[Standing]) -> float:
    if standing.state == "running" and standing.seconds_a_step:
        return standing.seconds_a_step
    timed = [other for other in standings if other.seconds_a_step]
    for like in (_same_row, _same_world, lambda *_: True):
        if values := [o.seconds_a_step for o in timed if o.seconds_a_step and like(o.run, standing.run)]:
            return mean(values)
    raise AssertionError("seconds_left has seen to it that something is timed")


def _same_row(a: Run, b: Run) -> bool:
    return (a.world_key, a.overrides) == (b.world_key, b.overrides)


def _same_world(a: Run, b: Run) -> bool:
    return a.world_key == b.world_key
