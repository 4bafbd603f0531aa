"""Candidates and prompts of reformulated questions: who is shown, in what order (Algorithm 1, step 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recipe.zppo import prompts
from recipe.zppo.randomness import generator
from recipe.zppo.records import Candidate, Group, TeacherRollout
from recipe.zppo.selection import Kind


@dataclass(frozen=True, slots=True)
class Draft:
    """A response chosen as candidate, not yet compressed. ``index`` is its place among its source's rollouts."""

    text: str
    source: str
    index: int
    correct: bool


def draw_candidates(
    kind: Kind, plain: Group, teacher: Sequence[TeacherRollout], *, seed: int, step: int
) -> tuple[Draft, ...]:
    """Draw the candidates of one reformulated prompt.

    BCQ: one correct teacher rollout and one wrong student rollout, each uniform, in random order. NCQ: every wrong
    student rollout, in the order of the group. The draw depends on (seed, step, question) only, never on which
    response was finished first.

    Raises:
        ValueError: the question is not admissible for ``kind``.
    """
    wrong = [Draft(r.text, "student", r.session, False) for r in sorted(plain.wrong, key=lambda r: r.session)]
    if not wrong:
        raise ValueError(f"{plain.question.prompt_id} has no wrong rollout to show")
    if kind is Kind.NCQ:
        return tuple(wrong)
    correct = [Draft(r.text, "teacher", i, True) for i, r in enumerate(teacher) if r.correct]
    if not correct:
        raise ValueError(f"{plain.question.prompt_id} has no correct teacher rollout to show")
    rng = generator(seed, "candidates", step, plain.question.prompt_id)
    pair = [rng.choice(correct), rng.choice(wrong)]
    rng.shuffle(pair)
    return tuple(pair)


def reformulated_messages(
    kind: Kind, messages: Sequence[dict], candidates: Sequence[Candidate], wrong_answers: Sequence[str]
) -> list[dict]:
    """The chat messages of a BCQ or NCQ prompt, still without the closer."""
    texts = [candidate.text for candidate in candidates]
    if kind is Kind.BCQ:
        return prompts.bcq_messages(list(messages), *texts)
    return prompts.ncq_messages(list(messages), list(wrong_answers), texts)
