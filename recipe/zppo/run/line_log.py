"""An append-only JSONL file of a run, of which every object has a ``step``: of whole lines, and right after a resume.

- A line that the disk refuses is held back and written, whole and in its place, once the disk takes it: the run goes
  on.
- A killed run may leave half a line, and lines of steps that come again; `LineLog.resume` drops both.
"""

import json
import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator
from io import FileIO
from typing import Any

from recipe.zppo.run.files import DispensableWrites, write_atomically

logger = logging.getLogger(__name__)

_HELD_BACK = 64 * 2**20
"""Bytes that wait for a disk to take them at most; of more, the oldest are given up."""


class LineLog:
    """Nothing is written before `resume`, which needs a disk that works. ``path`` None: nothing is ever written."""

    def __init__(self, path: str | None):
        self.path = path
        self._file: FileIO | None = None
        self._writes = DispensableWrites()
        self._waiting: deque[bytes] = deque()
        self._end: int | None = None  # of the whole lines, while half a line may follow them

    def resume(self, step: int, *, trains: bool = True) -> None:
        """Drop the lines of later steps, of step 0 all, and open the file to go on behind the others.

        Args:
            trains: False for a process that only validates the model of ``step``: later lines stay as well.
        """
        if self.path is None:
            return
        os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
        write_atomically(self.path, lambda copy: self._copy(copy, step, trains))
        # Without a buffer: what the disk refused must not stay there and come out in front of the next line.
        self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 (closed by finish)

    def _copy(self, copy: str, step: int, trains: bool) -> None:
        last: list[dict[str, Any]] = []
        with open(copy, "wb") as file:
            for line, content in self._lines() if step or not trains else ():
                if trains and self.comes_again(content, step):
                    continue
                file.write(line)
                if content["step"] == step:
                    last.append(content)
            file.writelines(lines_of(self.missing(step, last)) if step and trains else ())

    def comes_again(self, content: dict[str, Any], step: int) -> bool:
        """Whether a run that goes on from ``step`` writes this line itself."""
        return content["step"] > step

    def missing(self, step: int, there: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
        """What a run that was killed right after the checkpoint of ``step`` had no time to write; ``there`` is."""
        return ()

    def _lines(self) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Every whole line with its content; what has no step is passed over, as every reader does."""
        if self.path is None or not os.path.exists(self.path):
            return
        garbage = 0
        with open(self.path, "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    continue  # a killed writer may leave half a line
                content = _object(line)
                if content is None:
                    garbage += 1
                else:
                    yield line, content
        if garbage:
            logger.warning("%s: %d line(s) that are of no step are dropped", self.path, garbage)

    def append(self, contents: Iterable[dict[str, Any]]) -> None:
        """One write for all of them."""
        if self._file is None:
            return
        self._waiting.append(b"".join(lines_of(contents)))
        while len(self._waiting) > 1 and sum(map(len, self._waiting)) > _HELD_BACK:
            self._waiting.popleft()
        self._write(self._file)

    def _write(self, file: FileIO) -> None:
        with self._writes.attempt(str(self.path)):
            while self._waiting:
                self._append(file, self._waiting[0])
                self._waiting.popleft()

    def _append(self, file: FileIO, block: bytes) -> None:
        """All of ``block``, or nothing of it; if half of it can't be removed at once, the next call does."""
        if self._end is not None:
            file.truncate(self._end)
        self._end = os.fstat(file.fileno()).st_size
        rest = block
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            file.truncate(self._end)
            raise
        finally:
            if not rest:
                self._end = None

    def finish(self, **_: Any) -> None:
        if self._file is None:
            return
        self._write(self._file)
        if self._waiting:
            lost = sum(block.count(b"\n") for block in self._waiting)
            logger.warning("%s: the last %d line(s) could not be written", self.path, lost)
            self._waiting.clear()
        file, self._file, self._end = self._file, None, None
        with self._writes.attempt(str(self.path)):
            file.close()


def lines_of(contents: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    for content in contents:
        yield json.dumps(content, ensure_ascii=False).encode("utf-8", errors="replace") + b"\n"


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    step = content.get("step") if isinstance(content, dict) else None
    return content if isinstance(step, (int, float)) and not isinstance(step, bool) else None
