"""What an engine is to the runner."""

from typing import NamedTuple, Protocol

from recipe.zppo.errors import RolloutError
from recipe.zppo.evaluate.protocol import Decoding
from recipe.zppo.prompts import Messages

STOP, LENGTH = "stop", "length"


class Answer(NamedTuple):
    text: str
    tokens: int
    """0 where nobody counted them."""
    finish: str
    """`STOP`; `LENGTH` where it was cut at the limit; empty where nobody said."""


class AskError(RolloutError):
    """There is no answer. ``about_request``: nor will there be one to the same question; it is not asked again."""

    def __init__(self, message: str, about_request: bool = False):
        super().__init__(message)
        self.about_request = about_request


class EngineDownError(RolloutError):
    """An engine answers nothing any more."""


class Engine(Protocol):
    """A model that answers, wherever it runs."""

    async def ask(self, messages: Messages, decoding: Decoding, seed: int, *, thinking: bool = True) -> Answer:
        """One answer.

        Args:
            messages: complete; media as parts, images with their limits.
            thinking: False: the chat template is told not to open with reasoning.

        Raises:
            EngineDownError: there will be none to any question.
            AskError: there is none; or DataError, ConfigError: an image can't be read, or the model takes none.
        """

    async def close(self) -> None: ...
