"""An OpenAI-compatible server: `vllm serve`, or any other."""

import asyncio
from functools import partial
from typing import Any

from recipe.zppo.errors import ConfigError
from recipe.zppo.evaluate.engines.contract import LENGTH, Answer, AskError, EngineDownError
from recipe.zppo.evaluate.engines.wire import has_video_file, wire_messages
from recipe.zppo.evaluate.protocol import Decoding
from recipe.zppo.media.parts import has_media
from recipe.zppo.prompts import Messages
from recipe.zppo.teacher.endpoint import Completion, Endpoint, EndpointError, EndpointSpec, KeyRefusedError

_VIDEOS_AT_A_TIME = 4


class ServerEngine:
    """`Engine` over HTTP.

    Args:
        fields_only: send what OpenAI's own API has. The server's own top-k, min-p and repetition penalty then hold.
        same_disk: it opens files of videos itself. Else they travel, a few at a time: some have hundreds of megabytes.
    """

    def __init__(self, spec: EndpointSpec, *, fields_only: bool = False, same_disk: bool = False):
        self._endpoint, self._fields_only, self._same_disk = Endpoint(spec), fields_only, same_disk
        self._video_slots = asyncio.Semaphore(_VIDEOS_AT_A_TIME)

    async def check(self) -> None:
        """
        Raises:
            ConfigError: the server does not answer, does not take the key, or serves no model of this name.
        """
        spec = self._endpoint.spec
        try:
            async with asyncio.timeout(60):
                models = await self.models()
        except (EndpointError, TimeoutError) as error:
            said = error if isinstance(error, EndpointError) else f"{self._endpoint.url}: no answer within 60 s"
            raise ConfigError(f"{spec.names.address}: {said}") from None
        if spec.model not in models:
            raise ConfigError(
                f"{spec.names.model}: {spec.names.address}={spec.base_url} serves {', '.join(models) or 'nothing'}, "
                f"not {spec.model}"
            )

    async def models(self) -> list[str]:
        """Raises `EndpointError`."""
        return await self._endpoint.list_models()

    async def ask(self, messages: Messages, decoding: Decoding, seed: int, *, thinking: bool = True) -> Answer:
        if has_video_file(messages) and not self._same_disk:
            async with self._video_slots:
                completion = await self._complete(messages, self._fields(decoding, seed, thinking))
        else:
            completion = await self._complete(messages, self._fields(decoding, seed, thinking))
        tokens = completion.reply.num_tokens or 0
        cut = completion.finish == LENGTH or (not completion.finish and tokens >= decoding.max_tokens)
        return Answer(completion.reply.text, tokens, LENGTH if cut else completion.finish)

    async def close(self) -> None:
        await self._endpoint.close()

    async def _complete(self, messages: Messages, fields: dict[str, Any]) -> Completion:
        kind = "PNG" if self._fields_only else "BMP"
        wire = partial(wire_messages, messages, kind=kind, same_disk=self._same_disk)
        try:
            # Nobody but the endpoint holds what goes over the wire.
            return await self._endpoint.complete(
                await asyncio.to_thread(wire) if has_media(messages) else messages, **fields
            )
        except KeyRefusedError as error:
            raise EngineDownError(str(error)) from None
        except EndpointError as error:
            raise AskError(str(error), error.about_request) from None

    def _fields(self, decoding: Decoding, seed: int, thinking: bool) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "presence_penalty": decoding.presence_penalty,
            "max_tokens": decoding.max_tokens,
            "seed": seed % 2**31,
        }
        if not self._fields_only:  # left out, they would be those of the model's generation_config.json
            fields |= {name: getattr(decoding, name) for name in ("top_k", "min_p", "repetition_penalty")}
            if not thinking:
                fields["chat_template_kwargs"] = {"enable_thinking": False}
        return fields
