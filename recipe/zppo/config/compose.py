"""Where Hydra finds `zppo_trainer`: our config folder, then verl's, from every working directory.

A search-path plug-in, not `hydra.searchpath` in zppo_trainer.yaml: Hydra accepts that key in the primary config only,
so a user's own config that inherits `zppo_trainer` could not be composed.
"""

from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig

from recipe.zppo.config.paths import CONFIG_DIR, verl_config_dir
from recipe.zppo.config.read_once import SCHEME, ReadOnce
from recipe.zppo.config.validation import check_key


class ZPPOSearchPath(SearchPathPlugin):
    """Appends the folder that holds zppo_trainer.yaml, and verl's config package."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        ours, verls = (f"{SCHEME}://{folder}" for folder in (CONFIG_DIR, verl_config_dir()))
        for element in search_path.get_path():
            if element.path.removeprefix("file://") == str(CONFIG_DIR):  # the command's own
                element.path = ours
        search_path.append(provider="open-zppo", path=ours)
        search_path.append(provider="verl", path=verls)


def register_search_path() -> None:
    """Make `zppo_trainer` known to Hydra in this process; calling it again changes nothing."""
    Plugins.instance().register(ReadOnce)
    Plugins.instance().register(ZPPOSearchPath)


def check_overrides(arguments: Sequence[str]) -> None:
    """Raise ConfigError for a `zppo.` key that is not in the schema.

    Hydra would refuse such a key too, but with the advice to add it with `+`, which can't work here.
    """
    for argument in arguments:
        key = argument.partition("=")[0].lstrip("+~")
        if key.startswith("zppo."):
            check_key(key)


def compose(
    overrides: Sequence[str] = (), config_name: str = "zppo_trainer", config_dir: Path = CONFIG_DIR
) -> DictConfig:
    """The config that `python -m verl.trainer.main_zppo <overrides>` would run with."""
    register_search_path()
    check_overrides(overrides)
    with hydra.initialize_config_dir(config_dir=str(config_dir), version_base=None):
        return hydra.compose(config_name, overrides=list(overrides))
