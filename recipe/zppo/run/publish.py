"""A folder that is either complete or absent: built beside its place, checked by hashes, published by a rename."""

import contextlib
import glob
import hashlib
import os
import shutil
import stat
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from recipe.zppo.errors import WaitTimeoutError

WAIT_S = 4 * 3600.0
"""For another builder: a world takes minutes on a free machine."""


def hash_files(root: Path, exclude: Path | None = None) -> dict[str, str]:
    """SHA-256 of every file under `root`, by relative path."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and path != exclude)
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@contextlib.contextmanager
def exclusive(path: Path, limit_s: float = WAIT_S) -> Iterator[None]:
    """One builder of `path` at a time on a file system that knows locks; elsewhere the rename alone keeps order.

    A second one says that it waits, and goes on when the first has ended, however that ended.

    Raises:
        WaitTimeoutError: the first has not ended in `limit_s`.
    """
    lock = FileLock(path.parent / f".{path.name}.lock", fallback_to_soft=False)
    try:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            print(f"{path}: another process is at work there; waiting until it has ended", file=sys.stderr)
            lock.acquire(timeout=limit_s)
    except Timeout as error:
        raise WaitTimeoutError(
            f"{path}: another process is still at work there after {limit_s / 3600:.3g} h; if it hangs, end it "
            f"(it holds {lock.lock_file}), or name another folder"
        ) from error
    except OSError:
        pass
    try:
        yield
    finally:
        lock.release()


def new_building_folder(path: Path) -> Path:
    folder = path.parent / f".{path.name}.building-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    return folder


def remove_leftovers(path: Path) -> None:
    """What killed builders of `path` left behind, after :func:`recover`. Only while holding :func:`exclusive`."""
    recover(path)
    for kind in ("building", "old"):
        for folder in _beside(path, kind):
            shutil.rmtree(folder, ignore_errors=True)


def recover(path: Path) -> None:
    """Puts back what was at `path`, where a publisher was killed before it had put the new folder there."""
    old = _beside(path, "old")
    if old and not os.path.lexists(path):
        os.rename(max(old, key=lambda folder: folder.lstat().st_ctime_ns), path)


def publish(folder: Path, path: Path) -> None:
    """Puts `folder` at `path`, in place of what is there; its files get the mode of new ones."""
    give_ordinary_modes(folder)
    old = path.parent / f".{path.name}.old-{uuid.uuid4().hex[:8]}"
    try:
        with contextlib.suppress(FileNotFoundError):
            os.rename(path, old)
        os.rename(folder, path)
    finally:
        recover(path)
    with contextlib.suppress(FileNotFoundError):
        os.rename(old, folder)  # under this name nobody recovers what is half deleted
        shutil.rmtree(folder, ignore_errors=True)


def _beside(path: Path, kind: str) -> list[Path]:
    return list(path.parent.glob(f".{glob.escape(path.name)}.{kind}-*"))


def give_ordinary_modes(folder: Path) -> None:
    """To every file below `folder` the mode that a new one has there. safetensors writes 0600, whatever the umask."""
    probe = folder / f".mode-{uuid.uuid4().hex[:8]}"
    probe.touch()
    mode = stat.S_IMODE(probe.stat().st_mode)
    probe.unlink()
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(mode)
