"""The queue through which verl's validation gets its rollouts, with a limit on the wait."""

from __future__ import annotations

import time
from typing import Any

from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from recipe.zppo.run_errors import WaitTimeoutError


class ValidationQueue(ReplayBuffer):
    """verl's `ReplayBuffer` (finished trajectories, not the paper's prompt buffer), polled faster, never for ever."""

    limit_s: float = float("inf")
    _waiting_since: float | None = None

    @classmethod
    def build(cls, config: Any, *, limit_s: float) -> ValidationQueue:
        sampler = config.trainer.v1.sampler
        queue = cls(
            trainer_mode="sync",
            trainer_config=config.trainer.v1.get("sync", {}),
            max_off_policy_threshold=sampler.max_off_policy_threshold,
            max_off_policy_strategy=sampler.max_off_policy_strategy,
            sampler_kwargs=sampler.sampler_kwargs,
            poll_interval=0.2,
        )
        queue.limit_s = limit_s
        return queue

    def sample(self, *args: Any, **kwargs: Any) -> Any:
        self._waiting_since = time.monotonic()
        return super().sample(*args, **kwargs)

    def _wait_for_next_poll(self, partition_id: str, last_debug_time: float) -> float:
        if self._waiting_since is not None and time.monotonic() - self._waiting_since > self.limit_s:
            finished = len(self.finished_keys[partition_id]) + len(self.failure_keys[partition_id])
            missing = len(self.pending_keys[partition_id]) + len(self.running_keys[partition_id])
            raise WaitTimeoutError(
                f"validation: {missing} prompts have no rollouts after zppo.timeouts.validation_s={self.limit_s:g} s "
                f"({finished} have); raise the limit or look at the rollout servers"
            )
        return super()._wait_for_next_poll(partition_id, last_debug_time)
