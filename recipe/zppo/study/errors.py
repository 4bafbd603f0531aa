"""What can go wrong in a study as a whole; a run that fails is a result, not an error."""

from recipe.zppo.errors import ZPPOError


class StudyError(ZPPOError, RuntimeError):
    """The study cannot start or go on: the folder is in use, workers do not start."""


class TrainingError(ZPPOError, RuntimeError):
    """One run failed; the message is its cause in one line."""
