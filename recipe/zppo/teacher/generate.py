"""How a teacher is asked for one reply, wherever its model runs, and what all requests have in common."""

from typing import Any, NamedTuple, Protocol

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import ConfigError
from recipe.zppo.judge import TEMPERATURE, TOP_P
from recipe.zppo.media import parts as media
from recipe.zppo.teacher.gate import RequestGate
from recipe.zppo.teacher.slots import Work


class Reply(NamedTuple):
    text: str
    num_tokens: int | None
    """That the teacher wrote; None where nobody counted them."""


class Generate(Protocol):
    """A teacher's model: on verl's servers, behind an endpoint, or in this process."""

    special_tokens: tuple[str, ...]
    """Of its tokenizer, if that is at hand."""

    def opened(self, messages: list[dict]) -> list[dict]:
        """The messages with their images as the model takes them.

        Raises:
            ConfigError: it takes none.
        """

    async def __call__(self, messages: list[dict], seed: int, max_tokens: int, work: Work) -> Reply:
        """One reply to messages that are opened. Raises whatever the servers raise."""


def text_only(messages: list[dict]) -> list[dict]:
    """
    Raises:
        ConfigError: there are images or videos.
    """
    if media.has_media(messages):
        raise ConfigError(
            "zppo.teacher.path: the data have images or videos and this teacher has no processor for them; "
            "it would answer without seeing them"
        )
    return messages


def make_gate(config: ZPPOConfig, num_workers: int, **options: Any) -> RequestGate:
    """The gate of one of ``num_workers`` workers, which share the limit on requests in flight."""
    teacher = config.teacher
    return RequestGate(
        max_concurrent=max(1, teacher.max_concurrent_requests // num_workers),
        timeout_s=teacher.request_timeout_s,
        max_retries=teacher.max_retries,
        dead_after_failures=teacher.dead_after_failures,
        retry_after_s=teacher.retry_after_s,
        **options,
    )


def sampling(config: ZPPOConfig, work: Work) -> dict[str, float]:
    """Temperature, top-p and top-k of a request."""
    if work is Work.VERDICT:
        return {"temperature": TEMPERATURE, "top_p": TOP_P, "top_k": -1}
    teacher = config.teacher
    return {"temperature": teacher.temperature, "top_p": teacher.top_p, "top_k": teacher.top_k}


def template_options(config: ZPPOConfig, work: Work) -> dict[str, bool]:
    """What a request adds to the arguments of the teacher's chat template."""
    thinks = {Work.VERDICT: config.judge.thinking, Work.SUMMARY: config.compression.thinking}
    return {} if thinks.get(work, True) else {"enable_thinking": False}


PROBE = ([{"role": "user", "content": "1+1=?"}], 0, 1, Work.ROLLOUT)
"""Messages, seed, tokens and work of the request that asks whether a dead teacher is back."""
