"""The paper's figures of a run, as PNG files: ``python -m recipe.zppo.plots RUN_DIR [--out FOLDER]``.

They land in RUN_DIR/plots. Exit status 2, with one line, where there is nothing to draw or matplotlib is missing.
"""

import argparse
import sys
from pathlib import Path

from recipe.zppo.errors import ZPPOError
from recipe.zppo.run.folder import RunFolder, RunFolderError


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
        from recipe.zppo.view.figures import all_figures
    except ImportError as error:
        raise MissingMatplotlibError("plots need matplotlib: pip install 'open-zppo[plots]'") from error
    figures = all_figures(rows)
    if not figures:
        raise RunFolderError(f"{folder.metrics_file} has nothing to draw yet")
    out.mkdir(parents=True, exist_ok=True)
    paths = {out / f"{name}.png": figure for name, figure in figures.items()}
    for path, figure in paths.items():
        figure.savefig(path)
    return list(paths)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m recipe.zppo.plots", description="Figures of a ZPPO run.")
    parser.add_argument("run_dir", help="folder of the run (its trainer.default_local_dir)")
    parser.add_argument("--out", type=Path, help="folder for the figures (default: RUN_DIR/plots)")
    options = parser.parse_args(arguments)
    try:
        folder = RunFolder(options.run_dir)
        paths = write_plots(folder, options.out or folder.path / "plots")
    except ZPPOError as error:
        print(f"zppo: {error}", file=sys.stderr)
        return 2
    for path in paths:
        print(path)
    return 0
