"""The teacher as the workers see it: graded rollouts of questions, summaries, hints, and scores of responses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import ray
import torch
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.utils import hf_processor, hf_tokenizer
from verl.utils.fs import copy_to_local

from recipe.zppo import prompts
from recipe.zppo.candidates import Draft
from recipe.zppo.compression import Fallback, accept_summary, after_thinking, bounded_tail, parse_summary
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import (
    ConfigError,
    JudgeError,
    PromptTooLongError,
    RewardError,
    RewardFunctionError,
    RolloutError,
    ZPPOError,
)
from recipe.zppo.hints import leaks
from recipe.zppo.judge import TEMPERATURE, TOP_P, Judgement, final_answer, judge_messages, parse_verdict
from recipe.zppo.media import parts as media
from recipe.zppo.prompts import question_text
from recipe.zppo.reward import extract_answer, gold_answer
from recipe.zppo.teacher.gate import RequestGate, is_server_failure
from recipe.zppo.teacher.slots import Work
from recipe.zppo.types import Candidate, Hint, TeacherAnswers, TeacherRollout

logger = logging.getLogger(__name__)

QUESTION_TEXT = "question_text"
"""Key in a row's data: the plain question as text, whatever the prompt adds to it. The judge reads it."""


def with_question(row: dict[str, Any]) -> dict[str, Any]:
    """The row, with the text of its question."""
    return row | {QUESTION_TEXT: question_text(row["raw_prompt"])}


