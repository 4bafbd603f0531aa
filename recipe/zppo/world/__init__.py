"""The embedded world: a tokenizer, a tiny student, a stronger tiny teacher and data, made on first use.

Nothing is downloaded. ``python -m recipe.zppo.world [out_dir]`` builds it, :func:`build_world` does the same from
Python. See :mod:`recipe.zppo.world.bills` for the task and :mod:`recipe.zppo.world.build` for the caching rules.
"""

from recipe.zppo.world.build import build_world
from recipe.zppo.world.paths import WorldError, WorldPaths
from recipe.zppo.world.settings import WorldSettings

__all__ = ["WorldError", "WorldPaths", "WorldSettings", "build_world"]
