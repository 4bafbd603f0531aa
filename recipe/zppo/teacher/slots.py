"""The teacher's slots: what the teacher is asked for takes turns, and short work goes before rollouts.

When a step has just asked for a thousand rollouts of up to 12,288 tokens, first come, first served would let a verdict
of a few dozen tokens wait until all of them have begun, and with it the student's group that is complete but for its
reward, and whatever that group would set in motion. Rollouts do not starve: all short work comes of a response that is
complete, so that a step has only so much of it. `benchmarks/bench_teacher_slots.py` measures the waits.

A slot is not taken back, so short work waits for the next one that falls free.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum


class Work(StrEnum):
    """What the teacher is asked for."""

    ROLLOUT = "rollout"
    SUMMARY = "summary"
    """Compressed candidates and hints."""
    VERDICT = "verdict"
    SCORE = "score"
    """Log-probs of a student's response, for on-policy distillation."""


class Slots:
    """A semaphore of ``count`` slots that serves work in order of arrival, but rollouts after all else."""

    def __init__(self, count: int):
        self._free = count
        self._short: deque[asyncio.Future[None]] = deque()
        self._rollouts: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def take(self, work: Work) -> AsyncIterator[None]:
        """A slot for the time of the block."""
        turn = asyncio.get_running_loop().create_future()
        (self._rollouts if work is Work.ROLLOUT else self._short).append(turn)
        self._grant()
        try:
            await turn
            yield
        finally:
            if not turn.cancelled():  # else it was never granted
                self._free += 1
            self._grant()

    def _grant(self) -> None:
        for queue in (self._short, self._rollouts):
            while self._free and queue:
                turn = queue.popleft()
                if not turn.done():  # else cancelled while it waited
                    self._free -= 1
                    turn.set_result(None)
