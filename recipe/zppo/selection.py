"""Which hard questions are reformulated (Algorithm 1, steps 3 to 5).

The walk: the hard questions (accuracy of the plain group below the threshold) in ascending accuracy, ties in a seeded
random order; only the first `cap` of them are kept (pre-cap); each gives its BCQ, if it is admissible, then its
NCQ; the first `cap` instances are the step's reformulations (post-cap).

The paper words the pre-cap twice. Algorithm 1 caps the hard questions; App. C (a) caps those that admit an instance. In
the second reading questions without an instance hold no place, so that the pre-cap takes nothing that the post-cap
would leave. The two differ where NCQ is off: with it every hard question admits an instance.

`select_reformulations` takes the walk over complete data; `recipe.zppo.streaming_selection` while rollouts arrive.
"""

import math
from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from recipe.zppo.errors import SelectionError
from recipe.zppo.methods import DEFAULT_KINDS, HELPED, WALK
from recipe.zppo.randomness import derive_seed
from recipe.zppo.types import Kind, PromptId, Reformulation

WalkKey: TypeAlias = tuple[float, int, str]
PreCap: TypeAlias = Literal["hard", "admissible"]

__all__ = ["HardQuestion", "Kind", "PreCap", "PromptId", "Reformulation", "WalkKey", "check_limits"]
__all__ += ["reformulation_cap", "select_reformulations", "walk_key"]


@dataclass(frozen=True)
class HardQuestion:
    """Outcome of one question's plain group and of its teacher rollouts.

    Attributes:
        accuracy: mean reward of the plain group, in [0, 1].
        num_wrong: wrong student rollouts of the plain group. A BCQ needs one, an NCQ shows them all.
        num_teacher_correct: correct teacher rollouts of this visit. A BCQ needs one.
    """

    prompt_id: PromptId
    accuracy: float
    num_wrong: int
    num_teacher_correct: int


def reformulation_cap(fraction: float, num_new: int) -> int:
    """floor(fraction * num_new), where a product that misses an integer by float error counts as that integer.

    Used for the pre-cap and the post-cap alike, and for the number of replayed questions.
    """
    if not (math.isfinite(fraction) and fraction >= 0) or num_new < 0:
        raise SelectionError(f"a cap needs a fraction and a count of at least 0, got {fraction} and {num_new}")
    return math.floor(fraction * num_new + 1e-9)


def select_reformulations(
    questions: Iterable[HardQuestion],
    *,
    threshold: float,
    cap: int,
    seed: int,
    step: int,
    kinds: Collection[Kind] = DEFAULT_KINDS,
    pre_cap: PreCap = "hard",
) -> list[Reformulation]:
    """The step's reformulations in walk order.

    Args:
        questions: new and replayed questions alike, hard or not, in any order.
        threshold: tau; a question is hard if its accuracy is below.
        cap: floor(rho_aug * |X_new|), bound of the kept questions and again of the instances.
        seed, step: of the tie-break, which depends on these and the prompt id only.
        kinds: the reformulations in use; within a question the order is BCQ, NCQ whatever order is given here.
        pre_cap: which questions the pre-cap counts: all hard ones, or those that admit an instance.

    Raises:
        SelectionError: an id twice, or a number out of its range.
    """
    check_limits(threshold, cap, kinds)
    ranked: list[tuple[WalkKey, HardQuestion]] = []
    seen: set[PromptId] = set()
    for question in questions:
        _check_question(question, seen)
        seen.add(question.prompt_id)
        if question.accuracy < threshold:
            ranked.append((walk_key(question.accuracy, question.prompt_id, seed, step), question))
    ranked.sort(key=lambda pair: pair[0])

    selected: list[Reformulation] = []
    for _, question in ranked[:cap] if pre_cap == "hard" else ranked:
        for kind in HELPED:
            if kind in kinds and question.num_wrong >= 1 and question.num_teacher_correct >= 1:
                selected.append(Reformulation(question.prompt_id, kind))
        if Kind.NCQ in kinds and question.num_wrong >= 1:
            selected.append(Reformulation(question.prompt_id, Kind.NCQ))
    return selected[:cap]


def walk_key(accuracy: float, prompt_id: Hashable, seed: int, step: int) -> WalkKey:
    """Place in the walk. The id itself decides only if two hashes agree."""
    return accuracy, derive_seed(seed, "tie-break", step, prompt_id), repr(prompt_id)


def check_limits(threshold: float, cap: int, kinds: Collection[Kind]) -> None:
    if not 0 < threshold <= 1:
        raise SelectionError(f"the hard threshold must lie in (0, 1], got {threshold}")
    if cap < 0:
        raise SelectionError(f"the cap must be at least 0, got {cap}")
    if not set(kinds) <= set(WALK):
        raise SelectionError(f"only {', '.join(WALK)} are reformulations, got {sorted(kinds)}")
    if len(set(kinds) & set(HELPED)) > 1:
        raise SelectionError(f"a question has one of {', '.join(HELPED)}, got {sorted(kinds)}")


def _check_question(question: HardQuestion, seen: set[PromptId]) -> None:
    if question.prompt_id in seen:
        raise SelectionError(f"prompt id {question.prompt_id!r} occurs twice in one step")
    if not 0 <= question.accuracy <= 1:
        raise SelectionError(f"prompt id {question.prompt_id!r}: accuracy {question.accuracy} is not in [0, 1]")
    if question.num_wrong < 0 or question.num_teacher_correct < 0:
        raise SelectionError(f"prompt id {question.prompt_id!r}: negative number of rollouts")
