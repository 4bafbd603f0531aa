"""The agent-loop manager: it spreads the pipeline's work over the workers and streams their rollouts back.

`ZPPOAgentLoopManager` is set as `actor_rollout_ref.rollout.agent.agent_loop_manager_class`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayActorError
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ

from recipe.zppo.candidates import Draft
from recipe.zppo.errors import RolloutError, one_line
from recipe.zppo.judge import QUESTION_TEXT, graders
from recipe.zppo.on_verl.worker import ZPPOAgentLoopWorker
from recipe.zppo.prompts import question_text
from recipe.zppo.types import Candidate, Hint, Kind, Opening, Question, Rollout, RolloutFailure, TeacherAnswers

logger = logging.getLogger(__name__)

ASK_AGAIN_S = 1.0
"""Between two questions to a worker that can't be reached, whether it is back."""


class ZPPOAgentLoopManager(AgentLoopManagerTQ):
    """Spreads the pipeline's work over the workers: the `Workers` of `recipe.zppo.rollout.workers`.

    A worker that dies ends the run: validation needs them all. One that Ray can't reach for a moment gets no work until
    it answers again; it would have the fewest calls under way, and fail one after the other.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        # One call is a whole group that streams back; a step has several hundred at once.
        self.agent_loop_workers_class = ray.remote(max_concurrency=10_000)(ZPPOAgentLoopWorker)
        self._load: list[int] = []
        self._away: dict[int, asyncio.Task] = {}
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
        missing = set(range(len(seeds)))
        try:
            with self._least_loaded(await self._reachable()) as worker:
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
                        rollout = await reference
                        missing.discard(rollout.session)
                        yield rollout
        except ActorUnavailableError as error:
            # No second try: the worker may live, and still write the first one's rollouts under the same keys.
            detail = f"an agent-loop worker could not be reached: {one_line(error)}"
            for session in sorted(missing):
                yield RolloutFailure(session, "generation", detail)

    async def ask_teacher(self, question: Question, *, seeds: Sequence[int], teacher: int = 0) -> TeacherAnswers:
        row = self._row(question)
        return await self._ask(lambda worker: worker.ask_teacher.remote(row, question.messages, list(seeds), teacher))

    async def compress(self, draft: Draft, *, seed: int, teacher: bool) -> Candidate:
        return await self._ask(lambda worker: worker.compress.remote(draft, seed, teacher))

    async def write_hint(self, question: Question, draft: Draft, *, seed: int) -> Hint:
        row = self._row(question)
        return await self._ask(lambda worker: worker.write_hint.remote(row, draft, seed))

    def _row(self, question: Question) -> dict[str, Any]:
        """The row without its messages, which travel by themselves: images are sent once a call."""
        twice = ("raw_prompt", self.config.data.prompt_key)
        row = {key: value for key, value in question.data.items() if key not in twice}
        judge = self.config.zppo.judge
        if graders(row, judge).judge:
            row[QUESTION_TEXT] = question_text(question.messages)
        return row

    async def _ask(self, call: Callable[[Any], ray.ObjectRef]) -> Any:
        """The answer to a call that leaves nothing behind: where a worker can't be reached, another gets it."""
        while True:
            try:
                with self._least_loaded(await self._reachable()) as worker:
                    reference = call(worker)
                    with _cancelled_with_us(reference):
                        return await reference
            except ActorUnavailableError:
                continue  # logged; the pipeline bounds the wait

    async def _reachable(self) -> list[int]:
        """Which workers can be reached; waits until there is one.

        Raises:
            RolloutError: one that could not be reached has died.
        """
        while True:
            for index, back in list(self._away.items()):
                if back.done():
                    del self._away[index]
                    back.result()
            if there := [index for index in range(len(self.agent_loop_workers)) if index not in self._away]:
                return there
            await asyncio.wait(self._away.values(), return_when=asyncio.FIRST_COMPLETED)

    async def _back(self, index: int) -> None:
        """Returns when the worker answers."""
        while True:
            await asyncio.sleep(ASK_AGAIN_S)
            try:
                await self.agent_loop_workers[index].__ray_ready__.remote()
                return
            except ActorUnavailableError:
                continue
            except RayActorError as error:
                raise _died(error) from error

    @contextmanager
    def _least_loaded(self, reachable: Sequence[int]) -> Iterator[Any]:
        """The worker with the fewest calls under way, counted while in use."""
        if not self._load:
            self._load = [0] * len(self.agent_loop_workers)
        index = min(reachable, key=self._load.__getitem__)
        self._load[index] += 1
        try:
            yield self.agent_loop_workers[index]
        except ActorUnavailableError as error:
            if index not in self._away:
                logger.warning("agent-loop worker %s can't be reached for the moment: %s", index, one_line(error))
                self._away[index] = asyncio.create_task(self._back(index))
            raise
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
    except ActorUnavailableError:  # a kind of RayActorError, and no death
        raise
    except RayActorError as error:
        raise _died(error) from error


def _died(error: RayActorError) -> RolloutError:
    return RolloutError(f"an agent-loop worker died: {one_line(error)}")
