"""A group's rollouts by the student: asked for together, each heard as it ends, in bounded time."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.randomness import derive_seed
from recipe.zppo.rollout.clock import ActivityClock
from recipe.zppo.rollout.workers import Workers
from recipe.zppo.types import Group, Kind, Rollout, RolloutFailure


class GroupRollouts:
    """Fills groups.

    Args:
        group_size: G_S, rollouts of a group without openings.
        off_policy: the kind of which a single rollout is a group as well.
    """

    def __init__(
        self, workers: Workers, zppo: ZPPOConfig, group_size: int, off_policy: Kind | None, clock: ActivityClock
    ):
        self.workers, self.zppo, self.group_size = workers, zppo, group_size
        self.off_policy, self.clock = off_policy, clock
        self.last_failure = "unknown"
        """In words."""

    async def fill(
        self,
        group: Group,
        messages: list[dict[str, Any]],
        counts: Counter[str],
        heard: Callable[[Rollout], None] | None = None,
    ) -> None:
        """Failures are counted; the group goes on with what it has, if that is two or more.

        Args:
            heard: called with each rollout as it comes.
        """
        prompt_id, limit_s = group.question.prompt_id, self.zppo.timeouts.rollout_s
        group.prompt = messages
        size = len(group.openings) or self.group_size
        seeds = [
            derive_seed(self.zppo.seed, "rollout", group.step, prompt_id, group.kind.value, session)
            for session in range(size)
        ]
        stream = self.workers.roll_out(
            group.question, messages, uid=group.uid, kind=group.kind, seeds=seeds, openings=group.openings
        )
        try:
            async with asyncio.timeout(limit_s):
                with self.clock(group.kind.value):
                    async for rollout in stream:
                        if isinstance(rollout, RolloutFailure):
                            group.failures.append(rollout)
                            self.last_failure = rollout.detail
                            continue
                        group.rollouts.append(rollout)
                        if heard is not None:
                            heard(rollout)
        except TimeoutError:
            missing = size - len(group.rollouts) - len(group.failures)
            self.last_failure = (
                f"{missing} rollouts of {prompt_id} gave no response within zppo.timeouts.rollout_s={limit_s:g} s"
            )
            group.failures.extend(RolloutFailure(-1, "timeout", self.last_failure) for _ in range(missing))
        group.rollouts.sort(key=lambda rollout: rollout.session)
        for failure in group.failures:
            counts["rollouts/failed"] += 1
            counts[f"rollouts/{failure.reason}"] += 1
        if len(group.rollouts) < 2 and group.kind is not self.off_policy:  # a group of one carries no signal
            group.rollouts.clear()
