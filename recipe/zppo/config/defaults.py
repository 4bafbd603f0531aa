"""A composed configuration held against the defaults: unknown keys, and values of another type.

Hydra refuses an unknown key on the command line. It accepts one in a file, and one with `+`, where a misspelt key does
nothing at all; and it knows no types. verl would find a wrong one in its workers, minutes later, or never.
"""

import re
import sys
from collections.abc import Collection, Iterator

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from recipe.zppo.config.engine import did_you_mean, shown
from recipe.zppo.errors import ConfigError

_SURELY_MISSPELT = 0.9
"""How alike an unknown key and a known one are, as `difflib` counts; what is less alike may be meant."""

_OPEN = re.compile(r"override_\w*config|(engine|template|reward|processor|sampler)_kwargs|kw_args|runtime_env")
"""Nodes of keys that somebody else defines: a model's config, a server's arguments, the environment."""


def check_against_defaults(config: DictConfig, defaults: DictConfig, groups: Collection[str]) -> None:
    """
    Args:
        config: as composed.
        defaults: the same choices of groups with nothing else.
        groups: names under which files are chosen, such as `method`.

    Raises:
        ConfigError: a group's name is a key of a file, where it chooses nothing; a key looks like a misspelt one; a
            value is of another type than its default.
    """
    for name in groups:
        if name in config and name not in defaults:
            raise ConfigError(
                f"{name}: as a key of a config file it chooses nothing; write '- override /{name}: {config[name]}' in "
                f"the file's defaults list, after zppo_trainer, or {name}={config[name]} on the command line"
            )
    unknown = []
    for path, key, known in _unknown(config, defaults, ""):
        full = f"{path}{key}"
        if guess := did_you_mean(key, known, path, otherwise="", likeness=_SURELY_MISSPELT):
            raise ConfigError(f"{full}: unknown key; {guess}")
        unknown.append(full)
    if unknown:
        print(f"zppo: neither ZPPO's defaults nor verl's have these keys: {', '.join(unknown)}", file=sys.stderr)
    for key, expected, value in _of_another_type(config, defaults, ""):
        raise ConfigError(f"{key}: expected {expected}, got {shown(value)}")


def _unknown(config: DictConfig, defaults: DictConfig, path: str) -> Iterator[tuple[str, str, list[str]]]:
    """Path, key and its known neighbours, of keys beyond the defaults. `zppo` has a schema; some nodes are open."""
    known = [str(key) for key in defaults.keys()]  # noqa: SIM118 (`in` does not see mandatory ones)
    for key in config:
        if str(key) not in known:
            if known:
                yield path, str(key), known
        elif f"{path}{key}" == "zppo" or _OPEN.search(str(key)):
            continue
        elif OmegaConf.is_dict(_node(config, key)) and OmegaConf.is_dict(_node(defaults, key)):
            yield from _unknown(config[key], defaults[key], f"{path}{key}.")


def _of_another_type(config: DictConfig, defaults: DictConfig, path: str) -> Iterator[tuple[str, str, object]]:
    """Key, what it takes, its value. null serves for all but groups of keys, and for a text any value. Within `zppo` a
    schema says it, and what points to another key has that one's value.
    """
    for key in defaults:
        within_schema = f"{path}{key}" == "zppo" and OmegaConf.is_dict(_node(config, key))
        if within_schema or key not in config or OmegaConf.is_interpolation(config, key):
            continue
        if OmegaConf.is_dict(_node(defaults, key)):
            if OmegaConf.is_dict(_node(config, key)):
                yield from _of_another_type(config[key], defaults[key], f"{path}{key}.")
            elif OmegaConf.select(config, str(key)) is not None or len(defaults[key]):
                yield f"{path}{key}", "a group of keys", config[key]
            continue
        if OmegaConf.is_missing(defaults, key):
            continue
        default, value = defaults[key], config[key]
        if value is None:
            continue
        if isinstance(default, bool):
            if not isinstance(value, int):
                yield f"{path}{key}", "true or false", value
        elif isinstance(default, int):
            if not isinstance(value, int) or isinstance(value, bool):
                yield f"{path}{key}", "a whole number", value
        elif isinstance(default, float) and (not isinstance(value, int | float) or isinstance(value, bool)):
            yield f"{path}{key}", "a number", value


def _node(config: DictConfig, key: object) -> object:
    """A child; None where it is mandatory and not set, or points to such a one."""
    try:
        return config[key]
    except OmegaConfBaseException:
        return None
