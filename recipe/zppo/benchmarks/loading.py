"""A benchmark's questions, one after the other: never all rows, or all images, in memory.

A row that can't be read becomes a `BadRow` in its place, so that one of them does not cost the others their score; who
asks counts it as unanswered. What concerns all rows, such as a missing column, is a `DataError` of one line.
"""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recipe.zppo.benchmarks.contract import Benchmark, Question, Row
from recipe.zppo.benchmarks.local_files import Files, LocalSet, local_set
from recipe.zppo.errors import DataError, ZPPOError, first_line
from recipe.zppo.media.parts import has_media, with_parts
from recipe.zppo.prompts import Messages
from recipe.zppo.randomness import derive_seed

_MEND = "correct it in a local copy"

_ROWS_AT_A_TIME = 32
"""With their images."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row, or a question of it, that can't be asked."""

    id: str
    error: str
    """One line, with the data set and the row."""


class Questions:
    """Of a benchmark, or a seeded subset of them. May be gone through several times; each time reads the files anew.

    Args:
        data: a folder of local copies; None: the hub.
        limit: questions at most.
        seed: of the subset. The same questions for every model.

    Raises:
        DataError: see `local_set`.
    """

    def __init__(self, benchmark: Benchmark, data: str | None = None, *, limit: int | None = None, seed: int = 0):
        self.benchmark = benchmark
        self.local = local_set(benchmark.source, data)
        self._limit, self._seed = limit, seed
        self._chosen: frozenset[str] | None = None
        self._files: dict[str, str] = FilesByEnd(self.local) if benchmark.source.row_files is not None else {}

    @property
    def expected(self) -> int:
        """How many there are, or a guess."""
        size = self.benchmark.size
        return min(size, self._limit) if self._limit is not None and size else self._limit or size

    def __iter__(self) -> Iterator[Question | BadRow]:
        """
        Raises:
            DataError: a column is missing, two questions have the same id, a file is damaged, or there is no question.
        """
        if self._limit is not None and self._chosen is None:
            self._chosen = self._choose(self._limit)
        for each in self._all():
            if self._chosen is None or each.id in self._chosen:
                yield each

    def _choose(self, limit: int) -> frozenset[str]:
        """Those with the smallest draws, each drawn by its id: a larger limit has the same ones and more."""
        ids = (each.id for each in self._all())
        return frozenset(heapq.nsmallest(limit, ids, key=lambda id: derive_seed(self._seed, self.benchmark.name, id)))

    def _all(self) -> Iterator[Question | BadRow]:
        benchmark, seen, first_bad = self.benchmark, set(), ""
        dataset = benchmark.source.dataset
        for part, files in self.local.parts:
            for place, row in enumerate(rows(self.local, files)):
                where = f"{part}/{place}" if part else str(place)
                try:
                    questions = list(benchmark.questions(self._with_files(row, part), part, place))
                except (ZPPOError, LookupError, TypeError, ValueError, AttributeError) as error:
                    first_bad = first_bad or f"{dataset}, row {where}: {_why(error)}"
                    yield BadRow(f"row {where}", f"{dataset}, row {where}: {_why(error)}")
                    continue
                for question in questions:
                    if question.id in seen:
                        raise DataError(f"{dataset}, row {where}: a second question with the id {question.id}; {_MEND}")
                    seen.add(question.id)
                    try:
                        yield _complete(question, self.local)
                    except DataError as error:
                        yield BadRow(question.id, f"{dataset}, row {where}: {error}; {_MEND}")
        if not seen:
            raise DataError(first_bad or f"{dataset}: it has no rows")

    def _with_files(self, row: Row, part: str | None) -> Row:
        """The row with the whole paths of the files that it points to."""
        row_files = self.benchmark.source.row_files
        if row_files is None:
            return row
        return {**row, **{column: self._files.get(end) for column, end in row_files(row, part).items()}}


def _complete(question: Question, local: LocalSet) -> Question:
    """
    Raises:
        DataError: an option is empty, an image is missing, or a path is none of the data set's.
    """
    for label, text in question.options.items():
        if not text.strip():
            raise DataError(f"option {label} is empty")
    if not has_media(question.messages):
        return question
    return replace(question, messages=with_whole_paths(question.messages, local))


def rows(local: LocalSet, files: Files) -> Iterator[Row]:
    """Of one part, in the order of its files; images and videos as bytes and paths.

    Raises:
        DataError: a column is missing, or a file is damaged.
    """
    import datasets

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what it says of damaged files is said below
    source = local.source
    options: dict[str, Any] = {"batch_size": _ROWS_AT_A_TIME} if files.kind == "parquet" else {}
    checked = False
    try:
        stream = datasets.load_dataset(
            files.kind, data_files={"rows": list(files.paths)}, split="rows", streaming=True,
            features=files.features, **options,
        )  # fmt: skip
        if stream.features is not None:
            stream = stream.decode(False)
        for row in stream:
            if not checked:
                _check_columns(source.dataset, source.columns, row)
                checked = True
            yield row
    except DataError:
        raise
    except Exception as error:  # `datasets` and pyarrow raise about everything
        raise DataError(
            f"{source.dataset}: {files.paths[0]} can't be read: {first_line(error)[:200]}; download it again"
        ) from error


def with_whole_paths(messages: Messages, local: LocalSet) -> Messages:
    """The messages with the relative paths of images and videos put behind the folder where they lie.

    Raises:
        DataError: a path leads out of that folder, or there is neither path nor content.
    """

    def whole(part: dict[str, Any]) -> dict[str, Any]:
        kind = part.get("type", "")
        path = part.get(kind)
        if isinstance(path, Mapping) and path.get("bytes") is None:
            path = path.get("path")
        if path is None and kind in ("image", "video"):
            raise DataError(f"its {kind} is missing")
        if kind not in ("image", "video") or not isinstance(path, str) or "://" in path or path.startswith("data:"):
            return part
        return {**part, kind: str(_found(path, local))}

    return with_parts(messages, whole)


def _found(path: str, local: LocalSet) -> Path:
    if ".." in Path(path).parts:
        raise DataError(f"the path {path} leads out of the data set")
    archives = sorted(local.unpacked.iterdir()) if local.unpacked else []
    return next((folder / path for folder in archives if (folder / path).is_file()), local.folder / path)


class FilesByEnd(dict[str, str]):
    """Whole paths of a data set's files, those of its archives included, by the ends of their paths."""

    def __init__(self, local: LocalSet):
        folder = local.folder.absolute()
        for path in sorted(folder.rglob("*")):
            parts = path.relative_to(folder).parts
            for at in range(len(parts)):
                self.setdefault("/".join(parts[at:]), str(path))


def _check_columns(dataset: str, wanted: tuple[str, ...], row: Mapping[str, Any]) -> None:
    missing = [column for column in wanted if column not in row]
    if missing:
        raise DataError(
            f"{dataset}: column {missing[0]} is missing; it has {', '.join(map(str, row))}; is it another revision? "
            "Give a local copy with data=FOLDER in which the column has that name"
        )


def _why(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"there is no {error}"
    return first_line(error)[:300]
