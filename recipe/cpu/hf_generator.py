"""A Hugging Face model that answers requests: no Ray, no threads, no configuration object."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers import GenerationConfig

from recipe.cpu import grouped_attention
from recipe.cpu.hf_draws import Draws
from recipe.cpu.hf_inputs import ModelInputs
from recipe.cpu.hf_requests import Request, Response
from recipe.cpu.hf_sampling import SamplingParams
from recipe.cpu.hf_session import Session
from recipe.cpu.hf_vision import IMAGE, VIDEO, Vision


class HFGenerator:
    """Generates with `model` in evaluation mode, where the model is.

    Args:
        model: a causal language model, or a Qwen-VL style image-text-to-text model.
        tokenizer: bounds the tokens that may be drawn (ids the tokenizer lacks are never drawn) and gives the EOS.
        processor: of a vision model, else None.
        max_model_len: tokens of prompt and response together.
        dtype: of the products with the model's matrices, for a model in a higher precision; None for the model's own.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        processor: Any = None,
        *,
        max_model_len: int,
        dtype: torch.dtype | None = None,
    ):
        self.model = model.eval()
        if model.config._attn_implementation == "sdpa":
            model.set_attn_implementation(grouped_attention.register())
        vision = Vision(processor)
        self.processor = vision.processor
        self.max_model_len, self._dtype = max_model_len, dtype
        self.vocab_size = model.get_input_embeddings().weight.shape[0]
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        self.inputs_of = ModelInputs(model, vision, pad)
        self.eos_token_ids = _eos_token_ids(model, tokenizer)
        # `generate` fills what a call leaves open (stop tokens, penalties) from here, for all rows alike.
        model.generation_config = GenerationConfig()
        banned = {token for token in vision.token_ids.values() if token is not None}
        banned.update(range(len(tokenizer), self.vocab_size))
        self._banned = torch.tensor(sorted(banned), dtype=torch.long, device=model.device)

    def request(
        self,
        prompt_ids: Sequence[int],
        params: SamplingParams,
        images: Sequence[Any] | None = None,
        videos: Sequence[Any] | None = None,
        processor_kwargs: dict[str, Any] | None = None,
    ) -> Request:
        """Check a prompt and run the processor on its images; the response is cut to what the context leaves.

        Raises:
            ValueError: empty prompt, token outside the vocabulary, no room left for a response, or placeholders
                that do not match the images and videos.
        """
        prompt_ids = [int(token) for token in prompt_ids]
        if not prompt_ids:
            raise ValueError("the prompt is empty")
        if min(prompt_ids) < 0 or max(prompt_ids) >= self.vocab_size:
            raise ValueError(
                f"prompt token {min(prompt_ids) if min(prompt_ids) < 0 else max(prompt_ids)} is outside the model's "
                f"vocabulary of {self.vocab_size}"
            )
        features: dict[str, torch.Tensor] = {}
        for kind, data in ((IMAGE, images), (VIDEO, videos)):
            prompt_ids = self.inputs_of.vision.add(kind, prompt_ids, data, processor_kwargs or {}, features)
        if (params.prompt_logprobs or 0) > self.vocab_size:
            raise ValueError(
                f"prompt_logprobs={params.prompt_logprobs} is more than the model's vocabulary of {self.vocab_size}"
            )
        room = self.max_model_len - len(prompt_ids)
        if room < 1:
            raise ValueError(
                f"a prompt of {len(prompt_ids)} tokens leaves no room to generate within the model's context of "
                f"{self.max_model_len} tokens"
            )
        if params.max_tokens > room:
            params = replace(params, max_tokens=room)
        return Request(prompt_ids, params, features)

    def _draws(self, requests: Sequence[Request]) -> Draws:
        params = [request.params for request in requests]
        return Draws(params, self.eos_token_ids, self._banned, self.model.device)

    def session(self, *, max_seqs: int = 256, max_tokens: int = 65536) -> Session:
        """For requests that come and go."""
        return Session(self.inputs_of, self._draws, max_seqs=max_seqs, max_tokens=max_tokens, dtype=self._dtype)

    def generate(self, requests: Sequence[Request], aborted: Callable[[], bool] = lambda: False) -> list[Response]:
        """Answer requests, in their order. `aborted` is asked after each token; what was drawn so far is returned."""
        session = self.session()
        numbers = [session.add(request) for request in requests]
        responses: dict[int, Response] = {}
        try:
            while session and not aborted():
                responses |= session.step(aborted)
        finally:
            responses |= session.stop()
        return [responses[number] for number in numbers]


def _eos_token_ids(model: Any, tokenizer: Any) -> list[int]:
    """The model's generation config names them (there may be several); the tokenizer's counts as well."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    ids = [] if configured is None else [configured] if isinstance(configured, int) else list(configured)
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in ids:
        ids.append(tokenizer.eos_token_id)
    return ids
