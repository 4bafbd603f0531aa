"""Two sides on the same benchmarks (App. F.6): ``python -m recipe.zppo.compare A [B]``.

A side is the folder of a model's evaluation, the folder of a run, or ``paper:STUDENT/METHOD``. A run's benchmarks are
the data sources of its validation set. Of two runs the last validations are compared; of one run the first and the
last. Averages and intervals are by family. Exit status 2, with one line, where there is nothing to compare.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from statistics import fmean

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from recipe.zppo.bootstrap import Difference, bootstrap_difference
from recipe.zppo.config.ending import Arguments, command
from recipe.zppo.errors import DataError
from recipe.zppo.evaluate.paper import families
from recipe.zppo.evaluate.sides import Side, run_side, side
from recipe.zppo.evaluate.table import FAMILY_TITLES
from recipe.zppo.run.folder import RunFolder
from recipe.zppo.view.screen import Screen
from recipe.zppo.view.title import print_title, told_apart

_FEW = 8
"""Names that a message lists."""


def compare(first: Side, second: Side, console: Console) -> None:
    """Print both sides' scores by benchmark, and by family the means and the interval of their difference.

    Raises:
        DataError: no benchmark in common.
    """
    common = first.scores.keys() & second.scores.keys()
    if not common:
        raise DataError(f"no benchmark in common: {_few(first.scores)}; {_few(second.scores)}")
    titles = told_apart([first.label, second.label], [first.folder, second.folder])
    sides = [Column(Text(name)) for name in titles]  # Text: a bracket in a name is no markup
    table = Table("benchmark", *sides, "difference", box=None)
    for family, names in by_family(common).items():
        for name in names:
            _add(table, name, first.scores[name], second.scores[name])
        if len(names) > 1:
            before, after = (fmean(each.scores[name] for name in names) for each in (first, second))
            _add(table, f"{family} mean".strip(), before, after, style="bold")
    console.print(table)
    if left_out := sorted(first.scores.keys() ^ second.scores.keys()):
        console.print(f"measured on one side only: {', '.join(left_out)}", markup=False, highlight=False)
    for note in dict.fromkeys(each.note for each in (first, second) if each.note):
        console.print(note, markup=False, highlight=False)
    for family, result in intervals(first.scores, second.scores).items():
        console.print(f"{family}: ".lstrip(": ") + _said(result), highlight=False, soft_wrap=True)


def by_family(names: Iterable[str]) -> dict[str, list[str]]:
    """The paper's benchmarks by family, in the order of its tables; then the others, sorted, under no name."""
    of, names = families(), set(names)
    found = {
        title: [name for name in of if name in names and of[name].value == family]
        for family, title in FAMILY_TITLES.items()
    }
    found[""] = sorted(names - of.keys())
    return {family: kept for family, kept in found.items() if kept}


def intervals(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, Difference | None]:
    """The difference of the means by family (`by_family`), over what both have; None of one benchmark alone."""
    return {
        family: bootstrap_difference([first[name] for name in names], [second[name] for name in names])
        if len(names) > 1
        else None
        for family, names in by_family(first.keys() & second.keys()).items()
    }


def _said(result: Difference | None) -> str:
    if result is None:
        return "One benchmark: no interval over benchmarks."
    return (
        f"{result.mean:+.1f} points, 95% interval {result.low:+.1f} to {result.high:+.1f} (bootstrap over "
        f"{result.benchmarks} benchmarks); better on {result.won}"
    )


def _add(table: Table, name: str, first: float, second: float, style: str = "") -> None:
    table.add_row(Text(name), f"{first:.1f}%", f"{second:.1f}%", f"{second - first:+.1f}", style=style)


def _few(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:_FEW]) + (f" and {len(listed) - _FEW} more" if len(listed) > _FEW else "")


@command()
def main(arguments: list[str] | None = None) -> int:
    parser = Arguments(
        prog="python -m recipe.zppo.compare",
        description="Benchmarks of two models, by family, with an interval over benchmarks.",
    )
    parser.add_argument(
        "first", metavar="A", help="folder of an evaluation or of a run, or a row of the paper: paper:0.8B/zppo"
    )
    parser.add_argument(
        "second", metavar="B", nargs="?", help="another; without it, the run A before and after training"
    )
    options = parser.parse_args(arguments)
    console = Screen()
    first = side(options.first)
    if options.second is not None:
        compare(first, side(options.second), console)
        return 0
    if first.folder is None or not (first.folder / "events.jsonl").exists():
        raise DataError(f"{options.first}: one side alone; give another to compare it with, such as paper:0.8B/zppo")
    run = RunFolder(options.first)
    print_title(run, console)
    before = replace(run_side(run, last=False), label="before")
    compare(before, replace(first, label="after"), console)
    return 0
