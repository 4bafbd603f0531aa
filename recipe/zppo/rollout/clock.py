"""Clock of overlapping work: how long the teacher was busy, and how much of that nobody had to wait for."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class ActivityClock:
    """Adds up wall-clock time by what is going on at once. Not thread-safe: one event loop owns it.

    ``with clock("teacher"):`` marks an activity; activities nest and overlap freely. Teacher time is *exposed* while a
    teacher request runs, the step waits for groups, and no plain rollout is running; all other teacher time is hidden
    behind plain rollouts or training. Reformulated rollouts hide nothing: it is they that wait for the teacher.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self._now = now
        self._last = now()
        self._running: Counter[str] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def _advance(self) -> None:
        now = self._now()
        elapsed, self._last = now - self._last, now
        for name, count in self._running.items():
            if count:
                self._seconds[name] += elapsed
        if self._running["teacher"] and self._running["wait"] and not self._running["plain"]:
            self._seconds["exposed"] += elapsed

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self._advance()
        self._running[name] += 1
        try:
            yield
        finally:
            self._advance()
            self._running[name] -= 1

    def pop(self) -> dict[str, float]:
        """Seconds since the last call: ``teacher``, ``wait``, ``exposed`` (teacher time waited for)."""
        self._advance()
        seconds = {name: self._seconds[name] for name in ("teacher", "wait", "exposed")}
        self._seconds.clear()
        return seconds
