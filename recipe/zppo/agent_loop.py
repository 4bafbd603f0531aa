"""One rollout: a single-turn agent loop that never loses a token of prompt or response budget."""

from __future__ import annotations

from typing import Any

from verl.experimental.agent_loop.agent_loop import register
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from recipe.zppo.run_errors import PromptTooLongError

AGENT_NAME = "zppo_single_turn"


@register(AGENT_NAME)
class ZPPOAgentLoop(SingleTurnAgentLoop):
    """verl's single-turn loop, bounded by the model's context instead of ``data.max_prompt_length``.

    verl cuts a text prompt from the left at ``rollout.prompt_length`` and gives a longer prompt fewer response tokens
    (`agent_loop.py: _cap_text_prompt_length`, `vllm_async_server.py:602`). A BCQ or NCQ prompt is longer than a plain
    one by design, so here nothing is cut and every request states its full response budget.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.max_model_len = self.rollout_config.max_model_len or self.prompt_length + self.response_length

    def bound(self, *, max_model_len: int, response_length: int) -> ZPPOAgentLoop:
        """Use other limits than the student's, for the teacher."""
        self.max_model_len, self.response_length = max_model_len, response_length
        return self

    async def ct_build_initial_tokens(self, *args: Any, **kwargs: Any) -> list[int]:
        """Token ids of the prompt.

        Raises:
            PromptTooLongError: prompt and response budget together exceed the context.
        """
        # The cap inside verl's method reads this attribute; the loop object serves one rollout only.
        self.rollout_config = _WithPromptLength(self.rollout_config, self.max_model_len)
        prompt_ids = await super().ct_build_initial_tokens(*args, **kwargs)
        if len(prompt_ids) + self.response_length > self.max_model_len:
            raise PromptTooLongError(
                f"prompt of {len(prompt_ids)} tokens and a response of up to {self.response_length} exceed the "
                f"context of {self.max_model_len} (actor_rollout_ref.rollout.max_model_len)"
            )
        return prompt_ids

    def _cap_text_prompt_length(self, prompt_ids: list[int]) -> list[int]:
        return prompt_ids

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> Any:
        sampling_params = {**sampling_params, "max_tokens": self.response_length}
        return await super().run(sampling_params, **kwargs)


class _WithPromptLength:
    """A rollout config (frozen in verl) seen with another prompt length."""

    def __init__(self, config: Any, prompt_length: int):
        self._config, self.prompt_length = config, prompt_length

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)
