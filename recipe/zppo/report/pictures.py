"""Images of a question, small enough for a page: from the data file that the event names."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recipe.zppo.errors import ZPPOError
from recipe.zppo.run.folder import RunFolder
from recipe.zppo.view.question_life import Life

WIDTH = 320
"""Pixels of the longer side."""

MOST_BYTES = 6 * 2**20
"""Of the images of a run on a page."""


def pictures(folder: RunFolder, lives: Sequence[Life]) -> dict[str, list[str]]:
    """``data:`` addresses by question, of those that have images and whose Parquet file is here."""
    wanted: dict[Path, dict[int, list[str]]] = {}
    for life in lives:
        plain = next((draw.plain for draw in life.draws if "place" in draw.plain), None)
        if plain is not None and "image" in plain.get("media", ()):
            file, _, row = plain["place"].rpartition(" row ")
            if row.isdigit():
                wanted.setdefault(Path(file), {}).setdefault(int(row), []).append(life.prompt_id)
    column = folder.setting("data.image_key", "images")
    found: dict[str, list[str]] = {}
    left = MOST_BYTES
    for file, rows in wanted.items():
        for row, value in _values(file, column, sorted(rows)):
            shown = [small for image in _as_list(value) if (small := _small(image)) is not None]
            if (left := left - sum(map(len, shown))) < 0:
                return found
            found |= dict.fromkeys(rows[row], shown)
    return found


def _values(file: Path, column: str, rows: Sequence[int]) -> list[tuple[int, Any]]:
    """The column at these rows; nothing of a file that is not here, or not Parquet, or has no such column."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found, first = [], 0
    try:
        with pq.ParquetFile(file) as parquet:
            for number in range(parquet.num_row_groups):
                count = parquet.metadata.row_group(number).num_rows
                mine = [row for row in rows if first <= row < first + count]
                if mine:
                    values = parquet.read_row_group(number, columns=[column]).column(column)
                    found += [(row, values[row - first].as_py()) for row in mine]
                first += count
    except (OSError, pa.ArrowException, KeyError):
        return []
    return found


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _small(source: Any) -> str | None:
    """None for what is no image: the run has said so."""
    from recipe.zppo.media.parts import read_image  # it imports torch: only a run with images waits for that

    try:
        image = read_image(source)
    except (ZPPOError, OSError):
        return None
    image.thumbnail((WIDTH, WIDTH))
    file = io.BytesIO()
    image.save(file, "WEBP", quality=75)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
