"""Plain data that travels between workers, pipeline, trainer and logs: questions, rollouts, groups, candidates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from recipe.zppo.selection import Kind


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt of a step, new or replayed.

    ``data`` is the row as verl's data set and collate function give it (``raw_prompt`` without the closer).
    """

    prompt_id: str
    row: int
    replayed: bool
    data: dict[str, Any] = field(repr=False)

    @property
    def messages(self) -> list[dict]:
        return list(self.data["raw_prompt"])


@dataclass(frozen=True, slots=True)
class Rollout:
    """One scored student response. ``key`` is its key in TransferQueue, ``session`` its place in the group."""

    session: int
    key: str
    text: str = field(repr=False)
    reward: float
    answer: str
    num_prompt_tokens: int
    num_tokens: int

    @property
    def correct(self) -> bool:
        return self.reward >= 1.0


@dataclass(frozen=True, slots=True)
class RolloutFailure:
    """A rollout that gave no response: ``too_long`` (the prompt leaves no room) or ``generation``."""

    session: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class TeacherRollout:
    text: str = field(repr=False)
    reward: float
    num_tokens: int

    @property
    def correct(self) -> bool:
        return self.reward >= 1.0


@dataclass(frozen=True, slots=True)
class TeacherAnswers:
    """The fresh teacher rollouts of one hard question; ``failed`` requests gave none, ``error`` is the last cause."""

    rollouts: tuple[TeacherRollout, ...] = ()
    failed: int = 0
    error: str = ""

    @property
    def correct(self) -> list[TeacherRollout]:
        return [rollout for rollout in self.rollouts if rollout.correct]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A response as a reformulated prompt shows it.

    ``source`` is teacher or student; ``compression`` says how the text came about: ``teacher`` (its summary),
    ``tail:<reason>`` (fall-back), ``truncate`` or ``none``.
    """

    text: str = field(repr=False)
    source: str
    correct: bool
    answer: str
    compression: str


@dataclass(slots=True)
class Group:
    """Rollouts of one prompt: the group of the advantage estimator (group key = ``uid``)."""

    uid: str
    kind: Kind
    question: Question
    step: int
    """Step that drew the question; with ``schedule=next_step`` reformulated groups are rolled out one step later."""
    rollouts: list[Rollout] = field(default_factory=list)
    failures: list[RolloutFailure] = field(default_factory=list)
    candidates: tuple[Candidate, ...] = ()

    @property
    def num_correct(self) -> int:
        return sum(rollout.correct for rollout in self.rollouts)

    @property
    def accuracy(self) -> float:
        """Mean reward of the group, rbar_x for a plain one."""
        return self.num_correct / len(self.rollouts)

    @property
    def wrong(self) -> list[Rollout]:
        return [rollout for rollout in self.rollouts if not rollout.correct]
