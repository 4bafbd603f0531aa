"""The queue through which verl's validation gets its rollouts, with a limit on the wait."""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import transfer_queue as tq
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from recipe.zppo.errors import JudgeError, RewardFunctionError, RolloutError, WaitTimeoutError

logger = logging.getLogger(__name__)


class ValidationQueue(ReplayBuffer):
    """verl's `ReplayBuffer` (finished trajectories, not the paper's prompt buffer), polled faster, never for ever."""

    def __init__(self, config: Any, *, limit_s: float):
        sampler = config.trainer.v1.sampler
        super().__init__(
            trainer_mode="sync",
            trainer_config=config.trainer.v1.get("sync", {}),
            max_off_policy_threshold=sampler.max_off_policy_threshold,
            max_off_policy_strategy=sampler.max_off_policy_strategy,
            sampler_kwargs=sampler.sampler_kwargs,
            poll_interval=0.2,
        )
        self.limit_s, self._waiting_since = limit_s, math.inf
        # Uids of all prompts of which a rollout failed, and of those for want of a verdict. verl counts a failure as a
        # wrong answer; `measured` leaves them out.
        self.failed: set[str] = set()
        self.unjudged: set[str] = set()

    def begin(self) -> None:
        """Another validation begins."""
        self.unjudged.clear()
        self.failed.clear()

    def measured(
        self,
        data_sources: Sequence[str],
        uids: Sequence[str],
        infos: Mapping[str, Sequence[Any]],
        turns: Sequence[int],
        expected: Mapping[tuple[str, str], int] | None,
    ) -> tuple[list[str], list[str], dict[str, list[Any]], list[int], dict[tuple[str, str], int]]:
        """The arguments of verl's `_val_metrics_update` without the prompts that failed.

        All responses to such a prompt are left out: the mean of those that are there would be another metric
        (``mean@<fewer>``), and a failure says nothing about the policy.
        """
        kept = [i for i, uid in enumerate(uids) if str(uid) not in self.failed]

        def of_kept(values: Sequence[Any]) -> list[Any]:
            return [values[i] for i in kept]

        return (
            of_kept(data_sources),
            of_kept(uids),
            {name: of_kept(values) for name, values in infos.items()},
            of_kept(turns),
            {(source, uid): count for (source, uid), count in (expected or {}).items() if uid not in self.failed},
        )

    def failures(self, *, judged: bool) -> dict[str, int]:
        """As metrics; ``judged``: with those for want of a verdict by themselves."""
        metrics = {"zppo/validation/failed": len(self.failed)}
        return metrics | ({"zppo/validation/unjudged": len(self.unjudged)} if judged else {})

    def sample(self, *args: Any, **kwargs: Any) -> Any:
        self._waiting_since = time.monotonic()
        return super().sample(*args, **kwargs)

    def _materialize_batch(self, partition_id: str, selected_prompt_uids: list[str], partition_snapshot: dict) -> Any:
        """Say what failed: verl would go on with what is left, and fail without a cause where nothing is."""
        tags = tq.kv_list(partition_id).get(partition_id, {})
        by_uid = {uid: tags[uid]["error"] for uid in selected_prompt_uids if "error" in tags.get(uid, {})}
        for uid in self.failure_keys[partition_id].intersection(selected_prompt_uids):
            by_uid.setdefault(uid, "unknown; see the log")
        errors = list(by_uid.values())
        self.failed |= by_uid.keys()
        self.unjudged |= {uid for uid, error in by_uid.items() if error.startswith(JudgeError.__name__)}
        if errors:
            logger.error(
                "validation: %s of %s prompts failed, the first: %s", len(errors), len(selected_prompt_uids), errors[0]
            )
        for error in errors:
            if error.startswith(RewardFunctionError.__name__):
                raise RewardFunctionError(f"validation: {error.partition(': ')[2]}")
        if len(errors) * 2 > len(selected_prompt_uids):
            raise RolloutError(f"validation: {len(errors)} of {len(selected_prompt_uids)} prompts failed: {errors[0]}")
        return super()._materialize_batch(partition_id, selected_prompt_uids, partition_snapshot)

    def _wait_for_next_poll(self, partition_id: str, last_debug_time: float) -> float:
        if time.monotonic() - self._waiting_since > self.limit_s:
            finished = len(self.finished_keys[partition_id]) + len(self.failure_keys[partition_id])
            missing = len(self.pending_keys[partition_id]) + len(self.running_keys[partition_id])
            raise WaitTimeoutError(
                f"validation: {missing} prompts have no rollouts after zppo.timeouts.validation_s={self.limit_s:g} s "
                f"({finished} have); raise the limit or look at the rollout servers"
            )
        return super()._wait_for_next_poll(partition_id, last_debug_time)
