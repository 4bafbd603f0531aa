"""The files of a data set on this machine: of a folder of local copies, or downloaded from the hub once.

A local copy is what `hf download --repo-type dataset NAME --local-dir FOLDER/NAME` makes. Its dataset card says which
files are which config and split. Without a card the names say it: `FOLDER/NAME/[<config>/][data/]<split>*.parquet`, or
`[<config>/]<split>/*.parquet`; also `.jsonl`, `.json`, `.csv`.

What comes from the hub lies in the hub's own cache, so that several models, a resumed command and a machine without
network read the same files.
"""

import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from recipe.zppo.benchmarks.contract import Source
from recipe.zppo.errors import DataError, first_line

_KINDS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
_CARD = "README.md"
UNPACKED = "unpacked"
"""Folder beside archives with what was in them."""


@dataclass(frozen=True)
class Files:
    """Of one config and split."""

    kind: str
    """How `datasets` reads them: ``parquet``, ``json``, ``csv``."""
    paths: tuple[str, ...]
    features: Any = None
    """As the card has them; None: as the files do."""


@dataclass(frozen=True)
class LocalSet:
    """A data set whose files are on this machine."""

    source: Source
    folder: Path
    """Where rows' relative paths begin, unless they lie in an archive."""
    parts: tuple[tuple[str | None, Files], ...]
    """By the names of `Source.parts`."""
    unpacked: Path | None = None
    """Where archives were unpacked, a folder each."""


def local_set(source: Source, data: str | None = None) -> LocalSet:
    """
    Args:
        data: a folder of local copies; None: the hub.

    Raises:
        DataError: one line with the data set and the remedy: there is no such folder, config or split, access is
            missing, or the hub can't be reached.
    """
    folder = _folder(source, data) if data is not None else _cached(source)
    if folder is not None:
        parts = tuple((name, _in_folder(source, folder, config, split)) for config, split, name in source.parts)
    else:
        folder, parts = _from_hub(source)
    further = sorted(path for pattern in source.files for path in _matching(folder, pattern))
    if source.files and not further:
        raise DataError(f"{source.dataset}: none of {', '.join(source.files)} in {folder}; {_copy(source)}")
    return LocalSet(source, folder, parts, _unpacked(source, folder, further))


# ---------------------------------------------------------------------- a folder


def _folder(source: Source, data: str) -> Path:
    folder = Path(data).expanduser() / source.dataset
    if not folder.is_dir():
        raise DataError(f"{source.dataset}: there is no folder {folder}; {_copy(source, folder)}")
    return folder


def _in_folder(source: Source, folder: Path, config: str | None, split: str) -> Files:
    import datasets

    if _has_configs(folder):
        with _readable(source):
            return _resolved(datasets.load_dataset_builder(str(folder), name=config), source, split)
    inner = folder / config if config and (folder / config).is_dir() else folder
    if config and inner == folder and len(source.configs) > 1:
        raise DataError(f"{source.dataset}: there is no folder {folder / config}; {_copy(source, folder)}")
    for place in (inner, inner / "data", inner / split):
        for ending, kind in _KINDS.items():
            files = sorted(place.glob(f"*{ending}"))
            paths = [path for path in files if place.name == split or _is_of_split(path.name, split)]
            if paths:
                return Files(kind, tuple(map(str, paths)))
    raise DataError(f"{source.dataset}: no file of the split {split} in {inner}; {_copy(source, folder)}")


def _has_configs(folder: Path) -> bool:
    """Whether a dataset card says which files are which."""
    from huggingface_hub import DatasetCard

    card = folder / _CARD
    try:
        return card.is_file() and bool(DatasetCard.load(card, ignore_metadata_errors=True).data.get("configs"))
    except Exception:  # a text of another kind: the names of the files then say it
        return False


def _is_of_split(name: str, split: str) -> bool:
    return name.startswith((f"{split}-", f"{split}.", f"{split}_"))


# ---------------------------------------------------------------------- the hub


def _cached(source: Source) -> Path | None:
    """The folder of what was downloaded before, where the user wants no network."""
    from huggingface_hub import constants, snapshot_download

    if not constants.HF_HUB_OFFLINE:
        return None
    try:
        return Path(
            snapshot_download(source.dataset, repo_type="dataset", revision=source.revision, local_files_only=True)
        )
    except Exception:  # its errors say no more
        raise DataError(
            f"{source.dataset}: not in the hub's cache, and HF_HUB_OFFLINE is set; unset it, or {_copy(source)}"
        ) from None


