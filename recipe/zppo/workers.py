"""The agent-loop manager: it spreads the pipeline's work over the workers and streams their rollouts back.

`ZPPOAgentLoopManager` is set as `actor_rollout_ref.rollout.agent.agent_loop_manager_class`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ray
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ

from recipe.zppo.agent_loop_worker import ZPPOAgentLoopWorker
from recipe.zppo.candidates import Draft
from recipe.zppo.judge import is_free_form
from recipe.zppo.records import Candidate, Hint, Opening, Question, Rollout, RolloutFailure, TeacherAnswers
from recipe.zppo.rollout_log import question_text
from recipe.zppo.run_errors import RolloutError, one_line
from recipe.zppo.selection import Kind
from recipe.zppo.teacher_client import QUESTION_TEXT


class ZPPOAgentLoopManager(AgentLoopManagerTQ):
    """Spreads the pipeline's work over the workers: the `Workers` of `recipe.zppo.workers_protocol`."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        # One call is a whole group that streams back; a step has several hundred at once.
        self.agent_loop_workers_class = ray.remote(max_concurrency=10_000)(ZPPOAgentLoopWorker)
        self._load: list[int] = []
        self.step = 0

    async def roll_out(
        self,
        question: Question,
        messages: list[dict],
        *,
        uid: str,
        kind: Kind,
        seeds: Sequence[int],
        openings: Sequence[Opening] = (),
    ) -> AsyncIterator[Rollout | RolloutFailure]:
        with self._least_loaded() as worker:
            stream = worker.roll_out.options(num_returns="streaming").remote(
                self._row(question),
                messages,
                uid=uid,
                kind=kind.value,
                step=self.step,
                seeds=list(seeds),
                openings=list(openings),
            )
            with _cancelled_with_us(stream):
                async for reference in stream:
                    yield await reference

    async def ask_teacher(self, question: Question, *, seeds: Sequence[int], teacher: int = 0) -> TeacherAnswers:
        with self._least_loaded() as worker:
            reference = worker.ask_teacher.remote(self._row(question), question.messages, list(seeds), teacher)
            with _cancelled_with_us(reference):
                return await reference

    async def compress(self, draft: Draft, *, seed: int, teacher: bool) -> Candidate:
        with self._least_loaded() as worker:
            reference = worker.compress.remote(draft, seed, teacher)
            with _cancelled_with_us(reference):
                return await reference

    async def write_hint(self, question: Question, draft: Draft, *, seed: int) -> Hint:
        with self._least_loaded() as worker:
            reference = worker.write_hint.remote(self._row(question), draft, seed)
            with _cancelled_with_us(reference):
                return await reference

    def _row(self, question: Question) -> dict[str, Any]:
        """The row without its messages, which travel by themselves: images are sent once a call."""
        twice = ("raw_prompt", self.config.data.prompt_key)
        row = {key: value for key, value in question.data.items() if key not in twice}
        return row | {QUESTION_TEXT: question_text(question.messages)} if is_free_form(row) else row

    @contextmanager
    def _least_loaded(self) -> Iterator[Any]:
        """The worker with the fewest calls under way, counted while in use."""
        if not self._load:
            self._load = [0] * len(self.agent_loop_workers)
        index = min(range(len(self._load)), key=self._load.__getitem__)
        self._load[index] += 1
        try:
            yield self.agent_loop_workers[index]
        finally:
            self._load[index] -= 1


@contextmanager
def _cancelled_with_us(call: Any) -> Iterator[None]:
    """Whoever stops waiting for a Ray call also stops the call: Ray itself would let it run to its end."""
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        ray.cancel(call)
        raise
    except ray.exceptions.RayActorError as error:
        raise RolloutError(f"an agent-loop worker died: {one_line(error)}") from error
