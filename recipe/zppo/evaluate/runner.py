"""One benchmark, asked and scored: requests bounded in number and time, each answer in the log as soon as it is there.

A request that fails is tried again, with pauses that double. After all tries its question is unanswered: that is
counted, and never wrong. A question whose answer is in the log is not asked again; where only the verdict is missing
only the judge is.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from recipe.zppo.benchmarks.contract import Benchmark, Question
from recipe.zppo.benchmarks.grading import JUDGED, decide, to_judge, verdict
from recipe.zppo.benchmarks.loading import BadRow, Questions
from recipe.zppo.errors import ZPPOError, first_line, one_line
from recipe.zppo.evaluate.engines.contract import Answer, AskError, Engine, EngineDownError
from recipe.zppo.evaluate.log import Key, QuestionLog
from recipe.zppo.evaluate.protocol import Protocol, judge_decoding
from recipe.zppo.evaluate.results import Line
from recipe.zppo.prompts import Messages, content_text
from recipe.zppo.randomness import derive_seed

_AT_A_TIME = 16
"""Questions that are read beside the event loop."""

_DEAD_AFTER = 16
"""Unanswered questions in a row after which an engine counts as dead, and not fewer than are in flight."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of requests."""

    in_flight: int = 256
    timeout_s: float = 3600.0
    retries: int = 3
    """Further tries of a request that failed."""
    pause_s: float = 1.0
    """Before the second try; twice as long before the third, and so on."""


@dataclass
class Asked:
    """What was gone through: all questions of a benchmark, in their order."""

    keys: list[Key] = field(default_factory=list)
    categories: dict[str, str] = field(default_factory=dict)
    extras: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0


