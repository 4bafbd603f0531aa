"""`Workers` of the pipeline on the paper's cluster, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from benchmarks import paper_cluster as cluster
from benchmarks.paper_cluster import Lengths, Model
from benchmarks.virtual_time import generate
from recipe.zppo.candidates import Draft
from recipe.zppo.teacher.slots import Work
from recipe.zppo.types import Candidate, Kind, Question, Rollout, TeacherAnswers, TeacherRollout

STUDENT_MEMORY, TEACHER_MEMORY = 0.6, 0.85
"""Shares of a GPU for weights and cache; the student's GPUs train as well."""
BCQ_RATE, NCQ_RATE = 0.5, 0.1
"""Share of right responses: 36 to 69% and 1 to 35% in App. F.7."""


class SimulatedWorkers:
    """Outcomes and lengths depend on the request, not on when it is made.

    Args:
        free_teacher: it answers at once, which no schedule of a real one can beat.
    """

    def __init__(
        self,
        student: Model,
        lengths: Lengths,
        *,
        nodes: int = cluster.NODES,
        teacher_tp: int = 1,
        free_teacher: bool = False,
    ):
        self.lengths, self.free_teacher = lengths, free_teacher
        self.students = student.servers(nodes * cluster.STUDENT_GPUS, STUDENT_MEMORY)
        self.teachers = cluster.TEACHER.servers(nodes * cluster.TEACHER_GPUS, TEACHER_MEMORY, teacher_tp)
        self.teacher_tokens = 0

    async def roll_out(
        self, question: Question, messages: list[dict], *, uid: str, kind: Kind, seeds: Sequence[int], openings=()
    ) -> AsyncIterator[Rollout]:
        rate = {Kind.BCQ: BCQ_RATE, Kind.NCQ: NCQ_RATE}.get(kind, question.data["solve_rate"])
        factor = 1.0 if kind is Kind.PLAIN else self.lengths.reformulated

        async def rollout(session: int, seed: int) -> Rollout:
            reward, tokens = cluster.outcome(question, rate, seed, self.lengths, factor)
            await generate(self.students, tokens)
            prompt = cluster.PROMPT_TOKENS[kind]
            return Rollout(session, f"{uid}_{session}_0", "", reward, str(session), prompt, tokens)

        for finished in asyncio.as_completed([rollout(session, seed) for session, seed in enumerate(seeds)]):
            yield await finished

    async def ask_teacher(self, question: Question, *, seeds: Sequence[int], teacher: int = 0) -> TeacherAnswers:
        return TeacherAnswers(tuple(await asyncio.gather(*(self.teacher_rollout(question, seed) for seed in seeds))))

    async def teacher_rollout(self, question: Question, seed: int) -> TeacherRollout:
        reward, tokens = cluster.outcome(question, question.data["teacher_rate"], seed, self.lengths)
        await self.ask(tokens, Work.ROLLOUT)
        return TeacherRollout("", reward, tokens)

    async def compress(self, draft: Draft, *, seed: int, teacher: bool) -> Candidate:
        await self.ask(cluster.SUMMARY_TOKENS + cluster.PREFILL_TOKENS, Work.SUMMARY)
        return Candidate("", draft.source, draft.correct, "", "teacher")

    async def ask(self, tokens: int, work: Work) -> None:
        if not self.free_teacher:
            self.teacher_tokens += tokens
            await generate(self.teachers, tokens)
