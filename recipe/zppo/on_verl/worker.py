"""The agent-loop worker: it rolls out groups, asks the teacher, grades and compresses, next to the servers' clients.

Training goes through `roll_out`, which yields scored rollouts while the trajectories themselves are written to
TransferQueue by verl's code; validation through verl's own `generate_sequences`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import torch
import transfer_queue as tq
from cachetools import LRUCache
from ray.exceptions import TaskCancelledError
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopWorkerTQ
from verl.utils.tokenizer import get_processor_token_id

from recipe.zppo import prompts
from recipe.zppo.benchmarks.validation_rows import COLUMN
from recipe.zppo.candidates import Draft
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.errors import DataError, JudgeError, PromptTooLongError, RewardFunctionError, RolloutError, one_line
from recipe.zppo.judge import QUESTION_TEXT, graders, with_question
from recipe.zppo.media import parts as media
from recipe.zppo.on_verl.agent_loop import AGENT_NAME
from recipe.zppo.on_verl.causes import is_dead
from recipe.zppo.on_verl.grading import GradingMixin, answer_read
from recipe.zppo.on_verl.guards.reward_workers import RewardWorkers
from recipe.zppo.on_verl.teacher_requests import TeacherServers
from recipe.zppo.on_verl.text_rewards import ResponseText
from recipe.zppo.randomness import derive_seed
from recipe.zppo.reward import use_reward
from recipe.zppo.rollout.prefix import OpeningTokens
from recipe.zppo.sanitize import sanitize
from recipe.zppo.teacher.client import TeacherClient
from recipe.zppo.teacher.endpoint import EndpointSpec
from recipe.zppo.teacher.endpoint_client import TeacherEndpoint
from recipe.zppo.types import Candidate, Hint, Kind, Opening, Rollout, RolloutFailure, TeacherAnswers

logger = logging.getLogger(__name__)

GREEDY = {"temperature": 0.0, "top_p": 1.0, "top_k": -1}

_PROMPTS_WITH_PIXELS = 32
"""Prompts whose pixels are kept for the other rollouts of their groups."""

_AgentLoopWorkerTQ = AgentLoopWorkerTQ.__ray_metadata__.modified_class  # the class under Ray's wrapper


class ZPPOAgentLoopWorker(GradingMixin, _AgentLoopWorkerTQ):
    """verl's TransferQueue worker, with groups that stream back and a teacher."""

    def __init__(self, config: Any, llm_client: Any, teacher_client: dict | None, reward_handles: Sequence[Any]):
        super().__init__(config, llm_client, teacher_client, [RewardWorkers(reward_handles)])
        self.zppo = validate_zppo(config.zppo)
        use_reward(self.zppo)
        rollout = config.actor_rollout_ref.rollout
        self.seeded = bool(rollout.full_determinism)
        self.sampling_params = {
            "temperature": rollout.temperature,
            "top_p": rollout.top_p,
            "top_k": rollout.top_k,
            "repetition_penalty": 1.0,
            "logprobs": rollout.calculate_log_probs,
        }
        self._pixels: LRUCache = LRUCache(_PROMPTS_WITH_PIXELS)
        self.opening_tokens = OpeningTokens(
            self.tokenizer, rollout.response_length, self.config.data.get("apply_chat_template_kwargs")
        )
        self.default_agent = rollout.agent.default_agent_loop or AGENT_NAME
        self._asked = [  # in the order of zppo.teacher_paths
            self._generate(client, path)
            for client, path in zip((teacher_client or {}).values(), self.zppo.teacher_paths, strict=True)
        ]
        self.teachers = [TeacherClient(self, generate, self.zppo) for generate in self._asked or [None]]
        self.teacher = self.teachers[0]
        self.scored_kind = {"on_policy": Kind.PLAIN, "off_policy": Kind.TEACHER}.get(self.zppo.distillation.mode)

    def _generate(self, client: Any, path: str) -> TeacherEndpoint | TeacherServers:
        if isinstance(client, EndpointSpec):
            workers = self.rollout_config.agent.num_workers
            return TeacherEndpoint(client, self.zppo, num_workers=workers, seeded=self.seeded)
        return TeacherServers(
            client,
            path,
            self.config,
            self.zppo,
            model=self.model_config,
            dataset_cls=self.dataset_cls,
            tools=self.tools,
        )

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
        except TaskCancelledError as error:  # whoever gave this up: Ray cancels a task's calls before the task itself
            raise asyncio.CancelledError from error
        except Exception as error:  # the servers' failures have no common type; the cause goes to the trainer
            if is_dead(error):  # the weights' way to it would be waited for, up to zppo.timeouts.engine_s
                raise RolloutError(
                    f"one of the student's rollout servers has died ({one_line(error)}); its log says why. The same "
                    "command goes on from the last checkpoint"
                ) from error
            logger.warning("rollout %s of %s failed", session, fields["uid"], exc_info=True)
            return RolloutFailure(session, "generation", one_line(error))

    async def _run_agent_loop(self, sampling_params: dict, trajectory: dict, *, agent_name: str, **kwargs: Any) -> Any:
        """The closer goes on last here, for plain, reformulated and validation prompts alike (Fig. 8)."""
        if trajectory["validate"]:
            if self.seeded:
                row_seed = derive_seed(self.zppo.seed, "validation", kwargs["prompt_id"], kwargs["session_id"])
                sampling_params = sampling_params | {"seed": row_seed % 2**31}
            if not self.rollout_config.val_kwargs.do_sample:  # verl's V1 does not look at it
                sampling_params = sampling_params | GREEDY
            if penalty := self.zppo.validation.presence_penalty:
                sampling_params = sampling_params | {"presence_penalty": penalty}
            if graders(kwargs, self.zppo.judge, validation=True).judge:
                kwargs = with_question(kwargs)
        agent_name = agent_name or self.default_agent  # null: of a row from a file without that column
        if agent_name == "single_turn_agent":  # verl's default loop would cut long prompts
            agent_name = AGENT_NAME
        kwargs["raw_prompt"] = prompts.with_closer(list(kwargs["raw_prompt"]))
        try:
            return await super()._run_agent_loop(sampling_params, trajectory, agent_name=agent_name, **kwargs)
        except Exception as error:
            if trajectory["validate"]:  # verl's loop logs it here and goes on; ValidationQueue reads it
                tag = {"error": one_line(error)}
                await tq.async_kv_put(key=kwargs["uid"], partition_id="val", tag=tag)
            raise

    async def _agent_loop_postprocess(self, output: Any, validate: bool, **kwargs: Any) -> Any:
        """Score the output and let verl write it to TransferQueue; what the pipeline needs of it is returned."""
        outputs = output if isinstance(output, list) else [output]
        given = kwargs.pop("given", None)
        for each in outputs:
            self._refuse_placeholders(each, validate)
        final, session = outputs[-1], kwargs["session_id"]
        # An array: of a list transformers looks at each element, in Python.
        text = self.tokenizer.decode(np.asarray(final.response_ids), skip_special_tokens=True)
        response = ResponseText(text, of_tokens=True)
        judgement = None
        if given is not None and given.whole:  # verl's own call then finds the score, here as below
            self._take_over(final, given.answer)
        else:
            judgement = await self._score(outputs, kwargs, response, validate)
        said = answer_read(final, text)
        # Nobody reads the messages back, and with images they are megabytes a rollout.
        fields = {key: value for key, value in kwargs.items() if key not in ("raw_prompt", QUESTION_TEXT, COLUMN)}
        await super()._agent_loop_postprocess(output, validate, **fields)
        if validate:
            return None
        return Rollout(
            session=session,
            key=f"{kwargs['uid']}_{session}_{len(outputs) - 1}",
            text=text,
            reward=float(final.reward_score),
            # It enters NCQ prompts, so it is made safe as candidates are.
            answer=sanitize(said, self.teacher.special_tokens),
            num_prompt_tokens=len(final.prompt_ids),
            num_tokens=len(final.response_ids),
            num_given=len(given.token_ids) if given else 0,
            verdict=judgement.verdict.value if judgement else "",
            judge_tokens=judgement.num_tokens if judgement else 0,
            doubtful=final.extra_fields["reward_extra_info"].get("doubtful") == 1,
        )

    def _refuse_placeholders(self, output: AgentLoopOutput, validate: bool) -> None:
        """A response in which the model drew the placeholder of an image has no place in a batch: the update would look
        for an image there, and stop the run. In validation the token is left out, as it is from the graded text.

        Raises:
            RolloutError: so it is; the rollout counts as failed.
        """
        placeholders = {get_processor_token_id(self.processor, kind) for kind in ("image", "video")} - {None}
        if not placeholders or not placeholders.intersection(output.response_ids):
            return
        if not validate:
            raise RolloutError("the response holds the placeholder token of an image or a video")
        kept = [i for i, token in enumerate(output.response_ids) if token not in placeholders]
        output.response_ids, output.response_mask = (
            [values[i] for i in kept] for values in (output.response_ids, output.response_mask)
        )
        if output.response_logprobs is not None:
            output.response_logprobs = [output.response_logprobs[i] for i in kept]

    def _compute_multi_modal_inputs(self, output: AgentLoopOutput, input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
        """Pixels, as verl computes them from images and text; a response is no part of that.

        verl decodes all tokens and gives the text to the processor, which would take a placeholder that the model
        spelled out for an image of its own, and fail. It also asks twice for each rollout; those of a group share
        their images (`media.decoded`), so the processor runs once for them.
        """
        data = output.multi_modal_data or {}
        images = () if data.get("videos") else tuple(data.get("images") or ())
        # By the very objects. An entry keeps them, so that no other image can come to stand at their addresses.
        key = tuple(map(id, images))
        if key not in self._pixels:
            # Two dimensions, since verl takes a first one of size 1 away: of a prompt of one token that would be all.
            found = super()._compute_multi_modal_inputs(output, torch.tensor([output.prompt_ids]))
            if not images:
                return found
            self._pixels[key] = images, found
        return dict(self._pixels[key][1])  # verl takes an entry out

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
        ids, log_probs = await self._asked[0].score(prompt_ids + response_ids, output)
        output.extra_fields |= {"teacher_ids": ids, "teacher_logprobs": log_probs}

    async def ask_teacher(
        self, data: dict[str, Any], messages: list[dict], seeds: Sequence[int], teacher: int
    ) -> TeacherAnswers:
        return await self.teachers[teacher].solve(data, messages, seeds)

    async def compress(self, draft: Draft, seed: int, teacher: bool) -> Candidate:
        return await self.teacher.compress(draft, seed, teacher)

    async def write_hint(self, data: dict[str, Any], draft: Draft, seed: int) -> Hint:
        return await self.teacher.write_hint(data, draft, seed)
