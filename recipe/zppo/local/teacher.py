"""A teacher in this process."""

from typing import Any

from recipe.cpu.hf_requests import Request
from recipe.cpu.hf_sampling import SamplingParams
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import PromptTooLongError
from recipe.zppo.local.models import LocalModel
from recipe.zppo.teacher.generate import Reply, sampling, template_options, text_only
from recipe.zppo.teacher.slots import Work


class TeacherInProcess:
    """`Generate` by a model of this process.

    Args:
        template: arguments of the chat template.
        max_model_len: tokens of prompt and reply together.
    """

    def __init__(self, model: LocalModel, config: ZPPOConfig, template: dict[str, Any], max_model_len: int):
        self.model, self.config, self.template, self.max_model_len = model, config, template, max_model_len
        self.special_tokens = tuple(model.tokenizer.all_special_tokens)

    def opened(self, messages: list[dict]) -> list[dict]:
        return text_only(messages)

    async def __call__(self, messages: list[dict], seed: int, max_tokens: int, work: Work) -> Reply:
        template = self.template | template_options(self.config, work)
        ids = self.model.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=False, **template
        )
        if len(ids) + max_tokens > self.max_model_len:
            raise PromptTooLongError(f"{len(ids)} tokens and {max_tokens} more exceed {self.max_model_len}")
        chosen = sampling(self.config, work)
        top_k = max(0, chosen["top_k"])
        params = SamplingParams(chosen["temperature"], chosen["top_p"], top_k, max_tokens, seed % 2**31)
        (response,) = await self.model.server.generate([Request(list(ids), params)])
        text = self.model.tokenizer.decode(response.token_ids, skip_special_tokens=True)
        return Reply(text, len(response.token_ids))
