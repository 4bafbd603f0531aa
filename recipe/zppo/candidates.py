"""Candidates of reformulated questions: whose responses are shown, in what order (Algorithm 1, step 4)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from recipe.zppo.errors import RewardError
from recipe.zppo.randomness import generator
from recipe.zppo.reward import extract_answer, gold_answer
from recipe.zppo.types import Group, TeacherRollout


@dataclass(frozen=True, slots=True)
class Draft:
    """A response chosen as candidate, not yet compressed. ``index`` is its place among its source's rollouts.

    ``answer`` is what was read off it when it was graded, "" for none; None where nobody did. ``gold`` are answers that
    are right, so that a summary can be held against them; no prompt shows them.
    """

    text: str
    source: str
    index: int
    correct: bool
    gold: tuple[str, ...] = field(default=(), repr=False)
    answer: str | None = None

    @property
    def answer_read(self) -> str:
        """``answer``, or what the run's format reads; "" for none."""
        return extract_answer(self.text) or "" if self.answer is None else self.answer


def gold_texts(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The gold answer of a data row: every text in it where only the run's own reward function knows its form."""
    value = (data.get("reward_model") or {}).get("ground_truth")
    try:
        return () if value is None else (gold_answer(value),)
    except RewardError:
        return tuple(_texts_in(value))


def _texts_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, str) or not isinstance(value, Iterable):
        return [str(value)]
    return [text for item in value for text in _texts_in(item)]


def draw_candidates(
    plain: Group, helpers: Sequence[TeacherRollout], *, right: bool, seed: int, step: int
) -> tuple[Draft, ...]:
    """Draw the candidates of one reformulated prompt.

    With ``right`` (BCQ): one correct response of ``helpers`` and one wrong student rollout, each uniform, in random
    order. Without (NCQ): every wrong student rollout, in the order of the group. The draw depends on (seed, step,
    question) only, never on which response was finished first.

    Raises:
        ValueError: there is no wrong rollout, or no correct response where one is needed.
    """
    gold = gold_texts(plain.question.data)
    rollouts = sorted(plain.wrong, key=lambda rollout: rollout.session)
    wrong = [Draft(r.text, "student", r.session, False, gold, r.answer) for r in rollouts]
    if not wrong:
        raise ValueError(f"{plain.question.prompt_id} has no wrong rollout to show")
    if not right:
        return tuple(wrong)
    rng = generator(seed, "candidates", step, plain.question.prompt_id)
    pair = [replace(draw_correct(plain.question.prompt_id, helpers, rng), gold=gold), rng.choice(wrong)]
    rng.shuffle(pair)
    return tuple(pair)


def draw_correct(prompt_id: str, helpers: Sequence[TeacherRollout], rng: Random) -> Draft:
    """One correct response, uniform.

    Raises:
        ValueError: there is none.
    """
    correct = [Draft(r.text, r.source, i, True, answer=r.answer) for i, r in enumerate(helpers) if r.correct]
    if not correct:
        raise ValueError(f"{prompt_id} has no correct teacher rollout to show")
    return rng.choice(correct)
