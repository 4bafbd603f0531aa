"""What the pipeline asks of the outside: verl's agent-loop workers, the local back end, or simulated ones in tests."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from recipe.zppo.candidates import Draft
from recipe.zppo.types import Candidate, Hint, Kind, Opening, Question, Rollout, RolloutFailure, TeacherAnswers


class Workers(Protocol):
    def roll_out(
        self,
        question: Question,
        messages: list[dict],
        *,
        uid: str,
        kind: Kind,
        seeds: Sequence[int],
        openings: Sequence[Opening] = (),
    ) -> AsyncIterator[Rollout | RolloutFailure]:
        """One rollout a seed, yielded as they finish. With ``openings``, one a seed, responses begin with them."""

    async def ask_teacher(self, question: Question, *, seeds: Sequence[int], teacher: int = 0) -> TeacherAnswers:
        """Fresh, graded rollouts of the question by one of the teachers. Never raises: a dead teacher gives none."""

    async def compress(self, draft: Draft, *, seed: int, teacher: bool) -> Candidate:
        """The draft as a safe candidate text; without ``teacher``, or when it fails, the bounded tail. Never raises."""

    async def write_hint(self, question: Question, draft: Draft, *, seed: int) -> Hint:
        """A hint from the draft, a correct teacher rollout; its ``problem`` says why not. Never raises."""
