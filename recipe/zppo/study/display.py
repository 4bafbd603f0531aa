"""How a study stands and how long it still takes, on a terminal or in a log."""

import heapq
import time
from collections.abc import Callable, Sequence
from statistics import mean

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from recipe.zppo.study.ledger import Ledger, Standing
from recipe.zppo.study.plan import Cell, Plan
from recipe.zppo.view.progress import clock

_LINE_EVERY_S = 30.0
_STYLES = {"finished": "green", "failed": "red", "running": "bold", "waiting": "dim"}


class Display:
    """On a terminal a table that is kept up to date; elsewhere a line now and then. A context manager."""

    def __init__(self, jobs: int, console: Console | None = None, now: Callable[[], float] = time.monotonic):
        self._jobs, self._now = jobs, now
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._began = self._last_line = now()
        self._live: Live | None = None

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=2)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        self._console.print(Text(text))

    def ended(self, standing: Standing) -> None:
        if standing.state == "failed":
            self.say(f"failed: {standing.run.name}: {standing.error} (log: {standing.folder / 'train.log'})")
        else:
            self.say(f"finished: {standing.run.name}: {figures(standing)}")

    def show(self, plan: Plan, ledger: Ledger) -> None:
        """Call it as often as you like."""
        if self._live is not None:
            self._live.update(Group(*tables(plan, ledger), Text(self.line(plan, ledger))))
        elif self._now() - self._last_line >= _LINE_EVERY_S:
            self._last_line = self._now()
            self.say(self.line(plan, ledger))

    def line(self, plan: Plan, ledger: Ledger) -> str:
        """``5 of 18 runs done, 1 failed; running: zppo, firm, seed 1 (12/40); 4:10 elapsed, about 9:00 left``"""
        standings = list(ledger.by_id.values())
        cells = list(plan.cells())
        total = len(standings) + sum(plan.run(cell) is None for cell in cells)
        text = f"{len(ledger.with_state('finished'))} of {total} runs done"
        if failed := ledger.with_state("failed"):
            text += f", {len(failed)} failed"
        if running := ledger.with_state("running"):
            text += "; running: " + "; ".join(f"{s.run.name} ({s.step}/{s.run.steps})" for s in running)
        text += f"; {clock(self._now() - self._began)} elapsed"
        left = seconds_left(standings, self._jobs)
        if left is not None and (running or ledger.with_state("waiting")):
            text += f", about {clock(left)} left"
            if len(standings) < total:
                text += f" and {total - len(standings)} runs whose length is not known yet"
        return text


def seconds_left(standings: Sequence[Standing], jobs: int) -> float | None:
    """From what steps have taken so far; None while nothing has been measured.

    Runs that have not begun take what others of the same overrides and world took, else others of the world,
    else any. The free worker takes the next run, as in the study.
    """
    if not any(standing.seconds_a_step for standing in standings):
        return None
    free_at = [0.0] * jobs
    for state in ("running", "waiting"):
        for standing in standings:
            if standing.state == state:
                left = (standing.run.steps - standing.step) * _seconds_a_step(standing, standings)
                heapq.heappush(free_at, heapq.heappop(free_at) + left)
    return max(free_at)


def _seconds_a_step(standing: Standing, standings: Sequence[Standing]) -> float:
    if standing.state == "running" and standing.seconds_a_step:
        return standing.seconds_a_step
    timed = [other for other in standings if other.seconds_a_step]
    of_world = [other for other in timed if other.run.world_key == standing.run.world_key]
    of_row = [other for other in of_world if other.run.overrides == standing.run.overrides]
    return mean(other.seconds_a_step or 0.0 for other in of_row or of_world or timed)


def figures(standing: Standing) -> str:
    """The measures that matter, in words."""
    values = standing.measures or {}
    parts = []
    for key, label in (("accuracy", "held-out"), ("shifted_accuracy", "shifted"), ("graduation_rate", "graduated")):
        if (value := values.get(key)) is not None:
            parts.append(f"{label} {value:.1%}")
    if (seconds := values.get("train_seconds")) is not None:
        parts.append(f"{seconds:.0f} s of training")
    return ", ".join(parts)


def tables(plan: Plan, ledger: Ledger) -> list[Table]:
    """Rows by seeds, one table a world."""
    seeds = sorted({seed for row in plan.config.chosen for seed in row.seeds})
    shown = []
    for inputs in plan.inputs:
        table = Table(title=Text(f"world: {inputs.name}"), title_justify="left")
        table.add_column("row")
        for seed in seeds:
            table.add_column(f"seed {seed}", justify="right")
        for row in plan.config.chosen:
            cells = {seed: Cell(inputs.name, row.name, seed) for seed in row.seeds}
            table.add_row(Text(row.label), *(_place(plan, ledger, cells[s]) if s in cells else "" for s in seeds))
        shown.append(table)
    return shown


def _place(plan: Plan, ledger: Ledger, cell: Cell) -> Text:
    if (standing := ledger.of(plan.run(cell))) is None:
        return Text("waits for times", style="dim")
    words = {
        "finished": "done",
        "failed": "failed",
        "running": f"{standing.step}/{standing.run.steps}",
        "waiting": f"stopped at {standing.step}" if standing.step else "·",
    }
    return Text(words[standing.state], style=_STYLES[standing.state])
