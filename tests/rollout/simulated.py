"""Simulated servers for the pipeline: outcomes by a table, latencies by a seed. Time is the event loop's."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence

from recipe.zppo.candidates import Draft
from recipe.zppo.config.method_keys import CompressionConfig, ReformulationConfig
from recipe.zppo.config.run_keys import TimeoutsConfig
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.config.teacher_keys import TeacherConfig
from recipe.zppo.methods import WALK
from recipe.zppo.rollout.pipeline import QuestionPipeline
from recipe.zppo.types import (
    Candidate,
    Hint,
    Kind,
    Opening,
    Question,
    Rollout,
    RolloutFailure,
    TeacherAnswers,
    TeacherRollout,
)


def settings(
    *,
    threshold=0.5,
    fraction=0.5,
    kinds=(Kind.BCQ, Kind.NCQ),
    next_step=False,
    rollout_s=5.0,
    step_s=20.0,
    teacher_s=5.0,
    mixed_forms="drop",
    ask="hard",
) -> ZPPOConfig:
    """Without validation, so that a fraction may be larger than 1."""
    schedule = "next_step" if next_step else "same_step"
    chosen = {kind.value: kind in kinds for kind in WALK}
    return ZPPOConfig(
        threshold=threshold,
        seed=1,
        reformulation=ReformulationConfig.model_construct(fraction=fraction, schedule=schedule, **chosen),
        teacher=TeacherConfig.model_construct(path="teacher", n_rollouts=2, step_timeout_s=teacher_s, ask=ask),
        compression=CompressionConfig(mixed_forms=mixed_forms),
        timeouts=TimeoutsConfig(rollout_s=rollout_s, step_s=step_s),
    )


def pipeline_of(workers: "SimulatedWorkers", group_size: int = 4, **changes) -> QuestionPipeline:
    return QuestionPipeline(workers, settings(**changes), group_size)


def make_questions(names: Sequence[str], replayed: bool = False) -> list[Question]:
    return [
        Question(name, row, replayed, {"raw_prompt": [{"role": "user", "content": f"question {name}"}]})
        for row, name in enumerate(names)
    ]


class SimulatedWorkers:
    """`Workers` whose student gets ``correct[prompt_id]`` rollouts right, and the teacher ``teacher[prompt_id]``."""

    def __init__(self, correct: dict[str, int], teacher: dict[str, int], latency_seed: int = 0, scale: float = 0.002):
        self.correct, self.teacher = correct, teacher
        self.random, self.scale = random.Random(latency_seed), scale
        self.log: list[tuple[str, str]] = []
        self.prompts: dict[str, list[dict]] = {}
        self.openings: dict[str, Sequence[Opening]] = {}
        self.more_teachers: list[dict[str, int]] = []
        self.hints: dict[str, Hint] = {}
        self.unsummarised = lambda draft: False
        self.fail: dict[str, list[RolloutFailure]] = {}
        self.hang_teacher: set[str] = set()
        self.hang_student: set[str] = set()
        self.teacher_gate: asyncio.Event | None = None
        self.last_rollout: asyncio.Event | None = None

    async def pause(self) -> None:
        await asyncio.sleep(self.random.random() * self.scale)

    async def roll_out(
        self, question: Question, messages: list[dict], *, uid: str, kind: Kind, seeds: Sequence[int], openings=()
    ) -> AsyncIterator[Rollout | RolloutFailure]:
        name = question.prompt_id
        self.log.append((f"start {kind}", name))
        self.prompts[uid] = messages
        if name in self.hang_student:
            await asyncio.Event().wait()
        failures = self.fail.get(f"{name}/{kind}", [])
        self.openings[uid] = openings
        sessions = list(range(len(seeds)))
        self.random.shuffle(sessions)
        num_correct = self.correct[name] if kind is Kind.PLAIN else 1
        for session in sessions:
            await self.pause()
            if self.last_rollout is not None and kind is Kind.PLAIN and session == sessions[-1]:
                await self.last_rollout.wait()
            if session < len(failures):
                yield failures[session]
            else:
                right = session >= len(seeds) - num_correct
                text = f"{name} {session} {seeds[session]}"
                yield Rollout(session, f"{uid}_{session}_0", text, float(right), str(session), 5, 7)
        self.log.append((f"end {kind}", name))

    async def ask_teacher(self, question: Question, *, seeds: Sequence[int], teacher: int = 0) -> TeacherAnswers:
        name = question.prompt_id
        self.log.append(("start teacher", name))
        if name in self.hang_teacher:
            await asyncio.Event().wait()
        if self.teacher_gate is not None:
            await self.teacher_gate.wait()
        await self.pause()
        right = [self.teacher, *self.more_teachers][teacher][name]
        mark = "T" * (teacher + 1)
        rollouts = [TeacherRollout(f"{mark} {name} {i}", float(i < right), 9) for i in range(len(seeds))]
        return TeacherAnswers(tuple(rollouts))

    async def write_hint(self, question: Question, draft: Draft, *, seed: int) -> Hint:
        await self.pause()
        return self.hints.get(question.prompt_id, Hint(f"hint from {draft.text}"))

    async def compress(self, draft: Draft, *, seed: int, teacher: bool) -> Candidate:
        await self.pause()
        if not teacher or self.unsummarised(draft):
            reason = "no_summary" if teacher else "late"
            rejected = ("too_long", "no_summary") if teacher else ()
            return Candidate(draft.text, draft.source, draft.correct, "", f"tail:{reason}", 3, rejected)
        return Candidate(f"<{draft.text}>", draft.source, draft.correct, "", "teacher", 2)
