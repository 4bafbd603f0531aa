"""A small model in this process, on the CPU, by the generator that trains there."""

import asyncio
import logging
import os
from types import SimpleNamespace
from typing import Any

from recipe.zppo.errors import ConfigError, first_line
from recipe.zppo.evaluate.engines.contract import LENGTH, STOP, Answer, AskError
from recipe.zppo.evaluate.protocol import Decoding
from recipe.zppo.local.batching import BatchedModel, GenerationError
from recipe.zppo.media.parts import Image, decoded, has_media
from recipe.zppo.prompts import Messages

_MAX_CACHE_TOKENS = 65_536
"""Of prompts and whole budgets together; as many rows run beside each other as fit."""


class HuggingFaceEngine:
    """`Engine` of a causal language model, or of one that takes images.

    Args:
        path: a folder, or a hub id.
        max_model_len: tokens of prompt and response; None: what the model was made for.

    Raises:
        ConfigError: it can't be loaded.
    """

    def __init__(self, path: str, *, max_model_len: int | None = None, max_seqs: int = 64):
        import torch
        from transformers import AutoConfig
        from verl.utils import hf_tokenizer
        from verl.utils.fs import copy_to_local
        from verl.utils.model import get_hf_auto_model_class

        from recipe.cpu.hf_generator import HFGenerator
        from recipe.cpu.hf_server import image_processor_of

        logging.getLogger("transformers").setLevel(logging.ERROR)
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
        try:
            folder = copy_to_local(path)
            config = AutoConfig.from_pretrained(folder)
            self._tokenizer = hf_tokenizer(folder)
            model = get_hf_auto_model_class(config).from_pretrained(
                folder, dtype=torch.float32, attn_implementation="sdpa"
            )
            processor = image_processor_of(SimpleNamespace(hf_config=config, local_path=folder))
        except Exception as error:  # transformers raises what it likes
            raise ConfigError(f"model: {path} can't be loaded: {first_line(error)[:300]}") from error
        longest = getattr(config.get_text_config(), "max_position_embeddings", None) or 2**15
        self._generator = HFGenerator(
            model, self._tokenizer, processor, max_model_len=min(longest, max_model_len or longest)
        )
        self._takes_images = processor is not None
        self._batched = BatchedModel(
            self._generator, max_seqs=max_seqs, max_padded_tokens=_MAX_CACHE_TOKENS, in_thread=True
        )

    async def ask(self, messages: Messages, decoding: Decoding, seed: int, *, thinking: bool = True) -> Answer:
        from recipe.cpu.hf_sampling import SamplingParams

        if has_media(messages) and not self._takes_images:
            raise ConfigError("the model takes no images")
        opened = await asyncio.to_thread(decoded, messages) if has_media(messages) else messages
        params = SamplingParams(
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            top_k=max(0, decoding.top_k),
            max_tokens=decoding.max_tokens,
            seed=seed % 2**31,
            presence_penalty=decoding.presence_penalty,
        )
        template: dict[str, Any] = {} if thinking else {"enable_thinking": False}
        ids = self._tokenizer.apply_chat_template(opened, add_generation_prompt=True, return_dict=False, **template)
        try:
            request = self._generator.request(ids, params, _images(opened) or None)
        except ValueError as error:  # the prompt is too long
            raise AskError(first_line(error), about_request=True) from None
        try:
            (response,) = await self._batched.generate([request])
        except GenerationError as error:
            raise AskError(str(error)) from error
        ended = bool(response.token_ids) and response.token_ids[-1] in self._generator.eos_token_ids
        text = self._tokenizer.decode(response.token_ids, skip_special_tokens=True)
        return Answer(text, len(response.token_ids), STOP if ended else LENGTH)

    async def close(self) -> None:
        await self._batched.idle()


def _images(messages: Messages) -> list[Image.Image]:
    parts = [part for message in messages if not isinstance(message["content"], str) for part in message["content"]]
    if any(part["type"] == "video" for part in parts):
        raise ConfigError("engine=hf takes text and images, no videos; use engine=vllm")
    return [part["image"] for part in parts if part["type"] == "image"]
