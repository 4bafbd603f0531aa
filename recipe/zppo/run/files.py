"""Files that are either whole or not there, and writes that a run can do without."""

import errno
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)


def write_atomically(path: str, write: Callable[[str], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, flush it to disk, and rename it into place."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with disk_errors_named(path, temporary):
            write(temporary)
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def write_text_atomically(path: str, text: str) -> None:
    write_atomically(path, lambda temporary: Path(temporary).write_text(text, encoding="utf-8"))


@contextmanager
def disk_errors_named(path: str, temporary: str | None = None) -> Iterator[None]:
    """What the disk refuses says of which file: a write to a full one does not. ``temporary`` stands for ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename in (None, temporary):
            error.filename = path
        raise


class DispensableWrites:
    """Writes of a file without which a run goes on: no full disk ends days of training for the sake of a log.

    ``failed`` counts those that the disk refused. Each kind of failure is logged once, not at every step; any other
    error than OSError is one of the program and is raised.
    """

    def __init__(self) -> None:
        self.failed = 0
        self._told: set[int | None] = set()

    @contextmanager
    def attempt(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failed += 1
            if error.errno in self._told:
                return
            self._told.add(error.errno)
            kind = errno.errorcode.get(error.errno, type(error).__name__) if error.errno else type(error).__name__
            logger.warning(
                "%s could not be written (%s: %s); the run goes on, and further failures of this kind are not logged",
                path, kind, error.strerror or error,
            )  # fmt: skip
