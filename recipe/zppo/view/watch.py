"""Live progress of a run: ``python -m recipe.zppo.watch RUN_DIR [--log FILE] [--pid PID]``.

On a terminal a display that is renewed in place: numbers, lines over the steps, warnings (`recipe.zppo.view.health`).
Elsewhere one line for each finished step, and one for a warning that begins to hold. It ends when the run is
done (exit status 0), when process PID has ended before (1; what the log tells about it is printed), or with Ctrl-C
(130), which leaves the run alone.
"""

import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from recipe.zppo.config.ending import Arguments, at_least, command, place
from recipe.zppo.errors import ZPPOError
from recipe.zppo.run.folder import RunFolder
from recipe.zppo.run.processes import started_at
from recipe.zppo.view import outcome
from recipe.zppo.view.health import Concern, warnings
from recipe.zppo.view.log_tail import telling_lines
from recipe.zppo.view.progress import Progress, ProgressReader, clock, figures, last_validation, lines
from recipe.zppo.view.screen import Screen
from recipe.zppo.view.sparkline import WIDTH, sparkline
from recipe.zppo.view.title import method_name


class LiveDisplay:
    """For a terminal: bar, stage, and the numbers of the last step."""

    def __init__(self, console: Console, title: str):
        self.title = title
        self.screen = Live(console=console, auto_refresh=False)

    def show(self, progress: Progress) -> None:
        self.screen.update(self.render(progress), refresh=True)

    def render(self, progress: Progress) -> RenderableType:
        bar = Table.grid(padding=(0, 2))
        bar.add_row(
            Text(f"step {progress.finished}/{progress.total or '?'}", style="bold"),
            ProgressBar(total=progress.total or 1, completed=min(progress.finished, progress.total or 0), width=40),
            Text(_time_to_go(progress)),
        )
        numbers = Table.grid(padding=(0, 3))
        kinds = outcome.kinds(progress.rows)
        last = next((shown for row in reversed(progress.rows) if (shown := figures(row, kinds))), {})
        cells = [Text.assemble((f"{label} ", "dim"), value) for label, value in last.items()]
        for start in range(0, len(cells), 4):
            numbers.add_row(*cells[start : start + 4])
        parts: list[RenderableType] = [Text(self.title, style="dim", no_wrap=True, overflow="ellipsis"), bar]
        parts.append(Text(_now(progress), style="cyan"))
        if cells:
            parts.append(numbers)
        if validation := last_validation(progress.rows):
            parts.append(Text.assemble(("held out ", "dim"), validation))
        if over_steps := lines(progress.rows):
            parts.append(_sparklines(over_steps))
        parts += [_warning(concern) for concern in warnings(progress.rows)]
        return Group(*parts)


class PlainDisplay:
    """For a file or a pipe: a line when a step is finished, one at each change before the first step, and one when a
    warning begins to hold."""

    screen = nullcontext()

    def __init__(self, write: Callable[[str], None]):
        self._write = write
        self._shown_step = -1
        self._shown_stage: str | None = None
        self._warned: set[str] = set()

    def show(self, progress: Progress) -> None:
        if progress.finished == 0 and progress.step <= 1 and progress.stage != self._shown_stage:
            self._shown_stage = progress.stage
            self._write(progress.words)
        kinds = outcome.kinds(progress.rows)
        for row in progress.rows:
            if row["step"] > self._shown_step:
                self._shown_step = row["step"]
                self._write(self.line(progress, row, kinds))
        concerns = warnings(progress.rows)
        for concern in concerns:
            if concern.name not in self._warned:
                self._write(f"WARNING {concern}")
        self._warned = {concern.name for concern in concerns}

    def line(self, progress: Progress, row: dict[str, float], kinds: tuple[str, ...]) -> str:
        parts = [f"step {row['step']:.0f}/{progress.total or '?'}" if row["step"] else "before training"]
        parts += [f"{label} {value}" for label, value in figures(row, kinds).items()]
        if validation := last_validation([row]):
            parts.append(f"held out {validation}")
        if row is progress.rows[-1] and progress.seconds_to_go and not progress.done:
            parts.append(_time_to_go(progress))
        return ", ".join(parts)


