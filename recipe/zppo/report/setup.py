"""What a run was started with: its configuration, versions and data; of several runs, where they differ."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recipe.zppo.run.folder import RunFolder

SHOWN_PACKAGES = ("open-zppo", "verl", "torch", "transformers", "vllm", "ray", "numpy", "TransferQueue")
_LENGTH = 400
"""Characters of a value."""


def configuration(folder: RunFolder) -> dict[str, str]:
    """Dotted keys of the last start, with values as JSON."""
    return {key: _shown(value) for key, value in _flat(folder.configuration(), "")}


def versions(folder: RunFolder) -> dict[str, str]:
    """When and with what the last start was made."""
    start: dict[str, Any] = next(reversed(folder.starts()), {})
    code = start.get("code")
    packages = _packages(start)
    found = {
        "started": start.get("time"),
        "command": start.get("command"),
        "commit": f"{code.get('commit')}{' with changes' * bool(code.get('changed'))}"
        if isinstance(code, dict)
        else None,
        "Python": start.get("python"),
        **{name: packages[name] for name in SHOWN_PACKAGES if name in packages},
    }
    for key, each in (start.get("data") or {}).items():
        found[f"data.{key}"] = ", ".join(
            f"{file.get('file')} ({str(file.get('hash_of_ends', 'not hashed'))[:12]})" for file in each
        )
    return {name: str(value)[:2000] for name, value in found.items() if value}


def differences(sides: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Keys whose values are not the same on all sides, each side's value; "–" where it has none."""
    keys = dict.fromkeys(key for side in sides for key in side)
    rows = {key: [side.get(key, "–") for side in sides] for key in keys}
    return {key: values for key, values in rows.items() if len(set(values)) > 1}


def packages(folder: RunFolder) -> dict[str, str]:
    """All that was installed at the last start."""
    return _packages(next(reversed(folder.starts()), {}))


def _packages(start: Mapping[str, Any]) -> dict[str, str]:
    found = start.get("packages")
    return {str(name): str(version) for name, version in found.items()} if isinstance(found, dict) else {}


def _flat(node: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LENGTH else f"{text[:_LENGTH]}…"
