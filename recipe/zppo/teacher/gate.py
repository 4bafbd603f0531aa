"""Requests to the teacher servers: limits, retries, and a teacher that may die without ending the run."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from recipe.zppo.teacher.slots import Slots, Work

T = TypeVar("T")


def is_server_failure(error: BaseException) -> bool:
    """Whether a server that is dead, gone, overloaded or silent is to blame, rather than the request."""
    return isinstance(error, (RuntimeError, OSError, TimeoutError))


class TeacherDownError(RuntimeError):
    """The teacher failed so often in a row that it is left alone for a while."""


@dataclass(kw_only=True, eq=False)
class RequestGate:
    """Runs requests with a concurrency limit, a time limit each, retries, and a circuit breaker.

    Requests that exceed the limit wait as `Slots` says.

    After ``dead_after_failures`` failures in a row every request is refused at once, so that a dead teacher costs a
    step nothing. Every ``retry_after_s`` seconds a short ``probe`` in the background asks whether it is back. Requests
    that were under way together when a connection broke failed once, not each on its own: of them one counts. Requests
    without an answer in time count each. Tries of a request are ``retry_pause_s``, then twice as long apart, and so on.
    """

    max_concurrent: int
    timeout_s: float
    max_retries: int
    dead_after_failures: int
    retry_after_s: float
    probe: Callable[[], Awaitable[object]]
    probe_timeout_s: float = 30.0
    retry_pause_s: float = 0.5
    is_failure: Callable[[BaseException], bool] = is_server_failure
    now: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._slots = Slots(self.max_concurrent)
        self._failures_in_a_row = 0
        self._began = 0  # requests so far, a number for each
        self._not_before = 0  # requests with a lower number were under way at the last failure that counted
        self._down_since: float | None = None
        self._probing: asyncio.Task | None = None

    @property
    def is_down(self) -> bool:
        return self._down_since is not None

    async def run(self, request: Callable[[], Awaitable[T]], work: Work = Work.ROLLOUT) -> T:
        """The answer of ``request``.

        Raises:
            TeacherDownError: the teacher counts as dead.
            Exception: the last failure of the servers, after all tries; or at once what is not their fault
                (a prompt that is too long, say).
        """
        async with self._slots.take(work):
            for attempt in range(self.max_retries + 1):
                self._refuse_while_down()
                self._began += 1
                number = self._began
                try:
                    async with asyncio.timeout(self.timeout_s):
                        answer = await request()
                except Exception as error:  # which errors a server makes is the caller's to say
                    if not self.is_failure(error):
                        raise
                    self._failed(number, error)
                    if attempt == self.max_retries or self.is_down:
                        if isinstance(error, TimeoutError):
                            raise TimeoutError(f"no answer within {self.timeout_s:g} s") from error
                        raise
                    await asyncio.sleep(self.retry_pause_s * 2**attempt)
                else:
                    self._failures_in_a_row, self._down_since = 0, None
                    return answer
        raise AssertionError("unreachable")

    def _refuse_while_down(self) -> None:
        if self._down_since is None:
            return
        if self.now() - self._down_since >= self.retry_after_s and self._probing is None:
            self._probing = asyncio.create_task(self._ask_whether_it_is_back())
        raise TeacherDownError(f"the teacher failed {self._failures_in_a_row} times in a row and is left alone")

    async def _ask_whether_it_is_back(self) -> None:
        try:
            async with asyncio.timeout(self.probe_timeout_s):
                await self.probe()
        except Exception:  # whatever it is, it is no answer
            self._down_since = self.now()
        else:
            self._failures_in_a_row, self._down_since = 0, None
        finally:
            self._probing = None

    def _failed(self, number: int, error: Exception) -> None:
        if number <= self._not_before and not isinstance(error, TimeoutError):
            return
        self._not_before = self._began
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= self.dead_after_failures:
            self._down_since = self.now()
