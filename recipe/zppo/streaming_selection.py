"""The walk of `recipe.zppo.selection` while rollouts still arrive.

Each decision falls as soon as no outcome that is still open could change it, so that no question waits for all the
others.
"""

import bisect
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from recipe.zppo.errors import SelectionError
from recipe.zppo.methods import DEFAULT_KINDS, HELPED, WALK
from recipe.zppo.selection import PreCap, Reformulation, WalkKey, check_limits, walk_key
from recipe.zppo.types import Kind, PromptId


@dataclass(slots=True)
class _Question:
    prompt_id: PromptId
    key: WalkKey  # while the plain group runs: the first place that it can still take
    correct: int = 0
    wrong: int = 0
    plain_pending: bool = True
    teacher_pending: bool = True
    helped: tuple[int, int] = (0, 0)  # fewest and most instances of the kind that needs the teacher
    open: set[Kind] = field(default_factory=set)
    kept: bool = False  # said by `newly_kept`
    reached: bool = False  # said by `newly_in_reach`

    def is_hard(self, group_size: int, threshold: float) -> bool:
        """For certain, whatever is still open."""
        best = (group_size - self.wrong) / group_size if self.plain_pending else self.key[0]
        return best < threshold


class StreamingSelection:
    """`select_reformulations`, decided as outcomes arrive.

    Every (question, kind) is open at first. The life of a question: `rollout` as its plain rollouts are scored
    (optional; each correct one moves it back in the order, which settles others), then `plain_done`, then, if that
    says it is hard, `teacher_done` with the number of correct teacher rollouts (0 when the teacher failed). A question
    whose plain group failed leaves by `drop`. Events of different questions come in any order.

    After any event `newly_accepted` answers what has become certain since it was last asked. A decision never changes,
    and with all events in everything is decided, as `select_reformulations` would.

    How it is decided. Let the open questions stand where they would with every further rollout wrong. Then an
    instance is in if, with all of them before it hard and with all their instances admissible, its question still
    ranks below the cap and so does its own index; it is out if its rank or index reaches the cap already without them.
    Both bounds grow along the order, so one event walks over at most `cap` questions of each of two sorted lists.
    The bounds are tight: an instance is decided as soon as all ways in which the step can still end agree on it.
    Open questions never push another one out, not even when they are sure to be hard: they may still be dropped.
    """

    def __init__(
        self,
        prompt_ids: Iterable[PromptId],
        *,
        group_size: int,
        threshold: float,
        cap: int,
        seed: int,
        step: int,
        kinds: Collection[Kind] = DEFAULT_KINDS,
        pre_cap: PreCap = "hard",
    ) -> None:
        """Args as in `select_reformulations`; `group_size` is G_S, the most rollouts of a plain group."""
        check_limits(threshold, cap, kinds)
        if group_size < 1:
            raise SelectionError(f"a group has at least one rollout, got group_size {group_size}")
        self._threshold, self._cap, self._group_size = threshold, cap, group_size
        self._rank_cap = cap if pre_cap == "hard" else math.inf
        self._kinds = tuple(kind for kind in WALK if kind in kinds)
        self._helped = next((kind for kind in self._kinds if kind in HELPED), None)
        self._questions: dict[PromptId, _Question] = {}
        for prompt_id in prompt_ids:
            if prompt_id in self._questions:
                raise SelectionError(f"prompt id {prompt_id!r} occurs twice in one step")
            key = walk_key(0.0, prompt_id, seed, step)
            self._questions[prompt_id] = _Question(prompt_id, key, open=set(self._kinds))
        self._by_key = {question.key[1:]: question for question in self._questions.values()}
        self._possible = sorted(question.key for question in self._questions.values())  # may be hard
        self._hard: list[WalkKey] = []  # are hard, and not yet out
        self._num_open = len(self._questions) * len(self._kinds)
        self._accepted: list[Reformulation] = []
        self._settled: list[PromptId] = []
        self._decide()

    def rollout(self, prompt_id: PromptId, correct: bool) -> bool:
        """One rollout of the question's plain group was scored; answers whether the question is certain to be hard.

        A group that loses rollouts on the way stays so, as long as two are left: they are correct ones, at best.
        """
        question = self._pending(prompt_id)
        if question.correct + question.wrong >= self._group_size:
            raise SelectionError(f"prompt id {prompt_id!r}: more than {self._group_size} rollouts in its plain group")
        if correct:
            question.correct += 1
            # A group that loses rollouts on the way has a smaller denominator and a larger mean: the bound holds.
            self._move(question, question.correct / self._group_size)
            self._decide()
        else:
            question.wrong += 1
        return question.is_hard(self._group_size, self._threshold)

    def plain_done(self, prompt_id: PromptId, num_correct: int, num_scored: int) -> bool:
        """The question's plain group is complete; answers whether the question is hard.

        `num_scored` may be below the group size if rollouts failed. If none was scored, `drop` the question.
        """
        question = self._pending(prompt_id)
        if not (0 <= num_correct <= num_scored and 1 <= num_scored <= self._group_size):
            raise SelectionError(
                f"prompt id {prompt_id!r}: {num_correct} of {num_scored} correct in a group of {self._group_size}"
            )
        if num_correct < question.correct or num_scored - num_correct < question.wrong:
            raise SelectionError(
                f"prompt id {prompt_id!r}: {num_correct} of {num_scored} correct contradicts the rollouts reported "
                f"before ({question.correct} correct, {question.wrong} wrong)"
            )
        question.plain_pending = False
        self._move(question, num_correct / num_scored)
        hard = question.key[0] < self._threshold
        if hard:
            question.helped = (0, 1) if self._helped else (0, 0)
            if question.open:
                bisect.insort(self._hard, question.key)
        self._decide()
        return hard

    def teacher_done(self, prompt_id: PromptId, num_correct: int) -> None:
        """All teacher work of a hard question is done, or given up (then `num_correct` is 0)."""
        question = self._known(prompt_id)
        if question.plain_pending or question.key[0] >= self._threshold:
            raise SelectionError(f"prompt id {prompt_id!r}: teacher outcome of a question that is not known to be hard")
        if not question.teacher_pending:
            raise SelectionError(f"prompt id {prompt_id!r}: second teacher outcome")
        if num_correct < 0:
            raise SelectionError(f"prompt id {prompt_id!r}: {num_correct} correct teacher rollouts")
        question.teacher_pending = False
        if self._helped:
            question.helped = (1, 1) if num_correct else (0, 0)
            if not num_correct:
                self._reject(question, self._helped)
                if self._rank_cap == math.inf and Kind.NCQ not in self._kinds:  # it has no instance, and holds no place
                    self._leave(question)
        self._decide()

    def drop(self, prompt_id: PromptId) -> None:
        """The question's plain group failed: it leaves the ranking."""
        question = self._pending(prompt_id)
        question.plain_pending = False
        self._move(question, math.inf)
        self._decide()

    def newly_accepted(self) -> list[Reformulation]:
        """Instances that have become certain to be selected since the last call."""
        fresh, self._accepted = self._accepted, []
        return fresh

    def newly_kept(self) -> list[PromptId]:
        """Hard questions that have become certain to pass the pre-cap since the last call: X_aug of Algs. 5 and 6."""
        fresh = [self._by_key[key[1:]] for key in self._possible[: self._cap]]
        fresh = [question for question in fresh if not question.plain_pending and not question.kept]
        for question in fresh:
            question.kept = True
        return [question.prompt_id for question in fresh]

    def newly_in_reach(self, *, certain: bool) -> list[PromptId]:
        """Questions that stand within the first `cap` places for the first time, if all that is open goes wrong.

        Nobody is selected who has not stood there. With ``certain`` only those that are certain to be hard by now.
        """
        fresh = []
        for key in self._possible[: self._cap]:
            question = self._by_key[key[1:]]
            if question.reached or not question.teacher_pending:
                continue
            if not certain or question.is_hard(self._group_size, self._threshold):
                question.reached = True
                fresh.append(question.prompt_id)
        return fresh

    def newly_settled(self) -> list[PromptId]:
        """Questions for which nothing that the teacher says can change anything, since the last call."""
        fresh, self._settled = self._settled, []
        return fresh

    @property
    def finished(self) -> bool:
        """Everything is decided; events that are still to come change nothing."""
        return self._num_open == 0

    def _decide(self) -> None:
        cap, rank_cap = self._cap, self._rank_cap
        index = 0  # like rank, the largest possible
        for rank, key in enumerate(self._possible):
            if rank >= rank_cap or index >= cap:
                break
            question = self._by_key[key[1:]]
            if question.plain_pending:
                index += len(self._kinds)
            else:
                fewest, most = question.helped
                if fewest and self._helped:
                    self._accept(question, self._helped)
                index += most
                if Kind.NCQ in self._kinds:
                    if index < cap:
                        self._accept(question, Kind.NCQ)
                    index += 1

        rank = index = 0  # the smallest possible
        for key in self._hard:
            question = self._by_key[key[1:]]
            if rank >= rank_cap or index >= cap:
                break
            index += question.helped[0]
            if Kind.NCQ in self._kinds:
                if index >= cap:
                    self._reject(question, Kind.NCQ)
                index += 1
            rank += 1
        if rank >= rank_cap or index >= cap:
            # Whatever stands behind the last one counted is out, and what is still open comes no further forward.
            behind = bisect.bisect_right(self._possible, self._hard[rank - 1]) if rank else 0
            for key in self._possible[behind:]:
                self._reject(self._by_key[key[1:]], *self._kinds)
            del self._possible[behind:], self._hard[rank:]

    def _move(self, question: _Question, accuracy: float) -> None:
        """Puts the question at the place of `accuracy`, or out of the order if that is not hard."""
        self._leave(question)
        question.key = (accuracy, *question.key[1:])
        if accuracy < self._threshold and question.open:
            bisect.insort(self._possible, question.key)
        else:
            self._reject(question, *self._kinds)

    def _leave(self, question: _Question) -> None:
        for order in (self._possible, self._hard):
            place = bisect.bisect_left(order, question.key)
            if order[place : place + 1] == [question.key]:  # else it is out already
                del order[place]

    def _accept(self, question: _Question, kind: Kind) -> None:
        if kind in question.open:
            question.open.remove(kind)
            self._num_open -= 1
            self._accepted.append(Reformulation(question.prompt_id, kind))

    def _reject(self, question: _Question, *kinds: Kind) -> None:
        for kind in kinds:
            if kind in question.open:
                question.open.remove(kind)
                self._num_open -= 1
                if kind == self._helped:
                    self._settled.append(question.prompt_id)

    def _known(self, prompt_id: PromptId) -> _Question:
        if prompt_id not in self._questions:
            raise SelectionError(f"prompt id {prompt_id!r} is not of this step")
        return self._questions[prompt_id]

    def _pending(self, prompt_id: PromptId) -> _Question:
        question = self._known(prompt_id)
        if not question.plain_pending:
            raise SelectionError(f"prompt id {prompt_id!r}: its plain group is already complete or dropped")
        return question
