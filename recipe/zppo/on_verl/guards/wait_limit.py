"""A limit on waiting where verl and Ray have none: for servers, workers, resources that nobody gives, engines."""

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from recipe.zppo.errors import WaitTimeoutError

_AGAIN_S = 30.0
"""Clearing up after an expired limit may wait for the same thing; it is interrupted as well."""

_PACKAGES = ("/recipe/", "/verl/", "/transfer_queue/")


class WaitLimit:
    """A context that may take so long, or until `lift` is called.

        with WaitLimit(config.zppo.timeouts.start_s, "the run was not ready", "zppo.timeouts.start_s") as limit:
            start()        # WaitTimeoutError if this takes longer
            limit.lift()
            train()        # as long as it likes

    Args:
        seconds: the limit.
        failure: what has not happened in time, a main clause.
        key: where the limit is configured.
        advice: what the user can do.

    It works by the alarm signal, in a process's main thread. Of limits within each other all count, and the one that
    expires first is named. A KeyboardInterrupt is all that comes through Ray's waits (they swallow other exceptions of
    signal handlers), and becomes the WaitTimeoutError on the way out of the limit that has expired.
    """

    def __init__(self, seconds: float, failure: str, key: str, advice: str = ""):
        self.seconds = seconds
        self._failure, self._key, self._advice = failure, key, advice
        self.ends = math.inf
        """On the monotonic clock; infinite where it is lifted."""
        self.waiting_in = ""
        """Where it was waiting when it expired; empty before."""

    def lift(self) -> None:
        self.ends, self.waiting_in = math.inf, ""
        _set_alarm()

    def __enter__(self) -> "WaitLimit":
        self.ends = time.monotonic() + self.seconds
        _limits.append(self)
        self._previous = signal.signal(signal.SIGALRM, _interrupt)
        _set_alarm()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        """
        Raises:
            WaitTimeoutError: the limit has expired.
        """
        signal.setitimer(signal.ITIMER_REAL, 0)
        _limits.remove(self)
        signal.signal(signal.SIGALRM, self._previous)
        _set_alarm()
        if self.waiting_in and _interrupted(error):
            raise WaitTimeoutError(
                f"{self._failure} within {self.seconds:.0f} s ({self._key}); it was waiting in {self.waiting_in}"
                f"{self._advice and '. '}{self._advice}"
            ) from None


_limits: list[WaitLimit] = []
"""The innermost last."""


def _set_alarm() -> None:
    """For the limit that ends first."""
    ends = min((limit.ends for limit in _limits), default=math.inf)
    left = max(ends - time.monotonic(), 1e-3) if ends < math.inf else 0.0  # 0 is no alarm
    signal.setitimer(signal.ITIMER_REAL, left, left and _AGAIN_S)


def _interrupt(number: int, frame: FrameType | None) -> None:
    first = min(_limits, key=lambda limit: limit.ends, default=None)
    if first is not None and first.ends < math.inf:
        if not any(limit.waiting_in for limit in _limits):
            first.waiting_in = _innermost(frame)
        first.ends = time.monotonic() + _AGAIN_S
        _set_alarm()
    raise KeyboardInterrupt


@contextmanager
def not_counted() -> Iterator[None]:
    """Work that takes as long as it takes, within limits."""
    began, paused = time.monotonic(), {limit: limit.ends for limit in _limits}
    for limit in paused:
        limit.ends = math.inf
    _set_alarm()
    try:
        yield
    finally:
        for limit, ends in paused.items():
            limit.ends = ends + time.monotonic() - began
        _set_alarm()


def _interrupted(error: BaseException | None) -> bool:
    """Whether it is the interrupt, or what clearing up raised after it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _innermost(frame: FrameType | None) -> str:
    """The innermost functions of this project and verl, not of Ray, outermost first."""
    names: list[str] = []
    while frame is not None and len(names) < 4:
        file = frame.f_code.co_filename.replace("\\", "/").rpartition("site-packages/")[2]
        if any(package in f"/{file}" for package in _PACKAGES):
            names.append(f"{file.rsplit('/', 1)[-1]}:{frame.f_code.co_name}")
        frame = frame.f_back
    return " > ".join(reversed(names)) or "a call of its own"
