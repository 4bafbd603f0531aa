"""Shows what is being trained, at which step and loss, and the time to go; plain lines when not on a terminal."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

PLAIN_LINE_EVERY_S = 15.0


class TrainingProgress:
    """Used as a context manager; :meth:`update` for each report of a model in training."""

    def __init__(self, console: Console | None = None):
        self.console = console or Console()
        self.started = time.monotonic()
        self._tasks: dict[str, int] = {}
        self._last_line: dict[str, float] = {}
        self._bars = Progress(
            TextColumn("pre-training {task.description}"),
            BarColumn(),
            TextColumn("step {task.completed}/{task.total}, loss {task.fields[loss]:.3f}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
        )

    def __enter__(self) -> "TrainingProgress":
        self.started = time.monotonic()
        if self.console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._bars.stop()

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def update(self, name: str, step: int, steps: int, loss: float) -> None:
        if self.console.is_terminal:
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(name, total=steps, loss=loss)
            self._bars.update(self._tasks[name], completed=step, loss=loss)
            return
        now = time.monotonic()
        if step == steps or now - self._last_line.get(name, self.started) >= PLAIN_LINE_EVERY_S:
            self._last_line[name] = now
            to_go = (now - self.started) * (steps - step) / step
            self.say(f"pre-training {name}: step {step}/{steps}, loss {loss:.3f}, about {to_go:.0f} s to go")
