"""Overrides of the trainer's config: made from settings, and compared."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def override(key: str, value: Any) -> str:
    """``key=value`` in Hydra's grammar; texts are quoted, so that paths may hold anything."""
    return f"{key}={_literal(value)}"


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested settings, in their order."""
    for key, value in settings.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{path}.")
        else:
            yield path, value


def effective(overrides: Sequence[str]) -> dict[str, str]:
    """What a list of overrides comes to, by key: a later one wins, and the order of the keys does not matter."""
    final: dict[str, str] = {}
    for text in overrides:
        key, _, value = text.partition("=")
        final[key.strip().lstrip("+")] = value.strip()
    return dict(sorted(final.items()))


def _literal(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_literal(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_literal(item)}" for key, item in value.items()) + "}"
    return _quoted(str(value))


def _quoted(text: str) -> str:
    # To Hydra a backslash is only special before a quote, and at the end.
    escaped = re.sub(r"(\\*)(?='|$)", r"\1\1", text).replace("'", "\\'")
    return f"'{escaped}'"
