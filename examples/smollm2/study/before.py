"""The accuracy that a student begins with, as the study takes it: ``before.py STUDENT.jsonl OUT.json``.

Reads the line that `accuracy.py` wrote of it, and writes {data source: share of right answers}.
"""

import json
import sys
from pathlib import Path

from recipe.zppo.run.files import write_atomically


def main(measured: str, out: str) -> None:
    by_task = json.loads(Path(measured).read_text(encoding="utf-8").splitlines()[-1])["by_task"]
    shares = {source: figures["accuracy"] for source, figures in by_task.items() if source != "all"}
    text = json.dumps(shares, indent=1) + "\n"
    write_atomically(out, lambda path: Path(path).write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    main(*sys.argv[1:])
