"""`Workers` of the pipeline that answer at once, so that what is left is the pipeline itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from benchmarks.paper_step import FRACTION, GROUP_SIZE, TEACHER_ROLLOUTS, THRESHOLD, PaperStep
from recipe.zppo.candidates import Draft
from recipe.zppo.rollout.step_state import PipelineSettings
from recipe.zppo.types import Candidate, Kind, Question, Rollout, TeacherAnswers


def paper_settings(**changes) -> PipelineSettings:
    defaults = dict(
        group_size=GROUP_SIZE,
        teacher_rollouts=TEACHER_ROLLOUTS,
        threshold=THRESHOLD,
        reformulation_fraction=FRACTION,
        kinds=(Kind.BCQ, Kind.NCQ),
        next_step=False,
        seed=0,
        rollout_timeout_s=3600.0,
        step_timeout_s=10_800.0,
        teacher_step_timeout_s=3600.0,
    )
    return PipelineSettings(**(defaults | changes))


class InstantWorkers:
    """Gives the outcomes of a `PaperStep`; reformulated prompts get the rollouts of the plain one."""

    def __init__(self, step: PaperStep):
        self.step = step
        self.plain = {group.question.prompt_id: group for group in step.plain}

    async def roll_out(
        self, question: Question, messages: list[dict], *, uid: str, kind: Kind, seeds: Sequence[int], openings=()
    ) -> AsyncIterator[Rollout]:
        for rollout in self.plain[question.prompt_id].rollouts:
            await asyncio.sleep(0)  # groups interleave
            yield rollout

    async def ask_teacher(self, question: Question, *, seeds: Sequence[int], teacher: int = 0) -> TeacherAnswers:
        await asyncio.sleep(0)
        return self.step.teacher[question.prompt_id]

    async def compress(self, draft: Draft, *, seed: int, teacher: bool) -> Candidate:
        await asyncio.sleep(0)
        return Candidate(self.step.summaries[draft.index], draft.source, draft.correct, "", "teacher")
