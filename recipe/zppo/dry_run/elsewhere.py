"""A plan for other machines: what is not on this one is left unchecked, and said."""

import glob
from pathlib import Path

from omegaconf import DictConfig, ListConfig, open_dict

from recipe.zppo.errors import ConfigError
from recipe.zppo.preflight.batch import check_enough_rows
from recipe.zppo.preflight.data_folders import list_entries

KEYS = ("train_files", "val_files")
ELSEWHERE = "elsewhere://"
"""What data files that are not here are named: checks leave files of another file system alone."""


def leave_out_data(config: DictConfig, questions: int) -> list[str]:
    """Names data files that are not here as such, in `config`; a line for each key that has some.

    Args:
        questions: what steps are counted from instead.
    """
    lines = []
    for key in KEYS:
        files = _named(config, key)
        here = {file: "://" in file or _is_here(file) for file in files}
        absent = [file for file in files if not here[file]]
        if not absent and files:
            continue
        named = f"{absent[0]} is not on this machine" if absent else "no file is named"
        counted = f"; steps are counted from zppo.plan.questions={questions}" if key == "train_files" else ""
        lines.append(f"data.{key}: {named}{counted}")
        with open_dict(config.data):
            config.data[key] = [file if here[file] else f"{ELSEWHERE}{file}" for file in files] or [ELSEWHERE]
    return lines


def _is_here(file: str) -> bool:
    """A file, a folder, or a pattern that matches one. A data set of the hub is not."""
    path = Path(file).expanduser()
    return path.exists() or bool(glob.glob(str(path)))


def put_files(config: DictConfig) -> list[str]:
    """Puts files in the place of folders, patterns and data sets of the hub, in `config`.

    Gives a problem for each key with which that fails. No more is said of its files.
    """
    problems = []
    for key in KEYS:
        try:
            list_entries(config.data, key)
        except ConfigError as error:
            problems.append(str(error))
            with open_dict(config.data):
                config.data[key] = [f"{ELSEWHERE}{file}" for file in _named(config, key)]
    return problems


def _named(config: DictConfig, key: str) -> list[str]:
    value = config.data.get(key)
    return [str(file) for file in (value if isinstance(value, ListConfig | list) else [value]) if file]


def too_few(config: DictConfig, questions: int) -> list[str]:
    """A problem if so many questions do not give the steps that are asked for."""
    try:
        check_enough_rows(config, questions)
    except ConfigError as error:
        return [str(error).replace(" training rows", " zppo.plan.questions").replace(" rows", " questions")]
    return []
