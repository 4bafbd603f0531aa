"""How far a build is: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

_LINE_EVERY_S = 30.0


class Progress:
    def __init__(self, console: Console | None = None, now: Callable[[], float] = time.monotonic):
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._now, self._last_line = now, now()

    def say(self, text: str) -> None:
        self._console.print(Text(text))

    @contextmanager
    def phase(self, what: str, total: int, done: int = 0) -> Iterator[Callable[[], None]]:
        """A part of the work with `total` steps, of which some are done already; call what it gives after each."""
        if not self._console.is_terminal:
            yield self._lines(what, total, done)
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Bars(*columns, TimeRemainingColumn(), console=self._console) as bars:
            task = bars.add_task(what, total=total, completed=done)
            yield lambda: bars.advance(task)

    def _lines(self, what: str, total: int, done: int) -> Callable[[], None]:
        def step() -> None:
            nonlocal done
            done += 1
            if done == total or self._now() - self._last_line >= _LINE_EVERY_S:
                self._last_line = self._now()
                self.say(f"{what}: {done} of {total}")

        return step
