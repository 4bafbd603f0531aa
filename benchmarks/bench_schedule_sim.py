"""What a step costs with each schedule at the paper's layout: the real pipeline on simulated servers, in virtual time.

    python -m benchmarks.bench_schedule_sim [--students 0.8B 2B 4B 9B] [--lengths medium] [--steps 5] [--seed 0]

480 questions x 8 on 48 student GPUs, the teacher on 16 (8 nodes, 6 + 2 GPUs each). Speeds, lengths and outcomes are
those of `paper_cluster`, with where they are from; nothing was fitted to a run of this project. Compared are

- plain only: no reformulation (GRPO with replay, GRPO†), the 1.00 of each ratio;
- same_step with each `zppo.teacher.ask`, and next_step: `QuestionPipeline` itself;
- barriers: plain groups, then the teacher, then compression, then reformulated groups, each phase after all of the
  one before; and the same with the teacher's rollouts started as groups complete, but the second phase after all;
- a teacher that answers at once: what no schedule can beat, as hard questions have their plain rollouts first.

Each cell has seconds of generation and three ratios to plain only, of

- generation alone;
- the paper's whole step: its hours with GRPO†, to which the seconds of generation are added that a schedule costs, and
  for the reformulated groups what its replayed groups cost beside GRPO's;
- a whole step of which plain generation is half (`VERL_GENERATION_SHARE`), the rest in proportion to tokens.

In brackets: how long the rest of a step must be, in units of plain generation, for the step to cost 1.25 times plain
only's, if the rest does not grow with the batch.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

from rich.console import Console
from rich.table import Table

from benchmarks import paper_cluster as cluster
from benchmarks.instant_workers import paper_pipeline
from benchmarks.paper_step import FRACTION, GROUP_SIZE, TEACHER_ROLLOUTS, THRESHOLD
from benchmarks.simulated_workers import SimulatedWorkers
from benchmarks.virtual_time import run_in_virtual_time
from recipe.zppo.candidates import draw_candidates
from recipe.zppo.methods import METHODS
from recipe.zppo.randomness import derive_seed
from recipe.zppo.selection import HardQuestion, reformulation_cap, select_reformulations
from recipe.zppo.types import Group, Kind, Question, TeacherAnswers

PIPELINE = {
    "plain only": {"enable": False},
    "same_step, hard": {},
    "same_step, in_reach": {"ask": "in_reach"},
    "same_step, ahead": {"ask": "ahead"},
    "next_step": {"schedule": "next_step"},
    "teacher at once": {},
}
BARRIERS = ("barrier, teacher streams", "barriers")


@dataclass(frozen=True)
class Cost:
    """Of one step."""

    generation_s: float
    groups: float
    plain_groups: float
    tokens: float
    """Of the batch that is trained on, prompts included."""
    teacher_tokens: float


async def run_pipeline(
    kind: str, workers: SimulatedWorkers, steps: list[list[Question]], train_s: float, seed: int
) -> list[tuple[float, list[Group]]]:
    """Seconds of generation, and groups, of each step."""
    loop = asyncio.get_running_loop()
    pipeline = paper_pipeline(workers, seed=seed, **PIPELINE[kind])
    done = []
    for step, questions in enumerate(steps, 1):
        started = loop.time()
        result = await pipeline.run_step(step, questions, sum(not question.replayed for question in questions))
        done.append((loop.time() - started, result.groups))
        await asyncio.sleep(train_s)
    return done


async def run_barriers(
    kind: str, workers: SimulatedWorkers, steps: list[list[Question]], train_s: float, seed: int
) -> list[tuple[float, list[Group]]]:
    """The same work in phases."""
    loop = asyncio.get_running_loop()
    streams, done = kind != "barriers", []

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
        cap = reformulation_cap(FRACTION, sum(not question.replayed for question in questions))
        chosen = select_reformulations(found, threshold=THRESHOLD, cap=cap, seed=seed, step=step)
        drafts = {}
        for item in chosen:
            rollouts = teacher[item.prompt_id].rollouts
            for draft in draw_candidates(
                plain[item.prompt_id], rollouts, right=METHODS[item.kind].needs_help, seed=seed, step=step
            ):
                drafts[item.prompt_id, draft.source, draft.index] = draft
        await asyncio.gather(*(workers.compress(draft, seed=0, teacher=True) for draft in drafts.values()))
        more = await asyncio.gather(*(roll_out(plain[item.prompt_id].question, item.kind, step) for item in chosen))
        done.append((loop.time() - started, [*groups, *more]))
        await asyncio.sleep(train_s)
    return done


def simulate(
    kind: str,
    student: str = "2B",
    lengths: cluster.Lengths = cluster.LENGTHS["medium"],
    *,
    num_steps: int = 2,
    seed: int = 0,
    train_s: float = 0.0,
    nodes: int = cluster.NODES,
    teacher_tp: int = 1,
) -> list[Cost]:
    """What each step costs. ``train_s``: what follows generation, in which the teacher of next_step goes on."""
    rng = random.Random(seed)
    steps = [cluster.draw_questions(rng, step, lengths, nodes) for step in range(1, num_steps + 1)]
    free = kind == "teacher at once"
    workers = SimulatedWorkers(
        cluster.STUDENTS[student], lengths, nodes=nodes, teacher_tp=teacher_tp, free_teacher=free
    )
    run = run_barriers if kind in BARRIERS else run_pipeline
    done = run_in_virtual_time(run(kind, workers, steps, train_s, seed))
    return [
        Cost(
            generation_s=seconds,
            groups=len(groups),
            plain_groups=sum(group.kind is Kind.PLAIN for group in groups),
            tokens=sum(each.num_prompt_tokens + each.num_tokens for group in groups for each in group.rollouts),
            teacher_tokens=workers.teacher_tokens // num_steps,
        )
        for seconds, groups in done
    ]


def ratios(student: str, cost: Cost, plain: Cost) -> tuple[float, float, float]:
    """To plain only: of generation, of the paper's step, of a step that is generation by `VERL_GENERATION_SHARE`."""
    grpo_s, replay_s, _ = (hours * 3600 / cluster.PAPER_STEPS for hours in cluster.HOURS[student])
    more_s = cost.generation_s - plain.generation_s
    more_groups = (cost.groups - cost.plain_groups) / (cluster.REPLAYED_QUESTIONS / cluster.NEW_QUESTIONS)
    of_paper = 1 + (more_s + (replay_s - grpo_s) * more_groups / num_new(cost)) / replay_s
    rest_s = plain.generation_s * (1 / cluster.VERL_GENERATION_SHARE - 1)
    of_verl = (cost.generation_s + rest_s * cost.tokens / plain.tokens) / (plain.generation_s + rest_s)
    return cost.generation_s / plain.generation_s, of_paper, of_verl


