"""Reads a source in units of one shard, as a stream: from the hub, a local copy of it, or parquet files."""

import functools
import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from datasets.table import table_cast
from datasets.utils.file_utils import xopen

from recipe.zppo.data.errors import BuildError
from recipe.zppo.preflight.hub import offline, why_not_on_hub

ROWS_PER_BATCH = 128
"""What is held in memory at a time, with pictures."""
_SPLITS = ("train", "val", "validation", "test")


class Place(NamedTuple):
    """A source, or one config of it."""

    key: str
    """The setting that names the source, for messages."""
    path: str
    """Hub id, with `@revision` if wanted; a folder; or a parquet file."""
    split: str
    config: str = ""

    def __str__(self) -> str:
        return f"{self.key}={self.path}" + (f" ({self.config})" if self.config else "")


class Unit(NamedTuple):
    """One shard: what one task reads."""

    place: Place
    shard: int
    num_shards: int
    text_columns: tuple[str, ...]
    image_column: str
    name: str
    """Of its file, without folders: the same in every copy of the source."""


def configs(place: Place) -> list[str]:
    """Names of the source's configs; [""] if it has none. A folder without a dataset card has one for each sub-folder.

    Raises:
        BuildError: the source can't be reached or does not exist.
    """
    folder = _local(place.path)
    if folder is not None and folder.is_file():
        return [""]
    if folder is not None and not _has_card(folder):
        names = sorted({path.parent.name for path in folder.glob("*/*.parquet")} - {"data"})
        return names if names and not list(folder.glob("*.parquet")) else [""]
    _ask_hub(place)
    with _readable_errors(place):
        repo, revision = _repo(place.path)
        names = datasets.get_dataset_config_names(str(folder or repo), revision=revision)
    return [""] if names in ([], ["default"]) else sorted(names)


def config_of(path: str, name: str) -> str:
    """The config to read of a hub's data set that calls it `name`; "" for a local copy that has no such part."""
    folder = _local(path)
    if folder is None or (folder.is_dir() and (_has_card(folder) or (folder / name).is_dir())):
        return name
    return ""


def splits(place: Place) -> list[str]:
    """The splits that there are; of parquet files without a card, those that files are named after.

    Raises `BuildError` if the source can't be reached.
    """
    folder = _local(place.path)
    if folder is None or (folder.is_dir() and _has_card(folder)):
        _ask_hub(place)
        repo, revision = _repo(place.path)
        with _readable_errors(place):
            return datasets.get_dataset_split_names(str(folder or repo), place.config or None, revision=revision)
    inner = folder / place.config if folder.is_dir() else folder
    files = sorted(inner.rglob("*.parquet")) if inner.is_dir() else [inner]
    if not files:
        raise BuildError(f"{place}: {inner} has no parquet file")
    return sorted({_split_of(file) for file in files} - {""}) or ["train"]


def units(place: Place, schema_of: Any, image_column: str) -> list[Unit]:
    """The shards of a source's config. `schema_of` checks the schema and chooses the columns of text.

    Raises:
        BuildError: it can't be reached, is not in parquet files, lacks the split or a column.
    """
    with _readable_errors(place):
        stream, files = _open(place, None)
        schema = _schema(stream)
    try:
        columns = tuple(schema_of(schema))
    except BuildError as error:
        raise BuildError(f"{place}: {str(error).partition(': ')[2]}") from error
    names = [file.rpartition("/")[2] for file in files]
    return [Unit(place, shard, len(names), columns, image_column, name) for shard, name in enumerate(names)]


def all_rows(unit: Unit, *, pictures: bool) -> Iterator[dict[str, Any]]:
    """The unit's rows in order, without pictures unless asked for: the columns of parquet files are read one by one."""
    columns = unit.text_columns + ((unit.image_column,) if pictures else ())
    with _readable_errors(unit.place):
        stream, _ = _open(unit.place, columns)
        shard = stream.shard(num_shards=unit.num_shards, index=unit.shard).with_format("arrow")
        for table in shard.iter(batch_size=ROWS_PER_BATCH if pictures else 4096):
            yield from table.select(columns).to_pylist()


