"""The selection of off-policy distillation: every question whose teacher was right, hard or not (Alg. 2)."""

from collections.abc import Iterable

from recipe.zppo.types import Kind, PromptId, Reformulation


class EveryQuestion:
    """Stands where `StreamingSelection` stands for the other methods, and decides as soon as a teacher is done.

    What the student makes of a question changes nothing: its rollouts are for the books.
    """

    def __init__(self, prompt_ids: Iterable[PromptId], kind: Kind) -> None:
        self.kind = kind
        self._open = set(prompt_ids)
        self._accepted: list[Reformulation] = []

    def rollout(self, prompt_id: PromptId, correct: bool) -> bool:
        return False  # as below

    def plain_done(self, prompt_id: PromptId, num_correct: int, num_scored: int) -> bool:
        return False  # nobody is asked because of it

    def drop(self, prompt_id: PromptId) -> None:
        pass

    def teacher_done(self, prompt_id: PromptId, num_correct: int) -> None:
        self._open.remove(prompt_id)
        if num_correct:
            self._accepted.append(Reformulation(prompt_id, self.kind))

    def newly_accepted(self) -> list[Reformulation]:
        fresh, self._accepted = self._accepted, []
        return fresh

    def newly_kept(self) -> list[PromptId]:
        return []

    def newly_in_reach(self, *, certain: bool) -> list[PromptId]:
        return []

    def newly_settled(self) -> list[PromptId]:
        return []

    @property
    def finished(self) -> bool:
        return not self._open
