"""Whom the teacher is asked about, and when: as questions turn out hard, or sooner (`zppo.teacher.ask`)."""

from collections import Counter
from collections.abc import Callable

from recipe.zppo.rollout.step_state import StepWork
from recipe.zppo.rollout.tasks import Tasks
from recipe.zppo.rollout.teacher_work import TeacherWork
from recipe.zppo.types import PromptId, Question


class Asking:
    """Starts and stops the teacher's work on questions.

    hard: every hard question, as soon as so many of its plain rollouts are wrong that it is certain to be hard.
    in_reach: of these the ones that the caps can still reach. ahead: whoever the caps can reach if all that is open
    goes wrong, from the beginning of the step.

    With the last two the walk leads: at any time its first places are asked about. Questions that leave the order make
    room for those behind them. Work on a question that can no longer be selected is stopped. Whatever the policy, an
    answer counts only once its question's plain group is complete and hard, and none depends on when it was asked for.

    Args:
        advance: called when the selection has heard an answer.
    """

    def __init__(self, ask: str, teacher: TeacherWork, tasks: Tasks, advance: Callable[[StepWork], None]):
        self.in_walk, self.certain = ask != "hard", ask == "in_reach"
        self.teacher, self.tasks, self.advance = teacher, tasks, advance

    def scored(self, work: StepWork, question: Question, hard: bool) -> None:
        """A plain rollout of the question was scored, or all; ``hard``: it is certain to be hard."""
        if hard and work.asks_hard and not self.in_walk:
            self.start(work, question)
        self.follow(work)

    def complete(self, work: StepWork, question: Question, hard: bool) -> None:
        """The question's plain group is complete, or was dropped."""
        if hard:
            self.scored(work, question, hard)
            self._hear(work, question.prompt_id)
        elif work.asks_hard:
            self.drop(work, question.prompt_id)

    def follow(self, work: StepWork) -> None:
        """Ask where the walk has come to, and stop where it will not go."""
        if self.in_walk and work.asks_hard:
            for prompt_id in work.selection.newly_in_reach(certain=self.certain):
                self.start(work, work.questions[prompt_id])
            for prompt_id in work.selection.newly_settled():
                self.drop(work, prompt_id)

    def start(self, work: StepWork, question: Question) -> None:
        """Ask about the question, if that was not done yet."""
        if question.prompt_id not in work.teacher_tasks:
            work.teacher_tasks[question.prompt_id] = self.tasks.spawn(self._ask(work, question))

    def drop(self, work: StepWork, prompt_id: PromptId) -> None:
        """Nothing waits any more for what the teacher says of this question."""
        task = work.teacher_tasks.get(prompt_id)
        if task is not None and prompt_id not in work.teacher:
            work.teacher_counts["teacher/unused"] += 1
            work.unheard.pop(prompt_id, None)
            del work.teacher_tasks[prompt_id]
            task.cancel()

    async def _ask(self, work: StepWork, question: Question) -> None:
        counts: Counter[str] = Counter()
        work.unheard[question.prompt_id] = await self.teacher.ask(work, question, counts), counts
        self._hear(work, question.prompt_id)

    def _hear(self, work: StepWork, prompt_id: str) -> None:
        if prompt_id in work.unheard and (prompt_id in work.plain or not work.asks_hard):
            answers, counts = work.unheard.pop(prompt_id)
            work.teacher[prompt_id] = answers
            work.teacher_counts.update(counts)
            work.selection.teacher_done(prompt_id, len(answers.correct))
            self.advance(work)
