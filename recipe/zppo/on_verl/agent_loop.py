"""One rollout: a single-turn agent loop that never loses a token of prompt or response budget."""

from typing import Any

from verl.experimental.agent_loop.agent_loop import register
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop
from verl.workers.rollout.replica import TokenOutput

from recipe.zppo.errors import DataError, PromptTooLongError
from recipe.zppo.media.parts import NO_VIDEO_ON_VLLM
from recipe.zppo.rollout.prefix import Given

AGENT_NAME = "zppo_single_turn"


@register(AGENT_NAME)
class ZPPOAgentLoop(SingleTurnAgentLoop):
    """verl's single-turn loop, bounded by the model's context instead of ``data.max_prompt_length``.

    verl cuts a text prompt from the left at ``rollout.prompt_length`` and gives a longer prompt fewer response tokens
    (`_cap_text_prompt_length`; `generate` of vLLM's server). A BCQ or NCQ prompt is longer than a plain
    one by design, so here nothing is cut and every request states its full response budget.

    A response may begin with tokens that are ``given``: they follow the prompt in the request, count in the budget, and
    come back as response tokens with mask 0. A response that is given as a whole is not asked of the server.
    """

    _opening: tuple[int, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.max_model_len = self.rollout_config.max_model_len or self.prompt_length + self.response_length

    async def ct_build_initial_tokens(self, *args: Any, **kwargs: Any) -> list[int]:
        """Token ids of the prompt.

        Raises:
            PromptTooLongError: prompt and response budget together exceed the context.
            DataError: a video, for vLLM.
        """
        if kwargs.get("videos") and self.rollout_config.name == "vllm":
            raise DataError(f"a row has a video; {NO_VIDEO_ON_VLLM}")
        # The cap inside verl's method reads this attribute; the loop object serves one rollout only.
        self.rollout_config = _WithPromptLength(self.rollout_config, self.max_model_len)
        prompt_ids = await super().ct_build_initial_tokens(*args, **kwargs)
        if len(prompt_ids) + self.response_length > self.max_model_len:
            raise PromptTooLongError(
                f"prompt of {len(prompt_ids)} tokens and a response of up to {self.response_length} exceed the "
                f"context of {self.max_model_len} (actor_rollout_ref.rollout.max_model_len)"
            )
        return [*prompt_ids, *self._opening]

    def _cap_text_prompt_length(self, prompt_ids: list[int]) -> list[int]:
        return prompt_ids

    async def run(self, sampling_params: dict[str, Any], *, given: Given | None = None, **kwargs: Any) -> Any:
        if given is not None and given.whole:
            self.server_manager = _Recital(given.token_ids, kwargs["global_steps"] - 1)
        elif given is not None:
            self._opening = given.token_ids
        size = len(self._opening)
        output = await super().run(sampling_params | {"max_tokens": self.response_length - size}, **kwargs)
        if size:
            output.prompt_ids = output.prompt_ids[:-size]
            output.response_ids = [*self._opening, *output.response_ids]
            output.response_mask = [0] * size + output.response_mask
            if output.response_logprobs is not None:
                output.response_logprobs = [0.0] * size + output.response_logprobs
        return output


class _Recital:
    """Stands for the server where the response is there already; its log-probs are nobody's, and 0."""

    def __init__(self, token_ids: tuple[int, ...], version: int):
        self.token_ids, self.version = token_ids, version

    async def generate(self, **request: Any) -> TokenOutput:
        return TokenOutput(
            token_ids=list(self.token_ids),
            log_probs=[0.0] * len(self.token_ids),
            stop_reason="completed",
            extra_fields={f"{name}global_steps": self.version for name in ("", "min_", "max_")},
        )


class _WithPromptLength:
    """A rollout config (frozen in verl) seen with another prompt length."""

    def __init__(self, config: Any, prompt_length: int):
        self._config, self.prompt_length = config, prompt_length

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)
