"""How far an evaluation is, and how long it will still take: two bars on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

_LINE_EVERY_S = 30.0


class Progress:
    """Of all benchmarks of all models; `one` for each of them."""

    def __init__(self, console: Console | None = None, now: Callable[[], float] = time.monotonic):
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._now, self._began, self._last_line = now, now(), now()
        self._left = self._steps = 0
        self._bars: Bars | None = None

    def say(self, text: str) -> None:
        """A line of its own."""
        self._console.print(Text(text))

    @contextmanager
    def all(self, expected: int) -> Iterator[None]:
        """All that is to be asked, which may be a guess."""
        self._left, self._began = expected, self._now()
        if not self._console.is_terminal:
            yield
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Bars(*columns, TimeRemainingColumn(), console=self._console) as self._bars:
            self._all = self._bars.add_task("all", total=expected)
            yield
        self._bars = None

    @contextmanager
    def one(self, name: str, expected: int) -> Iterator[Callable[[], None]]:
        """A benchmark; call what it gives after each answer."""
        done = 0
        task = self._bars.add_task(name, total=expected) if self._bars else None

        def step() -> None:
            nonlocal done
            done, self._steps = done + 1, self._steps + 1
            if done <= expected:
                self._left -= 1
            if self._bars and task is not None:
                self._bars.update(task, completed=done, total=max(done, expected))
                self._bars.update(self._all, completed=self._steps, total=self._steps + max(0, self._left))
            elif self._now() - self._last_line >= _LINE_EVERY_S:
                self._last_line = self._now()
                self.say(f"{name}: {done} of {max(done, expected)}; all: {self._time_left()} left")

        yield step
        self._left -= max(0, expected - done)  # there were fewer
        if self._bars and task is not None:
            self._bars.remove_task(task)

    def _time_left(self) -> str:
        seconds = (self._now() - self._began) / max(1, self._steps) * max(0, self._left)
        return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{seconds / 60:.0f} min"
