"""Requests to a teacher on verl's servers: replies and scores."""

import copy
from typing import Any
from uuid import uuid4

import numpy as np
import ray
import torch
from omegaconf import DictConfig, open_dict
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, DictConfigWrap, ToolListWrap
from verl.utils import hf_processor, hf_tokenizer
from verl.utils.fs import copy_to_local
from verl.workers.config import HFModelConfig

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.media import parts as media
from recipe.zppo.on_verl.agent_loop import ZPPOAgentLoop
from recipe.zppo.teacher.gate import is_server_failure
from recipe.zppo.teacher.generate import PROBE, Reply, make_gate, sampling, template_options, text_only
from recipe.zppo.teacher.slots import Work


class TeacherServers:
    """`Generate` on servers of verl's, and the teacher's scores of a student's response.

    Args:
        client: verl's `LLMServerClient` of the teacher.
        path: of its model.
        config: the whole config.
        model: the student's.
        dataset_cls, tools: as the agent loops of the student get them.
    """

    def __init__(
        self,
        client: Any,
        path: str,
        config: DictConfig,
        zppo: ZPPOConfig,
        *,
        model: HFModelConfig,
        dataset_cls: type,
        tools: dict[str, Any],
    ):
        rollout = config.actor_rollout_ref.rollout
        self.client, self.zppo, self.seeded = client, zppo, bool(rollout.full_determinism)
        path = copy_to_local(path)
        self.tokenizer = hf_tokenizer(path, trust_remote_code=model.trust_remote_code)
        self.processor = hf_processor(path, trust_remote_code=model.trust_remote_code)
        self.special_tokens = tuple(self.tokenizer.all_special_tokens)
        self.max_model_len = int(zppo.teacher.inference.get("max_model_len") or rollout.max_model_len)
        self._student, self._config, self._dataset_cls, self._tools = model.hf_config, config, dataset_cls, tools
        self._data = {work: _with_template(config.data, template_options(zppo, work)) for work in Work}
        self.gate = make_gate(
            zppo, rollout.agent.num_workers, probe=lambda: self._request(*PROBE), is_failure=_is_server_failure
        )

    def opened(self, messages: list[dict]) -> list[dict]:
        return text_only(messages) if self.processor is None else media.decoded(messages)

    async def __call__(self, messages: list[dict], seed: int, max_tokens: int, work: Work) -> Reply:
        output = await self.gate.run(lambda: self._request(messages, seed, max_tokens, work), work)
        text = self.tokenizer.decode(np.asarray(output.response_ids), skip_special_tokens=True)
        return Reply(text, len(output.response_ids))

    async def score(self, token_ids: list[int], output: AgentLoopOutput) -> tuple[torch.Tensor, torch.Tensor]:
        """The teacher's most probable tokens at each position of a sequence, and their log-probs, (length, k) each.

        Row t is about token t + 1; k is `zppo.distillation.topk`, or the size of the vocabulary.
        """
        shown = output.multi_modal_data or {}
        scored = await self.gate.run(
            lambda: self.client.generate(
                uuid4().hex,
                prompt_ids=token_ids,
                sampling_params={
                    "max_tokens": 1,
                    "temperature": 1.0,
                    "prompt_logprobs": scored_tokens(self.zppo, self._student),
                    "detokenize": False,
                },
                image_data=shown.get("images"),
                video_data=shown.get("videos"),
                mm_processor_kwargs=output.mm_processor_kwargs,
                mm_processor_output=output.mm_processor_output,
            ),
            Work.SCORE,
        )
        ids, log_probs = (scored.extra_fields[name] for name in ("prompt_ids", "prompt_logprobs"))
        return torch.tensor(ids, dtype=torch.int32), torch.tensor(log_probs, dtype=torch.float32)

    async def _request(self, messages: list[dict], seed: int, max_tokens: int, work: Work) -> AgentLoopOutput:
        sampling_params = sampling(self.zppo, work) | {"repetition_penalty": 1.0, "logprobs": False}
        if self.seeded:
            sampling_params["seed"] = seed % 2**31
        loop = ZPPOAgentLoop(
            trainer_config=DictConfigWrap(config=self._config),
            server_manager=self.client,
            tokenizer=self.tokenizer,
            processor=self.processor,
            hf_model_type=None,
            dataset_cls=self._dataset_cls,
            data_config=DictConfigWrap(self._data[work]),
            tools=ToolListWrap(self._tools),
        )
        loop.max_model_len, loop.response_length = self.max_model_len, max_tokens  # not the student's limits
        return await loop.run(sampling_params, raw_prompt=messages)


def scored_tokens(config: ZPPOConfig, model: Any) -> int:
    """How many tokens the teacher scores at each position; ``model`` is the student's Hugging Face config."""
    vocabulary = model.get_text_config().vocab_size
    return min(config.distillation.topk or vocabulary, vocabulary)


def _with_template(data: DictConfig, options: dict[str, bool]) -> DictConfig:
    """The `data` node with further arguments of the chat template."""
    if not options:
        return data
    data = copy.deepcopy(data)
    with open_dict(data):  # Hydra's configs take no new keys
        data.apply_chat_template_kwargs = {**(data.get("apply_chat_template_kwargs") or {}), **options}
    return data


def _is_server_failure(error: BaseException) -> bool:
    """A Ray error is the server's failure unless it carries a ValueError, which is about the request."""
    ray_error = isinstance(error, ray.exceptions.RayError) and not isinstance(error, ValueError)
    return ray_error or is_server_failure(error)
