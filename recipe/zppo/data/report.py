"""What a build kept and dropped, as a table."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from recipe.zppo.data.gold_answers import told


def print_report(report: Mapping[str, Any], out: str) -> None:
    """A line for each sub-set with its counts and reasons; what was read and not used below."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for name in ("sub-set", "cap", "read", "kept", "dropped"):
        table.add_column(name, justify="right" if name in ("cap", "read", "kept") else "left", overflow="fold")
    for name, entry in sorted(report["subsets"].items(), key=lambda item: (item[1]["tier"], item[0])):
        counts = (str(entry[column]) for column in ("cap", "read", "kept"))
        table.add_row(Text(name), *counts, _reasons(entry["dropped"]))
    read = sum(entry["read"] for entry in report["subsets"].values())
    table.add_row("all", "", str(read), str(report["rows"]), _reasons(report["dropped"]), style="bold")
    console.print(table)
    for source, counts in report["unlisted"].items():
        names = ", ".join(f"{name or '(none)'} {count}" for name, count in counts.items())
        console.print(f"{source}: rows of sub-sets that are not part of the corpus: {names}", markup=False)
    for source, names in report["configs_not_read"].items():
        if names:
            console.print(f"{source}: not part of the corpus, not read: {', '.join(names)}", markup=False)
    if report["questions_changed"]:
        console.print(
            f"directives were taken off {report['questions_changed']} question(s) that passed the checks of text"
        )
    if report["subsets_not_found"]:
        console.print(f"not found in the sources: {', '.join(report['subsets_not_found'])}", markup=False)
    for line in told(report["gold_answers"]) if "gold_answers" in report else ():  # older builds have none
        console.print(line, markup=False)
    console.print(f"{report['rows']} rows in {len(report['files'])} file(s) of {out}", markup=False)


def _reasons(dropped: Mapping[str, int]) -> Text:
    return Text(", ".join(f"{reason} {count}" for reason, count in sorted(dropped.items(), key=lambda item: -item[1])))
