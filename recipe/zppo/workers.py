"""Agent-loop workers: they roll out groups, ask the teacher, grade and compress, next to the servers' clients.

`ZPPOAgentLoopManager` is set as `actor_rollout_ref.rollout.agent.agent_loop_manager_class`. Validation goes through
verl's own `generate_sequences`; training goes through `roll_out`, which streams scored rollouts back to the pipeline
while the trajectories themselves are written to TransferQueue by verl's code.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ray
import torch
import transfer_queue as tq
from omegaconf import open_dict
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, DictConfigWrap, ToolListWrap
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ, AgentLoopWorkerTQ
from verl.utils.tokenizer import get_processor_token_id

from recipe.zppo import media, prompts
from recipe.zppo.agent_loop import AGENT_NAME, ZPPOAgentLoop
from recipe.zppo.candidates import Draft
from recipe.zppo.config_validation import validate_zppo
from recipe.zppo.endpoint import EndpointSpec
from recipe.zppo.endpoint_teacher import EndpointTeacher
from recipe.zppo.judge import Judgement, Verdict, is_free_form, is_judged
from recipe.zppo.openings import OpeningTokens
from recipe.zppo.pixel_cache import PixelCache
from recipe.zppo.randomness import derive_seed
from recipe.zppo.records import Candidate, Hint, Opening, Question, Rollout, RolloutFailure, TeacherAnswers
from recipe.zppo.reward import extract_answer
from recipe.zppo.rollout_log import question_text
from recipe.zppo.run_errors import DataError, JudgeError, PromptTooLongError, RewardFunctionError, RolloutError
from recipe.zppo.selection import Kind
from recipe.zppo.teacher_client import QUESTION_TEXT, TeacherClient, with_question

logger = logging.getLogger(__name__)

_AgentLoopWorkerTQ = AgentLoopWorkerTQ.__ray_metadata__.modified_class  # the class under Ray's wrapper


class ZPPOAgentLoopWorker(_AgentLoopWorkerTQ):
    """verl's TransferQueue worker, with groups that stream back and a teacher."""

    def __init__(self, config: Any, llm_client: Any, teacher_client: dict | None = None, reward_handles: Any = None):
        super().__init__(config, llm_client, teacher_client, reward_handles)
        self.zppo = validate_zppo(config.zppo)
        rollout = config.actor_rollout_ref.rollout
        self.seeded = bool(rollout.full_determinism)
        self.sampling_params = {
            "temperature": rollout.temperature,
            "top_p": rollout.top_p,
            "top_k": rollout.top_k,
            "repetition_penalty": 1.0,
            "logprobs": rollout.calculate_log_probs,
        }
        self._pixels = PixelCache()
        self.opening_tokens = OpeningTokens(self.tokenizer, rollout.response_length)
        self.default_agent = rollout.agent.default_agent_loop or AGENT_NAME
        clients = list((teacher_client or {}).values())  # in the order of zppo.teacher_paths
        self.teachers = [
            EndpointTeacher(self, client, self.zppo, rollout.agent.num_workers)
            if isinstance(client, EndpointSpec)
            else TeacherClient(self, client, self.zppo, path)
            for client, path in zip(clients, self.zppo.teacher_paths, strict=True)
        ] or [TeacherClient(self, None, self.zppo)]
        self.teacher = self.teachers[0]
        self.scored_kind = {"on_policy": Kind.PLAIN, "off_policy": Kind.TEACHER}.get(self.zppo.distillation.mode)

    # ------------------------------------------------------------------ student

    async def roll_out(
        self,
        data: dict[str, Any],
        messages: list[dict],
        *,
        uid: str,
        kind: str,
        step: int,
        seeds: Sequence[int],
        openings: Sequence[Opening],
    ) -> AsyncIterator[Rollout | RolloutFailure]:
        """One rollout a seed, yielded as they finish; with ``openings``, one a seed, responses begin with them.

        Raises:
            RewardFunctionError: the reward function failed on this row.
            DataError: an image or a video of the prompt can't be read.
        """
        # Once for the group; the thread, because the loop carries everyone else's requests.
        messages = await asyncio.to_thread(media.decoded, messages)
        fields = dict(data) | {"raw_prompt": messages, "uid": uid, "global_steps": step, "kind": kind}
        fields.setdefault("agent_name", self.default_agent)
        openings = openings or [None] * len(seeds)
        tasks = [
            asyncio.create_task(self._rollout(fields, i, seed, step, opening))
            for i, (seed, opening) in enumerate(zip(seeds, openings, strict=True))
        ]
        try:
            for finished in asyncio.as_completed(tasks):
                yield await finished
        finally:
            for task in tasks:
                task.cancel()

    async def _rollout(
        self, fields: dict, session: int, seed: int, step: int, opening: Opening | None
    ) -> Rollout | RolloutFailure:
        sampling_params = self.sampling_params | ({"seed": seed % 2**31} if self.seeded else {})
        trajectory = {"step": step, "sample_index": fields["index"], "rollout_n": session, "validate": False}
        try:
            if opening is not None:
                fields = fields | {"given": self.opening_tokens(opening)}
            return await self._run_agent_loop(
                sampling_params, trajectory=trajectory, trace=False, session_id=session, **fields
            )
        except (RewardFunctionError, DataError):
            raise
        except JudgeError as error:
            return RolloutFailure(session, "judge", str(error))
        except PromptTooLongError as error:
            return RolloutFailure(session, "too_long", str(error))
        except Exception as error:  # the servers' failures have no common type; the cause goes to the trainer
            logger.warning("rollout %s of %s failed", session, fields["uid"], exc_info=True)
            return RolloutFailure(session, "generation", _one_line(error))

    async def _run_agent_loop(self, sampling_params: dict, trajectory: dict, *, agent_name: str, **kwargs: Any) -> Any:
        """The closer goes on last here, for plain, reformulated and validation prompts alike (Fig. 8)."""
        if trajectory["validate"] and self.seeded:
            row_seed = derive_seed(self.zppo.seed, "validation", kwargs["prompt_id"], kwargs["session_id"])
            sampling_params = sampling_params | {"seed": row_seed % 2**31}
        if trajectory["validate"] and (penalty := self.zppo.validation.presence_penalty):
            sampling_params = sampling_params | {"presence_penalty": penalty}
        if agent_name == "single_turn_agent":  # verl's default loop would cut long prompts
            agent_name = AGENT_NAME
        if trajectory["validate"] and self._is_judged(kwargs):
            kwargs = with_question(kwargs)
        kwargs["raw_prompt"] = prompts.with_closer(list(kwargs["raw_prompt"]))
        try:
            return await super()._run_agent_loop(sampling_params, trajectory, agent_name=agent_name, **kwargs)
        except Exception as error:
            if trajectory["validate"]:  # verl's loop logs it here and goes on; ValidationQueue reads it
                tag = {"error": _one_line(error)}
                await tq.async_kv_put(key=kwargs["uid"], partition_id="val", tag=tag)
            raise

    async def _agent_loop_postprocess(self, output: Any, validate: bool, **kwargs: Any) -> Any:
        """Score the output and let verl write it to TransferQueue; what the pipeline needs of it is returned."""
        outputs = output if isinstance(output, list) else [output]
        given = kwargs.pop("given", None)
        for each in outputs:
            self._refuse_placeholders(each, validate)
        judgement = await self._score(outputs, kwargs, validate)  # verl's own call then finds the score
        # Nobody reads the messages back, and with images they are megabytes a rollout.
        fields = {key: value for key, value in kwargs.items() if key not in ("raw_prompt", QUESTION_TEXT)}
        await super()._agent_loop_postprocess(output, validate, **fields)
        if validate:
            return None
        final, session = outputs[-1], kwargs["session_id"]
        text = self.tokenizer.decode(final.response_ids, skip_special_tokens=True)
        return Rollout(
            session=session,
            key=f"{kwargs['uid']}_{session}_{len(outputs) - 1}",
            text=text,
            reward=float(final.reward_score),
            # It enters NCQ prompts, so it is made safe as candidates are.
            answer=prompts.sanitize(extract_answer(text) or "", self.teacher.special_tokens),
            num_prompt_tokens=len(final.prompt_ids),
            num_tokens=len(final.response_ids),
            num_given=len(given.token_ids) if given else 0,
            verdict=judgement.verdict.value if judgement else "",
            judge_tokens=judgement.num_tokens if judgement else 0,
        )

    def _refuse_placeholders(self, output: AgentLoopOutput, validate: bool) -> None:
        """A response in which the model drew the placeholder of an image has no place in a batch: the update would look
        for an image there, and stop the run. In validation the token is left out, as it is from the graded text.

        Raises:
            RolloutError: so it is; the rollout counts as failed.
        """
        placeholders = {get_processor_token_id(self.processor, kind) for kind in ("image", "video")} - {None}
        if not placeholders.intersection(output.response_ids):
            return
        if not validate:
            raise RolloutError("the response holds the placeholder token of an image or a video")
        kept = [i for i, token in enumerate(output.response_ids) if token not in placeholders]
        output.response_ids, output.response_mask = (
            [values[i] for i in kept] for values in (output.response_ids, output.response_mask)
        )
        if output.response_logprobs is not None:
            output.response_logprobs = [output.response_logprobs[i] for i in kept]

    # ------------------------------------------------------------------ reward

    async def grade(self, data: dict[str, Any], text: str) -> tuple[float, Judgement | None]:
        """The student's reward for a text of somebody else: its tokens are the student's, and go the same way."""
        end = [self.tokenizer.eos_token_id]
        response_ids = self.tokenizer.encode(text, add_special_tokens=False) or end
        output = AgentLoopOutput(
            prompt_ids=end, response_ids=response_ids, response_mask=[1] * len(response_ids), metrics={}
        )
        judgement = await self._score([output], data, validate=False)
        return float(output.reward_score), judgement

    def _is_judged(self, data: dict[str, Any]) -> bool:
        return is_judged(data, self.zppo)

    async def _score(self, outputs: list[AgentLoopOutput], data: dict, validate: bool) -> Judgement | None:
        """Give the last output its reward: by the reward function, or the judge's verdict, which is returned.

        Raises:
            JudgeError: see `TeacherClient.judge`.
            RewardFunctionError: see `_compute_score`.
        """
        judged, final, judgement = self._is_judged(data), outputs[-1], None
        if not judged or validate:
            await self._compute_score(outputs, kwargs=data)
        if judged and final.reward_score != 1:
            text = self.tokenizer.decode(final.response_ids, skip_special_tokens=True)
            judgement = await self.teacher.judge(data, text)
            final.reward_score = judgement.reward
            final.extra_fields["reward_extra_info"] = {
                "answer": extract_answer(text) or "",
                **final.extra_fields.get("reward_extra_info", {}),
                "score": judgement.reward,
                "acc": judgement.reward,
            }
        if validate and self.zppo.judge.enable:  # verl makes their means metrics: val-aux/<source>/judged/mean@<n>
            final.extra_fields["reward_extra_info"] |= {
                "judged": float(judgement is not None),
                "judge_malformed": float(judgement is not None and judgement.verdict is Verdict.MALFORMED),
            }
        return judgement

    def _compute_multi_modal_inputs(self, output: AgentLoopOutput, input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
        """Pixels, as verl computes them from images and text; a response is no part of that.

        verl decodes all tokens and gives the text to the processor, which would take a placeholder that the model
        spelled out for an image of its own, and fail. It also asks twice for each rollout; those of a group share
        their images (`media.decoded`), so the processor runs once for them.
        """
        data = output.multi_modal_data or {}
        images = None if data.get("videos") else data.get("images")
        found = self._pixels.get(images)
        if found is None:
            # Two dimensions, since verl takes a first one of size 1 away: of a prompt of one token that would be all.
            found = super()._compute_multi_modal_inputs(output, torch.tensor([output.prompt_ids]))
            self._pixels.put(images, found)
        return dict(found)  # verl takes an entry out

    async def _compute_score(self, outputs: list[AgentLoopOutput], kwargs: dict) -> None:
        if "raw_prompt" in kwargs:  # a reward function gets the text; pixels would go to its process a rollout
            kwargs = kwargs | {"raw_prompt": media.without_media(kwargs["raw_prompt"])}
        try:
            await super()._compute_score(outputs, kwargs=kwargs)
        except ray.exceptions.RayTaskError as error:  # raised by the function, in the reward worker
            raise RewardFunctionError(
                f"the reward function failed on row {kwargs.get('row')} (prompt_id {kwargs.get('prompt_id')!r}): "
                f"{_one_line(error.cause)}"
            ) from error
        except ray.exceptions.RayActorError as error:
            raise RolloutError(f"a reward worker died: {_one_line(error)}") from error
        score = outputs[-1].reward_score
        if score not in (0, 1):
            raise RewardFunctionError(
                f"the reward function gave {score!r} for row {kwargs.get('row')} (prompt_id "
                f"{kwargs.get('prompt_id')!r}); ZPPO needs an outcome reward of exactly 0 or 1"
            )

    # ------------------------------------------------------------------ teacher

    async def _compute_teacher_logprobs(
        self,
        output: AgentLoopOutput,
        prompt_ids: list[int],
        response_ids: list[int],
        validate: bool,
        sample_kwargs: dict[str, Any] | None = None,
    ) -> None:
        """verl's hook for the teacher's scores of a finished response, which go to TransferQueue with it."""
        if validate or self.scored_kind is None or sample_kwargs["kind"] != self.scored_kind.value:
            return
        ids, log_probs = await self.teacher.score(prompt_ids + response_ids, output)
        output.extra_fields |= {"teacher_ids": ids, "teacher_logprobs": log_probs}

    async def ask_teacher(
        self, data: dict[str, Any], messages: list[dict], seeds: Sequence[int], teacher: int
    ) -> TeacherAnswers:
        return await self.teachers[teacher].solve(data, messages, seeds)

    async def compress(self, draft: Draft, seed: int, teacher: bool) -> Candidate:
        return await self.teacher.compress(draft, seed, teacher)

    async def write_hint(self, data: dict[str, Any], draft: Draft, seed: int) -> Hint:
        return await self.teacher.write_hint(data, draft, seed)

    def build_loop(self, client: Any, tokenizer: Any, processor: Any, template: dict[str, Any]) -> ZPPOAgentLoop:
        """An agent loop on other servers than the student's; ``template`` goes to the chat template as well."""
        data = self.config.data
        if template:
            data = copy.deepcopy(data)
            with open_dict(data):  # Hydra's configs take no new keys
                data.apply_chat_template_kwargs = {**(data.get("apply_chat_template_kwargs") or {}), **template}
        return ZPPOAgentLoop(
            trainer_config=DictConfigWrap(config=self.config),
            server_manager=client,
            tokenizer=tokenizer,
            processor=processor,
            hf_model_type=None,
            dataset_cls=self.dataset_cls,
            data_config=DictConfigWrap(data),
            tools=ToolListWrap(self.tools),
        )


class ZPPOAgentLoopManager(AgentLoopManagerTQ):
    """Spreads the pipeline's work over the workers: the `Workers` of `recipe.zppo.workers_protocol`."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        # One call is a whole group that streams back; a step has several hundred at once.
        self.agent_loop_workers_class = ray.remote(max_concurrency=10_000)(ZPPOAgentLoopWorker)
        self._load: list[int] = []
        self.step = 0

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
        with self._least_loaded() as worker:
            stream = worker.roll_out.options(num_returns="streaming").remote(
                self._row(question),
                messages,
                uid=uid,
                kind=kind.value,
                step=self.step,
                seeds=list(seeds),
                openings=list(openings),
            )
            with _cancelled_with_us(stream):
                async for reference in stream:
                    yield await reference

    async def ask_teacher(self, question: Question, *, seeds: Sequence[int], teacher: int = 0) -> TeacherAnswers:
        with self._least_loaded() as worker:
            reference = worker.ask_teacher.remote(self._row(question), question.messages, list(seeds), teacher)
            with _cancelled_with_us(reference):
                return await reference

    async def compress(self, draft: Draft, *, seed: int, teacher: bool) -> Candidate:
        with self._least_loaded() as worker:
            reference = worker.compress.remote(draft, seed, teacher)
            with _cancelled_with_us(reference):
                return await reference

    async def write_hint(self, question: Question, draft: Draft, *, seed: int) -> Hint:
        with self._least_loaded() as worker:
            reference = worker.write_hint.remote(self._row(question), draft, seed)
            with _cancelled_with_us(reference):
                return await reference

    def _row(self, question: Question) -> dict[str, Any]:
        """The row without its messages, which travel by themselves: images are sent once a call."""
        twice = ("raw_prompt", self.config.data.prompt_key)
        row = {key: value for key, value in question.data.items() if key not in twice}
        return row | {QUESTION_TEXT: question_text(question.messages)} if is_free_form(row) else row

    @contextmanager
    def _least_loaded(self) -> Iterator[Any]:
        """The worker with the fewest calls under way, counted while in use."""
        if not self._load:
            self._load = [0] * len(self.agent_loop_workers)
        index = min(range(len(self._load)), key=self._load.__getitem__)
        self._load[index] += 1
        try:
            yield self.agent_loop_workers[index]
        finally:
            self._load[index] -= 1


@contextmanager
def _cancelled_with_us(call: Any) -> Iterator[None]:
    """Whoever stops waiting for a Ray call also stops the call: Ray itself would let it run to its end."""
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        ray.cancel(call)
        raise
    except ray.exceptions.RayActorError as error:
        raise RolloutError(f"an agent-loop worker died: {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    """Type and message; of a Ray error, whose message is a whole traceback, the last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"[:1000]
