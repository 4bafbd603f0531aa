"""The folder of a build that is under way: what it was asked for, one process at a time, and what is done already."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import Timeout

from recipe.zppo.data.errors import BuildError
from recipe.zppo.data.parquet import readable_disk_errors
from recipe.zppo.run.file_lock import lock_held
from recipe.zppo.run.files import write_atomically


class WorkFolder:
    """`out/.work` beside the data; gone when the build is complete, which `out/report.json` says."""

    def __init__(self, out: str, split: str):
        self.out, self._split = Path(out).expanduser(), split
        self.path = self.out / f".work-{split}"
        self.report = self.out / f"report-{split}.json"
        self._plan = self.path / "asked.json"

    @contextmanager
    def locked(self, warn: Callable[[str], object]) -> Iterator[None]:
        """Only one build at a time works in the folder; leaves of one that was killed are removed.

        Args:
            warn: told, in one line, where the file system has no locks and nobody watches over that.

        Raises:
            BuildError: another process builds there, or the folder can't be written to.
        """
        with readable_disk_errors(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            try:
                lock = lock_held(self.out / f".lock-{self._split}", lambda text: warn(f"out={self.out}: {text}"))
            except Timeout as error:
                raise BuildError(f"out={self.out}: another process builds there; wait for it or end it") from error
        with lock:
            if self.report.is_file():
                shutil.rmtree(self.path, ignore_errors=True)
            for leaf in [*self.out.glob(f"{self._split}-*.tmp"), *self.path.rglob("*.tmp")]:
                leaf.unlink(missing_ok=True)
            yield

    def finished(self) -> dict[str, Any] | None:
        """The report of a complete build; None if there is none."""
        return json.loads(self.report.read_text()) if self.report.is_file() else None

    def compare(self, asked: Mapping[str, Any], *, overwrite: bool) -> None:
        """Compares what is asked for with what the folder holds already.

        Raises:
            BuildError: the folder holds a build that was asked for differently, or files of somebody else.
        """
        report, plan = self.finished(), self._plan
        before = report["asked"] if report else json.loads(plan.read_text()) if plan.is_file() else None
        asked = json.loads(json.dumps(asked))
        if before is None and (files := self.files()):
            raise BuildError(f"out={self.out}: {files[0].name} is there, but not from a build; give another out=")
        if before is None or before == asked:
            return
        if not overwrite:
            name = next(name for name in sorted({*before, *asked}) if before.get(name) != asked.get(name))
            there, here = (f"{side.get(name)!r:.80}" for side in (before, asked))
            raise BuildError(
                f"out={self.out}: holds a build with other settings ({name}: {there} there, {here} now); give another "
                "out=, or overwrite=true to remove it"
            )
        self._remove(before)

    def _remove(self, before: Mapping[str, Any]) -> None:
        """Removes a build. One that is killed here leaves a build under way, as `before` asked for it, or nothing.

        So the report goes before the data that it vouches for, and there is a plan as long as there are data.
        """
        with readable_disk_errors(self.out):
            if not self._plan.is_file():
                self.path.mkdir(parents=True, exist_ok=True)
                self._write(self._plan, before)
            for file in [self.report, *self.files()]:
                file.unlink(missing_ok=True)
            shutil.rmtree(self.path)

    def begin(self, asked: Mapping[str, Any]) -> None:
        """Notes what is asked for, unless a build with the same settings has been begun already.

        Files of tasks that no plan vouches for may be of other settings, whose removal was cut short; they go.
        """
        with readable_disk_errors(self.path):
            if not self._plan.is_file() and self.path.exists():
                shutil.rmtree(self.path)
            for folder in ("scan", "rows"):
                (self.path / folder).mkdir(parents=True, exist_ok=True)
            if not self._plan.is_file():
                self._write(self._plan, asked)

    def finish(self, report: Mapping[str, Any]) -> None:
        with readable_disk_errors(self.report):
            self._write(self.report, report)
        shutil.rmtree(self.path, ignore_errors=True)

    def files(self) -> list[Path]:
        return sorted(self.out.glob(f"{self._split}-*-of-*.parquet"))

    @staticmethod
    def _write(path: Path, content: Mapping[str, Any]) -> None:
        text = json.dumps(content, indent=1, sort_keys=True) + "\n"
        write_atomically(str(path), lambda temporary: Path(temporary).write_text(text))
