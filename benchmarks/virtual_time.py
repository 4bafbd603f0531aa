"""An asyncio event loop whose clock jumps to the next timer, and servers that share their speed among requests."""

from __future__ import annotations

import asyncio
import heapq
import selectors
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Sleeps take no time: when nothing is ready, `time()` jumps to the next timer."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self.now


def run_in_virtual_time(work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work`` on a loop of its own; tasks that it leaves behind are cancelled."""

    async def run_and_clear() -> T:
        try:
            return await work
        finally:
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

    loop = VirtualTimeLoop()
    try:
        return loop.run_until_complete(run_and_clear())
    finally:
        loop.close()


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, loop: VirtualTimeLoop):
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list:
        if timeout is None:
            raise RuntimeError("all tasks wait for each other: no timer is set")
        self._loop.now += max(timeout, 0.0)
        return super().select(0)


class Server:
    """One engine with continuous batching: every request in a slot gets one token each `base_s + n * request_s`.

    Args:
        slots: requests at once; others queue in order of arrival.
        base_s: seconds for one token of all requests at once, whatever their number n (reading the weights).
        request_s: seconds added by each request in a slot (reading its cache).
    """

    def __init__(self, slots: int, base_s: float, request_s: float):
        self.slots, self.base_s, self.request_s = slots, base_s, request_s
        self._tokens = 0.0  # that a request would have got which was there from the start
        self._since = 0.0
        self._active: list[tuple[float, int, asyncio.Future]] = []
        self._queue: deque[tuple[int, asyncio.Future]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._count = 0

    @property
    def load(self) -> int:
        return len(self._active) + len(self._queue)

    async def generate(self, tokens: int) -> None:
        done = asyncio.get_running_loop().create_future()
        self._queue.append((tokens, done))
        self._advance()
        try:
            await done
        except asyncio.CancelledError:  # an engine aborts a request that nobody waits for
            self._advance()
            self._active = [request for request in self._active if request[2] is not done]
            heapq.heapify(self._active)
            self._queue = deque(request for request in self._queue if request[1] is not done)
            self._advance()
            raise

    def _advance(self) -> None:
        """Bring all requests up to now, finish and start what can be, and set the timer for the next one."""
        loop = asyncio.get_running_loop()
        if self._active:
            self._tokens += (loop.time() - self._since) / self._token_s
        self._since = loop.time()
        while self._active and self._active[0][0] <= self._tokens + 1e-6:
            done = heapq.heappop(self._active)[2]
            if not done.done():
                done.set_result(None)
        while self._queue and len(self._active) < self.slots:
            tokens, done = self._queue.popleft()
            self._count += 1
            heapq.heappush(self._active, (self._tokens + tokens, self._count, done))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._active:
            remaining = self._active[0][0] - self._tokens
            self._timer = loop.call_later(max(remaining, 0.0) * self._token_s, self._advance)

    @property
    def _token_s(self) -> float:
        return self.base_s + len(self._active) * self.request_s


async def generate(servers: Sequence[Server], tokens: int) -> None:
    """On the server with the fewest requests."""
    await min(servers, key=lambda server: server.load).generate(tokens)