class TeacherClient:
    """Talks to the teacher servers on behalf of one agent-loop worker.

    Args:
        worker: gives agent loops, the student's tokenizer and the reward function.
        client: verl's `LLMServerClient` of the teacher; None where there is no teacher.
        path: of its model; `zppo.teacher.path` unless given.
    """

    def __init__(self, worker: Any, client: Any, config: ZPPOConfig, path: str | None = None):
        self.worker, self.client, self.config = worker, client, config
        self.tokenizer, self.processor = worker.tokenizer, worker.processor
        # Candidates go into the student's prompt; no special token of either model may come with them.
        self.special_tokens = tuple(worker.tokenizer.all_special_tokens)
        if client is None:
            return
        teacher = config.teacher
        path, trust = copy_to_local(path or teacher.path), worker.model_config.trust_remote_code
        self.tokenizer = hf_tokenizer(path, trust_remote_code=trust)
        self.processor = hf_processor(path, trust_remote_code=trust)
        self.special_tokens += tuple(self.tokenizer.all_special_tokens)
        self.max_model_len = int(
            teacher.inference.get("max_model_len") or worker.config.actor_rollout_ref.rollout.max_model_len
        )
        self.gate = make_gate(
            config,
            worker.rollout_config.agent.num_workers,
            probe=lambda: self._request([{"role": "user", "content": "1+1=?"}], 0, 1, Work.ROLLOUT),
            is_failure=_is_server_failure,
        )

    async def solve(self, data: dict[str, Any], messages: list[dict], seeds: Sequence[int]) -> TeacherAnswers:
        """Fresh teacher rollouts of a question, graded as the student's are. Requests may fail."""
        # Text has nothing to decode, and without a detour all requests of a batch arrive together.
        pictures = media.has_media(messages)
        opened = await asyncio.to_thread(self._opened, messages) if pictures else self._opened(messages)
        question = prompts.with_closer(opened)
        data = with_question(dict(data) | {"raw_prompt": messages}) | {"raw_prompt": question}

        async def rollout(seed: int) -> TeacherRollout:
            text, num_tokens = await self._generate(question, seed, self.config.teacher.response_length)
            reward, judgement = await self.worker.grade(data, text)
            verdict = (judgement.verdict.value, judgement.num_tokens) if judgement else ()
            return TeacherRollout(text, reward, num_tokens, *verdict)

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
        """The verdict on a response to a free-form row, which carries the plain question as `QUESTION_TEXT`.

        Raises:
            JudgeError: no verdict after all tries, or the teacher counts as dead. It is never taken for a wrong answer.
            RewardFunctionError: the row's gold answer is not a text.
        """
        settings = self.config.judge
        try:
            reference = gold_answer(data["reward_model"]["ground_truth"])
        except RewardError as error:
            raise RewardFunctionError(f"row {data.get('row')} can't be judged: {error}") from error
        answer = final_answer(response, settings.max_answer_tokens, self.worker.tokenizer)
        messages = judge_messages(data[QUESTION_TEXT], reference, answer, special_tokens=self.special_tokens)
        try:
            reply, num_tokens = await self._generate(messages, 0, settings.max_tokens, Work.VERDICT)
        except Exception as error:  # whatever the servers raise
            raise JudgeError(f"no verdict on row {data.get('row')}: {type(error).__name__}: {error}"[:500]) from error
        return Judgement(parse_verdict(reply), num_tokens)

    async def compress(self, draft: Draft, seed: int, teacher: bool) -> Candidate:
        """The draft as a candidate: the teacher's summary (Fig. 16) if it keeps the answer, else the bounded tail."""
        if not teacher or self.client is None or self.config.compression.mode != "teacher":
            return self.without_teacher(draft, "late")
        messages = prompts.compression_messages(draft.text, special_tokens=self.special_tokens)
        try:
            reply, num_tokens = await self._say(messages, seed)
            limit = self.config.reformulation.max_candidate_tokens
            decision = accept_summary(draft.text, parse_summary(reply), limit, lambda text: len(self._encode(text)))
        except Exception as error:  # whatever the servers raise: the run goes on with the tail, counted
            logger.warning("compression failed: %s", error)
            return self.without_teacher(draft, "request_failed")
        if isinstance(decision, Fallback):
            return replace(self.without_teacher(draft, decision.value), teacher_tokens=num_tokens)
        return replace(self._candidate(draft, decision.text, "teacher"), teacher_tokens=num_tokens)

    def without_teacher(self, draft: Draft, reason: str) -> Candidate:
        """Compression mode ``none`` or ``truncate``, and the fall-back of ``teacher``."""
        mode = self.config.compression.mode
        if mode == "none":
            return self._candidate(draft, draft.text, "none")
        limit = self.config.reformulation.max_candidate_tokens
        text = bounded_tail(draft.text, limit, self.worker.tokenizer)
        return self._candidate(draft, text, "truncate" if mode == "truncate" else f"tail:{reason}")

    async def write_hint(self, data: dict[str, Any], draft: Draft, seed: int) -> Hint:
        """A hint from one of the teacher's correct rollouts (Fig. 19), made safe for the student's prompt.

        What the teacher thinks aloud before it is not part of it. A hint with a box or the gold answer is a ``leak``.
        """
        if self.client is None:
            return Hint("", "failed")
        messages = prompts.hint_request_messages(draft.text, special_tokens=self.special_tokens)
        try:
            reply, num_tokens = await self._say(messages, seed, whole=True)
        except Exception as error:  # whatever the servers raise: the question goes without a hint, counted
            logger.warning("hint failed: %s", error)
            return Hint("", "failed")
        hint = prompts.sanitize(reply, self.special_tokens).strip()
        try:
            gold = [gold_answer(data["reward_model"]["ground_truth"])]
        except RewardError:  # an answer in a form that only the run's own reward function knows
            gold = _texts_in(data["reward_model"]["ground_truth"])
        problem = "failed" if not hint else "leak" if any(leaks(hint, text) for text in ["", *gold]) else ""
        return Hint(hint, problem, num_tokens)

    async def score(self, token_ids: list[int], output: AgentLoopOutput) -> tuple[torch.Tensor, torch.Tensor]:
        """The teacher's most probable tokens at each position of a sequence, and their log-probs, (length, k) each.

        Row t is about token t + 1; k is `zppo.distillation.topk`, or the size of the vocabulary.
        """
        media = output.multi_modal_data or {}
        scored = await self.gate.run(
            lambda: self.client.generate(
                uuid4().hex,
                prompt_ids=token_ids,
                sampling_params={
                    "max_tokens": 1,
                    "temperature": 1.0,
                    "prompt_logprobs": scored_tokens(self.config, self.worker.model_config.hf_config),
                    "detokenize": False,
                },
                image_data=media.get("images"),
                video_data=media.get("videos"),
                mm_processor_kwargs=output.mm_processor_kwargs,
                mm_processor_output=output.mm_processor_output,
            ),
            Work.SCORE,
        )
        ids, log_probs = (scored.extra_fields[name] for name in ("prompt_ids", "prompt_logprobs"))
        return torch.tensor(ids, dtype=torch.int32), torch.tensor(log_probs, dtype=torch.float32)

    async def _say(self, messages: list[dict], seed: int, *, whole: bool = False) -> tuple[str, int]:
        """A summary or a hint, without what the teacher thought before it, and the number of all its tokens.

        ``whole``: a reply that was cut off is none, since it may be the thoughts of a model that can't but think.
        """
        limit = self.config.compression.max_tokens
        reply, num_tokens = await self._generate(messages, seed, limit, Work.SUMMARY)
        cut_off = (whole or self.config.compression.thinking) and num_tokens >= limit
        return after_thinking(reply, cut_off=cut_off), num_tokens

    def _candidate(self, draft: Draft, text: str, compression: str) -> Candidate:
        safe = prompts.sanitize(text, self.special_tokens)
        return Candidate(safe, draft.source, draft.correct, extract_answer(draft.text) or "", compression)

    def _encode(self, text: str) -> list[int]:
        return self.worker.tokenizer.encode(text, add_special_tokens=False)

    def _opened(self, messages: list[dict]) -> list[dict]:
        """The question with its images as this teacher takes them."""
        if self.processor is None and media.has_media(messages):
            raise ConfigError(
                "zppo.teacher.path: the data have images or videos and this teacher has no processor for them; "
                "it would answer without seeing them"
            )
        return media.decoded(messages)

    async def _generate(
        self, messages: list[dict], seed: int, max_tokens: int, work: Work = Work.ROLLOUT
    ) -> tuple[str, int]:
        """Text and number of its tokens."""
        output = await self.gate.run(lambda: self._request(messages, seed, max_tokens, work), work)
        text = self.tokenizer.decode(output.response_ids, skip_special_tokens=True)
        return text, len(output.response_ids)

    async def _request(self, messages: list[dict], seed: int, max_tokens: int, work: Work) -> AgentLoopOutput:
        sampling_params = sampling(self.config, work) | {"repetition_penalty": 1.0, "logprobs": False}
        if self.worker.seeded:
            sampling_params["seed"] = seed % 2**31
        template = template_options(self.config, work)
        loop = self.worker.build_loop(self.client, self.tokenizer, self.processor, template)
        loop.bound(max_model_len=self.max_model_len, response_length=max_tokens)
        return await loop.run(sampling_params, raw_prompt=messages)


