"""Generation time of the schedules at the paper's layout: the real pipeline on simulated servers, in virtual time.

    python -m benchmarks.bench_schedule_sim [--steps 4] [--seed 0] [--teacher-slowness 1 2 3] [--training 1 4]

480 questions x 8 on 48 student GPUs, the teacher on 16 (8 nodes, 6 + 2 GPUs each). Response lengths are log-normal,
cut at 12,288 tokens, with one factor for the question, larger for hard ones, and one for the response. A server gives
each of its n requests a token every base + n x share milliseconds. Nothing of this was fitted to a real run: ratios are
what the assumptions below give, for teachers of different speed. Compared are

- plain only: no reformulation (GRPO with replay), the 1.00 of its column;
- same_step, next_step: `QuestionPipeline` itself;
- barriers: plain groups, then the teacher, then compression, then reformulated groups, each phase after all of the
  one before; and the same with the teacher's rollouts started as groups complete, but the second phase after all.

With next_step the teacher goes on while the student trains, so that the length of training matters.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import statistics
from collections.abc import AsyncIterator, Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.instant_workers import paper_pipeline
from benchmarks.paper_step import (
    FRACTION,
    GROUP_SIZE,
    NUM_NEW,
    NUM_REPLAYED,
    RESPONSE_TOKENS,
    TEACHER_ROLLOUTS,
    THRESHOLD,
)
from benchmarks.virtual_time import Server, generate, run_in_virtual_time
from recipe.zppo.candidates import Draft, draw_candidates
from recipe.zppo.methods import METHODS
from recipe.zppo.randomness import derive_seed
from recipe.zppo.selection import HardQuestion, reformulation_cap, select_reformulations
from recipe.zppo.types import Candidate, Group, Kind, Question, Rollout, TeacherAnswers, TeacherRollout

STUDENT_GPUS, TEACHER_GPUS, SLOTS = 48, 16, 256
STUDENT_MS, STUDENT_REQUEST_MS = 6.0, 0.08
MEDIAN_TOKENS, QUESTION_SIGMA, RESPONSE_SIGMA, HARD_FACTOR = 2_500, 0.4, 0.6, 1.4
SUMMARY_TOKENS, PREFILL_TOKENS = 256, 60
"""Of a summary, and what reading a full response costs the teacher, in tokens of generation."""


class SimulatedWorkers:
    """`Workers` of the pipeline on servers in virtual time. Outcomes and lengths depend on the request, not on when."""

    def __init__(self, teacher_slowness: float):
        self.students = [Server(SLOTS, STUDENT_MS / 1e3, STUDENT_REQUEST_MS / 1e3) for _ in range(STUDENT_GPUS)]
        self.teachers = [
            Server(SLOTS, STUDENT_MS / 1e3 * teacher_slowness, STUDENT_REQUEST_MS / 1e3 * teacher_slowness)
            for _ in range(TEACHER_GPUS)
        ]

    async def roll_out(
        self, question: Question, messages: list[dict], *, uid: str, kind: Kind, seeds: Sequence[int], openings=()
    ) -> AsyncIterator[Rollout]:
        async def rollout(session: int, seed: int) -> Rollout:
            tokens = _length(question, seed)
            await generate(self.students, tokens)
            reward = float(random.Random(seed).random() < _solve_rate(question))
            return Rollout(session, f"{uid}_{session}_0", "", reward, str(session), 500, tokens)

        for finished in asyncio.as_completed([rollout(session, seed) for session, seed in enumerate(seeds)]):
            yield await finished

    async def ask_teacher(self, question: Question, *, seeds: Sequence[int], teacher: int = 0) -> TeacherAnswers:
        async def rollout(seed: int) -> TeacherRollout:
            tokens = _length(question, seed)
            await generate(self.teachers, tokens)
            return TeacherRollout("", float(random.Random(seed).random() < 0.6), tokens)

        return TeacherAnswers(tuple(await asyncio.gather(*map(rollout, seeds))))

    async def compress(self, draft: Draft, *, seed: int, teacher: bool) -> Candidate:
        await generate(self.teachers, SUMMARY_TOKENS + PREFILL_TOKENS)
        return Candidate("", draft.source, draft.correct, "", "teacher")


def _solve_rate(question: Question) -> float:
    return question.data["solve_rate"]


def _length(question: Question, seed: int) -> int:
    tokens = question.data["median"] * math.exp(random.Random(seed + 1).gauss(0.0, RESPONSE_SIGMA))
    return min(max(round(tokens), 16), RESPONSE_TOKENS)


def draw_questions(rng: random.Random, step: int) -> list[Question]:
    questions = []
    for row in range(NUM_NEW + NUM_REPLAYED):
        solve_rate = rng.choice((0.0, 0.05, 0.2, 0.4, 0.7, 0.9, 0.98)) if row < NUM_NEW else rng.choice((0.0, 0.1, 0.3))
        factor = HARD_FACTOR if solve_rate < THRESHOLD else 1.0
        median = MEDIAN_TOKENS * factor * math.exp(rng.gauss(0.0, QUESTION_SIGMA))
        data = {"raw_prompt": [{"role": "user", "content": ""}], "solve_rate": solve_rate, "median": median}
        questions.append(Question(f"{step}-{row}", row, row >= NUM_NEW, data))
    return questions


async def run_pipeline(kind: str, workers: SimulatedWorkers, steps: list[list[Question]], train_s: float, seed: int):
    """Seconds of generation of each step."""
    loop = asyncio.get_running_loop()
    schedule = "next_step" if kind == "next_step" else "same_step"
    pipeline = paper_pipeline(workers, seed=seed, enable=kind != "plain only", schedule=schedule)
    seconds = []
    for step, questions in enumerate(steps, 1):
        started = loop.time()
        await pipeline.run_step(step, questions, NUM_NEW)
        seconds.append(loop.time() - started)
        await asyncio.sleep(train_s)
    return seconds


async def run_barriers(kind: str, workers: SimulatedWorkers, steps: list[list[Question]], train_s: float, seed: int):
    """The same work in phases."""
    loop = asyncio.get_running_loop()
    streams, seconds = kind != "barriers", []

    async def roll_out(question: Question, kind: Kind, step: int) -> Group:
        name = question.prompt_id
        seeds = [derive_seed(seed, "rollout", step, name, kind.value, i) for i in range(GROUP_SIZE)]
        group = Group(f"{step}.{name}.{kind}", kind, question, step)
        async for rollout in workers.roll_out(question, [], uid=group.uid, kind=kind, seeds=seeds):
            group.rollouts.append(rollout)
        if streams and kind is Kind.PLAIN and group.accuracy < THRESHOLD:
            asking[name] = asyncio.create_task(ask(question, step))
        return group

    async def ask(question: Question, step: int) -> TeacherAnswers:
        name = question.prompt_id
        seeds = [derive_seed(seed, "teacher", step, name, i) for i in range(TEACHER_ROLLOUTS)]
        return await workers.ask_teacher(question, seeds=seeds)

    for step, questions in enumerate(steps, 1):
        started, asking = loop.time(), {}
        groups = await asyncio.gather(*(roll_out(question, Kind.PLAIN, step) for question in questions))
        plain = {group.question.prompt_id: group for group in groups}
        hard = [group for group in groups if group.accuracy < THRESHOLD]
        for group in hard:
            if not streams:
                asking[group.question.prompt_id] = asyncio.create_task(ask(group.question, step))
        teacher = {name: await task for name, task in asking.items()}
        found = [
            HardQuestion(g.question.prompt_id, g.accuracy, len(g.wrong), len(teacher[g.question.prompt_id].correct))
            for g in hard
        ]
        cap = reformulation_cap(FRACTION, NUM_NEW)
        chosen = select_reformulations(found, threshold=THRESHOLD, cap=cap, seed=seed, step=step)
        drafts = {}
        for item in chosen:
            rollouts = teacher[item.prompt_id].rollouts
            for draft in draw_candidates(
                plain[item.prompt_id], rollouts, right=METHODS[item.kind].needs_help, seed=seed, step=step
            ):
                drafts[item.prompt_id, draft.source, draft.index] = draft
        await asyncio.gather(*(workers.compress(draft, seed=0, teacher=True) for draft in drafts.values()))
        await asyncio.gather(*(roll_out(plain[item.prompt_id].question, item.kind, step) for item in chosen))
        seconds.append(loop.time() - started)
        await asyncio.sleep(train_s)
    return seconds


def simulate(kind: str, teacher_slowness: float, num_steps: int, seed: int, train_s: float):
    rng = random.Random(seed)
    steps = [draw_questions(rng, step) for step in range(1, num_steps + 1)]
    run = run_barriers if kind.startswith("barrier") else run_pipeline

    return run_in_virtual_time(run(kind, SimulatedWorkers(teacher_slowness), steps, train_s, seed))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--steps", type=int, default=4)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--teacher-slowness", type=float, nargs="+", default=[1.0, 2.0, 3.0])
    arguments.add_argument("--training", type=float, nargs="+", default=[1.0, 4.0], help="over plain generation")
    options = arguments.parse_args()

    plain = simulate("plain only", 1.0, options.steps, options.seed, 0.0)
    plain_s = statistics.median(plain[1:])
    rows = [("next_step", training) for training in options.training]
    rows += [(kind, options.training[0]) for kind in ("same_step", "barrier, teacher streams", "barriers")]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("schedule", *(f"teacher {slow:g}x as slow" for slow in options.teacher_slowness)):
        table.add_column(name, justify="left" if name == "schedule" else "right")
    table.add_row("plain only", *("1.00" for _ in options.teacher_slowness))
    for kind, training in rows:
        cells = []
        for slowness in options.teacher_slowness:
            seconds = simulate(kind, slowness, options.steps, options.seed, training * plain_s)
            cells.append(f"{statistics.median(seconds[1:]) / plain_s:.2f}")
        table.add_row(f"{kind}, training {training:g}x" if kind == "next_step" else kind, *cells)
    console = Console(width=140)
    console.print(
        f"Generation time as a ratio to plain only ({plain_s:.0f} s), medians over {options.steps - 1} steps after the "
        "first; training as a multiple of plain generation"
    )
    console.print(table)


if __name__ == "__main__":
    main()
