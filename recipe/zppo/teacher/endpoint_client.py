"""A teacher behind an OpenAI-compatible endpoint."""

from typing import Any

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.media import parts as media
from recipe.zppo.teacher.endpoint import Endpoint, EndpointError, EndpointSpec, wire_messages
from recipe.zppo.teacher.gate import is_server_failure
from recipe.zppo.teacher.generate import PROBE, Reply, make_gate, sampling, template_options
from recipe.zppo.teacher.slots import Work


class TeacherEndpoint:
    """`Generate` over HTTP. The endpoint's own counts are the numbers of tokens.

    The teacher's tokenizer is not at hand: what a model says of its own special tokens is made safe by the student's
    list and the usual forms.
    """

    special_tokens: tuple[str, ...] = ()

    def __init__(self, spec: EndpointSpec, config: ZPPOConfig, *, num_workers: int, seeded: bool):
        self.config, self.seeded = config, seeded
        self.client = Endpoint(spec)
        self.gate = make_gate(config, num_workers, probe=lambda: self._ask(*PROBE), is_failure=_is_endpoint_failure)

    def opened(self, messages: list[dict]) -> list[dict]:
        return wire_messages(media.decoded(messages))

    async def __call__(self, messages: list[dict], seed: int, max_tokens: int, work: Work) -> Reply:
        return await self.gate.run(lambda: self._ask(messages, seed, max_tokens, work), work)

    async def _ask(self, messages: list[dict], seed: int, max_tokens: int, work: Work) -> Reply:
        parameters: dict[str, Any] = {"max_tokens": max_tokens, **sampling(self.config, work)}
        if self.seeded:
            parameters["seed"] = seed % 2**31
        if self.config.teacher.openai_fields_only:
            del parameters["top_k"]
        else:  # left out, they would be those of the model's generation_config.json
            parameters |= {"min_p": 0.0, "repetition_penalty": 1.0}
            if template := template_options(self.config, work):
                parameters["chat_template_kwargs"] = template
        return await self.client.chat(messages, **parameters)

    async def close(self) -> None:
        await self.client.close()


def _is_endpoint_failure(error: BaseException) -> bool:
    if isinstance(error, EndpointError):
        return not error.about_request
    return is_server_failure(error)
