"""Building and caching a world.

A finished world is a folder whose `world.json` carries the key of its settings and the hashes of all its files.
It is built in a hidden folder beside its place and published by one rename, so a killed build leaves nothing that
could be taken for a world; the next build removes what it left. The two models are trained side by side, each in
a process of its own with one thread.
"""

import dataclasses
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from recipe.zppo.run import publish
from recipe.zppo.run.files import disk_errors_named
from recipe.zppo.world.bills import PriceList
from recipe.zppo.world.paths import WorldError, WorldPaths, WorldPlaceError, default_path
from recipe.zppo.world.progress import TrainingProgress
from recipe.zppo.world.settings import WorldSettings

MODELS = ("student", "teacher")


class Settings(Protocol):
    """A world's settings: a frozen dataclass that can be pickled."""

    __dataclass_fields__: dict[str, Any]
    measured_questions: int

    def key(self) -> str: ...


def build_world(
    path: str | Path | None = None,
    *,
    seed: int = 0,
    difficulty: str = "firm",
    force: bool = False,
    settings: WorldSettings | None = None,
    console: Console | None = None,
) -> WorldPaths:
    """The world of these settings at `path`, built if it is not there yet (under 4 minutes on two cores).

    Args:
        path: its folder; :func:`default_path` if not given. A world of other settings there is replaced.
        difficulty: `firm`, `mild` or `spread`, see :mod:`recipe.zppo.world.settings`.
        force: build it again even if it is there.
        settings: in place of `seed` and `difficulty`, to change anything else.

    Raises:
        ValueError: unknown difficulty.
        WorldPlaceError: `path` holds something that is not a world.
        WorldError: pre-training failed.
    """
    settings = settings or WorldSettings(seed=seed, difficulty=difficulty)
    root = Path(path or default_path(settings.seed, settings.difficulty))
    return build_once(root, settings, lambda folder: _build(folder, settings, console), force=force)


def build_once(root: Path, settings: Settings, build: Callable[[Path], None], *, force: bool = False) -> WorldPaths:
    """The finished world of these settings at `root`; `build` fills a folder with it if it is not there yet.

    Raises:
        WorldPlaceError: `root` holds something that is not a world.
        WaitTimeoutError: another process builds there, and does not end.
        OSError: nothing can be written beside it.
    """
    root = root.expanduser().resolve()
    paths = WorldPaths(root)
    if not force and is_finished(paths, settings):
        return paths
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=root.parent):
        pass  # a lock would wait for ever where no file can be made
    with publish.exclusive(root):
        publish.remove_leftovers(root)
        if not force and is_finished(paths, settings):
            return paths
        _refuse_foreign(paths)
        folder = publish.new_building_folder(root)
        try:
            with disk_errors_named(str(root)):
                build(folder)
                publish.publish(folder, root)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return paths


def is_finished(paths: WorldPaths, settings: Settings) -> bool:
    """Whether `paths` holds the complete and unchanged world of these settings."""
    try:
        meta = json.loads(paths.meta.read_text())
        return meta["key"] == settings.key() and meta["files"] == publish.hash_files(paths.root, exclude=paths.meta)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _refuse_foreign(paths: WorldPaths) -> None:
    if not paths.root.exists():
        return
    if not paths.root.is_dir():
        raise WorldPlaceError(f"{paths.root} is a file; give a folder for the world")
    if any(paths.root.iterdir()) and not paths.meta.is_file():
        raise WorldPlaceError(f"{paths.root} holds files that are not a world; give an empty or a new folder")


def _build(folder: Path, settings: WorldSettings, console: Console | None) -> None:
    # Imported here so that finding a finished world does not load torch.
    from recipe.zppo.world.data import write_splits
    from recipe.zppo.world.evaluate import measure_world

    price_list = PriceList.draw(settings)
    pairs = sorted("".join(sorted(pair)) for pair in price_list.reserved_pairs)
    fill_folder(
        folder,
        settings,
        console,
        title=f"{settings.difficulty} world, seed {settings.seed}",
        pretraining="recipe.zppo.world.pretrain",
        write_splits=write_splits,
        measure=measure_world,
        facts={"price_list": dataclasses.asdict(price_list) | {"reserved_pairs": pairs}},
    )


def fill_folder(
    folder: Path,
    settings: Settings,
    console: Console | None,
    *,
    title: str,
    pretraining: str,
    write_splits: Callable[[Settings, Path], None],
    measure: Callable[[WorldPaths, int], dict[str, float]],
    facts: dict,
) -> None:
    """Data files, both models by the module `pretraining`, measurements, and `world.json` with `facts` in it."""
    started = time.monotonic()
    paths = WorldPaths(folder)
    with TrainingProgress(console) as progress:
        progress.say(f"building the {title}")
        write_splits(settings, folder)
        _pretrain_side_by_side(folder, settings, pretraining, progress)
    progress.say("measuring the world before RL")
    measured = measure(paths, settings.measured_questions)
    for name, value in measured.items():
        progress.say(f"  {name.replace('_', ' ')}: {value:.3f}")
    meta = {
        "key": settings.key(),
        "settings": dataclasses.asdict(settings),
        **facts,
        "measured": measured,
        "seconds": round(time.monotonic() - started, 1),
        "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers")},
        "files": publish.hash_files(folder),
    }
    paths.meta.write_text(json.dumps(meta, indent=2) + "\n")
    progress.say(f"built in {meta['seconds']:.0f} s")


def _pretrain_side_by_side(folder: Path, settings: Settings, module: str, progress: TrainingProgress) -> None:
    """Trains both models into `folder`."""
    children: dict[str, subprocess.Popen] = {}
    with ThreadPoolExecutor(len(MODELS)) as threads:
        try:
            for name in MODELS:
                children[name] = _start_pretraining(name, folder, settings, module)
            followed = [threads.submit(_follow, name, child, folder, progress) for name, child in children.items()]
            for future in as_completed(followed):
                future.result()
        finally:
            for child in children.values():
                child.kill()
                child.wait()


def _start_pretraining(name: str, folder: Path, settings: Settings, module: str) -> subprocess.Popen:
    search_path = [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, search_path)),
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    with tempfile.TemporaryFile() as pickled, open(_log(folder, name), "w") as log:
        pickled.write(pickle.dumps(settings))
        pickled.seek(0)
        return subprocess.Popen(
            [sys.executable, "-m", module, name, str(folder / name)],
            stdin=pickled,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
        )


def _follow(name: str, child: subprocess.Popen, folder: Path, progress: TrainingProgress) -> None:
    """Shows what `child` reports, to its end."""
    for line in child.stdout:
        if line.startswith(b"{"):
            report = json.loads(line)
            progress.update(name, report["step"], report["steps"], report["loss"])
    if child.wait() != 0:
        raise WorldError(f"pre-training the {name} failed:\n{_log(folder, name).read_text()[-2000:]}")
    _log(folder, name).unlink()


def _log(folder: Path, name: str) -> Path:
    return folder / f"{name}.log"
