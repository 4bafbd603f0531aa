"""What can go wrong during a run, as errors a user can act on."""

from __future__ import annotations

from recipe.zppo.errors import ZPPOError


class RewardFunctionError(ZPPOError, RuntimeError):
    """The reward function raised, or returned something other than 0 or 1."""


class RolloutError(ZPPOError, RuntimeError):
    """The rollout servers do not give responses."""


class JudgeError(RolloutError):
    """The judge gave no verdict on a free-form answer: the rollout has no reward, and counts as failed."""


class WaitTimeoutError(ZPPOError, TimeoutError):
    """A wait ran into its limit; the message says what was waited for."""


class PromptTooLongError(ZPPOError, ValueError):
    """A prompt and its full response budget do not fit the model's context."""


class CheckpointError(ZPPOError, RuntimeError):
    """A checkpoint does not fit this run."""


class DataError(ZPPOError, ValueError):
    """The data files cannot be trained on."""


def one_line(error: BaseException) -> str:
    """Type and message; of a Ray error, whose message is a whole traceback, the last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"[:1000]
