"""``python -m recipe.zppo.data.convert name=gsm8k out=DIR [key=value ...]``: data that verl's users have, for ZPPO."""

import sys
from collections.abc import Sequence

from recipe.zppo.config.ending import command
from recipe.zppo.data.conversion import ConvertSettings, convert, reasons
from recipe.zppo.data.gold_answers import compare_golds, told
from recipe.zppo.data.progress import Progress
from recipe.zppo.data.settings import read_settings

USAGE = """python -m recipe.zppo.data.convert name=NAME out=DIR [key=value ...]

Writes DIR/train.parquet and the like: verl's schema with a unique prompt_id, questions without instructions on how to
reason and where to put the answer, and only rows whose gold answer the reward function accepts."""


@command("error")
def main(arguments: Sequence[str] | None = None) -> int:
    settings = read_settings(ConvertSettings, sys.argv[1:] if arguments is None else arguments, USAGE)
    results = convert(settings)
    golds = compare_golds([result.path for result in results], settings.grader, Progress())
    for result in results:
        dropped = f"; dropped: {reasons(result)}" if result.tally.dropped else ""
        changed = f"; directives taken off {result.tally.changed} question(s)" if result.tally.changed else ""
        print(f"{result.path}: {result.kept} rows{dropped}{changed}")
    for line in told(golds):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
