"""The one engine behind the keys of `zppo`, of the data commands and of the study: typed groups, one line a mistake.

A group of keys is a pydantic model. Types are strict: a whole number serves as a number, nothing else is converted.
"""

import difflib
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError, core_schema


class Group(BaseModel):
    """A group of keys. The text below a key says what it means."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, str_min_length=1, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, node: Any) -> Any:
        """Before the values are looked at: a misspelt key is the likelier cause of two mistakes."""
        for key in node if isinstance(node, Mapping) else ():
            if key not in cls.model_fields:
                raise PydanticCustomError("unknown_key", "unknown", {"key": key, "known": list(cls.model_fields)})
        return node


def key(
    default: Any = ..., meaning: str | None = None, *, paper: str = "", used: Callable | None = None, **bounds: float
) -> Any:
    """A key with more than a default; without one it must be given. A default is not checked, null is within bounds.

    Args:
        meaning: what it means, where there is no text below the key.
        paper: its symbol, and where the paper has it.
        used: whether the method of a `ZPPOConfig` uses it; None: as its group.
        bounds: `ge`, `gt`, `le`.
    """
    return Field(default, description=meaning, json_schema_extra={"paper": paper, "used": used}, **bounds)


@dataclass(frozen=True)
class DescribedAs:
    """For `Annotated`: `what` is expected, whatever is wrong with the value. An item's own description goes first."""

    what: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_wrap_validator_function(self._check, handler(source))

    def _check(self, value: Any, handler: Callable[[Any], Any]) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            if error.errors()[0]["type"] == "expected":
                raise
            raise self.error() from None

    def error(self) -> PydanticCustomError:
        return PydanticCustomError("expected", "expected {what}", {"what": self.what})


# ---------------------------------------------------------------------- what a key takes, in words

_TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list"}
_BOUNDS = {"ge": "at least", "gt": "greater than", "le": "at most"}


def plain_type(hint: Any) -> Any:
    """Without null and annotations."""
    while isinstance(hint, UnionType) or typing.get_origin(hint) in (Annotated, typing.Union):
        hint = typing.get_args(hint)[0]
    return hint


def takes_null(hint: Any) -> bool:
    return NoneType in typing.get_args(hint)


def choices(hint: Any) -> tuple[str, ...]:
    """What may be chosen from; empty for a type without choices."""
    hint = plain_type(hint)
    return typing.get_args(hint) if typing.get_origin(hint) is Literal else ()


def is_group(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Group)


def type_in_words(hint: Any, notes: Iterable[Any] = ()) -> str:
    """The type of a key, null left out. `notes`: what `Annotated` adds, where pydantic has taken it off the type."""
    inner = (hint, *typing.get_args(hint)[:1])
    for note in (*notes, *(note for part in inner for note in getattr(part, "__metadata__", ()))):
        if isinstance(note, DescribedAs):
            return note.what
    if names := choices(hint):
        return f"one of {', '.join(names)}"
    hint = plain_type(hint)
    return _TYPES.get(typing.get_origin(hint) or hint, "a group of keys")


def bounds_in_words(field: FieldInfo) -> str:
    """`at least 0.0 and at most 1.0`, or nothing."""
    limits = {name: getattr(note, name) for note in field.metadata for name in _BOUNDS if hasattr(note, name)}
    return " and ".join(f"{words} {limits[name]}" for name, words in _BOUNDS.items() if name in limits)


# ---------------------------------------------------------------------- what is said of a mistake


def first_mistake(
    error: ValidationError, model: type[Group], root: str = "", typed: Mapping[str, str] | None = None
) -> str:
    """The first mistake as one line that names the key.

    Args:
        root: the trainer's key that `model` stands at; empty for the keys of a command, which words it shorter.
        typed: texts of a command line, to show in place of the values that were read from them.
    """
    mistake = error.errors(include_url=False)[0]
    kind, value, context = mistake["type"], mistake["input"], mistake.get("ctx", {})
    names = [part for part in mistake["loc"] if isinstance(part, str)]
    name = ".".join([root, *names] if root else names)
    where = name and f"{name}: "
    if kind == "unknown_key":
        return unknown_key(context["key"], context["known"], name, full=bool(root))
    if kind == "value_error":
        return f"{where}{context['error']}"
    field, hint = _at(model, mistake["loc"])
    if kind == "missing":
        return f"{where}needed; {field.description}"
    seen = shown(value if typed is None else typed[names[0]])
    if kind == "literal_error" and value is not None:
        return f"{where}{seen} is not one of {', '.join(choices(hint))}"
    if kind in ("greater_than", "greater_than_equal", "less_than_equal"):
        value = type(*context.values())(value)  # as the bound: 0 for a number is 0.0
        bounds = bounds_in_words(field)
        return where + (f"{value} is out of range; it must be {bounds}" if root else f"expected {bounds}, got {value}")
    what = context.get("what") or type_in_words(hint)
    if root and value is None and kind != "model_type":
        return f"{where}must not be null; set {what}"
    or_null = " or null" if typed and kind != "expected" and takes_null(hint) else ""
    return f"{where}expected {what}{or_null}, got {seen}"


def _at(model: type[Group], location: Iterable[int | str]) -> tuple[FieldInfo, Any]:
    """The key that a mistake lies in, and the type of the very value: the key's, or that of an item in it."""
    field, hint = FieldInfo(), model
    for part in location:
        inner = plain_type(hint)
        if is_group(inner):
            field = inner.model_fields[str(part)]
        hint = field.annotation if is_group(inner) else typing.get_args(inner)[-1]
    return field, hint


def unknown_key(key: Any, known: Iterable[str], group: str, *, full: bool) -> str:
    """`full`: the key is shown with its group, `zppo.replay.size: unknown key`, not as `unknown key size`."""
    if full:
        return f"{group}.{key}: unknown key; {did_you_mean(key, known, f'{group}.', 'known keys')}"
    return f"{group and group + ': '}unknown key {key}; {did_you_mean(key, known)}"


def did_you_mean(
    name: Any, known: Iterable[str], before: str = "", otherwise: str = "known", likeness: float = 0.6
) -> str:
    """The closest of the known names, after `before`; all of them where none is close and `otherwise` is not empty.

    `likeness`: how alike two names are at least, from 0 to 1.
    """
    known = list(known)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=likeness)
    return f"did you mean {before}{close[0]}?" if close else otherwise and f"{otherwise}: {', '.join(known)}"


def shown(value: Any) -> str:
    """One line, and short."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
