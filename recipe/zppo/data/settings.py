"""`key=value` command lines for small tools: the fields of a dataclass are the keys, each mistake is one line."""

import dataclasses
import difflib
import sys
import types
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

import yaml

from recipe.zppo.errors import ConfigError

Settings = TypeVar("Settings")
_HELP = "help"
_CHOICES = "choices"
_LEAST = "least"


NEEDED = dataclasses.MISSING
"""As a default: the key must be given."""


def key(default: Any, help: str, *, choices: Sequence[str] | None = None, least: float | None = None) -> Any:
    """A field of a settings class. `least` is the smallest number allowed."""
    metadata = {_HELP: help, _CHOICES: choices, _LEAST: least}
    return dataclasses.field(default=default, metadata=metadata)


def read_settings(kind: type[Settings], arguments: Sequence[str], usage: str) -> Settings:
    """The settings that the command line asks for; prints them all and exits with `--help`.

    Raises:
        ConfigError: one line that names the key.
    """
    if any(argument in ("-h", "--help", "help") for argument in arguments):
        print(help_text(kind, usage))
        sys.exit(0)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals:
            raise ConfigError(f"{argument}: expected key=value; --help lists the keys")
        if name not in fields:
            close = difflib.get_close_matches(name, fields, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(fields)}"
            raise ConfigError(f"unknown key {name}; {hint}")
        if name in values:
            raise ConfigError(f"{name}: given twice")
        values[name] = _value(name, text, hints[name])
        _check_bounds(fields[name], values[name])
    for name, field in fields.items():
        if field.default is NEEDED and name not in values:
            raise ConfigError(f"{name}: needed; {field.metadata[_HELP]}")
    return kind(**values)


def help_text(kind: type, usage: str) -> str:
    lines = [usage, "", "keys:"]
    for field in dataclasses.fields(kind):
        default = " (needed)" if field.default is NEEDED else f" (default: {_shown(field.default)})"
        lines.append(f"  {field.name}: {field.metadata[_HELP]}{default}")
    return "\n".join(lines)


def _value(name: str, text: str, hint: Any) -> Any:
    optional = isinstance(hint, types.UnionType)
    allowed = tuple(part for part in typing.get_args(hint) if part is not type(None)) if optional else (hint,)
    if optional and text in ("null", "none", ""):
        return None
    (wanted,) = allowed
    if wanted is str and text:
        return text
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = None
    if wanted == tuple[str, ...]:
        value = value.split(",") if isinstance(value, str) else value
        if isinstance(value, list) and value and all(isinstance(item, str) and item for item in value):
            return tuple(value)
        raise ConfigError(f"{name}: expected a list such as [a,b], got {text!r}")
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, wanted) and not (wanted is int and isinstance(value, bool)):
        return value
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    raise ConfigError(f"{name}: expected {names[wanted]}{' or null' if optional else ''}, got {text!r}")


def _check_bounds(field: dataclasses.Field, value: Any) -> None:
    choices, least = field.metadata[_CHOICES], field.metadata[_LEAST]
    if choices and value is not None and value not in choices:
        raise ConfigError(f"{field.name}: {value!r} is not one of {', '.join(choices)}")
    if least is not None and value is not None and value < least:
        raise ConfigError(f"{field.name}: expected at least {least}, got {value}")


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
