"""A run in terms that a person understands: ``python -m recipe.zppo.summary RUN_DIR [--json]``.

RUN_DIR is the ``trainer.default_local_dir`` of the run, which may be finished, under way, or killed. Exit status 2,
with one line, where there is nothing to summarise.
"""

import argparse
import json
import sys

from rich.console import Console

from recipe.zppo.errors import ZPPOError
from recipe.zppo.run.folder import RunFolder
from recipe.zppo.view.run_summary import Summary
from recipe.zppo.view.summary_page import print_summary


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m recipe.zppo.summary", description="Summary of a ZPPO run.")
    parser.add_argument("run_dir", help="folder of the run (its trainer.default_local_dir)")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    options = parser.parse_args(arguments)
    try:
        summary = Summary.of(RunFolder(options.run_dir))
    except ZPPOError as error:
        print(f"zppo: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(summary.as_dict(), indent=2, ensure_ascii=False))
    else:
        print_summary(summary, Console())
    return 0
