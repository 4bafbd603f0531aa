"""What a method is: the extra groups of rollouts that it gives a question."""

from abc import ABC
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ClassVar, Protocol

from recipe.zppo.candidates import Draft, draw_correct
from recipe.zppo.randomness import generator
from recipe.zppo.types import Candidate, Group, Hint, Kind, Question, TeacherAnswers, TeacherRollout


class Visit(Protocol):
    """One question in one step, as a method sees it. What is asked of the teacher here is bounded in time.

    ``helpers`` are the rollouts of this visit that `Method.find_help` gave, right and wrong ones.
    """

    seed: int
    step: int
    group_size: int
    prefix_fraction: float
    mixed_forms: str
    """`zppo.compression.mixed_forms`"""
    plain: Group | None
    helpers: Sequence[TeacherRollout]

    async def compressed(self, draft: Draft) -> Candidate:
        """The draft as a candidate text. Each response is compressed once in a step."""

    async def uncompressed(self, draft: Draft) -> Candidate:
        """The draft's own words: their bounded end, as where a summary could not be had."""

    async def hint(self, draft: Draft) -> Hint:
        """The teacher's hint from a correct response."""

    def count(self, name: str) -> None:
        """Add one to a counter of the step."""


class Method(ABC):
    """One kind of extra group: what it needs, what it shows, what it puts into the response, what it trains on.

    To add one: a member of `recipe.zppo.types.Kind`, a class, a line in `METHODS`, a switch of the kind's name in
    `ReformulationConfig`, and a YAML file that sets it. docs/method/add-your-own.md does it step by step.
    """

    kind: ClassVar[Kind]
    label: ClassVar[str]
    """In figures and progress lines."""
    title: ClassVar[str]
    """In a summary."""

    # ---- what it needs
    needs_help: ClassVar[bool] = True
    """A question gets the group only if somebody's response to it was correct. A run has one such method at most."""
    asks_teacher: ClassVar[bool] = True
    """That somebody is the teacher: hard questions are put to it."""
    asks_after_cap: ClassVar[bool] = False
    """Of the hard questions only those that pass the pre-cap are put to the teacher: X_aug of Algs. 5 and 6."""
    writes_hint: ClassVar[bool] = False
    """The teacher is asked for a text of up to `zppo.compression.max_tokens` that is shown as it is."""

    # ---- how many compressed responses it shows
    fewest_candidates: ClassVar[int] = 0

    def most_candidates(self, group_size: int) -> int:
        """Of a plain group of ``group_size`` rollouts."""
        return self.fewest_candidates

    # ---- what it trains on
    off_policy: ClassVar[bool] = False
    """The responses are somebody else's. Every question gets a group, hard or not, and only these train (Alg. 2)."""

    async def find_help(self, question: Question, ask: Callable[[], Awaitable[TeacherAnswers]]) -> TeacherAnswers:
        """Responses of somebody else to the question, graded. ``ask`` asks the teachers for fresh rollouts."""
        return await ask() if self.asks_teacher else TeacherAnswers()

    async def prepare(self, group: Group, visit: Visit) -> bool:
        """Fill in what the group's prompt or responses show; False if there turned out to be nothing to show."""
        return True

    def messages(self, group: Group, plain: Group | None) -> list[dict]:
        """The chat messages of the group's prompt, without the closer."""
        return group.question.messages

    def metrics(self, groups: Sequence[Group], counts: Mapping[str, int]) -> dict[str, float | None]:
        """Metrics of a step's groups of this kind under ``zppo/<kind>/``; None for a mean over nothing."""
        name = f"zppo/{self.kind.value}"
        return {
            f"{name}/count": len(groups),
            f"{name}/accuracy": _mean([group.accuracy for group in groups]),
            f"{name}/solved_share": _mean([group.num_correct > 0 for group in groups]),
            f"{name}/nontrivial_share": _mean([0 < group.num_correct < len(group.rollouts) for group in groups]),
            f"{name}/does_not_fit": counts.get(f"{self.kind.value}/does_not_fit", 0),
            f"{name}/failed": counts.get(f"{self.kind.value}/failed", 0),
        }


def demonstration(group: Group, visit: Visit) -> Draft:
    """One correct response, for a hint or a prefix: the one that BCQ would show."""
    prompt_id = group.question.prompt_id
    return draw_correct(prompt_id, visit.helpers, generator(visit.seed, "candidates", visit.step, prompt_id))


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
