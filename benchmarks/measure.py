"""Seconds on one core and peak memory of a piece of code, as rows of a table."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
from rich.console import Console
from rich.table import Table

MB = 2**20


@dataclass(kw_only=True)
class Part:
    """One part of a step.

    Attributes:
        where: `trainer` (the step waits for it), `workers` (in the agent-loop workers, while others generate),
            `background` (a thread beside the step).
        seconds: CPU time of all threads; on a core of its own, which others do not use, this is wall-clock time.
        peak_mb: rise of the resident memory at its highest point over the start.
        times: how often in a step; 0 for a part of another one, or one that is shown only.
        note: what was scaled or left out.
    """

    name: str
    where: str
    seconds: float = 0.0
    peak_mb: float = 0.0
    times: float = 1.0
    note: str = ""

    @property
    def seconds_a_step(self) -> float:
        return self.seconds * self.times


class Parts(list[Part]):
    """The measured parts, in order."""

    @contextmanager
    def part(
        self,
        name: str,
        where: str = "trainer",
        *,
        scale: float = 1.0,
        times: float = 1.0,
        note: str = "",
        clock: Callable[[], float] = time.process_time,
    ) -> Iterator[Part]:
        """Measures its block. ``scale``: the step's amount of work over the block's, where only a slice was run."""
        part = Part(name=name, where=where, times=times, note=note)
        gc.collect()
        _reset_peak()
        resident, started = _status_mb("VmRSS"), clock()
        yield part
        part.seconds = (clock() - started) * scale
        part.peak_mb = max(_status_mb("VmHWM") - resident, 0.0) * scale
        self.append(part)

    def seconds_a_step(self, *where: str) -> float:
        return sum(part.seconds_a_step for part in self if part.where in where)


def with_helpers() -> float:
    """CPU seconds of this process and of those that it has started and that run."""
    children = psutil.Process().children(recursive=True)
    return time.process_time() + sum(sum(child.cpu_times()[:2]) for child in children)


def print_table(parts: Parts, step_seconds: dict[str, float], console: Console) -> None:
    """The parts with their shares of a step, of which ``step_seconds`` has one or several lengths by name."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("part")
    table.add_column("where")
    for name in ("seconds", "peak MB", "a step", *(f"of {name}" for name in step_seconds)):
        table.add_column(name, justify="right")
    table.add_column("note", style="dim")
    for part in parts:
        shares = [f"{part.seconds_a_step / seconds:.2%}" if part.times else "" for seconds in step_seconds.values()]
        times = f"x {part.times:g}" if part.times else "-"
        table.add_row(part.name, part.where, f"{part.seconds:.3f}", f"{part.peak_mb:.0f}", times, *shares, part.note)
    console.print(table)


def _reset_peak() -> None:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def _status_mb(name: str) -> float:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(name))
