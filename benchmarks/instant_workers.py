"""`Workers` of the pipeline that answer at once, so that what is left is the pipeline itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from benchmarks.paper_step import GROUP_SIZE, PaperStep
from recipe.zppo.candidates import Draft
from recipe.zppo.config.method_keys import ReformulationConfig
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.config.teacher_keys import TeacherConfig
from recipe.zppo.rollout.pipeline import QuestionPipeline
from recipe.zppo.rollout.workers import Workers
from recipe.zppo.types import Candidate, Kind, Question, Rollout, TeacherAnswers


def paper_pipeline(workers: Workers, *, seed: int = 0, ask: str = "hard", **reformulation: object) -> QuestionPipeline:
    """With the defaults, which are the paper's, but for `zppo.teacher.ask` and these keys of `zppo.reformulation`."""
    teacher = TeacherConfig.model_construct(path="", ask=ask)
    zppo = ZPPOConfig(seed=seed, reformulation=ReformulationConfig(**reformulation), teacher=teacher)
    return QuestionPipeline(workers, zppo, GROUP_SIZE)


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
        return self.step.teacher.get(question.prompt_id, TeacherAnswers())  # with `ask=ahead` easy ones are asked too

    async def compress(self, draft: Draft, *, seed: int, teacher: bool) -> Candidate:
        await asyncio.sleep(0)
        return Candidate(self.step.summaries[draft.index], draft.source, draft.correct, "", "teacher")
