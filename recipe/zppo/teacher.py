"""Requests to the teacher servers: limits, retries, and a teacher that may die without taking the run with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class TeacherDownError(RuntimeError):
    """The teacher failed so often in a row that it is left alone for a while."""


class RequestGate:
    """Runs requests with a concurrency limit, a time limit each, retries, and a circuit breaker.

    After ``dead_after_failures`` failures in a row requests fail at once for ``retry_after_s`` seconds; then one
    request at a time probes whether the teacher is back.

    Example:
        gate = RequestGate(max_concurrent=64, timeout_s=600, max_retries=2, dead_after_failures=8, retry_after_s=300)
        response = await gate.run(lambda: client.generate(...))
    """

    def __init__(
        self,
        *,
        max_concurrent: int,
        timeout_s: float,
        max_retries: int,
        dead_after_failures: int,
        retry_after_s: float,
        now: Callable[[], float] = time.monotonic,
    ):
        self.timeout_s = timeout_s
        self.max_retries = max_retries
        self.dead_after_failures = dead_after_failures
        self.retry_after_s = retry_after_s
        self._now = now
        self._slots = asyncio.Semaphore(max_concurrent)
        self._failures_in_a_row = 0
        self._down_since: float | None = None
        self._probing = False

    @property
    def is_down(self) -> bool:
        return self._down_since is not None

    async def run(self, request: Callable[[], Awaitable[T]]) -> T:
        """The answer of ``request``.

        Raises:
            TeacherDownError: the teacher counts as dead.
            Exception: the last failure, after all tries.
        """
        async with self._slots:
            for attempt in range(self.max_retries + 1):
                probe = self._admit()
                try:
                    async with asyncio.timeout(self.timeout_s):
                        answer = await request()
                except asyncio.CancelledError:
                    raise
                except ValueError:  # the request itself is bad (too long): no reason to doubt the teacher
                    raise
                except Exception as error:
                    self._failed()
                    if attempt == self.max_retries or self.is_down:
                        if isinstance(error, TimeoutError):
                            raise TimeoutError(f"no answer within {self.timeout_s:g} s") from error
                        raise
                else:
                    self._failures_in_a_row, self._down_since = 0, None
                    return answer
                finally:
                    if probe:
                        self._probing = False
        raise AssertionError("unreachable")

    def _admit(self) -> bool:
        """Whether this request is the probe of a dead teacher; others are refused while it is dead."""
        if self._down_since is None:
            return False
        waited = self._now() - self._down_since
        if waited < self.retry_after_s or self._probing:
            raise TeacherDownError(f"the teacher failed {self._failures_in_a_row} times in a row and is left alone")
        self._probing = True
        return True

    def _failed(self) -> None:
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= self.dead_after_failures:
            self._down_since = self._now()
