"""The models of a call: their names, their folders, and what must stay the same when one is gone on with."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from recipe.zppo.errors import ConfigError
from recipe.zppo.evaluate.protocol import Protocol
from recipe.zppo.evaluate.results import RESULTS, ModelResults, read_results, write_results
from recipe.zppo.evaluate.settings import EvaluateSettings

_PACKAGES = ("open-zppo", "verl", "vllm", "transformers", "torch", "datasets", "lmms-eval")


@dataclass
class Model:
    """A model under evaluation, and its results so far."""

    path: str
    folder: Path
    results: ModelResults

    @property
    def name(self) -> str:
        return self.results.model

    def save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.results.changed = now()
        write_results(self.folder, self.results)


def names_of(models: Sequence[str]) -> dict[str, str]:
    """Path by name: `NAME=PATH` names a model; else the last part of its path does, and the parts before where it must.

    Raises:
        ConfigError: two models have the same name.
    """
    given = [tuple(reversed(each.partition("=")[::2])) if "=" in each else (each, "") for each in models]
    paths = [path for path, name in given if not name]
    names: dict[str, str] = {}
    for path, name in given:
        name = name or _short(path, paths)
        if not path.strip() or not name.strip("./ ") or "/" in name:
            raise ConfigError(f"model: {path or name!r} gives no name for a folder; NAME=PATH does")
        if name in names:
            raise ConfigError(f"model: two models are called {name}; NAME=PATH names them")
        names[name] = path
    return names


def _short(path: str, paths: Sequence[str]) -> str:
    parts = [part for part in path.rstrip("/").split("/") if part not in ("", ".", "..", "~")]
    for count in range(1, len(parts) + 1):
        end = parts[-count:]
        if sum(other.rstrip("/").split("/")[-count:] == end for other in paths) == 1:
            break
    return "-".join(parts[-count:]) if parts else ""


def open_model(name: str, path: str, settings: EvaluateSettings, protocol: Protocol) -> Model:
    """Its folder, begun or gone on with.

    Raises:
        ConfigError: the folder was begun with another value of a key that numbers depend on.
        DataError: its results are damaged.
    """
    folder = Path(settings.out).expanduser() / name
    fresh = ModelResults(
        model=name,
        path=path,
        engine="server" if settings.server else settings.engine,
        judge=settings.judge,
        seed=settings.seed,
        samples=settings.samples,
        limit=settings.limit,
        protocol=protocol.as_dict(),
        versions=versions(),
        started=now(),
    )
    if not (folder / RESULTS).exists():
        return Model(path, folder, fresh)
    before = read_results(folder)
    for key in ("path", "engine", "judge", "limit", "samples", "seed"):
        _same("model" if key == "path" else key, getattr(before, key), getattr(fresh, key), folder)
    for key in {**before.protocol, **fresh.protocol}:
        _same(key, before.protocol.get(key), fresh.protocol.get(key), folder)
    before.versions = fresh.versions
    return Model(path, folder, before)


def _same(key: str, before: object, now: object, folder: Path) -> None:
    if before != now:
        raise ConfigError(
            f"{key}: {folder} was begun with {_shown(before)}, now it is {_shown(now)}; "
            "set it back, or give another out"
        )


def _shown(value: object) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
