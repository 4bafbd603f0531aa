"""The files that show an evaluation: table.md, table.csv, plot.png."""

import sys
from collections.abc import Sequence
from pathlib import Path

from recipe.zppo.evaluate.paper import PaperRow
from recipe.zppo.evaluate.results import ModelResults
from recipe.zppo.evaluate.table import beside, markdown, table_csv
from recipe.zppo.run.files import write_text_atomically


def write_report(folder: Path, models: Sequence[ModelResults], paper: Sequence[PaperRow | None]) -> list[Path]:
    """All three, the plot where matplotlib is installed; their places.

    Args:
        paper: a row, or None, for each model (`paper_rows_for`).
    """
    rows = beside(models, paper)
    texts = {folder / "table.md": markdown(rows), folder / "table.csv": table_csv(rows)}
    for path, text in texts.items():
        write_text_atomically(str(path), text)
    try:
        from recipe.zppo.evaluate.plot import write_plot
    except ImportError:
        print("zppo: no plot: it needs matplotlib: pip install 'open-zppo[plots]'", file=sys.stderr)
        return list(texts)
    plot = write_plot(folder, rows)
    return [*texts, plot] if plot else list(texts)