def make_gate(config: ZPPOConfig, num_workers: int, **options: Any) -> RequestGate:
    """The gate of one of ``num_workers`` workers, which share the limit on requests in flight."""
    teacher = config.teacher
    return RequestGate(
        max_concurrent=max(1, teacher.max_concurrent_requests // num_workers),
        timeout_s=teacher.request_timeout_s,
        max_retries=teacher.max_retries,
        dead_after_failures=teacher.dead_after_failures,
        retry_after_s=teacher.retry_after_s,
        **options,
    )


def sampling(config: ZPPOConfig, work: Work) -> dict[str, float]:
    """Temperature, top-p and top-k of a request."""
    if work is Work.VERDICT:
        return {"temperature": TEMPERATURE, "top_p": TOP_P, "top_k": -1}
    teacher = config.teacher
    return {"temperature": teacher.temperature, "top_p": teacher.top_p, "top_k": teacher.top_k}


def template_options(config: ZPPOConfig, work: Work) -> dict[str, bool]:
    """What a request adds to the arguments of the teacher's chat template."""
    thinks = {Work.VERDICT: config.judge.thinking, Work.SUMMARY: config.compression.thinking}
    return {} if thinks.get(work, True) else {"enable_thinking": False}


def scored_tokens(config: ZPPOConfig, model: Any) -> int:
    """How many tokens the teacher scores at each position; ``model`` is the student's Hugging Face config."""
    vocabulary = model.get_text_config().vocab_size
    return min(config.distillation.topk or vocabulary, vocabulary)


def _texts_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, str) or not isinstance(value, Iterable):
        return [str(value)]
    return [text for item in value for text in _texts_in(item)]


def _is_server_failure(error: BaseException) -> bool:
    """A Ray error is the server's failure unless it carries a ValueError, which is about the request."""
    ray_error = isinstance(error, ray.exceptions.RayError) and not isinstance(error, ValueError)
    return ray_error or is_server_failure(error)
