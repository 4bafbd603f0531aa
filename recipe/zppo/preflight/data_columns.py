"""Checks of the names that the user gives for columns (`data.columns`)."""

from collections import Counter

import pyarrow as pa
from omegaconf import DictConfig, OmegaConf
from pydantic import ValidationError

from recipe.zppo.config.engine import first_mistake
from recipe.zppo.config.run_keys import ColumnsConfig
from recipe.zppo.errors import ConfigError
from recipe.zppo.on_verl.columns import Columns
from recipe.zppo.on_verl.row_files import read_schema
from recipe.zppo.preflight.data_files import data_files, local_files

DATA_SET = "pkg://recipe.zppo.on_verl.dataset"


def check_columns(data: DictConfig) -> None:
    """
    Raises:
        ConfigError: a name is no text, stands for two columns, or would do nothing under a data set of the user's own;
            there is no data set that knows ids.
    """
    if not data.custom_cls.path:
        raise ConfigError(
            f"data.custom_cls.path: must be set; verl's own data set has no ids of prompts ({DATA_SET} is the default)"
        )
    node = OmegaConf.to_container(data.columns, resolve=True)
    try:
        columns = ColumnsConfig.model_validate(node)
    except ValidationError as error:
        raise ConfigError(first_mistake(error, ColumnsConfig, "data.columns")) from None
    given = {key: name for key, name in columns.model_dump().items() if name is not None}
    name, times = next(iter(Counter(given.values()).most_common(1)), ("", 0))
    if times > 1:
        keys = [f"data.columns.{key}" for key, value in given.items() if value == name]
        raise ConfigError(f"{keys[1]}: {name} is {keys[0]} already; a column stands for one thing")
    if given and data.custom_cls.path != DATA_SET:
        raise ConfigError(
            f"data.columns.{next(iter(given))}: it would do nothing under a data set of your own "
            f"(data.custom_cls.path={data.custom_cls.path}), which reads the files; leave one of the two"
        )


def check_named_columns(data: DictConfig) -> None:
    """Every column that the user names is in some file; of files that are not on this machine nobody knows.

    Raises:
        ConfigError: none has it, so that the name would do nothing.
    """
    given = {key: name for key, name in (data.get("columns") or {}).items() if name}
    keys = ("train_files", "val_files")
    if not given or any("://" in file for key in keys for file in data_files(data, key)):
        return
    answers = Columns(data).answers
    try:
        there = {name for key in keys for file in local_files(data, key) for name in read_schema(file, answers).names}
    except (pa.ArrowException, OSError):
        return  # other checks say so
    for key, name in given.items():
        if name not in there:
            raise ConfigError(
                f"data.columns.{key}: no file has a column {name!r}; they have {', '.join(sorted(there))}"
            )
