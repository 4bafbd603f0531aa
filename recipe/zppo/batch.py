"""Which of a step's groups enter the update."""

from __future__ import annotations

from collections.abc import Sequence

from recipe.zppo.selection import Kind
from recipe.zppo.types import Group


def training_groups(groups: Sequence[Group], *, distillation: str, dynamic_sampling: bool) -> list[Group]:
    """The groups whose responses have a loss, in the order given.

    Args:
        groups: all groups of a step, plain and reformulated.
        distillation: `zppo.distillation.mode`. With ``off_policy`` only the teacher's sequences train (Alg. 2).
        dynamic_sampling: `zppo.dynamic_sampling`; leaves groups out whose rewards are all equal.
    """
    if distillation == "off_policy":
        return [group for group in groups if group.kind is Kind.TEACHER]
    return [group for group in groups if not (dynamic_sampling and is_trivial(group))]


def is_trivial(group: Group) -> bool:
    """All rollouts have one reward: no advantage."""
    return len({rollout.reward for rollout in group.rollouts}) < 2
