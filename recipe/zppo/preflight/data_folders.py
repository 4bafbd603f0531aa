"""What may stand for data files: a folder, a pattern, a data set of the hub. Each becomes files of this machine."""

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from recipe.zppo.errors import ConfigError
from recipe.zppo.on_verl.row_files import ENDINGS
from recipe.zppo.preflight.hub_data import hub_data_set, hub_files

_NAMES = {"train_files": ("train",), "val_files": ("val", "test")}
"""What the files in a folder that are meant begin with; the second only if there is none of the first."""

_SPLITS = {"train_files": ("train",), "val_files": ("validation", "val", "test")}
"""Of a data set of the hub: the first that it has."""

HUB_SET = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./%-]+)?(:[\w.-]+)?")
"""`owner/name`, with `@revision` and `:config` if wanted."""
HUB_FILES = "hf://datasets/"


def list_folders(data: DictConfig) -> None:
    """Put files in the place of each folder, pattern and data set of the hub.

    - A folder stands for its parquet files: under `data.train_files` those named `train...`, under `data.val_files`
      those named `val...`, or else `test...`.
    - A pattern such as `data/*.parquet` stands for what it matches, in the order of the names.
    - `hf://datasets/OWNER/NAME/PATTERN` stands for files of a data set of the hub, `OWNER/NAME` or `OWNER/NAME:CONFIG`
      for its training or validation split. They are downloaded to the hub's cache.

    Raises:
        ConfigError: there is no such file, or the hub can't be reached and its cache does not have it.
    """
    for key in _NAMES:
        list_entries(data, key)


def list_entries(data: DictConfig, key: str) -> None:
    """`list_folders` for one of the two keys."""
    value = OmegaConf.select(data, key)
    entries = list(value) if isinstance(value, ListConfig) else [value]
    listed = [_listed(entry, key) for entry in entries]
    if listed != [[entry] for entry in entries]:
        with open_dict(data):
            data[key] = [file for files in listed for file in files]


def _listed(entry: object, key: str) -> list:
    if not isinstance(entry, str) or not entry:
        return [entry]  # refused by the checks
    path = Path(entry).expanduser()
    if path.is_dir():
        return _in_folder(path, entry, _NAMES[key], key)
    return files_of(entry, f"data.{key}", _SPLITS[key])


def files_of(entry: str, key: str, splits: Sequence[str] = _SPLITS["train_files"]) -> list[str]:
    """The files that a pattern or a data set of the hub stands for; anything else for itself, though it may not exist.

    Raises:
        ConfigError: see `list_folders`.
    """
    if entry.startswith(HUB_FILES):
        return hub_files(entry.removeprefix(HUB_FILES), key)
    path = Path(entry).expanduser()
    if "://" in entry or path.is_file():
        return [entry]
    if glob.has_magic(entry):
        if found := sorted(file for file in glob.glob(str(path), recursive=True) if Path(file).is_file()):
            return found
        raise ConfigError(f"{key}: no file is matched by {entry}")
    if HUB_SET.fullmatch(entry) and not entry.endswith(ENDINGS):
        return [hub_data_set(entry, splits, key)]
    return [entry]


def _in_folder(folder: Path, entry: str, beginnings: Sequence[str], key: str) -> list[str]:
    found = next((found for name in beginnings if (found := sorted(folder.glob(f"{name}*.parquet")))), None)
    if found is None:
        names = " or ".join(f"{name}*.parquet" for name in beginnings)
        raise ConfigError(f"data.{key}: the folder {entry} has no {names}")
    return list(map(str, found))