def rows(unit: Unit, wanted: Iterable[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The unit's rows with the given numbers, pictures included, in order; numbers that it has no row for are left out.

    Only the row groups with a wanted row are read.
    """
    numbers = sorted(set(wanted))
    if not numbers:
        return
    for first, table in _around(unit, numbers):
        here = _within(numbers, first, first + table.num_rows)
        if here:  # mostly none: few rows are wanted, and arrow takes no untyped empty list
            found = table.take(pa.array([number - first for number in here], pa.int64()))
            yield from zip(here, found.to_pylist(), strict=True)


def _around(unit: Unit, numbers: Sequence[int]) -> Iterator[tuple[int, pa.Table]]:
    """Tables that hold the rows with the given ascending numbers, each with the number of its first row."""
    columns = (*unit.text_columns, unit.image_column)
    with _readable_errors(unit.place):
        stream, files = _open(unit.place, columns)
        schema = stream.features.arrow_schema  # to which `datasets` casts in `all_rows` too: the text must be the same
        with xopen(files[unit.shard], "rb") as file, pq.ParquetFile(file) as parquet:
            end = 0
            for group in range(parquet.num_row_groups):
                first, end = end, end + parquet.metadata.row_group(group).num_rows
                if not _within(numbers, first, end):
                    continue
                for batch in parquet.iter_batches(ROWS_PER_BATCH, row_groups=[group], columns=list(columns)):
                    yield first, table_cast(pa.Table.from_batches([batch]), schema).select(columns)
                    first += batch.num_rows


def _within(numbers: Sequence[int], first: int, end: int) -> Sequence[int]:
    """Those of the ascending numbers with first <= number < end."""
    return numbers[bisect_left(numbers, first) : bisect_left(numbers, end)]


def fingerprint(place: Place) -> list[tuple[str, int]]:
    """Names and sizes of the files of a local source; of the hub, just the id."""
    folder = _local(place.path)
    if folder is None:
        return [(place.path, 0)]
    files = [folder] if folder.is_file() else sorted(folder.rglob("*.parquet"))
    return [(str(file.relative_to(folder)) if folder.is_dir() else file.name, file.stat().st_size) for file in files]


@functools.lru_cache(maxsize=8)
def _open(place: Place, columns: tuple[str, ...] | None) -> tuple[datasets.IterableDataset, tuple[str, ...]]:
    """The rows as a stream, and paths or addresses of the parquet files, one a shard."""
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    options = {} if columns is None else {"columns": list(columns)}
    folder = _local(place.path)
    if folder is not None and (folder.is_file() or not _has_card(folder)):
        builder = datasets.load_dataset_builder("parquet", data_files={place.split: _files(place, folder)}, **options)
    else:
        repo, revision = _repo(place.path)
        name = place.config or None
        builder = datasets.load_dataset_builder(str(folder or repo), name=name, revision=revision, **options)
    if builder.name != "parquet":
        raise BuildError(f"{place}: its files are of the kind {builder.name}; give a copy of it in parquet files")
    stream = builder.as_streaming_dataset(split=place.split)  # what `load_dataset` does with streaming=True
    return stream, tuple(builder.config.data_files[place.split])


def _files(place: Place, folder: Path) -> list[str]:
    """The parquet files of the split: `train-*.parquet`, or all if none is named after a split."""
    if folder.is_file():
        return [str(folder)]
    inner = folder / place.config if place.config else folder
    found = sorted(inner.rglob("*.parquet"))
    named = [file for file in found if file.name.startswith((f"{place.split}-", f"{place.split}."))]
    others = [file for file in found if not _split_of(file)]
    if not named and not others:
        what = f"no parquet file of the split {place.split}" if found else "no parquet file"
        raise BuildError(f"{place}: {inner} has {what}")
    return [str(file) for file in named or others]


def _split_of(file: Path) -> str:
    """The split that a file is named after, as in `train-00000-of-00002.parquet`; "" if none."""
    name = file.name.split(".")[0].split("-")[0]
    return name if name in _SPLITS else ""


def _schema(stream: datasets.IterableDataset) -> pa.Schema:
    if stream.features is not None:
        return stream.features.arrow_schema
    for table in stream.with_format("arrow").iter(batch_size=1):
        return table.schema
    raise BuildError("the set is empty")


def _local(path: str) -> Path | None:
    """The path if it means something on this disk. `owner/name` that does not exist here is a hub id."""
    local = Path(path).expanduser()
    if local.exists():
        return local
    looks_local = path.startswith((".", "/", "~")) or path.endswith(".parquet") or path.count("/") != 1
    if looks_local:
        raise BuildError(f"{path}: no such file or folder")
    return None


def _has_card(folder: Path) -> bool:
    """A copy of a hub repository says in its card which files are which config."""
    card = folder / "README.md"
    return card.is_file() and "configs:" in card.read_text(encoding="utf-8", errors="replace")


def _repo(path: str) -> tuple[str, str | None]:
    repo, _, revision = path.partition("@")
    return repo, revision or None


def _ask_hub(place: Place) -> None:
    """Raises `BuildError` at once for what the hub does not give: `datasets` would try for half a minute."""
    if _local(place.path) is None and not offline() and (why := why_not_on_hub(place.path, "dataset")):
        raise BuildError(f"{place}: can't be had ({why}); {_instead(place)}")


def _instead(place: Place) -> str:
    return (
        f"download it where there is network (hf download {_repo(place.path)[0]} --repo-type dataset --local-dir DIR) "
        f"and give {place.key}=DIR"
    )


@contextmanager
def _readable_errors(place: Place) -> Iterator[None]:
    """What `datasets` complains of, as one line with the remedy."""
    try:
        yield
    except BuildError:
        raise
    except Exception as error:
        first = next(iter(str(error).splitlines()), "")
        if isinstance(error, datasets.exceptions.DatasetNotFoundError):
            raise BuildError(
                f"{place}: the hub has no such data set, or it needs a login (hf auth login); the id is owner/name"
            ) from error
        if isinstance(error, ConnectionError) or "OfflineMode" in type(error).__name__:
            switches = (os.environ.get(name, "0") for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"))
            wanted = any(value not in ("", "0") for value in switches)
            why = "HF_HUB_OFFLINE is set" if wanted else "no network, or the hub does not answer"
            raise BuildError(f"{place}: can't be reached ({why}); {_instead(place)}") from error
        if isinstance(error, ValueError) and "split" in first.lower():
            raise BuildError(f"{place}: no split {place.split!r}: {first}") from error
        raise BuildError(f"{place}: can't be read: {type(error).__name__}: {first[:300]}") from error
