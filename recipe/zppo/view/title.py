"""What stands over a picture or a table: the run's name, and the method that it trains with."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from recipe.zppo.methods import METHODS, WALK
from recipe.zppo.run.folder import RunFolder
from recipe.zppo.types import Kind

NAME_LIMIT = 36
"""Characters of a name that are shown; of a longer one its beginning and its end."""


def run_title(folder: RunFolder) -> str:
    """Such as ``my_run · ZPPO``: the folder's name, and the method of its last start."""
    return f"{shown(folder.path.name)} · {method_name(folder) or 'method not recorded'}"


def print_title(folder: RunFolder, console: Console) -> None:
    """The same as a line over a table."""
    console.print(Text(run_title(folder)), highlight=False, soft_wrap=True)


def method_name(folder: RunFolder) -> str | None:
    """Of the last start; None for a run from before its configuration was kept."""
    keys = folder.setting("zppo", None)
    return method_of(keys) if isinstance(keys, dict) else None


def told_apart(titles: Sequence[str], folders: Sequence[Path | None]) -> list[str]:
    """The titles; with the folder around each one's folder where two are alike."""
    if len(set(titles)) == len(titles):
        return list(titles)
    places = [f"{shown(folder.parent.name)}/" if folder else "" for folder in folders]
    return [f"{place}{title}" for place, title in zip(places, titles, strict=True)]


def method_of(zppo: Mapping[str, Any]) -> str:
    """The paper's name of the method (Tables 3 and 10), from the keys below ``zppo``; † means with replay buffer."""
    parts: dict[str, Mapping[str, Any]] = {
        name: zppo.get(name) or {} for name in ("replay", "reformulation", "distillation")
    }
    replays, chosen = bool(parts["replay"].get("enable")), parts["reformulation"]
    dagger = "†" if replays else ""
    if (mode := parts["distillation"].get("mode", "none")) != "none":
        return {"off_policy": "Off-Distill", "on_policy": "On-Distill"}.get(mode, str(mode)) + dagger
    kinds = [kind for kind in WALK if chosen.get("enable") and chosen.get(kind.value)]
    if kinds == [Kind.BCQ, Kind.NCQ]:
        return "ZPPO" if replays else "GRPO + Both"
    if replays and kinds in ([Kind.HINT], [Kind.PREFIX]):
        return METHODS[kinds[0]].label.capitalize()
    return " + ".join([f"GRPO{dagger}", *(METHODS[kind].label for kind in kinds)])


def shown(text: str, limit: int = NAME_LIMIT) -> str:
    """A name that somebody else chose, as one line of at most `limit` characters that matplotlib puts in a legend."""
    text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    if len(text) > limit:
        end = (limit - 1) // 2
        text = f"{text[: limit - 1 - end]}…{text[-end:]}"
    return f" {text}" if text.startswith("_") else text


def all_shown(names: Iterable[str], limit: int = NAME_LIMIT) -> list[str]:
    """The same for several, with a number where two would look alike."""
    found: list[str] = []
    for name in names:
        label = shown(name, limit)
        found.append(label if label not in found else f"{label} ({len(found) + 1})")
    return found
