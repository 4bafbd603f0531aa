"""The `Workers` of the pipeline in one process: rollouts, rewards, teachers."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig

from recipe.cpu.hf_requests import Request
from recipe.cpu.hf_sampling import SamplingParams
from recipe.zppo import prompts
from recipe.zppo.benchmarks.validation_rows import asked, grade
from recipe.zppo.candidates import Draft
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import JudgeError, PromptTooLongError, RewardFunctionError
from recipe.zppo.judge import Grade, graders, with_question
from recipe.zppo.local.batching import GenerationError
from recipe.zppo.local.models import LocalModel
from recipe.zppo.local.packed_groups import Trajectory
from recipe.zppo.local.teacher import TeacherInProcess
from recipe.zppo.on_verl.borrowed import get_custom_reward_fn
from recipe.zppo.reward import extract_answer, use_reward
from recipe.zppo.reward_result import with_outcome
from recipe.zppo.rollout.prefix import Given, OpeningTokens
from recipe.zppo.sanitize import sanitize
from recipe.zppo.teacher.client import TeacherClient
from recipe.zppo.teacher.endpoint import endpoint_specs
from recipe.zppo.teacher.endpoint_client import TeacherEndpoint
from recipe.zppo.types import Candidate, Hint, Kind, Opening, Question, Rollout, RolloutFailure, TeacherAnswers

logger = logging.getLogger(__name__)


class LocalWorkers:
    """Rolls out with ``student``, asks ``teachers``; trajectories wait in ``trajectories`` by the rollout's key."""

    def __init__(self, config: DictConfig, zppo: ZPPOConfig, student: LocalModel, teachers: Sequence[LocalModel]):
        self.config, self.zppo, self.student = config, zppo, student
        use_reward(zppo)
        self.tokenizer = student.tokenizer
        rollout = config.actor_rollout_ref.rollout
        self.response_length = int(config.data.max_response_length)
        self.max_model_len = int(rollout.max_model_len or config.data.max_prompt_length + self.response_length)
        self.params = SamplingParams(
            temperature=float(rollout.temperature),
            top_p=float(rollout.top_p),
            top_k=max(0, int(rollout.top_k)),
            max_tokens=self.response_length,
            logprobs=True,
            entropy=True,
        )
        self.trajectories: dict[str, Trajectory] = {}
        self._compute_score = get_custom_reward_fn(config)
        self._template = dict(config.data.get("apply_chat_template_kwargs") or {})
        self._opening_tokens = OpeningTokens(self.tokenizer, self.response_length, self._template)
        self._endpoints, asked = [], []
        if zppo.needs_teacher and zppo.teacher.base_url:
            specs = endpoint_specs(zppo).values()
            self._endpoints = [TeacherEndpoint(spec, zppo, num_workers=1, seeded=True) for spec in specs]
        else:
            length = int(zppo.teacher.inference.get("max_model_len") or self.max_model_len)
            asked = [TeacherInProcess(teacher, zppo, self._template, length) for teacher in teachers]
        generates, in_thread = self._endpoints or asked or [None], bool(self._endpoints)
        self._teachers = [TeacherClient(self, generate, zppo, in_thread=in_thread) for generate in generates]

    async def close(self) -> None:
        for endpoint in self._endpoints:
            await endpoint.close()

    async def roll_out(
        self,
        question: Question,
        messages: list[dict],
        *,
        uid: str,
        kind: Kind,
        seeds: Sequence[int],
        openings: Sequence[Opening] = (),
    ) -> AsyncIterator[Rollout | RolloutFailure]:
        try:
            prompt_ids = self.prompt_ids(messages)
        except PromptTooLongError as error:
            for session in range(len(seeds)):
                yield RolloutFailure(session, "too_long", str(error))
            return
        given: list[Given | RolloutFailure] = []
        for session in range(len(seeds)):
            try:
                given.append(self._opening_tokens(openings[session]) if openings else Given((), whole=False))
            except PromptTooLongError as error:
                given.append(RolloutFailure(session, "too_long", str(error)))
        requests = [
            self.request([*prompt_ids, *start.token_ids], self.params, seed, given=len(start.token_ids))
            for start, seed in zip(given, seeds, strict=True)
            if isinstance(start, Given) and not start.whole
        ]
        try:
            responses = iter(await self.student.server.generate(requests) if requests else [])
        except GenerationError as error:  # counted; a group without rollouts is dropped
            for session in range(len(seeds)):
                yield RolloutFailure(session, "generation", str(error))
            return
        waiting = []
        for session, start in enumerate(given):
            if isinstance(start, RolloutFailure):
                yield start
                continue
            response = None if start.whole else next(responses)
            token_ids = [*start.token_ids, *(response.token_ids if response else ())]
            text = self.tokenizer.decode(token_ids, skip_special_tokens=True)
            key = f"{uid}_{session}_0"
            loss_from = 0 if start.whole else len(start.token_ids)
            log_probs, entropy = (response.log_probs, response.entropy or 0.0) if response else ([], 0.0)
            self.trajectories[key] = Trajectory(prompt_ids, token_ids, loss_from, log_probs, entropy)
            ruled = (1.0, {"answer": start.answer}, False) if start.whole else self._ruled(question.data, text)
            reward, said, judged = ruled
            rollout = Rollout(
                session=session,
                key=key,
                text=text,
                reward=reward,
                answer=sanitize(said["answer"], self._teachers[0].special_tokens),
                num_prompt_tokens=len(prompt_ids),
                num_tokens=len(token_ids),
                num_given=len(start.token_ids),
                doubtful=said.get("doubtful") == 1,
            )
            if judged:
                waiting.append(rollout)
            else:
                yield rollout
        for finished in await asyncio.gather(*(self._judged(question, rollout) for rollout in waiting)):
            yield finished

    async def _judged(self, question: Question, rollout: Rollout) -> Rollout | RolloutFailure:
        try:
            judgement = await self._teachers[0].judge(with_question(question.data), rollout.text)
        except JudgeError as error:
            return RolloutFailure(rollout.session, "judge", str(error))
        verdict, tokens = judgement.verdict.value, judgement.num_tokens
        return replace(rollout, reward=judgement.reward, verdict=verdict, judge_tokens=tokens, doubtful=False)

    def prompt_ids(self, messages: list[dict]) -> list[int]:
        """Tokens of the prompt, the closer at its end.

        Raises:
            PromptTooLongError: prompt and response budget together exceed the context.
        """
        ids = self.tokenizer.apply_chat_template(
            prompts.with_closer(messages), add_generation_prompt=True, return_dict=False, **self._template
        )
        if len(ids) + self.response_length > self.max_model_len:
            raise PromptTooLongError(
                f"prompt of {len(ids)} tokens and a response of up to {self.response_length} exceed the context of "
                f"{self.max_model_len}"
            )
        return list(ids)

    def request(self, prompt_ids: list[int], params: SamplingParams, seed: int, given: int = 0) -> Request:
        """For the rest of a response of which ``given`` tokens stand in the prompt."""
        # The seed as verl's servers get it: 31 bits.
        return Request(prompt_ids, replace(params, seed=seed % 2**31, max_tokens=self.response_length - given))

    async def grade(self, data: dict[str, Any], text: str, validation: bool = False) -> Grade:
        """What became of a text, by the reward function or the judge (`graders`); in ``validation`` with the function's
        own ``acc`` for the reward.

        Raises:
            JudgeError: the judge gave no verdict.
            RewardFunctionError: see `_rewarded`.
        """
        if validation and (found := asked(data)):
            judge = self._teachers[0] if self.zppo.judge.enable else None
            graded = await grade(*found, text, judge, in_thread=False)
            return Grade(graded.score, graded.answer)
        reward, said, judged = self._ruled(data, text, validation)
        if not judged:
            return Grade(said["acc"] if validation else reward, said["answer"])
        judgement = await self._teachers[0].judge(data, text)
        return Grade(judgement.reward, said["answer"], judgement)

    def _ruled(self, data: dict[str, Any], text: str, validation: bool = False) -> tuple[float, dict[str, Any], bool]:
        """The reward function's reward and other entries, the answer among them, and whether the judge is to decide.

        Raises:
            RewardFunctionError: see `_rewarded`.
        """
        by = graders(data, self.zppo.judge, validation=validation)
        reward, said = self._rewarded(data, text) if by.rule else (0.0, {})
        answer = said["answer"] if "answer" in said else extract_answer(text) or ""
        return reward, said | {"answer": answer}, by.judge and reward != 1

    def reward(self, data: dict[str, Any], text: str) -> float:
        """Raises `RewardFunctionError`, see `_rewarded`."""
        return self._rewarded(data, text)[0]

    def _rewarded(self, data: dict[str, Any], text: str) -> tuple[float, dict[str, Any]]:
        """The reward, and the function's other entries.

        Raises:
            RewardFunctionError: the function fails, or gives something else than 0 or 1.
        """
        where = f"row {data.get('row')} (prompt_id {data.get('prompt_id')!r})"
        try:
            score = self._compute_score(
                data_source=data.get("data_source", "unknown"),
                solution_str=text,
                ground_truth=data["reward_model"]["ground_truth"],
                extra_info=data.get("extra_info") or {},
            )
            if inspect.iscoroutine(score):
                score = _result_of(score)
            said = score if isinstance(score, dict) else {"score": score}
            score, said = with_outcome(said["score"], said, self.zppo.reward.binarize)
        except Exception as error:
            message = f"the reward function failed on {where}: {type(error).__name__}: {error}"
            raise RewardFunctionError(message) from error
        if score not in (0, 1):
            raise RewardFunctionError(
                f"the reward function gave {score!r} for {where}; ZPPO needs an outcome reward of exactly 0 or 1"
            )
        return float(score), said

    async def ask_teacher(self, question: Question, *, seeds: Sequence[int], teacher: int = 0) -> TeacherAnswers:
        return await self._teachers[teacher].solve(question.data, question.messages, seeds)

    async def compress(self, draft: Draft, *, seed: int, teacher: bool) -> Candidate:
        return await self._teachers[0].compress(draft, seed, teacher)

    async def write_hint(self, question: Question, draft: Draft, *, seed: int) -> Hint:
        return await self._teachers[0].write_hint(question.data, draft, seed)


def _result_of(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """In a thread, since the event loop of this one is running."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
