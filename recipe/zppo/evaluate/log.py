"""The lines of a benchmark while it is under way: each is on disk as soon as it is known; a kill loses none.

What lies in memory of a line is what its benchmark's numbers need, not its texts.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from recipe.zppo.errors import DataError
from recipe.zppo.evaluate.results import Line, line_of, parsed_line, places
from recipe.zppo.run.files import disk_errors_named, write_atomically

Key = tuple[str, int]
"""A question's id, and the sample."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Of a `Line`: where it begins in the file, and its numbers."""

    at: int
    score: float | None
    decided_by: str
    finish: str
    tokens: int
    judge_tokens: int
    malformed: bool
    has_response: bool
    error: str

    @classmethod
    def of(cls, line: Line, at: int) -> "Entry":
        return cls(
            at, line.score, line.decided_by, line.finish, line.tokens, line.judge_tokens, line.malformed,
            bool(line.finish or line.response or line.tokens), line.error,
        )  # fmt: skip

    @property
    def done(self) -> bool:
        return self.score is not None


class QuestionLog:
    """A file of `questions/`, opened to go on with. A line that was cut off by a kill is taken off its end.

    Attributes:
        entries: of all lines, as they stand there last.
    """

    def __init__(self, path: Path):
        self.path = path
        self.entries: dict[Key, Entry] = {}
        if path.is_file():
            for at, line in places(path):
                self.entries[line.id, line.sample] = Entry.of(line, at)

    def __enter__(self) -> "QuestionLog":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "ab+")
        self._end = self._whole_lines()
        self._file.truncate(self._end)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with disk_errors_named(str(self.path)):
            self._file.close()

    def write(self, line: Line) -> None:
        text = line_of(line)
        with disk_errors_named(str(self.path)):
            self._file.write(text)
            self._file.flush()
        self.entries[line.id, line.sample] = Entry.of(line, self._end)
        self._end += len(text)

    def read(self, key: Key) -> Line:
        """Raises `DataError` if the file was changed meanwhile."""
        with open(self.path, "rb") as file:
            file.seek(self.entries[key].at)
            line = parsed_line(file.readline())
        if line is None or (line.id, line.sample) != key:
            raise DataError(
                f"{self.path} has been changed by somebody else; remove it, and its questions are asked anew"
            )
        return line

    def put_in_order(self, keys: Sequence[Key]) -> None:
        """Write the file anew, each of ``keys`` once, in their order."""
        self._file.flush()

        def write(temporary: str) -> None:
            with open(self.path, "rb") as source, open(temporary, "wb") as target:
                for key in keys:
                    if key in self.entries:
                        source.seek(self.entries[key].at)
                        target.write(source.readline())

        write_atomically(str(self.path), write)

    def _whole_lines(self) -> int:
        """Bytes of the file up to its last line's end."""
        self._file.seek(0, os.SEEK_END)
        end = self._file.tell()
        for start, block in self._blocks_from_the_end(end):
            found = block.rfind(b"\n")
            if found >= 0:
                return start + found + 1
        return 0

    def _blocks_from_the_end(self, end: int, size: int = 2**20) -> Iterator[tuple[int, bytes]]:
        while end > 0:
            start = max(0, end - size)
            self._file.seek(start)
            yield start, self._file.read(end - start)
            end = start
