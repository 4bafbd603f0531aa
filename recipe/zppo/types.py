"""Plain data that travels between workers, pipeline, trainer and logs: questions, rollouts, groups, candidates."""

import math
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from recipe.zppo.sanitize import SafeText

PromptId: TypeAlias = str | int


class Kind(StrEnum):
    """What a group of rollouts was drawn from."""

    PLAIN = "plain"
    BCQ = "bcq"
    NCQ = "ncq"
    HINT = "hint"
    """The question with the teacher's hint (App. D.2)."""
    PREFIX = "prefix"
    """The question, its response begun by the teacher (App. D.2)."""
    WORKED = "worked"
    """The question with the data's worked solution and a wrong rollout (docs/method/add-your-own.md)."""
    TEACHER = "teacher"
    """No rollouts of the student: the teacher's, as sequences to learn from (off-policy distillation)."""


@dataclass(frozen=True)
class Reformulation:
    """One BCQ or NCQ instance: one group of student rollouts under its own uid."""

    prompt_id: PromptId
    kind: Kind


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
    """Of the whole response, what was given included."""
    num_given: int = 0
    """Tokens at the beginning of the response that the student did not write (`Opening`)."""
    verdict: str = ""
    """The judge's (`judge.Verdict`); empty where it was not asked."""
    judge_tokens: int = 0
    doubtful: bool = False
    """The careful grader would have given the other reward (`recipe.zppo.reward`)."""

    @property
    def correct(self) -> bool:
        return self.reward >= 1.0


@dataclass(frozen=True, slots=True)
class Opening:
    """Text that the response begins with: the first floor(fraction * L) of its L tokens in the student's vocabulary.

    Below 1, they count in the length budget and have no loss (Prefix, Alg. 6). At 1 the text with its end token *is*
    the response: nothing is generated, and every token is in the loss (off-policy distillation, Alg. 2).
    """

    text: str = field(repr=False)
    fraction: float
    answer: str = ""
    """Read in the text when it was graded. What is whole was found right then, and is not graded again."""

    @property
    def whole(self) -> bool:
        return self.fraction >= 1.0

    def num_tokens(self, length: int) -> int:
        """Of ``length`` tokens."""
        return length if self.whole else math.floor(self.fraction * length + 1e-9)


@dataclass(frozen=True, slots=True)
class Hint:
    """The teacher's hint (Fig. 19); with a ``problem``, ``leak`` or ``failed``, it is not shown to anybody."""

    text: SafeText = field(repr=False)
    problem: str = ""
    teacher_tokens: int = 0


NO_HINT = Hint(SafeText(""), "failed")
"""Where the teacher gave none."""


@dataclass(frozen=True, slots=True)
class RolloutFailure:
    """A rollout that gave nothing to train on: ``too_long`` (the prompt leaves no room), ``generation``, or ``judge``
    (no verdict on a free-form answer)."""

    session: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class TeacherRollout:
    text: str = field(repr=False)
    reward: float
    num_tokens: int
    verdict: str = ""
    judge_tokens: int = 0
    answer: str | None = None
    """"" for none; None where nobody has looked."""
    source: str = "teacher"
    """Of the candidate that is made of it (`Candidate`)."""

    @property
    def correct(self) -> bool:
        return self.reward >= 1.0


@dataclass(frozen=True, slots=True)
class TeacherAnswers:
    """The fresh teacher rollouts of one question; ``failed`` requests gave none, ``error`` is the last cause."""

    rollouts: tuple[TeacherRollout, ...] = ()
    failed: int = 0
    error: str = ""
    teacher: int = 0
    """Which one gave them: with several, the one that was right, or else the last."""
    unjudged: int = 0
    """Of the failed ones, those that answered and got no verdict."""

    @property
    def correct(self) -> list[TeacherRollout]:
        return [rollout for rollout in self.rollouts if rollout.correct]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A response as a reformulated prompt shows it.

    ``source`` is teacher, student, or data (a row's worked solution); ``compression`` says how the text came about:
    ``teacher`` (its summary), ``tail:<reason>`` (fall-back), ``truncate`` or ``none``. ``rejected`` says of each
    summary that was not good enough why; after it, another was asked for. ``answer`` is the response's,
    ``shown_answer`` what the text gives.
    """

    text: SafeText = field(repr=False)
    source: str
    correct: bool
    answer: str
    compression: str
    teacher_tokens: int = 0
    """What the teacher wrote for it, also where that was then not used."""
    rejected: tuple[str, ...] = ()
    shown_answer: str = ""

    @property
    def is_summary(self) -> bool:
        """The teacher's words, not the response's own."""
        return self.compression == "teacher"


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
    hint: str = ""
    openings: tuple[Opening, ...] = ()
    """One a rollout, or none."""
    prompt: list[dict] = field(default_factory=list, repr=False)
    """The messages that were rolled out, without the closer."""

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


@dataclass(slots=True)
class StepResult:
    """All groups of a step, in an order that does not depend on which was finished first, and what was seen on the way.

    ``teacher``, by prompt id, and ``source_plain`` are of the step ``source_step`` whose hard questions were
    reformulated: this one, with ``schedule=next_step`` the one before it (0 where there is none).
    """

    step: int
    plain: list[Group]
    reformulated: list[Group]
    counts: Counter[str]
    seconds: dict[str, float]
    teacher: dict[str, TeacherAnswers] = field(default_factory=dict)
    source_step: int = 0
    source_plain: dict[str, Group] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    """Questions of ``source_step`` that the teacher was asked about, and not told to stop."""
    lost: list[tuple[Group, str]] = field(default_factory=list)
    """Groups that were begun and came to nothing: ``nothing_to_show``, ``does_not_fit`` or ``failed``."""

    @property
    def groups(self) -> list[Group]:
        return [*self.plain, *self.reformulated]
