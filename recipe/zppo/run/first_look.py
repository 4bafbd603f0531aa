"""What a start looks at when the first rollouts are there: whether their answers can be read."""

import logging

from recipe.zppo import answer_format
from recipe.zppo.types import StepResult

logger = logging.getLogger(__name__)

FEW = 0.1
"""A smaller share of rollouts with an answer is worth a warning."""


class FirstLook:
    """Warns once a start, from the plain rollouts of its first step, if hardly any has an answer that can be read.

    Without answers NCQ lists none, summaries can't be held against their responses, and audits say nothing, whatever
    the rewards are.
    """

    def __init__(self) -> None:
        self._done = False

    def __call__(self, result: StepResult) -> None:
        rollouts = [rollout for group in result.plain for rollout in group.rollouts]
        if self._done or not rollouts:
            return
        self._done = True
        answered = sum(bool(rollout.answer) for rollout in rollouts)
        if answered >= FEW * len(rollouts):
            return
        answers = answer_format.chosen()
        where = "by the function of zppo.answer.path" if answers.function else f"as {answers.form} (zppo.answer.form)"
        end = next((rollout.text for rollout in rollouts if not rollout.answer and rollout.text.strip()), "").rstrip()
        logger.warning(
            "%d of the %d first rollouts have an answer that can be read; unless the reward function gives one, it is "
            "looked for %s. One of them ends with %r. docs/guides/reward.md says how to read another form",
            *(answered, len(rollouts), where, end[-80:]),
        )
