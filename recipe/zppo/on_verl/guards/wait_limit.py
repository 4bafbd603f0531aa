"""A limit on waiting where verl and Ray have none: for servers, workers, resources that nobody gives, engines."""

import signal
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

    It works by the alarm signal, in a process's main thread; of two such limits, one within the other, only the inner
    one counts. A KeyboardInterrupt is all that comes through Ray's waits (they swallow other exceptions of signal
    handlers), and becomes the WaitTimeoutError on the way out.
    """

    def __init__(self, seconds: float, failure: str, key: str, advice: str = ""):
        self.seconds = seconds
        self._failure, self._key, self._advice = failure, key, advice
        self._waiting_in = ""

    def lift(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._waiting_in = ""

    def __enter__(self) -> "WaitLimit":
        self._previous = signal.signal(signal.SIGALRM, self._expire)
        signal.setitimer(signal.ITIMER_REAL, self.seconds, _AGAIN_S)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        """
        Raises:
            WaitTimeoutError: the limit has expired.
        """
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._previous)
        if self._waiting_in and _interrupted(error):
            raise WaitTimeoutError(
                f"{self._failure} within {self.seconds:.0f} s ({self._key}); it was waiting in {self._waiting_in}"
                f"{self._advice and '. '}{self._advice}"
            ) from None

    def _expire(self, number: int, frame: FrameType | None) -> None:
        self._waiting_in = self._waiting_in or _innermost(frame)
        raise KeyboardInterrupt


@contextmanager
def not_counted() -> Iterator[None]:
    """Work that takes as long as it takes, within a limit."""
    left, again = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield
    finally:
        if left:
            signal.setitimer(signal.ITIMER_REAL, left, again)


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
