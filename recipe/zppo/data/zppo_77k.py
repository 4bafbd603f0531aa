"""``python -m recipe.zppo.data.zppo_77k [key=value ...]``: builds ZPPO-77K, the paper's corpus (App. B.1)."""

import os
import sys
from collections.abc import Sequence

from recipe.zppo.config.ending import command
from recipe.zppo.data.corpus_settings import CorpusSettings
from recipe.zppo.data.settings import read_settings

USAGE = """python -m recipe.zppo.data.zppo_77k [key=value ...]

Builds ZPPO-77K from Vero-600k and MMFineReason-SFT-586K.
Started again after an interruption it goes on where it was."""


@command("error")
def main(arguments: Sequence[str] | None = None) -> int:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        settings = read_settings(CorpusSettings, sys.argv[1:] if arguments is None else arguments, USAGE)
        from recipe.zppo.data.corpus import build
        from recipe.zppo.data.progress import Progress
        from recipe.zppo.data.report import print_report

        report = build(settings, Progress())
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    print_report(report, settings.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
