"""Errors that a user can act on: each carries one message that names the cause and the remedy."""


class ZPPOError(Exception):
    """Base of every error that this project raises on purpose; also subclass the fitting standard type."""


class ConfigError(ZPPOError, ValueError):
    """The configuration, the data or the model paths cannot work; found before Ray starts."""


class PromptError(ZPPOError, ValueError):
    """Chat messages, or candidates, of which no prompt can be built."""


class SelectionError(ZPPOError, ValueError):
    """Outcomes or limits that the selection of reformulations cannot work with."""


class ReplayBufferError(ZPPOError, ValueError):
    """A limit, an outcome or a saved state that the prompt replay buffer does not accept."""


class AdvantageError(ZPPOError, ValueError):
    """Rewards, groups or an option of which no advantage can be computed."""


class RewardError(ZPPOError, ValueError):
    """A data row whose gold answer cannot be graded against."""


# ---------------------------------------------------------------------- during a run


class RewardFunctionError(ZPPOError, RuntimeError):
    """The reward function raised, or returned something other than 0 or 1."""


class RolloutError(ZPPOError, RuntimeError):
    """The rollout servers do not give responses."""


class JudgeError(RolloutError):
    """The judge gave no verdict on an answer: the rollout has no reward, and counts as failed."""


class WaitTimeoutError(ZPPOError, TimeoutError):
    """A wait ran into its limit; the message says what was waited for."""


class PromptTooLongError(ZPPOError, ValueError):
    """A prompt and its full response budget do not fit the model's context."""


class CheckpointError(ZPPOError, RuntimeError):
    """A checkpoint does not fit this run."""


class ExportError(ZPPOError, ValueError):
    """A checkpoint can't be made into a Hugging Face folder, or the folder can't be put where it was asked for."""


class DataError(ZPPOError, ValueError):
    """The data files cannot be trained on."""


def plain_message(error: ZPPOError) -> str:
    """Kind and message, in one line if the message is one."""
    return f"{type(error).__name__}: {error}"


def first_line(error: BaseException) -> str:
    """Of its message; its type if it has none."""
    return (str(error) or type(error).__name__).splitlines()[0]


def one_line(error: BaseException) -> str:
    """Type and message; of a Ray error, whose message is a whole traceback, the last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"[:1000]
