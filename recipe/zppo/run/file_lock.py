"""Locks of files that end with their process. Not every file system has them."""

import errno
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from filelock import FileLock, Timeout

from recipe.zppo.run.files import disk_errors_named

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
"""What `flock` says where the file system has no locks, as Lustre without the mount option."""


def lock_held(path: Path, warn: Callable[[str], object], *, blocking: bool = False) -> AbstractContextManager[object]:
    """The lock of ``path``, taken, until the block of what this gives ends.

    Args:
        warn: told, in one line, where the file system has no locks and nobody watches over others.

    Raises:
        filelock.Timeout: somebody else has it, and ``blocking`` is false.
        OSError: the file can't be made.
    """
    try:
        with disk_errors_named(str(path)):
            return FileLock(path, fallback_to_soft=False).acquire(blocking=blocking)
    except Timeout:
        raise
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        warn(
            f"the file system has no locks ({os.strerror(error.errno)}; Lustre has them when mounted with -o flock): "
            f"see to it that nobody else works in {path.parent} at the same time"
        )
        return nullcontext()
