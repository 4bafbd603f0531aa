"""The paper's figures of a run, as PNG files: ``python -m recipe.zppo.plots RUN_DIR [--out FOLDER]``.

They land in RUN_DIR/plots. Exit status 2, with one line, where there is nothing to draw or matplotlib is missing.
"""

from pathlib import Path

from recipe.zppo.config.ending import Arguments, command, place
from recipe.zppo.errors import ZPPOError
from recipe.zppo.run.folder import RunFolder, RunFolderError
from recipe.zppo.view.title import run_title


class MissingMatplotlibError(ZPPOError, ImportError):
    """matplotlib is not installed."""


def write_plots(folder: RunFolder, out: Path) -> list[Path]:
    """Draw what the run has data for.

    Raises:
        MissingMatplotlibError: see there.
        RunFolderError: no metrics, or none of which a figure could be drawn.
    """
    rows = folder.require_metrics()
    try:
        from recipe.zppo.view.drawing import save
        from recipe.zppo.view.figures import all_figures
    except ImportError as error:
        raise MissingMatplotlibError("plots need matplotlib: pip install 'open-zppo[plots]'") from error
    figures = all_figures(rows, run_title(folder))
    if not figures:
        raise RunFolderError(f"{folder.events_file} has nothing to draw yet")
    out.mkdir(parents=True, exist_ok=True)
    paths = {out / f"{name}.png": figure for name, figure in figures.items()}
    save(paths)
    return list(paths)


@command()
def main(arguments: list[str] | None = None) -> int:
    parser = Arguments(prog="python -m recipe.zppo.plots", description="Figures of a ZPPO run.")
    parser.add_argument("run_dir", help="folder of the run (its trainer.default_local_dir)")
    parser.add_argument("--out", type=place, help="folder for the figures (default: RUN_DIR/plots)")
    options = parser.parse_args(arguments)
    folder = RunFolder(options.run_dir)
    for path in write_plots(folder, options.out or folder.path / "plots"):
        print(path)
    return 0
