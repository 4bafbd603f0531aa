"""Files of a study and of its runs::

OUT/table.md table.csv runs.csv plots/   what it came to so far
OUT/derived.json                         numbers of steps that were derived from measured times
OUT/data/                                copies of validation files
OUT/logs/                                what workers say outside of runs
OUT/runs/<row>-<world>-seed<n>-<id>/     the folder of a run (`recipe.zppo.run.folder`), and in it
    run.json      what it is; written first
    error.json    why its last attempt failed
    result.json   its measures; written last: a run is finished when this is there
    train.log
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import Timeout

from recipe.zppo.errors import ZPPOError
from recipe.zppo.run.file_lock import lock_held
from recipe.zppo.run.files import disk_errors_named, write_atomically


class StudyError(ZPPOError, RuntimeError):
    """The study cannot start or go on: the folder is in use, workers do not start."""


def write_text(path: Path, text: str) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(str(path), lambda temporary: Path(temporary).write_text(text, encoding="utf-8"))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2) + "\n")


def run_folder(out: Path, run_id: str, name: str) -> Path:
    """The folder of a run: where it is already, whatever row it was made for, else where it shall be."""
    runs = out / "runs"
    if runs.is_dir():
        for path in sorted(runs.iterdir()):
            if path.name.endswith(f"-{run_id}") and path.is_dir():
                return path
    return runs / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', name).strip('-')}-{run_id}"


def remove_checkpoints(folder: Path) -> None:
    for path in folder.glob("global_step_*"):
        shutil.rmtree(path, ignore_errors=True)
    for path in (folder / "local_state.pt", *folder.glob("*.tmp")):
        path.unlink(missing_ok=True)


@contextmanager
def study_lock(out: Path) -> Iterator[None]:
    """One study at a time writes to a folder; the lock ends with the process, however that ends.

    Raises:
        StudyError: another study holds it.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / ".lock"
    try:
        held = lock_held(path, lambda text: print(f"study: {text}", file=sys.stderr))
    except Timeout:
        holder = path.read_text(encoding="utf-8").strip() or "unknown"
        raise StudyError(f"{out} is in use by another study (process {holder}); wait for it, or set out=") from None
    with held:
        with disk_errors_named(str(path)):
            path.write_text(str(os.getpid()), encoding="utf-8")
        yield