class Runner:
    """Asks ``student``, and ``judge`` for what rules leave open.

    Args:
        student: None: only the judge's work is left.
        judge: None: there is none now.
        later: there will be one: what it is needed for stays open. Otherwise that scores 0, and is counted.
    """

    def __init__(
        self,
        student: Engine | None,
        judge: Engine | None,
        protocol: Protocol,
        limits: Limits,
        *,
        seed: int = 0,
        samples: int = 1,
        later: bool = False,
    ):
        self._student, self._judge, self._later = student, judge, later
        self._protocol, self._limits = protocol, limits
        self._seed, self._samples = seed, samples
        self._unanswered_in_a_row: dict[int, int] = {}

    async def run(self, questions: Questions, log: QuestionLog, step: Callable[[], None] = lambda: None) -> Asked:
        """Go through all questions; `step` is called after each of them and each sample.

        Raises:
            EngineDownError: an engine answers nothing any more. The log has what was answered before.
            DataError: see `Questions`.
        """
        began, asked = time.monotonic(), Asked()
        slots = asyncio.Semaphore(self._limits.in_flight)
        one = _OneBenchmark(questions.benchmark, log)

        async def in_slot(question: Question, sample: int) -> None:
            try:
                await self._one(one, question, sample)
                step()
            finally:
                slots.release()

        try:
            async with asyncio.TaskGroup() as tasks:
                async for each in _read(questions):
                    for sample in range(self._samples):
                        key = each.id, sample
                        asked.keys.append(key)
                        if isinstance(each, BadRow):
                            log.write(Line(each.id, sample, "", "", "", "", error=each.error))
                            step()
                        elif key in log.entries and log.entries[key].done:
                            step()
                        else:
                            await slots.acquire()
                            tasks.create_task(in_slot(each, sample))
                    if isinstance(each, Question):
                        asked.categories[each.id], asked.extras[each.id] = each.category, each.extra
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        asked.seconds = time.monotonic() - began
        return asked

    # ------------------------------------------------------------------ a question

    async def _one(self, one: "_OneBenchmark", question: Question, sample: int) -> None:
        entry = one.log.entries.get((question.id, sample))
        if entry is not None and entry.has_response:
            line = replace(one.log.read((question.id, sample)), error="")
        elif self._student is None:
            return
        else:
            line = await self._answered(self._student, one, question, sample)
            if line.error:
                one.log.write(line)
                return
        one.log.write(await self._scored(one, question, line))

    async def _answered(self, student: Engine, one: "_OneBenchmark", question: Question, sample: int) -> Line:
        messages = self._protocol.prompt(question)
        line = Line(question.id, sample, question.category, as_text(messages), question.gold, "")
        seed = derive_seed(self._seed, one.benchmark.name, question.id, sample)
        try:
            answer = await self._tried(student, lambda: student.ask(messages, self._protocol.decoding, seed))
        except ZPPOError as error:
            if isinstance(error, EngineDownError):
                raise
            return replace(line, error=f"{one.benchmark.source.dataset}, question {question.id}: {first_line(error)}")
        return replace(line, response=answer.text, finish=answer.finish, tokens=answer.tokens)

    async def _scored(self, one: "_OneBenchmark", question: Question, line: Line) -> Line:
        try:
            found, by = await asyncio.to_thread(decide, one.benchmark, question, line.response)
        except asyncio.CancelledError:
            one.log.write(line)  # the answer has taken its time; the end of the command shall not take it
            raise
        except Exception as error:  # a definition's own code, on a model's text
            return replace(line, error=f"{one.benchmark.name}: its rule failed on {question.id}: {one_line(error)}")
        line = replace(line, answer=found.answer, decided_by=by, score=found.score)
        if found.score is not None or (self._judge is None and self._later):
            return line
        if self._judge is None:
            return replace(line, score=0.0)
        one.log.write(line)  # the answer has taken its time; a kill shall not take it
        return await self._judged(self._judge, one, question, line)

    async def _judged(self, judge: Engine, one: "_OneBenchmark", question: Question, line: Line) -> Line:
        whole = self._protocol.judge_sees == "whole"
        try:
            messages, max_tokens = to_judge(one.benchmark, question, line.response, whole=whole)
            decoding = judge_decoding(max_tokens)
            reply = await self._tried(judge, lambda: judge.ask(messages, decoding, 0, thinking=False))
        except ZPPOError as error:
            if isinstance(error, EngineDownError):
                raise
            return replace(line, error=f"no verdict on {question.id}: {first_line(error)}")
        score, malformed = verdict(one.benchmark, question, reply.text)
        return replace(
            line,
            decided_by=JUDGED,
            score=score,
            malformed=malformed,
            judge_reply=reply.text,
            judge_tokens=reply.tokens,
        )

    # ------------------------------------------------------------------ a request

    async def _tried(self, engine: Engine, request: Callable[[], Awaitable[Answer]]) -> Answer:
        """
        Raises:
            ZPPOError: no answer after all tries, or none that another try could mend.
            EngineDownError: nor to many other questions before.
        """
        limits, in_a_row = self._limits, self._unanswered_in_a_row
        for attempt in itertools.count():
            try:
                async with asyncio.timeout(limits.timeout_s):
                    answer = await request()
            except (AskError, TimeoutError) as error:
                if isinstance(error, TimeoutError):
                    error = AskError(f"no answer within {limits.timeout_s:g} s")
                if error.about_request:
                    raise error from None
                if attempt == limits.retries:
                    in_a_row[id(engine)] = in_a_row.get(id(engine), 0) + 1
                    if in_a_row[id(engine)] >= max(_DEAD_AFTER, limits.in_flight):
                        raise EngineDownError(
                            f"{in_a_row[id(engine)]} questions in a row without an answer, the last one: {error}"
                        ) from None
                    raise error from None
                await asyncio.sleep(limits.pause_s * 2**attempt)
            else:
                in_a_row[id(engine)] = 0
                return answer
        raise AssertionError("unreachable")


@dataclass(frozen=True)
class _OneBenchmark:
    benchmark: Benchmark
    log: QuestionLog


async def _read(questions: Iterable[Question | BadRow]) -> Any:
    """In a thread, since a row with its images takes a while; a few at a time, since each hop costs."""
    iterator = iter(questions)
    while some := await asyncio.to_thread(lambda: list(itertools.islice(iterator, _AT_A_TIME))):
        for each in some:
            yield each


def as_text(messages: Messages) -> str:
    """All turns, each behind its role where there are several; media as ``<image>``, ``<video>``."""
    texts = [content_text(message["content"]) for message in messages]
    if len(messages) == 1:
        return texts[0]
    return "\n\n".join(f"{message['role']}: {text}" for message, text in zip(messages, texts, strict=True))