def least_rest(cost: Cost, plain: Cost) -> float:
    """In units of plain generation: what must follow it for a step of 1.25, if it is the same with either batch."""
    most = cluster.MOST
    return max(0.0, (cost.generation_s - most * plain.generation_s) / (most - 1) / plain.generation_s)


def num_new(cost: Cost) -> float:
    return cost.plain_groups * cluster.NEW_QUESTIONS / (cluster.NEW_QUESTIONS + cluster.REPLAYED_QUESTIONS)


def mean(costs: Sequence[Cost]) -> Cost:
    """Over steps, without the first one, in which next_step has nothing to reformulate."""
    after = [astuple(cost) for cost in costs[1:] or costs]
    return Cost(*map(statistics.fmean, zip(*after, strict=True)))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--students", nargs="+", choices=cluster.STUDENTS, default=list(cluster.STUDENTS))
    schedules = [kind for kind in (*PIPELINE, *BARRIERS) if kind != "plain only"]
    arguments.add_argument("--schedules", nargs="+", choices=schedules, default=schedules)
    arguments.add_argument("--lengths", choices=cluster.LENGTHS, default="medium")
    arguments.add_argument("--reformulated", type=float, default=1.0, help="their length, over plain ones")
    arguments.add_argument("--teacher-tp", type=int, default=1, help="GPUs of one teacher server")
    arguments.add_argument("--steps", type=int, default=5)
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()

    lengths = replace(cluster.LENGTHS[options.lengths], reformulated=options.reformulated)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("schedule", *options.students):
        table.add_column(name, justify="left" if name == "schedule" else "right")
    table.add_column("teacher tokens", justify="right")
    plain: dict[str, Cost] = {}
    for kind in ("plain only", *options.schedules):
        cells = []
        for student in options.students:
            rest_s = cluster.HOURS[student][1] * 3600 / cluster.PAPER_STEPS
            rest_s -= plain[student].generation_s if student in plain else 0.0
            cost = mean(
                simulate(
                    kind,
                    student,
                    lengths,
                    num_steps=options.steps,
                    seed=options.seed,
                    train_s=rest_s,
                    teacher_tp=options.teacher_tp,
                )
            )
            plain.setdefault(student, cost)
            three = " ".join(f"{ratio:.2f}" for ratio in ratios(student, cost, plain[student]))
            cells.append(f"{cost.generation_s:.0f} s  {three} ({least_rest(cost, plain[student]):.1f})")
        table.add_row(kind, *cells, f"{cost.teacher_tokens / 1e6:.1f} M")
    paper = [f"{hours[2] / hours[1]:.2f}" for hours in (cluster.HOURS[student] for student in options.students)]
    table.add_row("the paper's whole step, ZPPO over GRPO†", *paper)
    console = Console(width=180)
    console.print(
        "Seconds of generation; ratios to plain only of generation, of the paper's step, of a step that is half "
        f"generation (least rest for {cluster.MOST}); means of {options.steps - 1} steps; {options.lengths} lengths"
    )
    console.print(table)


if __name__ == "__main__":
    main()
