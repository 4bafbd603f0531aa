"""Building and caching a picture world, by the rules of :mod:`recipe.zppo.world.build`."""

import dataclasses
from pathlib import Path

from rich.console import Console

from recipe.zppo.picture_world.questions import Names
from recipe.zppo.picture_world.settings import PictureWorldSettings, default_path
from recipe.zppo.world.build import build_once, fill_folder
from recipe.zppo.world.paths import WorldPaths


def build_picture_world(
    path: str | Path | None = None,
    *,
    seed: int = 0,
    force: bool = False,
    settings: PictureWorldSettings | None = None,
    console: Console | None = None,
) -> WorldPaths:
    """The picture world of these settings at `path`, built if it is not there yet. It has no shifted questions.

    Arguments and errors are those of :func:`recipe.zppo.world.build.build_world`.
    """
    settings = settings or PictureWorldSettings(seed=seed)
    root = Path(path or default_path(settings.seed))
    return build_once(root, settings, lambda folder: _build(folder, settings, console), force=force)


def _build(folder: Path, settings: PictureWorldSettings, console: Console | None) -> None:
    # Imported here so that finding a finished world does not load torch.
    from recipe.zppo.picture_world.data import write_splits
    from recipe.zppo.picture_world.evaluate import measure_world

    fill_folder(
        folder,
        settings,
        console,
        title=f"picture world, seed {settings.seed}",
        pretraining="recipe.zppo.picture_world.pretrain",
        write_splits=write_splits,
        measure=measure_world,
        facts={"names": dataclasses.asdict(Names.draw(settings))},
    )
