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


class CompressionError(ZPPOError, ValueError):
    """A limit under which no candidate can be compressed."""


class RewardError(ZPPOError, ValueError):
    """A data row whose gold answer cannot be graded against."""
