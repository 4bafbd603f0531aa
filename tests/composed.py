"""`compose` for tests of what is done with a configuration: composed once a process for the same overrides."""

import functools
import pickle
from collections.abc import Sequence

from omegaconf import DictConfig

from recipe.zppo.config import compose as real


def compose(overrides: Sequence[str] = ()) -> DictConfig:
    """What `recipe.zppo.config.compose.compose` gives, a copy for each caller."""
    return pickle.loads(_pickled(tuple(overrides)))


@functools.cache
def _pickled(overrides: tuple[str, ...]) -> bytes:
    return pickle.dumps(real.compose(overrides))
