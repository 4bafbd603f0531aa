"""verl's reward workers, for scores that outlive the death of one of them."""

import logging
import random
from collections.abc import Sequence
from typing import Any

from ray.exceptions import ActorUnavailableError, RayActorError, RayTaskError

from recipe.zppo.errors import RolloutError, one_line

logger = logging.getLogger(__name__)

MOST_DEATHS = 2
"""That one response may bring about: a reward function can crash on it, and would take one worker after the other."""


class RewardWorkers:
    """Stands for all of them in verl's list of handles, as one: ``compute_score.remote(data)`` gives an awaitable.

    verl chooses a handle at random for each response, also one whose worker has died. Here a dead one leaves the list,
    and another scores the response; so does another for one that Ray can't reach for a moment.
    """

    def __init__(self, handles: Sequence[Any]):
        self._handles = list(handles)
        self._num = len(self._handles)

    @property
    def compute_score(self) -> "RewardWorkers":
        return self

    async def remote(self, data: Any) -> dict[str, Any]:
        """The score of the response.

        Raises:
            RolloutError: no reward worker gives one.
            RayTaskError: raised by the reward function.
        """
        deaths, unreachable, last = 0, [], None
        while untried := [handle for handle in self._handles if handle not in unreachable]:
            handle = random.choice(untried)
            try:
                return await handle.compute_score.remote(data)
            except RayTaskError:  # which is also of its cause's class
                raise
            except ActorUnavailableError as error:
                unreachable.append(handle)
                last = error
            except RayActorError as error:
                self._drop(handle, error)
                deaths, last = deaths + 1, error
                if deaths == MOST_DEATHS and self._handles:
                    raise RolloutError(
                        f"{deaths} reward workers died while they were to score one response: {one_line(error)}"
                    ) from error
        if self._handles:
            raise RolloutError(f"no reward worker can be reached for the moment: {one_line(last)}") from last
        raise RolloutError(
            f"no reward worker is left: all {self._num} (reward.num_workers) have died. Look for the cause in their "
            f"logs (memory, or a reward function that crashes){f'; the last: {one_line(last)}' if last else ''}"
        ) from last

    def _drop(self, handle: Any, error: RayActorError) -> None:
        if handle not in self._handles:  # dropped and logged by another response
            return
        self._handles.remove(handle)
        logger.error(
            "a reward worker died (%s); this agent-loop worker goes on with the other %s of %s (reward.num_workers)",
            one_line(error),
            len(self._handles),
            self._num,
        )
