"""rich's console, for output that may be read to its first lines only (`| head -1`)."""

from typing import NoReturn

from rich.console import Console


class Screen(Console):
    """Leaves a closed pipe to the command's end (`recipe.zppo.config.ending`), where rich would exit with status 1."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError
