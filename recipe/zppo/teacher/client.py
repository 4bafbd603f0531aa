"""What is said to a teacher, and what is made of its replies: graded rollouts, verdicts, summaries, hints."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from recipe.zppo import prompts
from recipe.zppo.candidates import Draft, gold_texts
from recipe.zppo.compression import Fallback, after_thinking, bounded_tail, parse_summary, why_not_used
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import JudgeError, PromptTooLongError, RewardError, RewardFunctionError, RolloutError, ZPPOError
from recipe.zppo.hints import leaks
from recipe.zppo.judge import Grade, Judgement, judge_messages, parse_verdict, with_question
from recipe.zppo.media import parts as media
from recipe.zppo.randomness import derive_seed
from recipe.zppo.reward import extract_answer
from recipe.zppo.sanitize import sanitize
from recipe.zppo.teacher.generate import Generate
from recipe.zppo.teacher.own_template import load_judge_template
from recipe.zppo.teacher.slots import Work
from recipe.zppo.types import NO_HINT, Candidate, Hint, TeacherAnswers, TeacherRollout

logger = logging.getLogger(__name__)


class Student(Protocol):
    """What a teacher's client needs of the worker that it belongs to."""

    tokenizer: Any
    """The student's, who reads what the teacher wrote."""

    async def grade(self, data: dict[str, Any], text: str) -> Grade:
        """The student's reward for a text of the teacher's, its answer, and the verdict if the judge gave it."""


