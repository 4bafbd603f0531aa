"""How long verdicts, summaries and rollouts wait for the teacher: in order of arrival, and with short work first.

    python -m benchmarks.bench_teacher_slots [--steps 3] [--seed 0] [--slots 64 256 1024] [--judged 0.3] [--student 2B]

The real pipeline on the simulated cluster of `paper_cluster`, in virtual time, schedule same_step, with a share of the
questions judged: each of their student and teacher rollouts needs a verdict before it counts. All requests to the
teacher share so many slots: a semaphore's, or those of `recipe.zppo.teacher.slots`.

Waiting is from the request until its slot, in seconds, by kind: mean, 99th percentile and longest. Generation is the
time of a step without training. Nothing of this was fitted to a real run.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import paper_cluster as cluster
from benchmarks.bench_schedule_sim import run_pipeline
from benchmarks.simulated_workers import SimulatedWorkers
from benchmarks.virtual_time import run_in_virtual_time
from recipe.zppo.teacher.slots import Slots, Work
from recipe.zppo.types import Kind, Question, Rollout, TeacherRollout

VERDICT_TOKENS = 12


class InOrder:
    """First come, first served."""

    def __init__(self, count: int):
        self._slots = asyncio.Semaphore(count)

    def take(self, work: Work) -> asyncio.Semaphore:
        return self._slots


SLOTS = {"in order": InOrder, "short first": Slots}


class JudgedWorkers(SimulatedWorkers):
    """The simulated workers with slots before the teacher, and a judge."""

    def __init__(self, slots: Any, student: str, judged: float):
        super().__init__(cluster.STUDENTS[student], cluster.LENGTHS["medium"])
        self.slots, self.judged = slots, judged
        self.waits: dict[Work, list[float]] = defaultdict(list)

    async def ask(self, tokens: int, work: Work) -> None:
        loop = asyncio.get_running_loop()
        asked = loop.time()
        async with self.slots.take(work):
            self.waits[work].append(loop.time() - asked)
            await super().ask(tokens, work)

    async def _verdict(self, question: Question) -> None:
        if random.Random(question.prompt_id).random() < self.judged:
            await self.ask(VERDICT_TOKENS + cluster.PREFILL_TOKENS // 4, Work.VERDICT)

    async def roll_out(
        self, question: Question, messages: list[dict], *, uid: str, kind: Kind, seeds: Sequence[int], openings=()
    ) -> AsyncIterator[Rollout]:
        async def judged(rollout: Rollout) -> Rollout:
            await self._verdict(question)
            return rollout

        tasks = []
        async for rollout in super().roll_out(question, messages, uid=uid, kind=kind, seeds=seeds):
            tasks.append(asyncio.create_task(judged(rollout)))
        for finished in asyncio.as_completed(tasks):
            yield await finished

    async def teacher_rollout(self, question: Question, seed: int) -> TeacherRollout:
        rollout = await super().teacher_rollout(question, seed)
        await self._verdict(question)
        return rollout


def simulate(
    name: str, slots: int, *, steps: int = 3, seed: int = 0, judged: float = 0.3, student: str = "2B"
) -> tuple[list[float], dict[Work, list[float]]]:
    """Seconds of generation of each step, and the waiting times by kind of work over all steps."""
    rng = random.Random(seed)
    lengths = cluster.LENGTHS["medium"]
    questions = [cluster.draw_questions(rng, step, lengths) for step in range(1, steps + 1)]

    async def run() -> tuple[list[float], dict[Work, list[float]]]:
        workers = JudgedWorkers(SLOTS[name](slots), student, judged)
        done = await run_pipeline("same_step, hard", workers, questions, 0.0, seed)
        return [seconds for seconds, _ in done], workers.waits

    return run_in_virtual_time(run())


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--steps", type=int, default=3)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--slots", type=int, nargs="+", default=[64, 256, 1024])
    arguments.add_argument("--judged", type=float, default=0.3, help="share of the questions")
    arguments.add_argument("--student", choices=cluster.STUDENTS, default="2B")
    options = arguments.parse_args()

    table = Table(box=None, pad_edge=False, header_style="bold")
    waits_of = [f"{work} wait" for work in (Work.VERDICT, Work.SUMMARY, Work.ROLLOUT)]
    for column in ("slots", "turns", "generation", *waits_of):
        table.add_column(column, justify="left" if column == "turns" else "right")
    for slots in options.slots:
        for name in SLOTS:
            seconds, waits = simulate(
                name,
                slots,
                steps=options.steps,
                seed=options.seed,
                judged=options.judged,
                student=options.student,
            )
            cells = [
                f"{statistics.mean(waits[work]):.1f} / {percentile(waits[work], 0.99):.1f} / {max(waits[work]):.1f}"
                for work in (Work.VERDICT, Work.SUMMARY, Work.ROLLOUT)
            ]
            table.add_row(str(slots), name, f"{statistics.median(seconds):.0f} s", *cells)
    console = Console(width=140)
    console.print(
        f"Medians over {options.steps} steps; waits in seconds (mean / 99th percentile / longest); "
        f"{options.judged:.0%} of the questions judged, student of {options.student}"
    )
    console.print(table)


if __name__ == "__main__":
    main()
