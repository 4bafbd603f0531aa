"""How long verdicts, summaries and rollouts wait for the teacher, under a semaphore and under the fair queue.

    python -m benchmarks.bench_fair_queue [--steps 3] [--seed 0] [--slots 64 256 1024] [--judged 0.3]

The real pipeline on the simulated servers of `bench_schedule_sim`, in virtual time, schedule same_step, with a share of
the questions judged: each of their student and teacher rollouts needs a verdict before it counts. All requests to the
teacher go through one gate with so many slots. Compared are

- semaphore: first come, first served, what the gate had before;
- by request: classes in turns, one request each;
- fair queue: classes in turns by tokens (`recipe.zppo.teacher.fair_queue`).

Waiting is from the request until its slot, in seconds, by class: mean, 99th percentile and longest. Generation is the
time of a step without training. Nothing of this was fitted to a real run.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.bench_schedule_sim import PREFILL_TOKENS, SUMMARY_TOKENS, SimulatedWorkers, draw_questions, run_pipeline
from benchmarks.bench_schedule_sim import _length as length_of
from benchmarks.paper_step import RESPONSE_TOKENS
from benchmarks.virtual_time import generate, run_in_virtual_time
from recipe.zppo.candidates import Draft
from recipe.zppo.teacher.fair_queue import FairQueue, Work
from recipe.zppo.types import Candidate, Kind, Question, Rollout, TeacherAnswers, TeacherRollout

VERDICT_TOKENS = 12
"""That a verdict has; asked for are up to `BUDGET`."""
BUDGET = 512


class Semaphore:
    """The gate as it was."""

    def __init__(self, slots: int):
        self._slots = asyncio.Semaphore(slots)

    @asynccontextmanager
    async def slot(self, work: str, cost: float) -> AsyncIterator[None]:
        async with self._slots:
            yield


class ByRequest(FairQueue):
    """Every request counts the same."""

    def slot(self, work: str, cost: float) -> Any:
        return super().slot(work, 1.0)


QUEUES = {"semaphore": Semaphore, "by request": ByRequest, "fair queue": FairQueue}


class JudgedWorkers(SimulatedWorkers):
    """The simulated workers with a gate before the teacher, and a judge."""

    def __init__(self, queue: Any, teacher_slowness: float, judged: float):
        super().__init__(teacher_slowness)
        self.queue, self.judged = queue, judged
        self.waits: dict[Work, list[float]] = defaultdict(list)

    async def _teacher(self, work: Work, tokens: int, budget: int) -> None:
        loop = asyncio.get_running_loop()
        asked = loop.time()
        async with self.queue.slot(work, budget):
            self.waits[work].append(loop.time() - asked)
            await generate(self.teachers, tokens)

    async def _verdict(self, question: Question) -> None:
        if random.Random(question.prompt_id).random() < self.judged:
            await self._teacher(Work.VERDICT, VERDICT_TOKENS + PREFILL_TOKENS // 4, BUDGET)

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

    async def ask_teacher(self, question: Question, *, seeds: Sequence[int], teacher: int = 0) -> TeacherAnswers:
        async def rollout(seed: int) -> TeacherRollout:
            tokens = length_of(question, seed)
            await self._teacher(Work.ROLLOUT, tokens, RESPONSE_TOKENS)
            await self._verdict(question)
            return TeacherRollout("", float(random.Random(seed).random() < 0.6), tokens)

        return TeacherAnswers(tuple(await asyncio.gather(*map(rollout, seeds))))

    async def compress(self, draft: Draft, *, seed: int, teacher: bool) -> Candidate:
        await self._teacher(Work.SUMMARY, SUMMARY_TOKENS + PREFILL_TOKENS, BUDGET)
        return Candidate("", draft.source, draft.correct, "", "teacher")


def simulate(
    name: str, slots: int, *, steps: int = 3, seed: int = 0, judged: float = 0.3, slowness: float = 2.0
) -> tuple[list[float], dict[Work, list[float]]]:
    """Seconds of generation of each step, and the waiting times by class over all steps."""
    rng = random.Random(seed)
    questions = [draw_questions(rng, step) for step in range(1, steps + 1)]

    async def run() -> tuple[list[float], dict[Work, list[float]]]:
        workers = JudgedWorkers(QUEUES[name](slots), slowness, judged)
        return await run_pipeline("same_step", workers, questions, 0.0, seed), workers.waits

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
    arguments.add_argument("--teacher-slowness", type=float, default=2.0)
    options = arguments.parse_args()

    table = Table(box=None, pad_edge=False, header_style="bold")
    waits_of = [f"{work} wait" for work in (Work.VERDICT, Work.SUMMARY, Work.ROLLOUT)]
    for column in ("slots", "queue", "generation", *waits_of):
        table.add_column(column, justify="left" if column == "queue" else "right")
    for slots in options.slots:
        for name in QUEUES:
            seconds, waits = simulate(
                name,
                slots,
                steps=options.steps,
                seed=options.seed,
                judged=options.judged,
                slowness=options.teacher_slowness,
            )
            cells = [
                f"{statistics.mean(waits[work]):.1f} / {percentile(waits[work], 0.99):.1f} / {max(waits[work]):.1f}"
                for work in (Work.VERDICT, Work.SUMMARY, Work.ROLLOUT)
            ]
            table.add_row(str(slots), name, f"{statistics.median(seconds):.0f} s", *cells)
    console = Console(width=140)
    console.print(
        f"Medians over {options.steps} steps; waits in seconds (mean / 99th percentile / longest); "
        f"{options.judged:.0%} of the questions judged, teacher {options.teacher_slowness:g}x as slow as the student"
    )
    console.print(table)


if __name__ == "__main__":
    main()