def _now(progress: Progress) -> str:
    under_way = f"step {progress.step}: " if progress.step > progress.finished and not progress.done else ""
    return under_way + progress.waited_for


def _sparklines(over_steps: Mapping[str, Sequence[float]]) -> Columns:
    """Label, line, first and last value, as many to a row as there is room for."""
    return Columns(
        Text.assemble(
            (f"{label:<18}", "dim"),
            (f"{sparkline(values):<{WIDTH}}", "green"),
            f"  {values[0]:.3g} to {values[-1]:.3g}",
        )
        for label, values in over_steps.items()
    )


def _warning(concern: Concern) -> Text:
    return Text.assemble(("WARNING ", "bold yellow"), str(concern))


def _time_to_go(progress: Progress) -> str:
    if progress.done or progress.seconds_to_go is None:
        return ""
    return f"about {clock(progress.seconds_to_go)} to go"


def watch(
    reader: ProgressReader,
    display: LiveDisplay | PlainDisplay,
    alive: Callable[[], bool] = lambda: True,
    interval_s: float = 0.5,
) -> bool:
    """Show the run until it is done, True, or no longer alive, False."""
    with display.screen:
        while True:
            still_alive = alive()  # asked before the files are read: what the process wrote last is not missed
            progress = reader.look()
            display.show(progress)
            if progress.done or not still_alive:
                return progress.done
            time.sleep(interval_s)


def written_since(pid: int | None, log: Path | None) -> float:
    """From when on the folder's files are of the run that is watched: the start of its process.

    A process that has ended already leaves only the log to go by: it was written to in the run's last moments.
    """
    if pid is None:
        return 0.0
    began = started_at(pid)
    if began is not None:
        return began - 1
    return log.stat().st_mtime - 120 if log is not None and log.exists() else 0.0


@command()
def main(arguments: list[str] | None = None) -> int:
    parser = Arguments(prog="python -m recipe.zppo.watch", description="Live progress of a ZPPO run.")
    parser.add_argument("run_dir", help="folder of the run (its trainer.default_local_dir)")
    parser.add_argument("--log", type=place, help="file with the run's output, to tell from why it ended")
    parser.add_argument("--pid", type=at_least(1), help="process of the run: end when it has ended")
    options = parser.parse_args(arguments)
    try:
        folder = _existing(options.run_dir, options.pid)
    except ZPPOError:
        if options.pid is not None and options.log is not None and options.log.exists():
            return _ended(options)  # before it had made its folder
        raise
    reader = ProgressReader(folder, since=written_since(options.pid, options.log))
    display: LiveDisplay | PlainDisplay = PlainDisplay(lambda line: print(line, flush=True))
    if sys.stdout.isatty():
        display = LiveDisplay(Screen(), " · ".join(filter(None, (str(folder.path), method_name(folder)))))
    alive = (lambda: started_at(options.pid) is not None) if options.pid is not None else (lambda: True)
    try:
        if watch(reader, display, alive):
            return 0
    except KeyboardInterrupt:
        print("no longer watching; the run goes on", file=sys.stderr)
        return 130
    return _ended(options)


def _ended(options: Namespace) -> int:
    """Say that the process has ended, and what its log tells about it."""
    print(f"the run (process {options.pid}) has ended before it was done", file=sys.stderr)
    for line in telling_lines(options.log) if options.log is not None else ():
        print(f"  {line}", file=sys.stderr)
    return 1


def _existing(run_dir: str, pid: int | None) -> RunFolder:
    """The run's folder; one that a live process is about to make is made here."""
    if pid is not None and started_at(pid) is not None:
        Path(run_dir).mkdir(parents=True, exist_ok=True)
    return RunFolder(run_dir)