def _from_hub(source: Source) -> tuple[Path, tuple[tuple[str | None, Files], ...]]:
    import datasets
    from huggingface_hub import HfApi, hf_hub_download

    datasets.disable_progress_bars()

    def here(name: str) -> str:
        return hf_hub_download(source.dataset, name, repo_type="dataset", revision=source.revision)

    parts = []
    with _readable(source):
        names = HfApi().list_repo_files(source.dataset, repo_type="dataset", revision=source.revision)
        for config, split, name in source.parts:
            builder = datasets.load_dataset_builder(source.dataset, name=config, revision=source.revision)
            found = _resolved(builder, source, split)
            paths = tuple(here(path.partition("@")[2].partition("/")[2]) for path in found.paths)
            parts.append((name, Files(found.kind, paths, found.features)))
        for name in names:
            if name == _CARD or any(fnmatch(name, pattern) for pattern in source.files):
                here(name)
        first = min(names, key=lambda name: name != _CARD)
        folder = Path(here(first)).parents[first.count("/")]
    return folder, tuple(parts)


def _resolved(builder: Any, source: Source, split: str) -> Files:
    files = builder.config.data_files or {}
    if split not in files:
        has = ", ".join(map(str, files)) or "none"
        raise DataError(f"{source.dataset}: there is no split {split} in config {builder.config.name}; it has {has}")
    paths = tuple(files[split])
    kind = _KINDS.get(Path(paths[0]).suffix) or type(builder).__mro__[1].__name__.lower()
    return Files(kind, paths, builder.info.features)


@contextmanager
def _readable(source: Source) -> Iterator[None]:
    """What the hub's clients and `datasets` raise, as one line that says what to do."""
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    name = source.dataset
    try:
        yield
    except DataError:
        raise
    except GatedRepoError:
        raise _no_access(name) from None
    except RepositoryNotFoundError:
        raise DataError(
            f"{name}: the hub has none of that name, or none that you may see: hf auth login, or {_copy(source)}"
        ) from None
    except (LocalEntryNotFoundError, ConnectionError, TimeoutError):
        raise DataError(f"{name}: the hub can't be reached; {_copy(source)}") from None
    except Exception as error:  # also what their HTTP client raises
        text = first_line(error)[:300]
        if "gated" in text.lower():
            raise _no_access(name) from None
        if type(error).__module__.startswith(("httpx", "httpcore", "requests", "aiohttp")):
            raise DataError(f"{name}: the hub can't be reached; {_copy(source)}") from None
        if "scripts are no longer supported" in text:
            text = "it is a data set with a script, which nothing runs any more"
        raise DataError(f"{name}: {text}; {_copy(source)}") from error


def _no_access(name: str) -> DataError:
    return DataError(
        f"{name}: access is missing; agree to its terms on https://huggingface.co/datasets/{name}, then hf auth login"
    )


def _copy(source: Source, folder: Path | None = None) -> str:
    where = folder or f"FOLDER/{source.dataset}"
    revision = f" --revision {source.revision}" if source.revision else ""
    said = "" if folder else " and data=FOLDER"
    return f"hf download --repo-type dataset {source.dataset}{revision} --local-dir {where}{said} gives a local copy"


# ---------------------------------------------------------------------- archives


def _matching(folder: Path, pattern: str) -> Iterator[Path]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return (
        path for path in files if fnmatch(path.relative_to(folder).as_posix(), pattern) and UNPACKED not in path.parts
    )


def _unpacked(source: Source, folder: Path, further: Sequence[Path]) -> Path | None:
    """What the archives among `further` hold, unpacked once, each in a folder that appears whole."""
    archives = [path for path in further if path.name.endswith(_ARCHIVES)]
    if not archives:
        return None
    target = folder / UNPACKED
    for archive in archives:
        done = target / archive.name
        if done.is_dir():
            continue
        partial = target / f"{archive.name}.{os.getpid()}.tmp"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            if archive.name.endswith(".zip"):
                with zipfile.ZipFile(archive) as opened:
                    opened.extractall(partial)
            else:
                with tarfile.open(archive) as opened:
                    opened.extractall(partial, filter="data")
            partial.rename(done)
        except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
            raise DataError(
                f"{source.dataset}: {archive} is damaged ({first_line(error)}); download it again"
            ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return target
