"""``zppo COMMAND ...``: every command of the project under one name. Each is also ``python -m MODULE ...``."""

import os
import runpy
import sys
from importlib.metadata import version

from recipe.zppo.config.commands import COMMANDS
from recipe.zppo.config.ending import command


@command()
def main() -> int:
    """Runs the command's module as `python -m` would, in this process: Ctrl-C while it is imported is one line."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--version"]:
        print(f"open-zppo {version('open-zppo')}")
        return 0
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0
    for words in (2, 1):
        if found := COMMANDS.get(" ".join(arguments[:words])):
            sys.argv[1:] = arguments[words:]
            sys.path[0] = os.getcwd()
            runpy.run_module(found[0], run_name="__main__", alter_sys=True)
            return 0
    print(f"zppo: {' '.join(arguments[:2])!r} is no command; zppo --help lists them", file=sys.stderr)
    return 2


def usage() -> str:
    width = max(map(len, COMMANDS))
    lines = (f"  {name:{width}}  {about}" for name, (_, about) in COMMANDS.items())
    return "\n".join(["usage: zppo COMMAND ...", "", *lines, "", "zppo COMMAND --help says more; zppo --version."])


if __name__ == "__main__":
    sys.exit(main())
