"""One run at a time in a folder, whichever machine it is on: a lock file with a heartbeat.

The locks of `recipe.zppo.data` and `recipe.zppo.study` are `flock`s, which not every shared disk has, and which say
nothing across machines where it has none. This one needs only hard links, or exclusive creation, and renames.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from types import TracebackType

from recipe.zppo.errors import ZPPOError
from recipe.zppo.run.processes import started_at

logger = logging.getLogger(__name__)

LOCK_FILE = "run.lock"
BEAT_S = 30.0
"""Seconds between two signs of life."""

STALE_S = 180.0
"""Seconds without one after which a run of another machine counts as dead. A shared disk may show one a minute late."""

_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK)
"""What `link` says where the file system has no hard links."""

_CLOCK_S = 2.0
"""Seconds by which the start of a process may seem to move when the clock is set."""

_UNREADABLE = "unreadable"
_TRIES = 100


class RunLockError(ZPPOError, RuntimeError):
    """Another run works in the folder, or nothing can be written there."""


@dataclass(frozen=True)
class _Holder:
    """Who holds a lock, as its file says; `token` is another one each time that a lock is taken."""

    host: str
    pid: int
    started: float
    place: str
    token: str

    @classmethod
    def this_process(cls) -> _Holder:
        pid = os.getpid()
        return cls(socket.gethostname(), pid, started_at(pid) or time.time(), _place(), secrets.token_hex(4))

    @classmethod
    def parse(cls, text: str) -> _Holder:
        """What is no lock of ours, or was cut short, counts as that of an unknown machine."""
        try:
            content = json.loads(text)
            holder = cls(
                str(content["host"]),
                int(content["pid"]),
                float(content["started"]),
                str(content["place"]),
                str(content["token"]),
            )
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return cls("unknown", 0, 0.0, "", _UNREADABLE)
        known = re.fullmatch("[0-9a-f]{8}", holder.token)  # becomes part of a file's name
        return holder if known else cls(holder.host, holder.pid, 0.0, "", _UNREADABLE)

    @property
    def is_running(self) -> bool:
        """Whether the process is there; to be asked where its number means the same process only."""
        started = started_at(self.pid)
        return started is not None and abs(started - self.started) <= _CLOCK_S


class RunLock:
    """``with RunLock(folder):`` keeps every other run out of ``folder``; ends with the block.

    A lock that a killed process of this machine left is taken over at once. One of another machine is watched: it is
    alive if a sign of life comes, and taken over if none has come for ``stale_s``. So a job that is requeued on another
    node after its own has died waits for these few minutes instead of failing, and clocks that disagree do no harm.

    ``lost`` is set if somebody took the lock away: this process was suspended for long, or its lock was deleted.

    Raises:
        RunLockError: another run is alive there, or the folder can't be written to.
    """

    def __init__(self, folder: str | os.PathLike[str], beat_s: float = BEAT_S, stale_s: float = STALE_S):
        self.folder = os.path.abspath(folder)
        self.path = os.path.join(self.folder, LOCK_FILE)
        self.lost = False
        self._beat_s, self._stale_s = beat_s, stale_s
        self._me: _Holder | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> RunLock:
        self._me, self.lost = _Holder.this_process(), False
        try:
            os.makedirs(self.folder, exist_ok=True)
            self._acquire(self.path)
        except OSError as error:
            raise RunLockError(
                f"trainer.default_local_dir={self.folder}: can't be written to: {error.strerror or error}; make room "
                "or give the run another folder"
            ) from error
        self._ended.clear()
        self._thread = threading.Thread(target=self._beat, name="run-lock", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=5)  # a disk that hangs must not keep the process
        with suppress(OSError):
            self._remove_own(self.path)

    # ------------------------------------------------------------------ taking it

    def _acquire(self, path: str) -> None:
        """Takes the lock file ``path``.

        Who takes over a stale lock first takes a lock on that very lock, named by its token; of several at once only
        one replaces it, and none replaces a newer one. Should that one be killed here, its own lock is stale in turn.
        """
        for _ in range(_TRIES):
            if self._create(path):
                return
            seen = _look(path)
            if seen is None:  # released meanwhile
                time.sleep(0.01)
                continue
            holder, beat = seen
            if holder.token == self._me.token:  # made after all: the server's first answer got lost
                return
            if self._is_alive(path, holder, beat):
                raise RunLockError(self._busy(holder))
            claim = f"{path}.{holder.token}"
            self._acquire(claim)
            try:
                if self._token_of(path) == holder.token:
                    with self._content(path) as temporary:
                        os.replace(temporary, path)
                    logger.warning(
                        "%s: taken over from process %d on %s, which has ended", path, holder.pid, holder.host
                    )
                    return
            finally:
                self._remove_own(claim)
        raise RunLockError(f"trainer.default_local_dir={self.folder}: {path} can't be taken; remove it")

    def _create(self, path: str) -> bool:
        """Makes ``path``, with its content from the first; False if it is there already."""
        with self._content(path) as temporary:
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                return self._create_without_links(path)
        return True

    def _create_without_links(self, path: str) -> bool:
        """The file is empty for a moment: who reads it then takes it for that of an unknown machine, and watches it."""
        try:
            with open(path, "x", encoding="utf-8") as file:
                json.dump(asdict(self._me), file)
        except FileExistsError:
            return False
        return True

    @contextmanager
    def _content(self, path: str) -> Iterator[str]:
        """A temporary file beside ``path`` that holds what the lock says."""
        temporary = f"{path}.{self._me.token}.tmp"
        try:
            with open(temporary, "w", encoding="utf-8") as file:
                json.dump(asdict(self._me), file)
            yield temporary
        finally:
            with suppress(OSError):
                os.remove(temporary)

    def _is_alive(self, path: str, holder: _Holder, beat: int) -> bool:
        if holder.place and holder.place == self._me.place:
            return holder.is_running
        with self._content(path) as temporary:  # the time of the disk's server, which stamps the heartbeats too
            silent = max(0.0, (os.stat(temporary).st_mtime_ns - beat) / 1e9)
        if silent >= self._stale_s:
            return False
        deadline = time.monotonic() + self._stale_s - silent
        logger.warning(
            "%s: process %d on %s was alive %.0f s ago; watching for up to %.0f s whether it still is",
            path, holder.pid, holder.host, silent, self._stale_s - silent,
        )  # fmt: skip
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, self._beat_s / 6))
            seen = _look(path)
            if seen is None or seen[0].token != holder.token:
                return False  # released, or another's; `_acquire` looks again
            if seen[1] != beat:
                return True
        return False

    def _busy(self, holder: _Holder) -> str:
        return (
            f"trainer.default_local_dir={self.folder}: another run works there, process {holder.pid} on host "
            f"{holder.host}; wait for it or end it, or give this run another folder (if that process is no run, remove "
            f"{self.path})"
        )

    # ------------------------------------------------------------------ holding it

    def _beat(self) -> None:
        while not self._ended.wait(self._beat_s):
            try:
                if self._token_of(self.path) != self._me.token:
                    self.lost = True
                    logger.error(
                        "%s is no longer that of this run: it was removed, or another run has taken the folder; end "
                        "one of the two",
                        self.path,
                    )
                    return
                os.utime(self.path)
            except OSError:
                continue  # the disk may be back at the next one

    def _token_of(self, path: str) -> str | None:
        seen = _look(path)
        return seen[0].token if seen else None

    def _remove_own(self, path: str) -> None:
        if self._token_of(path) == self._me.token:
            with suppress(FileNotFoundError):
                os.remove(path)


def _look(path: str) -> tuple[_Holder, int] | None:
    """Who holds ``path``, and the time of the last heartbeat in nanoseconds; None if it is not there.

    The file is opened, not just looked up: on that NFS asks the server.
    """
    for attempt in range(3):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return _Holder.parse(file.read(4096)), os.fstat(file.fileno()).st_mtime_ns
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno != errno.ESTALE or attempt == 2:  # NFS: replaced while it was open
                raise
    return None


def _place() -> str:
    """Where a process number means one process: a machine since its start, and a container's numbers in it.

    Containers may share a host name; a machine's name alone would let one think that the other's process is dead.
    """
    parts = [socket.gethostname()]
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
        parts.append(file.read().strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)
