"""A Dockerfile as instructions by stage, and what .dockerignore keeps out: as much of either as ours use."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath


@dataclass
class Stage:
    name: str
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)
    """Keyword and the rest of the line, continuation lines joined."""

    def all(self, keyword: str) -> list[str]:
        return [rest for found, rest in self.instructions if found == keyword]


def read_stages(file: Path) -> list[Stage]:
    lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]
    stages = [Stage("", "")]  # what comes before the first FROM
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        keyword, _, rest = line.strip().partition(" ")
        if keyword == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(name, base))
        else:
            stages[-1].instructions.append((keyword, rest.strip()))
    return stages


def copied(stage: Stage) -> list[str]:
    """Sources of COPY instructions that come from the build's context."""
    sources = []
    for rest in stage.all("COPY"):
        words = [word for word in rest.split() if not word.startswith("--")]
        if "--from" not in rest:
            sources += words[:-1]
    return sources


def is_ignored(path: str, patterns: list[str]) -> bool:
    """The last pattern that matches the path, or a folder above it, decides."""
    parts = PurePosixPath(path).parts
    ignored = False
    for pattern in patterns:
        keep = pattern.startswith("!")
        expression = _expression(pattern.removeprefix("!"))
        above = ["/".join(parts[: i + 1]) for i in range(len(parts))]
        if any(expression.fullmatch(prefix) for prefix in above):
            ignored = not keep
    return ignored


def _expression(pattern: str) -> re.Pattern[str]:
    text = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
    return re.compile(text.replace(r"\[", "[").replace(r"\]", "]"))
