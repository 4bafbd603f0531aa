"""One training step of ZPPO, Algorithm 1. Both trainers call it; they add where rollouts and gradients are made."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from recipe.zppo.methods import METHODS
from recipe.zppo.replay_buffer import PromptReplayBuffer, UpdateReport
from recipe.zppo.types import Group, Kind, Question, StepResult


class Questions(Protocol):
    """Where the questions of a step come from."""

    def next_step(self, buffer: PromptReplayBuffer, num_replay: int) -> tuple[list[Question], int]:
        """X = X_new + X_replay: new questions, then up to ``num_replay`` of the buffer's; and how many are new."""


@dataclass(frozen=True, slots=True)
class Step:
    """Algorithm 1 as a function of the step's number: ``step(1)``, ``step(2)``, ...

    Args:
        questions: draws the questions.
        roll_out: (step, questions, number of new ones) -> all groups of the step: the plain ones, and with the
            teacher's help those of the hard questions (`recipe.zppo.rollout.pipeline`).
        learn: (step, groups) -> None: advantages over all these groups, then I updates (`recipe.zppo.advantage`).
            Also called where no group trains, with an empty list.
        buffer: the prompt replay buffer B.
        num_replay: rho_replay * |X_new|, or None for a run without replay.
        kinds: extra groups of the run, `ZPPOConfig.kinds`.
        dynamic_sampling: leave groups out whose rewards are all equal (beyond the paper).
    """

    questions: Questions
    roll_out: Callable[[int, Sequence[Question], int], StepResult]
    learn: Callable[[int, list[Group]], None]
    buffer: PromptReplayBuffer
    num_replay: int | None
    kinds: tuple[Kind, ...]
    dynamic_sampling: bool = False

    def __call__(self, step: int) -> "StepOutcome":
        """One step. The number of each part is the paper's."""
        # 1. X = X_new + X_replay
        questions, num_new = self.questions.next_step(self.buffer, self.num_replay or 0)

        # 1.-5. plain groups; teacher on the hard ones; BCQ and NCQ groups, all by the same policy, as they get ready
        result = self.roll_out(step, questions, num_new)

        # 6. advantages over the whole batch, then I updates
        trained = training_groups(result.groups, self.kinds, dynamic_sampling=self.dynamic_sampling)
        self.learn(step, trained)

        # 6. B follows the plain groups only
        report = None
        if self.num_replay is not None:
            outcomes = [(group.question.prompt_id, group.accuracy, group.question.row) for group in result.plain]
            report = self.buffer.update(step, outcomes)
        return StepOutcome(result, trained, report)


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What a step did: its groups, those that trained, and what became of the buffer (None without replay)."""

    result: StepResult
    trained: list[Group]
    report: UpdateReport | None


def training_groups(groups: Sequence[Group], kinds: Collection[Kind], *, dynamic_sampling: bool) -> list[Group]:
    """The groups whose responses have a loss, in the order given.

    All of them; in a run with an off-policy kind the groups of that kind alone (Alg. 2). With ``dynamic_sampling``
    those whose rewards are all equal are left out: they have no advantage.
    """
    if any(METHODS[kind].off_policy for kind in kinds):
        return [group for group in groups if is_off_policy(group)]
    return [group for group in groups if not (dynamic_sampling and is_trivial(group))]


def is_off_policy(group: Group) -> bool:
    """The student has not written the responses."""
    return group.kind in METHODS and METHODS[group.kind].off_policy


def is_trivial(group: Group) -> bool:
    """All rollouts have one reward: no advantage."""
    return len({rollout.reward for rollout in group.rollouts}) < 2
