"""The pipeline on an event loop of its own, so that teacher work goes on while the trainer waits for an update."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

from recipe.zppo.on_verl.questions import QuestionSource
from recipe.zppo.rollout.pipeline import QuestionPipeline, StepResult
from recipe.zppo.types import Question

_CONTROL_TIMEOUT_S = 120


class PipelineThread:
    """Synchronous face of `QuestionPipeline`."""

    def __init__(self, pipeline: QuestionPipeline, manager: Any):
        self.pipeline, self._manager = pipeline, manager
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="zppo-pipeline", daemon=True)
        self._thread.start()

    def run_step(self, step: int, questions: Sequence[Question], num_new: int) -> StepResult:
        """See `QuestionPipeline.run_step`, which bounds the wait."""
        self._manager.step = step
        return self._call(self.pipeline.run_step(step, questions, num_new), timeout=None)

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
        """Cancel what is still under way and end the thread."""
        if self._thread.is_alive():
            self._call(self._cancel())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_CONTROL_TIMEOUT_S)

    async def _cancel(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _call(self, coroutine: Any, timeout: float | None = _CONTROL_TIMEOUT_S) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)
