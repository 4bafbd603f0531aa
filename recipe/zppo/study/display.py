"""How a study stands, on a terminal or in a log."""

import time
from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from recipe.zppo.study.estimate import seconds_left
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
        """A run is over."""
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
    cells = list(plan.cells())
    seeds = sorted({cell.seed for cell in cells})
    shown = []
    for inputs in plan.inputs:
        table = Table(title=f"world: {inputs.name}", title_justify="left")
        table.add_column("row")
        for seed in seeds:
            table.add_column(f"seed {seed}", justify="right")
        for row in plan.config.chosen:
            places = [Cell(inputs.name, row.name, seed) for seed in seeds]
            table.add_row(row.label, *(_place(plan, ledger, place) if place in cells else "" for place in places))
        shown.append(table)
    return shown


def _place(plan: Plan, ledger: Ledger, cell: Cell) -> Text:
    run = plan.run(cell)
    if run is None or (standing := ledger.by_id.get(run.id)) is None:
        return Text("waits for times", style="dim")
    words = {
        "finished": "done",
        "failed": "failed",
        "running": f"{standing.step}/{standing.run.steps}",
        "waiting": f"stopped at {standing.step}" if standing.step else "·",
    }
    return Text(words[standing.state], style=_STYLES[standing.state])
