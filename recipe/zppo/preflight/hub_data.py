"""Data sets of the hub as files on this machine. What is in the caches of `huggingface_hub` and `datasets` needs no
network.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import datasets
from datasets.naming import camelcase_to_snakecase
from huggingface_hub import snapshot_download

from recipe.zppo.errors import ConfigError, first_line
from recipe.zppo.on_verl.row_files import ENDINGS
from recipe.zppo.preflight.hub import why_not_on_hub
from recipe.zppo.run.files import write_atomically

_ADDRESS = re.compile(r"([^/@]+/[^/@]+)(?:@(refs/(?:convert|pr)/[^/]+|[^/]+))?/(.+)")
"""`OWNER/NAME`, a revision, a pattern. A revision has a slash where the hub made it, and others write it as %2F."""


def hub_files(address: str, key: str) -> list[str]:
    """The files that ``OWNER/NAME[@REVISION]/PATTERN`` names, in the order of their names.

    Raises:
        ConfigError: there are none, or the data set can't be reached.
    """
    if (match := _ADDRESS.fullmatch(address)) is None:
        raise ConfigError(f"{key}: hf://datasets/{address} names no file; expected hf://datasets/OWNER/NAME/FILE")
    name, revision, pattern = match[1], unquote(match[2] or ""), match[3]
    try:
        folder = snapshot_download(name, repo_type="dataset", revision=revision or None, allow_patterns=[pattern])
    except Exception as error:  # of the hub's, of its HTTP client, of the file system
        _ask_hub(name, revision, key)
        raise ConfigError(f"{key}: {name} can't be downloaded: {first_line(error)}") from error
    found = sorted(str(file) for file in Path(folder).glob(pattern) if file.name.endswith(ENDINGS))
    if not found:
        raise ConfigError(f"{key}: {name} has no .parquet, .json or .jsonl file {pattern}")
    return found


def hub_data_set(entry: str, splits: Sequence[str], key: str) -> str:
    """A parquet file with the first of the splits that ``OWNER/NAME[@REVISION][:CONFIG]`` has.

    `datasets` loads it, whatever its files are, and the parquet file is written into its cache.

    Raises:
        ConfigError: it has none of them, several configs of which none is named, or can't be reached.
    """
    name, _, config = entry.partition(":")
    name, _, revision = name.partition("@")
    owner, _, own = name.partition("/")
    revision = unquote(revision)
    if not Path(datasets.config.HF_DATASETS_CACHE, f"{owner}___{camelcase_to_snakecase(own)}").is_dir():
        _ask_hub(name, revision, key)
    for split in splits:
        try:
            found = datasets.load_dataset(name, config or None, split=split, revision=revision or None)
        except Exception as error:  # it raises what it likes
            if "Unknown split" in (message := first_line(error)):
                continue
            if "Config name is missing" in message:
                raise ConfigError(f"{key}: {name} has several configs; name one as {name}:CONFIG. {message}") from error
            raise ConfigError(f"{key}: {name} can't be loaded: {message}") from error
        file = Path(found.cache_files[0]["filename"]).with_suffix(".parquet")
        if not file.is_file():
            write_atomically(str(file), found.to_parquet)
        return str(file)
    raise ConfigError(f"{key}: {name} has no split {' or '.join(splits)}; name its files: hf://datasets/{name}/...")


def _ask_hub(name: str, revision: str, key: str) -> None:
    if why := why_not_on_hub(f"{name}@{revision}" if revision else name, "dataset"):
        raise ConfigError(f"{key}: {name} is neither a file or folder here nor in the hub's cache, and {why}")
