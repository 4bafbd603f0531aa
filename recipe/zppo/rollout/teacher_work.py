"""What the teacher does for one step: rollouts, summaries and hints, each bounded by the step's patience."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from recipe.zppo.candidates import Draft
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import WaitTimeoutError
from recipe.zppo.methods import METHODS
from recipe.zppo.randomness import derive_seed
from recipe.zppo.rollout.clock import ActivityClock
from recipe.zppo.rollout.step_state import StepWork
from recipe.zppo.rollout.tasks import Tasks
from recipe.zppo.rollout.workers import Workers
from recipe.zppo.types import NO_HINT, Candidate, Group, Hint, Question, TeacherAnswers, TeacherRollout

T = TypeVar("T")


class TeacherWork:
    """The teacher's part in the questions of a step. What is late counts as no answer, and is counted."""

    def __init__(self, workers: Workers, zppo: ZPPOConfig, group_size: int, tasks: Tasks, clock: ActivityClock):
        self.workers, self.zppo, self.group_size, self.tasks, self.clock = workers, zppo, group_size, tasks, clock
        self.num_teachers = max(1, len(zppo.teacher_paths))

    async def ask(self, work: StepWork, question: Question, counts: Counter[str]) -> TeacherAnswers:
        """Somebody's responses to the question, as the method finds them; none if it needs none. It adds to counts."""
        helped = next((METHODS[kind] for kind in self.zppo.kinds if METHODS[kind].needs_help), None)
        if helped is None:
            return TeacherAnswers()
        return await helped.find_help(question, lambda: self._ask_in_turn(work, question, counts))

    async def _ask_in_turn(self, work: StepWork, question: Question, counts: Counter[str]) -> TeacherAnswers:
        """Fresh rollouts of the teachers, one after the other until one is right; of the last one asked."""
        answers = TeacherAnswers()
        for teacher in range(self.num_teachers):
            answers = await self._answers_of(work, question, teacher, counts)
            if answers.correct:
                break
        return answers

    async def prepare(self, work: StepWork, group: Group) -> bool:
        """Give the group what its prompt or its responses show; False if there turned out to be nothing to show."""
        return await METHODS[group.kind].prepare(group, _Visit(self, work, group))

    async def expire(self, work: StepWork) -> None:
        """Bound the wait for the teacher: what has not answered by then counts as having no answer."""
        await asyncio.sleep(self.zppo.teacher.step_timeout_s)
        work.expired.set()

    def stop(self, work: StepWork) -> None:
        if work.expiry is not None:
            work.expiry.cancel()
        for task in work.teacher_tasks.values():
            if not task.done():
                work.teacher_counts["teacher/unused"] += 1
                task.cancel()

    async def _answers_of(
        self, work: StepWork, question: Question, teacher: int, counts: Counter[str]
    ) -> TeacherAnswers:
        which = (teacher,) if teacher else ()
        seeds = [
            derive_seed(self.zppo.seed, "teacher", work.step, question.prompt_id, *which, i)
            for i in range(self.zppo.teacher.n_rollouts)
        ]
        try:
            call = self.workers.ask_teacher(question, seeds=seeds, teacher=teacher)
            answers = replace(await self.in_time(work, call), teacher=teacher)
        except WaitTimeoutError as late:
            answers = TeacherAnswers(failed=len(seeds), error=str(late), teacher=teacher)
            counts["teacher/late"] += 1
        if teacher + 1 < self.num_teachers and not answers.correct:  # the next one's take their place
            counts["tokens"] += sum(rollout.num_tokens for rollout in answers.rollouts)
        counts[f"teacher/{teacher}/asked"] += 1
        counts[f"teacher/{teacher}/solved"] += bool(answers.correct)
        return answers

    async def in_time(self, work: StepWork, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await teacher work, at most until the step stops waiting for it.

        Raises:
            WaitTimeoutError: it was late.
        """
        if work.expired.is_set():
            coroutine.close()
            raise WaitTimeoutError("the step no longer waits for the teacher")
        task = self.tasks.spawn(coroutine)
        expired = asyncio.create_task(work.expired.wait())
        try:
            with self.clock("teacher"):
                await asyncio.wait((task, expired), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise WaitTimeoutError(
                f"no answer within zppo.teacher.step_timeout_s={self.zppo.teacher.step_timeout_s:g} s"
            )
        finally:
            task.cancel()
            expired.cancel()


class _Visit:
    """`recipe.zppo.methods.Visit` of a group's question."""

    def __init__(self, teacher: TeacherWork, work: StepWork, group: Group):
        zppo, prompt_id = teacher.zppo, group.question.prompt_id
        self._teacher, self._work, self._question = teacher, work, group.question
        self.seed, self.step = zppo.seed, work.step
        self.group_size, self.prefix_fraction = teacher.group_size, zppo.reformulation.prefix_fraction
        self.mixed_forms: str = zppo.compression.mixed_forms
        self.plain = work.plain.get(prompt_id)
        self.helpers: Sequence[TeacherRollout] = work.teacher.get(prompt_id, TeacherAnswers()).rollouts

    async def compressed(self, draft: Draft) -> Candidate:
        """Each response is compressed once, also when BCQ and NCQ both show it."""
        key, compressed = (self._question.prompt_id, draft.source, draft.index), self._work.compressed
        if key not in compressed:
            seed = derive_seed(self.seed, "compression", self.step, *key)
            compressed[key] = self._teacher.tasks.spawn(self._compress(draft, seed))
        return await asyncio.shield(compressed[key])

    async def _compress(self, draft: Draft, seed: int) -> Candidate:
        compress = self._teacher.workers.compress
        try:
            candidate = await self._teacher.in_time(self._work, compress(draft, seed=seed, teacher=True))
        except WaitTimeoutError:
            return await compress(draft, seed=seed, teacher=False)
        counts = self._work.teacher_counts
        counts["tokens"] += candidate.teacher_tokens
        counts["summaries/asked_again"] += min(len(candidate.rejected), self._teacher.zppo.summaries_asked - 1)
        for reason in candidate.rejected:
            counts[f"summaries/rejected_{reason}"] += 1
        return candidate

    async def uncompressed(self, draft: Draft) -> Candidate:
        candidate = await self._teacher.workers.compress(draft, seed=0, teacher=False)
        return replace(candidate, compression="tail:other_form")

    async def hint(self, draft: Draft) -> Hint:
        seed = derive_seed(self.seed, "hint", self.step, self._question.prompt_id)
        writing = self._teacher.workers.write_hint(self._question, draft, seed=seed)
        try:
            hint = await self._teacher.in_time(self._work, writing)
        except WaitTimeoutError:
            return NO_HINT
        self._work.teacher_counts["hint/tokens"] += hint.teacher_tokens
        return hint

    def count(self, name: str) -> None:
        self._work.teacher_counts[name] += 1
