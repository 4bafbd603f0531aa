"""Tables as text: Markdown and CSV."""

import csv
import io
from collections.abc import Sequence


def grid(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first line its head; a cell may hold any text."""
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    head, *body = (f"| {' | '.join(line)} |" for line in cells)
    return "\n".join([head, "|" + "---|" * len(lines[0]), *body])


def csv_text(header: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header, *lines])
    return text.getvalue()
