"""Candidates and prompts of reformulated questions: who is shown, in what order (Algorithm 1, step 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from recipe.zppo import prompts
from recipe.zppo.randomness import generator
from recipe.zppo.selection import Kind
from recipe.zppo.types import Group, TeacherRollout


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
    rng = generator(seed, "candidates", step, plain.question.prompt_id)
    pair = [_draw_correct(plain.question.prompt_id, teacher, rng), rng.choice(wrong)]
    rng.shuffle(pair)
    return tuple(pair)


def draw_demonstration(prompt_id: str, teacher: Sequence[TeacherRollout], *, seed: int, step: int) -> Draft:
    """One correct teacher rollout, uniform, for a hint or a prefix: the one that BCQ would have shown.

    Raises:
        ValueError: there is none.
    """
    return _draw_correct(prompt_id, teacher, generator(seed, "candidates", step, prompt_id))


def _draw_correct(prompt_id: str, teacher: Sequence[TeacherRollout], rng: Random) -> Draft:
    correct = [Draft(r.text, "teacher", i, True) for i, r in enumerate(teacher) if r.correct]
    if not correct:
        raise ValueError(f"{prompt_id} has no correct teacher rollout to show")
    return rng.choice(correct)


def shown_messages(group: Group, wrong_answers: Sequence[str]) -> list[dict]:
    """The chat messages of a group that is no plain one, still without the closer.

    BCQ and NCQ show candidates, a hint its text; what a prefix or a teacher's sequence adds is in the response.
    """
    messages, texts = group.question.messages, [candidate.text for candidate in group.candidates]
    match group.kind:
        case Kind.BCQ:
            return prompts.bcq_messages(messages, *texts)
        case Kind.NCQ:
            return prompts.ncq_messages(messages, list(wrong_answers), texts)
        case Kind.HINT:
            return prompts.hinted_messages(messages, group.hint)
    return messages
