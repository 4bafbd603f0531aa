"""The questions of a step on their way from plain rollouts to reformulated groups (Algorithm 1, steps 1 to 5).

    questions -> plain group of each -+-> [accuracy < tau] teacher rollouts -> StreamingSelection
                                      |                                               |
                                      |            candidates <- accepted instances <-+
                                      |                |
                                      |                v
                                      |        compression -> queue -> BCQ and NCQ groups -+
                                      v                                                    v
                               StepResult.plain                                 StepResult.reformulated

Queues, not phases. Every question goes on by itself: when so many of *its* plain rollouts are wrong that it is certain
to be hard, its teacher work starts, while the rest of its group and other groups still run. When `StreamingSelection`
is certain that an instance is in the final list, its candidates are compressed and its prompt is queued for rollout.
Only the end of the step waits for everybody. `zppo.teacher.ask` has the teacher start sooner, or for fewer questions:
who is selected and what is drawn does not depend on when it was asked.

``same_step``: the queue is rolled out in the step that fills it (the paper). ``next_step``: the queue that step t fills
is rolled out together with the plain prompts of step t+1, by the policy of step t+1; the teacher may work while the
student trains.

No Ray here: `Workers` is what the pipeline needs from the outside, so that it runs in tests on simulated servers. How a
group is filled is in `group_rollouts.py`, what the teacher does in `teacher_work.py`, and when it is asked in
`asking.py`.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import RolloutError, WaitTimeoutError
from recipe.zppo.methods import METHODS
from recipe.zppo.methods.every_question import EveryQuestion
from recipe.zppo.rollout.asking import Asking
from recipe.zppo.rollout.clock import ActivityClock
from recipe.zppo.rollout.group_rollouts import GroupRollouts
from recipe.zppo.rollout.step_state import StepWork, check_settings, pack, unpack
from recipe.zppo.rollout.tasks import Tasks
from recipe.zppo.rollout.teacher_work import TeacherWork
from recipe.zppo.rollout.workers import Workers
from recipe.zppo.selection import Reformulation, reformulation_cap
from recipe.zppo.streaming_selection import StreamingSelection
from recipe.zppo.types import Group, Kind, Question, Rollout, StepResult


class QuestionPipeline:
    """Runs the questions of one step after the other on one event loop.

    Life cycle: ``await run_step(1, questions)``, ..., with ``next_step`` ``state_dict()`` / ``load_state_dict()``
    carry the unfinished reformulations over a restart.

    Args:
        group_size: G_S, rollouts of a plain group.
    """

    def __init__(self, workers: Workers, zppo: ZPPOConfig, group_size: int):
        self.workers, self.zppo, self.group_size = workers, zppo, group_size
        self.next_step = zppo.reformulation.schedule == "next_step"
        # The kind whose responses are not the student's, with which every question has such a group.
        self.off_policy = next((kind for kind in zppo.kinds if METHODS[kind].off_policy), None)
        self.asks_after_cap = any(METHODS[kind].asks_after_cap for kind in zppo.kinds)
        self.pending: StepWork | None = None
        self.clock = ActivityClock()
        self.tasks = Tasks()
        self.rollouts = GroupRollouts(workers, zppo, group_size, self.off_policy, self.clock)
        self.teacher = TeacherWork(workers, zppo, group_size, self.tasks, self.clock)
        self.asking = Asking(zppo.teacher.ask, self.teacher, self.tasks, self._advance)

    async def run_step(self, step: int, questions: Sequence[Question], num_new: int) -> StepResult:
        """Roll out ``questions`` (``num_new`` of them new) and the reformulated prompts that are due.

        Raises:
            WaitTimeoutError: a limit of `zppo.timeouts` was reached.
            RolloutError: more than half of the plain groups failed.
            RewardFunctionError: raised by a worker for a row.
        """
        fatal = self.tasks.watch()
        work = self._start(step, questions, num_new)
        source = self.pending if self.next_step else work
        if self.next_step:
            self.pending = work
        self.asking.follow(work)
        counts: Counter[str] = Counter()
        started = time.monotonic()
        with self.clock("wait"):
            gathered = asyncio.gather(
                self.tasks.spawn(self._plain_phase(work, questions, source, started)),
                self.tasks.spawn(self._reformulated_phase(source, counts)),
            )
            gathered.add_done_callback(lambda future: future.cancelled() or future.exception())  # looked at
            done, _ = await asyncio.wait(
                [gathered, fatal], timeout=self.zppo.timeouts.step_s, return_when=asyncio.FIRST_COMPLETED
            )
        if fatal in done:
            self.tasks.cancel_all()
            fatal.result()  # raises it
        if not done:
            self.tasks.cancel_all()
            raise WaitTimeoutError(
                f"step {step}: generation took longer than zppo.timeouts.step_s={self.zppo.timeouts.step_s:g} s; "
                f"{len(work.plain)} of {len(questions)} plain groups are complete. Raise the limit or look at the "
                "rollout servers."
            )
        plain_seconds, reformulated = await gathered
        asked = source.teacher_tasks.keys() | source.teacher.keys() if source and self.zppo.asks_teacher else ()
        if source is not None:
            self.teacher.stop(source)  # for questions that did not make it into the list
            counts.update(source.teacher_counts)
        counts.update(work.counts)
        plain = [work.plain[question.prompt_id] for question in questions if question.prompt_id in work.plain]
        return StepResult(
            step=step,
            plain=plain,
            reformulated=reformulated,
            counts=counts,
            seconds={"plain": plain_seconds, **self.clock.pop()},
            teacher=dict(source.teacher) if source else {},
            source_step=source.step if source else 0,
            source_plain=dict(source.plain) if source else {},
            asked=tuple(name for name in source.order if name in asked) if source else (),
            lost=self._lost(work, source),
        )

    @staticmethod
    def _lost(work: StepWork, source: StepWork | None) -> list[tuple[Group, str]]:
        """Plain groups of this step, and others of the step whose questions were reformulated."""
        lost = [(group, reason) for group, reason in work.lost if group.kind is Kind.PLAIN]
        lost += [(group, reason) for group, reason in (source.lost if source else ()) if group.kind is not Kind.PLAIN]
        return sorted(lost, key=lambda each: each[0].uid)

    # ------------------------------------------------------------------ one question

    def _start(self, step: int, questions: Sequence[Question], num_new: int) -> StepWork:
        zppo = self.zppo
        prompt_ids = [question.prompt_id for question in questions]
        selection: StreamingSelection | EveryQuestion
        if self.off_policy:
            cap, selection = len(prompt_ids), EveryQuestion(prompt_ids, self.off_policy)
        else:
            cap = reformulation_cap(zppo.reformulation.fraction, num_new) if zppo.kinds else 0
            selection = StreamingSelection(
                prompt_ids,
                group_size=self.group_size,
                threshold=zppo.threshold,
                cap=cap,
                seed=zppo.seed,
                step=step,
                kinds=zppo.kinds,
                pre_cap=zppo.reformulation.pre_cap,
            )
        return StepWork(
            step=step,
            cap=cap,
            num_new=num_new,
            asks_hard=cap > 0 and not (self.off_policy or self.asks_after_cap),
            questions={question.prompt_id: question for question in questions},
            order={question.prompt_id: i for i, question in enumerate(questions)},
            selection=selection,
        )

    async def _plain_phase(
        self, work: StepWork, questions: Sequence[Question], source: StepWork | None, started: float
    ) -> float:
        """All plain groups; gives the seconds they took and starts the clock for late teacher work."""
        await asyncio.gather(*(self._question(work, question) for question in questions))
        seconds = time.monotonic() - started
        if len(work.plain) * 2 < len(questions):
            cause = work.counts["rollouts/failed"]
            raise RolloutError(
                f"step {work.step}: {len(questions) - len(work.plain)} of {len(questions)} plain groups gave no "
                f"rollouts ({cause} failures); last cause: {self.rollouts.last_failure}"
            )
        if source is not None:
            source.expiry = self.tasks.spawn(self.teacher.expire(source))
        return seconds

    async def _question(self, work: StepWork, question: Question) -> None:
        hard = False
        if self.off_policy:  # whatever the student's rollouts will be
            self.asking.start(work, question)
        group = self._group(work, question, Kind.PLAIN)

        def scored(rollout: Rollout) -> None:  # the teacher's work does not wait for the last one
            certain = work.selection.rollout(question.prompt_id, rollout.correct)
            self.asking.scored(work, question, certain)

        await self.rollouts.fill(group, question.messages, work.counts, scored)
        if not group.rollouts:
            work.counts["questions/failed"] += 1
            work.lost.append((group, "failed"))
            work.selection.drop(question.prompt_id)
        else:
            work.plain[question.prompt_id] = group
            hard = work.selection.plain_done(question.prompt_id, group.num_correct, len(group.rollouts))
        self.asking.complete(work, question, hard)
        self._advance(work)

    @staticmethod
    def _group(work: StepWork, question: Question, kind: Kind) -> Group:
        return Group(f"{work.step}.{work.order[question.prompt_id]:05d}.{kind.value}", kind, question, work.step)

    # ------------------------------------------------------------------ reformulation

    def _advance(self, work: StepWork) -> None:
        """Start what has become certain; close the queue when nothing more can come."""
        self.asking.follow(work)
        for prompt_id in work.selection.newly_kept() if self.asks_after_cap else ():
            if prompt_id not in work.teacher:
                self.asking.start(work, work.questions[prompt_id])
        for reformulation in work.selection.newly_accepted():
            work.preparing += 1
            self.tasks.spawn(self._prepare(work, reformulation))
        if work.selection.finished and not work.preparing and not work.closed:
            work.closed = True
            work.queue.put_nowait(None)

    async def _prepare(self, work: StepWork, reformulation: Reformulation) -> None:
        group = self._group(work, work.questions[reformulation.prompt_id], reformulation.kind)
        if await self.teacher.prepare(work, group):
            work.queue.put_nowait(group)
        else:
            work.lost.append((group, "nothing_to_show"))
        work.preparing -= 1
        self._advance(work)

    async def _reformulated_phase(self, source: StepWork | None, counts: Counter[str]) -> list[Group]:
        """Roll out what ``source`` queues, each prompt as soon as it is there."""
        if source is None or not source.cap:
            return []
        groups: dict[tuple[str, Kind], Group] = {}

        async def roll_out(group: Group) -> None:
            plain = source.plain.get(group.question.prompt_id)
            await self.rollouts.fill(group, METHODS[group.kind].messages(group, plain), counts)
            if group.rollouts:
                groups[group.question.prompt_id, group.kind] = group
                return
            too_long = any(failure.reason == "too_long" for failure in group.failures)
            reason = "does_not_fit" if too_long else "failed"
            counts[f"{group.kind.value}/{reason}"] += 1
            source.lost.append((group, reason))

        running = []
        while (group := await source.queue.get()) is not None:
            running.append(self.tasks.spawn(roll_out(group)))
        await asyncio.gather(*running)
        return sorted(groups.values(), key=lambda group: (source.order[group.question.prompt_id], group.kind.value))

    # ------------------------------------------------------------------ restart

    def state_dict(self) -> dict[str, Any] | None:
        """Unfinished reformulations of the last step (``next_step`` only), as plain data."""
        return pack(self.pending, self.zppo, self.group_size) if self.pending is not None else None

    async def load_state_dict(self, state: dict[str, Any] | None, questions: dict[str, Question]) -> None:
        """Take up the reformulations of ``state``: finished teacher work is kept, the rest is asked again."""
        if state is None:
            return
        check_settings(state, self.zppo, self.group_size)
        self.tasks.watch()
        work = self._start(state["step"], [questions[prompt_id] for prompt_id in state["order"]], state["num_new"])
        self.pending = work
        unpack(state, work)
        unanswered = []
        for prompt_id, question in work.questions.items():
            group, hard = work.plain.get(prompt_id), False
            if group is None:
                work.selection.drop(prompt_id)
            else:
                hard = work.selection.plain_done(prompt_id, group.num_correct, len(group.rollouts))
            if prompt_id in work.teacher:
                work.selection.teacher_done(prompt_id, len(work.teacher[prompt_id].correct))
            elif self.off_policy:
                self.asking.start(work, question)
            elif hard:
                unanswered.append(question)
        for question in unanswered:  # only now, as the selection knows all that was there
            self.asking.scored(work, question, True)
        self._advance(work)
