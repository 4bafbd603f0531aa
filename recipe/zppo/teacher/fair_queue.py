"""A fair queue for the teacher's slots: verdicts, summaries, hints and rollouts share them, none starves another.

A plain semaphore is first come, first served: when a step has just asked for a thousand rollouts of up to 12,288
tokens, a verdict of a few dozen tokens waits until all of them have begun, and with it the student's group that is
complete but for its reward, and whatever that group would set in motion.

What the requests compete for is the *time* of a slot, and that grows with the tokens a request may generate. So the
share of a class is counted in tokens, not in requests: by count, one rollout for one verdict, 24 of 25 tokens would
be rollouts, and a class of long requests would gain by being slow. Strict priority for short work would be simpler,
and starves rollouts where judged rows come without end. Reserved slots would stand empty when there is no short work.

Start-time fair queueing (Goyal et al., 1996), with one flow a class: a class that waits has a start tag; the least
one is served; serving it moves the class's next tag on by cost / weight. The cost is the request's token budget. Hence

- work conservation: no slot is free while somebody waits;
- first come, first served within a class;
- no starvation: while two classes wait, the tokens that they are granted, divided by their weights, differ by
  one largest request of each at most. Between two grants of a class of verdicts lies one rollout at most, and between
  two rollouts as many verdicts as one rollout has tokens, whatever the lengths of the queues;
- no credit: a class that had nothing to ask starts from where the others are.

A granted slot is not taken back, so a short request waits for the next slot that falls free. With many slots that is
soon; `benchmarks/bench_fair_queue.py` measures it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum


class Work(StrEnum):
    """What the teacher is asked for: the classes of the queue."""

    ROLLOUT = "rollout"
    SUMMARY = "summary"
    """Compressed candidates and hints."""
    VERDICT = "verdict"
    SCORE = "score"
    """Log-probs of a student's response, for on-policy distillation."""


class FairQueue:
    """Hands out ``slots`` slots among classes of requests, in proportion to their weights where they compete.

    Args:
        weights: share of a class, 1 unless given.

    Example:
        async with queue.slot(Work.VERDICT, cost=512):
            await request()
    """

    def __init__(self, slots: int, weights: Mapping[str, float] | None = None):
        if slots < 1:
            raise ValueError(f"a queue needs at least 1 slot, got {slots}")
        self._free = slots
        self._weights = dict(weights or {})
        self._waiting: dict[str, OrderedDict[asyncio.Future[None], float]] = {}
        self._tags: dict[str, float] = {}
        """Start tag of the next request of each class; of an idle class, where its last one ended."""
        self._now = 0.0
        """Start tag of the request that was granted last."""

    @asynccontextmanager
    async def slot(self, work: str, cost: float) -> AsyncIterator[None]:
        """A slot for the time of the block; ``cost`` is the largest number of tokens that the request may generate."""
        await self._acquire(work, cost)
        try:
            yield
        finally:
            self._free += 1
            self._grant()

    def num_waiting(self, work: str) -> int:
        return len(self._waiting.get(work, ()))

    async def _acquire(self, work: str, cost: float) -> None:
        turn = asyncio.get_running_loop().create_future()
        queue = self._waiting.setdefault(work, OrderedDict())
        if not queue:
            self._tags[work] = max(self._tags.get(work, 0.0), self._now)
        queue[turn] = cost
        self._grant()
        try:
            await turn
        except asyncio.CancelledError:
            if queue.pop(turn, None) is None and not turn.cancelled():  # granted in the same moment
                self._free += 1
            self._grant()
            raise

    def _grant(self) -> None:
        while self._free:
            waiting = [work for work, queue in self._waiting.items() if queue]
            if not waiting:
                return
            work = min(waiting, key=lambda work: self._tags[work])
            turn, cost = self._waiting[work].popitem(last=False)
            if turn.done():  # cancelled; its task has not run since
                continue
            self._free -= 1
            self._now = self._tags[work]
            self._tags[work] = self._now + cost / self._weights.get(work, 1.0)
            turn.set_result(None)