class TeacherClient:
    """Talks to one teacher on behalf of one worker.

    Args:
        generate: asks the teacher's model; None where there is no teacher.
        in_thread: compare answers, which can take seconds, beside the event loop. Not where requests that arrive
            together are to be answered together.
    """

    def __init__(self, student: Student, generate: Generate | None, config: ZPPOConfig, *, in_thread: bool = True):
        self.student, self.generate, self.config, self.in_thread = student, generate, config, in_thread
        # Candidates go into the student's prompt; no special token of either model may come with them.
        self.special_tokens = tuple(student.tokenizer.all_special_tokens)
        if generate is not None:
            self.special_tokens += generate.special_tokens
        self.judge_template = load_judge_template(config.judge.template if config.judge.enable else None)

    async def solve(self, data: dict[str, Any], messages: list[dict], seeds: Sequence[int]) -> TeacherAnswers:
        """Fresh teacher rollouts of a question, graded as the student's are. Requests may fail."""
        assert self.generate is not None, "there is no teacher"
        # Text has nothing to decode, and without a detour all requests of a batch arrive together.
        pictures = media.has_media(messages)
        opened = await asyncio.to_thread(self.generate.opened, messages) if pictures else self.generate.opened(messages)
        question = prompts.with_closer(opened)
        data = with_question(dict(data) | {"raw_prompt": messages}) | {"raw_prompt": question}

        async def rollout(seed: int) -> TeacherRollout:
            text, num_tokens = await self._ask(question, seed, self.config.teacher.response_length, Work.ROLLOUT)
            reward, answer, judgement = await self.student.grade(data, text)
            verdict = (judgement.verdict.value, judgement.num_tokens) if judgement else ("", 0)
            return TeacherRollout(text, reward, num_tokens, *verdict, answer)

        results = await asyncio.gather(*(rollout(seed) for seed in seeds), return_exceptions=True)
        for result in results:
            if isinstance(result, ZPPOError) and not isinstance(result, (PromptTooLongError, RolloutError)):
                raise result  # a reward function that fails, say: nothing that another try could mend
        errors = [result for result in results if isinstance(result, BaseException)]
        return TeacherAnswers(
            rollouts=tuple(result for result in results if isinstance(result, TeacherRollout)),
            failed=len(errors),
            error=f"{type(errors[-1]).__name__}: {errors[-1]}"[:500] if errors else "",
            unjudged=sum(isinstance(error, JudgeError) for error in errors),
        )

    async def judge(self, data: dict[str, Any], response: str) -> Judgement:
        """The verdict on a response to a row, which carries the text of the plain question (`with_question`).

        Raises:
            JudgeError: no verdict after all tries, or the teacher counts as dead. It is never taken for a wrong answer.
            RewardFunctionError: the row's gold answer is not a text, or its options are none.
        """
        settings = self.config.judge
        try:
            messages = judge_messages(
                data,
                response,
                self.judge_template,
                whole=settings.response == "whole",
                max_tokens=settings.max_answer_tokens,
                tokenizer=self.student.tokenizer,
                special_tokens=self.special_tokens,
            )
        except RewardError as error:
            raise RewardFunctionError(f"row {data.get('row')} can't be judged: {error}") from error
        try:
            reply, num_tokens = await self.reply(messages, settings.max_tokens)
        except JudgeError as error:
            raise JudgeError(f"no verdict on row {data.get('row')}: {error}"[:500]) from error.__cause__
        return Judgement(parse_verdict(reply), num_tokens)

    async def reply(self, messages: list[dict], max_tokens: int) -> tuple[str, int]:
        """The judge's reply to any request, and the number of its tokens. Temperature 0, top-p 1.

        Raises:
            JudgeError: none after all tries, or the teacher counts as dead.
        """
        try:
            return await self._ask(messages, 0, max_tokens, Work.VERDICT)
        except Exception as error:  # whatever the servers raise
            raise JudgeError(f"{type(error).__name__}: {error}"[:500]) from error

    async def compress(self, draft: Draft, seed: int, teacher: bool) -> Candidate:
        """The draft as a candidate: the teacher's summary (Fig. 16) if it keeps the answer, else the bounded tail.

        A summary that does not do is asked for again, with a seed that follows from ``seed``, up to
        `zppo.compression.attempts` times in all. Failed requests are not: `RequestGate` has tried them again already.
        """
        if not teacher or self.generate is None or self.config.compression.mode != "teacher":
            return self.without_teacher(draft, "late")
        messages = prompts.compression_messages(draft.text, special_tokens=self.special_tokens)
        rejected: list[str] = []
        reason: Fallback | str | None = None
        usable, tokens = "", 0
        for attempt in range(self.config.summaries_asked):
            try:
                reply, num_tokens = await self._say(messages, derive_seed(seed, attempt) if attempt else seed)
                summary = parse_summary(reply) or ""
                reason = await self._why_not_used(draft, summary)
            except Exception as error:  # whatever the servers raise: the run goes on with the tail, counted
                logger.warning("compression failed: %s", error)
                reason = "request_failed"
                break
            tokens += num_tokens
            if reason in (None, Fallback.NO_BOX):
                usable = summary
            if reason is None:
                break
            rejected.append(str(reason))
        candidate = self._candidate(draft, usable, "teacher") if usable else self.without_teacher(draft, str(reason))
        return replace(candidate, teacher_tokens=tokens, rejected=tuple(rejected))

    async def _why_not_used(self, draft: Draft, summary: str) -> Fallback | None:
        arguments = draft, summary, self.config.reformulation.max_candidate_tokens, lambda text: len(self._encode(text))
        if self.in_thread:
            return await asyncio.to_thread(why_not_used, *arguments)
        return why_not_used(*arguments)

    def without_teacher(self, draft: Draft, reason: str) -> Candidate:
        """Compression mode ``none`` or ``truncate``, and the fall-back of ``teacher``."""
        mode = self.config.compression.mode
        if mode == "none":
            return self._candidate(draft, draft.text, "none")
        limit = self.config.reformulation.max_candidate_tokens
        text = bounded_tail(draft.text, limit, self.student.tokenizer)
        return self._candidate(draft, text, "truncate" if mode == "truncate" else f"tail:{reason}")

    async def write_hint(self, data: dict[str, Any], draft: Draft, seed: int) -> Hint:
        """A hint from one of the teacher's correct rollouts (Fig. 19), made safe for the student's prompt.

        What the teacher thinks aloud before it is not part of it. A hint with a box or the gold answer is a ``leak``.
        """
        if self.generate is None:
            return NO_HINT
        messages = prompts.hint_request_messages(draft.text, special_tokens=self.special_tokens)
        try:
            reply, num_tokens = await self._say(messages, seed, whole=True)
        except Exception as error:  # whatever the servers raise: the question goes without a hint, counted
            logger.warning("hint failed: %s", error)
            return NO_HINT
        hint = sanitize(reply, self.special_tokens).strip()
        problem = "failed" if not hint else "leak" if any(leaks(hint, text) for text in ["", *gold_texts(data)]) else ""
        return Hint(hint, problem, num_tokens)

    async def _say(self, messages: list[dict], seed: int, *, whole: bool = False) -> tuple[str, int]:
        """A summary or a hint, without what the teacher thought before it, and the number of all its tokens.

        ``whole``: a reply that was cut off is none, since it may be the thoughts of a model that can't but think.
        """
        limit = self.config.compression.max_tokens
        reply, num_tokens = await self._ask(messages, seed, limit, Work.SUMMARY)
        cut_off = (whole or self.config.compression.thinking) and num_tokens >= limit
        return after_thinking(reply, cut_off=cut_off), num_tokens

    def _candidate(self, draft: Draft, text: str, compression: str) -> Candidate:
        safe = sanitize(text, self.special_tokens)
        shown = extract_answer(safe) or ""
        return Candidate(safe, draft.source, draft.correct, draft.answer_read, compression, shown_answer=shown)

    def _encode(self, text: str) -> list[int]:
        return self.student.tokenizer.encode(text, add_special_tokens=False)

    async def _ask(self, messages: list[dict], seed: int, max_tokens: int, work: Work) -> tuple[str, int]:
        """Text and number of its tokens: the student's for the same text where the teacher's were not counted."""
        assert self.generate is not None, "there is no teacher"
        text, num_tokens = await self.generate(messages, seed, max_tokens, work)
        return text, len(self._encode(text)) if num_tokens is None else num_tokens
