"""The embedded world with pictures: a tiny Qwen3.5 student, a stronger teacher, and drawn pictures with questions.

Nothing is downloaded. ``python -m recipe.zppo.picture_world [out_dir]`` builds it, :func:`build_picture_world` does
the same from Python. See :mod:`recipe.zppo.picture_world.questions` for the task, and :mod:`recipe.zppo.world` for the
world without pictures, whose rules of building and caching hold here as well.
"""

from recipe.zppo.picture_world.build import build_picture_world
from recipe.zppo.picture_world.settings import PictureWorldSettings

__all__ = ["PictureWorldSettings", "build_picture_world"]
