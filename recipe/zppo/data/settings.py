"""`key=value` command lines for small tools: the keys are those of a group, each mistake is one line."""

import sys
import typing
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import Field, ValidationError

from recipe.zppo.config.engine import DescribedAs, Group, first_mistake, plain_type, takes_null, unknown_key
from recipe.zppo.config.yaml_keys import in_yaml
from recipe.zppo.errors import ConfigError

Settings = TypeVar("Settings", bound=Group)
Names = Annotated[tuple[str, ...], Field(min_length=1), DescribedAs("a list such as [a,b]")]


def read_settings(kind: type[Settings], arguments: Sequence[str], usage: str) -> Settings:
    """The settings that the command line asks for; prints them all and exits with `--help`.

    Raises `ConfigError`, one line that names the key.
    """
    if any(argument in ("-h", "--help", "help") for argument in arguments):
        print(help_text(kind, usage))
        sys.exit(0)
    texts: dict[str, str] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals:
            raise ConfigError(f"{argument}: expected key=value; --help lists the keys")
        if name not in kind.model_fields:
            raise ConfigError(unknown_key(name, kind.model_fields, "", full=False))
        if name in texts:
            raise ConfigError(f"{name}: given twice")
        texts[name] = text
    values = {name: _value(text, kind.model_fields[name].annotation) for name, text in texts.items()}
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(first_mistake(error, kind, typed=texts)) from None


def help_text(kind: type[Group], usage: str) -> str:
    lines = [usage, "", "keys:"]
    for name, field in kind.model_fields.items():
        default = " (needed)" if field.is_required() else f" (default: {in_yaml(field.default)})"
        lines.append(f"  {name}: {field.description}{default}")
    return "\n".join(lines)


def _value(text: str, hint: Any) -> Any:
    """What a text of the command line stands for where a value of type `hint` is asked for."""
    if takes_null(hint) and text in ("null", "none", ""):
        return None
    wanted = plain_type(hint)
    if wanted in (int, float, bool) or typing.get_origin(wanted) is tuple:
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            return text
        if typing.get_origin(wanted) is tuple:
            value = value.split(",") if isinstance(value, str) else value
            return tuple(value) if isinstance(value, list) else value
        return value
    return text
