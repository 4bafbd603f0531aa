"""The pipeline on an event loop of its own, so that teacher work goes on while the trainer waits for an update."""

import asyncio
import logging
import threading
from collections.abc import Sequence
from typing import Any

from recipe.zppo.errors import WaitTimeoutError
from recipe.zppo.on_verl.questions import QuestionSource
from recipe.zppo.rollout.pipeline import QuestionPipeline, StepResult
from recipe.zppo.types import Question

logger = logging.getLogger(__name__)

_GRACE_S = 120.0
"""For what takes no time of its own, on a loop that has other work."""


class PipelineThread:
    """Synchronous face of `QuestionPipeline`.

    Raises:
        WaitTimeoutError: the loop does not come to it, as something blocks the thread.
    """

    def __init__(self, pipeline: QuestionPipeline, manager: Any):
        self.pipeline, self._manager = pipeline, manager
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="zppo-pipeline", daemon=True)
        self._thread.start()

    def run_step(self, step: int, questions: Sequence[Question], num_new: int) -> StepResult:
        """See `QuestionPipeline.run_step`, which bounds the wait by itself as long as the loop runs."""
        self._manager.step = step
        limit_s = self.pipeline.zppo.timeouts.step_s + _GRACE_S
        return self._call(self.pipeline.run_step(step, questions, num_new), limit_s)

    def state_dict(self) -> dict[str, Any] | None:
        async def state() -> dict[str, Any] | None:
            return self.pipeline.state_dict()

        return self._call(state())

    def load_state_dict(self, state: dict[str, Any] | None, questions: QuestionSource) -> None:
        if state is None:
            return
        found = {prompt_id: questions.get(prompt_id, *state["rows"][prompt_id]) for prompt_id in state["order"]}
        self._call(self.pipeline.load_state_dict(state, found))

    def close(self) -> None:
        """Cancel what is still under way and end the thread; one that is blocked ends with the process."""
        if not self._thread.is_alive():
            return
        try:
            self._call(self._cancel())
        except WaitTimeoutError as error:  # not raised: it would stand before what ended the run
            logger.warning("%s", error)
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_GRACE_S)

    async def _cancel(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _call(self, coroutine: Any, limit_s: float | None = None) -> Any:
        limit_s = _GRACE_S if limit_s is None else limit_s
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(limit_s)
        except TimeoutError:
            if future.done():  # the coroutine's own
                raise
            future.cancel()
            raise WaitTimeoutError(
                f"the pipeline did not come to {coroutine.__name__} within {limit_s:g} s: something keeps its thread "
                "busy (`py-spy dump` shows what); the same command goes on from the last checkpoint"
            ) from None
