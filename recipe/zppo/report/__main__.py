"""A run as one page: ``python -m recipe.zppo.report RUN [RUN ...] [--out FILE] [--serve [--port N]]``.

RUN is a ``trainer.default_local_dir``; its run may be finished, under way or killed. Of several runs the page shows
each, and where they differ. It lands in the first one's ``report.html``. Exit status 2, with one line, where a folder
is not that of a run.
"""

import os
import sys

from recipe.zppo.config.ending import Arguments, at_least, command, place
from recipe.zppo.report.page import page
from recipe.zppo.report.payload import report
from recipe.zppo.report.serve import PORT, serve
from recipe.zppo.run.files import write_text_atomically
from recipe.zppo.run.folder import RunFolder


@command()
def main(arguments: list[str] | None = None) -> int:
    parser = Arguments(prog="python -m recipe.zppo.report", description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a run (its trainer.default_local_dir)")
    parser.add_argument("--out", type=place, help="the file (default: report.html in the first folder)")
    parser.add_argument("--serve", action="store_true", help="show the page on this machine, and keep it current")
    parser.add_argument(
        "--port", type=at_least(0), default=PORT, help=f"with --serve; 0 is a free one (default: {PORT})"
    )
    options = parser.parse_args(arguments)
    folders = list({folder.path: folder for folder in map(RunFolder, options.runs)}.values())
    if options.serve:
        return serve(folders, options.port)
    out = options.out or folders[0].path / "report.html"
    write_text_atomically(os.fspath(out), page(report(folders)))
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
