"""How a command ends: 0; 1 where it failed; 2, with one line, where the user can mend it; 130 where interrupted."""

import argparse
import functools
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from recipe.zppo.errors import ZPPOError, first_line

UNREADABLE = (OSError, UnicodeError)
"""What files and terminals raise, of which the message says enough."""


def at_least(least: float, kind: type = int) -> Callable[[str], Any]:
    """The `type` of an argument that is a number of at least `least`."""

    def number(text: str) -> Any:
        value = kind(text)
        if not least <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} must be at least {least}")
        return value

    return number


def place(text: str) -> Path:
    """The `type` of an argument that is a file or a folder: of an empty one Python would make the working folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; give the name of a file or folder")
    return Path(text).expanduser()


class Arguments(argparse.ArgumentParser):
    """argparse, with a mistake in one line: without the usage, which `--help` shows."""

    def error(self, message: str) -> NoReturn:
        print(f"zppo: {message}; {self.prog} --help says more", file=sys.stderr)
        sys.exit(2)


def command(word: str = "zppo") -> Callable[[Callable[..., int | None]], Callable[..., int]]:
    """For a command's `main`: errors that are meant for the user become one line that begins with `word`.

    A reader that has seen enough (`| head -1`) is no error. Other exceptions are, of the program, and keep their
    traceback. The status is 2, or 1 for a `RuntimeError`: what failed though it could have worked.
    """

    def decorated(main: Callable[..., int | None]) -> Callable[..., int]:
        @functools.wraps(main)
        def ended(*arguments: Any, **options: Any) -> int:
            if isinstance(sys.stdout, io.TextIOWrapper):
                sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a sign shows another
            try:
                status = main(*arguments, **options) or 0
                sys.stdout.flush()  # what the disk or the pipe refuses shows here, not when nobody can catch it
                return status
            except BrokenPipeError:
                _write_nowhere()
                return 0
            except (ZPPOError, *UNREADABLE) as error:
                _write_nowhere()
                print(f"{word}: {said(error)}", file=sys.stderr)
                return 1 if isinstance(error, RuntimeError) and not isinstance(error, ValueError) else 2
            except KeyboardInterrupt:
                print(f"{word}: interrupted", file=sys.stderr)
                return 130

        return ended

    return decorated


def said(error: BaseException) -> str:
    """One line: of what a file refuses, its name and why."""
    if isinstance(error, OSError) and error.errno is not None and error.strerror == os.strerror(error.errno):
        return f"{error.filename or 'standard output'}: {error.strerror}"
    return str(error) if isinstance(error, ZPPOError) else first_line(error)


def _write_nowhere() -> None:
    """What is buffered can't be written; Python would try again at its end, and complain."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
