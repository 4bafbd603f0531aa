"""The plan as a page of text, by `rich`."""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from recipe.zppo.dry_run.planning import Plan


def render(plan: Plan, width: int | None = None) -> str:
    """Text of the page, `width` columns wide (default: the terminal's, within 80 and 120)."""
    width = width or min(120, max(80, shutil.get_terminal_size((100, 0)).columns))
    console = Console(file=io.StringIO(), width=width, highlight=False)
    if plan.layout and plan.hardware:
        console.print(Text(f"Placement ({plan.hardware.source})"))
        for node, shares in plan.layout.by_node():
            parts = ", ".join(f"{slots} {name}" for name, slots in shares.items())
            console.print(Text(f"  node {node}: {parts}"))
    for title, lines in (("problem", plan.problems), ("warning", plan.warnings), ("not checked", plan.not_checked)):
        for line in lines:
            console.print(Text(f"{title}: {line}"), soft_wrap=True)
    console.print(Text("would not run" if plan.problems else "would run"))
    return console.file.getvalue()
