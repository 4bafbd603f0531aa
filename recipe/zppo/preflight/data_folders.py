"""A folder among the data files stands for the parquet files in it, as builders of data write them."""

from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from recipe.zppo.errors import ConfigError

_NAMES = {"train_files": ("train",), "val_files": ("val", "test")}
"""What the files in a folder that are meant begin with; the second only if there is none of the first."""


def list_folders(data: DictConfig) -> None:
    """Puts the parquet files of a folder in its place, as in `data.train_files=data/zppo_77k`.

    Under `data.train_files` those named `train...`, under `data.val_files` those named `val...`, or else `test...`.

    Raises:
        ConfigError: a folder has no such file.
    """
    for key, beginnings in _NAMES.items():
        value = OmegaConf.select(data, key)
        files = list(value) if isinstance(value, ListConfig) else [value]
        folders = [isinstance(file, str) and "://" not in file and Path(file).expanduser().is_dir() for file in files]
        if not any(folders):
            continue
        listed: list[str] = []
        for file, is_folder in zip(files, folders, strict=True):
            if not is_folder:
                listed.append(file)
                continue
            folder = Path(file).expanduser()
            found = next((found for name in beginnings if (found := sorted(folder.glob(f"{name}*.parquet")))), None)
            if found is None:
                names = " or ".join(f"{name}*.parquet" for name in beginnings)
                raise ConfigError(f"data.{key}: the folder {file} has no {names}")
            listed += map(str, found)
        with open_dict(data):
            data[key] = listed
