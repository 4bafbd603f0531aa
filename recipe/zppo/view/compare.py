"""Two runs on the same benchmarks (App. F.6): ``python -m recipe.zppo.compare RUN_DIR [OTHER_RUN_DIR]``.

A benchmark is a data source of the validation set. Of two runs the last validations are compared; of one run the first
and the last. Exit status 2, with one line, where there is nothing to compare.
"""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from recipe.zppo.bootstrap import bootstrap_difference
from recipe.zppo.config.ending import Arguments, command
from recipe.zppo.run.folder import RunFolder, RunFolderError
from recipe.zppo.view import outcome
from recipe.zppo.view.screen import Screen
from recipe.zppo.view.title import print_title, run_titles


def accuracies(folder: RunFolder, last: bool = True) -> dict[str, float]:
    """Of the run's last validation, or of its first.

    Raises:
        RunFolderError: no metrics, or the run has no such validation.
    """
    found = {}
    for validation in outcome.validations(folder.require_metrics()):
        measured = validation.history[-1] if last else validation.history[0]
        found[validation.source] = measured.value
    if not found:
        raise RunFolderError(f"{folder.path} has no validation (trainer.test_freq, trainer.val_before_train)")
    return found


def compare(first: Mapping[str, float], second: Mapping[str, float], names: Sequence[str], console: Console) -> None:
    """Print both sides' accuracies by benchmark, and the interval of the difference of their means.

    Raises:
        RunFolderError: no benchmark in common.
    """
    common = sorted(first.keys() & second.keys())
    if not common:
        raise RunFolderError(f"no benchmark in common: {', '.join(sorted(first))}; {', '.join(sorted(second))}")
    sides = [Column(Text(name)) for name in names]  # Text: a bracket in a name is no markup
    table = Table("benchmark", *sides, "difference", box=None)
    for name in common:
        difference = f"{100 * (second[name] - first[name]):+.1f}"
        table.add_row(Text(name), f"{first[name]:.1%}", f"{second[name]:.1%}", difference)
    if len(common) > 1:
        means = [sum(side[name] for name in common) / len(common) for side in (first, second)]
        table.add_row("mean", *(f"{mean:.1%}" for mean in means), f"{100 * (means[1] - means[0]):+.1f}", style="bold")
    console.print(table)
    if left_out := sorted(first.keys() ^ second.keys()):
        console.print(f"measured on one side only: {', '.join(left_out)}", markup=False, highlight=False)
    if len(common) < 2:
        console.print("One benchmark: no interval over benchmarks.")
        return
    result = bootstrap_difference([first[name] for name in common], [second[name] for name in common])
    console.print(
        f"{100 * result.mean:+.1f} points, 95% interval {100 * result.low:+.1f} to {100 * result.high:+.1f} (bootstrap "
        f"over {result.benchmarks} benchmarks); better on {result.won}",
        highlight=False,
        soft_wrap=True,
    )


@command()
def main(arguments: list[str] | None = None) -> int:
    parser = Arguments(prog="python -m recipe.zppo.compare", description=__doc__.split("\n")[0])
    parser.add_argument("run_dir", help="folder of a run (its trainer.default_local_dir)")
    parser.add_argument("other", nargs="?", help="folder of another; without it, the run before and after training")
    options = parser.parse_args(arguments)
    console = Screen()
    run = RunFolder(options.run_dir)
    if options.other:
        other = RunFolder(options.other)
        sides, names = (accuracies(run), accuracies(other)), run_titles(run, other)
    else:
        sides, names = (accuracies(run, last=False), accuracies(run)), ["before", "after"]
        print_title(run, console)
    compare(*sides, names, console)
    return 0
