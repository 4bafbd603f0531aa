"""One run at a time in a folder, whichever machine it is on: filelock's lease, a lock file with a heartbeat.

An `flock` would not do: not every shared disk has it, and where it is missing it says nothing across machines.
Who takes a dead run's lease over is decided here. filelock's own way needs an exchange of two names, which NFS refuses
(there it would wait for ever), and takes the process of another machine of the same name for dead.
"""

import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from types import TracebackType

from filelock import AcquireReturnProxy, LeaseCompromise, LeaseSettingsMismatch, OwnerRecord, SoftFileLease, Timeout

from recipe.zppo.errors import ZPPOError, plain_message
from recipe.zppo.run.processes import started_at

logger = logging.getLogger(__name__)

LOCK_FILE = "run.lock"
BEAT_S = 15.0
"""Seconds between two signs of life; a loss of the folder is noticed at the second."""

STALE_S = 180.0
"""Seconds without one after which a run of another machine counts as dead. A shared disk may show one a minute late."""

_AGAIN_S = 30.0
"""Seconds that clearing up may take in a run that has lost its folder, before it is interrupted again."""

_INTERRUPTS = 3


class RunLockError(ZPPOError, RuntimeError):
    """Another run works in the folder, or nothing can be written there."""


class RunLock:
    """``with RunLock(folder):`` keeps every other run out of ``folder``; ends with the block. For a main thread.

    A lock that a killed process of this machine left is taken over at once. One of another machine is watched: it is
    alive if a sign of life comes, and taken over if none has come for ``stale_s``. So a job that is requeued on another
    node after its own has died waits for these few minutes instead of failing, and clocks that disagree do no harm.

    A run that loses the folder is interrupted: this process was suspended for long, the disk was away for long, or the
    lock was deleted. The interrupt is the alarm signal, as in `recipe.zppo.on_verl.guards.wait_limit`.

    Raises:
        RunLockError: another run is alive there, the folder can't be written to, or this run has lost it.
    """

    def __init__(self, folder: str | os.PathLike[str], beat_s: float = BEAT_S, stale_s: float = STALE_S):
        self.folder = os.path.abspath(folder)
        self.path = os.path.join(self.folder, LOCK_FILE)
        self._beat_s, self._stale_s = beat_s, stale_s
        self._lost = False
        self._ended = threading.Event()

    def __enter__(self) -> "RunLock":
        self._lost = False
        self._ended.clear()
        try:
            os.makedirs(self.folder, exist_ok=True)
            self._lease = self._take(self.path, self._lose).lock
        except OSError as error:
            raise RunLockError(
                f"trainer.default_local_dir={self.folder}: can't be written to: {error.strerror or error}; make room "
                "or give the run another folder"
            ) from error
        self._handler = signal.signal(signal.SIGALRM, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        with suppress(OSError):
            self._lease.release()
        signal.signal(signal.SIGALRM, self._handler)
        if self._lost:
            raise self._loss() from None

    # ------------------------------------------------------------------ taking it

    def _take(self, path: str, lost: Callable[[LeaseCompromise], None] | None = None) -> AcquireReturnProxy:
        """Takes the lock file ``path``, to be released when the block of what it gives ends; ``lost`` is told a loss.

        Who takes over a stale lock first takes a lock on that very lock: so of several at once only one removes it,
        and none removes a newer one. Should that one be killed here, its own lock is stale in turn.
        """
        lease = SoftFileLease(path, lease_duration=self._stale_s, heartbeat_interval=self._beat_s, on_compromise=lost)
        try:
            if (seen := _look(lease)) is None:
                return lease.acquire(blocking=False)
            if self._is_alive(lease, *seen):
                raise RunLockError(self._busy(lease.owner))
            with self._take(f"{path}.taken"):
                if _look(lease) == seen:
                    logger.warning("%s: taken over from %s, which has ended", path, _named(seen[0]))
                    lease.force_break()
                return lease.acquire(blocking=False)
        except (Timeout, LeaseSettingsMismatch) as error:
            raise RunLockError(self._busy(lease.owner)) from error

    def _is_alive(self, lease: SoftFileLease, owner: OwnerRecord | None, beat: float) -> bool:
        if owner is not None and _place(owner) == _place(_this_process()):
            began = started_at(owner.pid)
            if began is None:
                return False
            if began <= beat:  # a process that has been given the same number since then began later
                return True
        with tempfile.TemporaryFile(dir=self.folder) as file:  # the disk's server's clock, as in the heartbeats
            silent = max(0.0, os.fstat(file.fileno()).st_mtime - beat)
        deadline = time.monotonic() + self._stale_s - silent
        if silent < self._stale_s:
            logger.warning(
                "%s: %s was alive %.0f s ago; watching for up to %.0f s whether it still is",
                lease.lock_file, _named(owner), silent, self._stale_s - silent,
            )  # fmt: skip
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, self._beat_s / 6))
            now = _look(lease)
            if now != (owner, beat):
                return now is not None
        return False

    def _busy(self, owner: OwnerRecord | None) -> str:
        return (
            f"trainer.default_local_dir={self.folder}: another run works there, {_named(owner)}; wait for it or end "
            f"it, or give this run another folder (if that process is no run, remove {self.path})"
        )

    # ------------------------------------------------------------------ losing it

    def _lose(self, _: LeaseCompromise) -> None:
        """In the heartbeat's thread."""
        self._lost = True
        for _ in range(_INTERRUPTS):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)
            if self._ended.wait(_AGAIN_S):
                return
        print(f"zppo: the run stopped: {plain_message(self._loss())}", file=sys.stderr, flush=True)
        os._exit(1)

    def _interrupt(self, *_: object) -> None:
        if not self._ended.is_set():
            raise KeyboardInterrupt

    def _loss(self) -> RunLockError:
        return RunLockError(
            f"trainer.default_local_dir={self.folder}: {self.path} is no longer that of this run: it was removed, or "
            "another run has taken the folder, or the disk was away for long; see that no other run works there, then "
            "the same command goes on from the last checkpoint"
        )


def _look(lease: SoftFileLease) -> tuple[OwnerRecord | None, float] | None:
    """Who holds the lock, if that can be read, and the time of the last heartbeat; None if it is not there.

    The owner first: for that the file is opened, on which NFS asks the server.
    """
    try:
        return lease.owner, os.stat(lease.lock_file).st_mtime
    except FileNotFoundError:
        return None


def _named(owner: OwnerRecord | None) -> str:
    host = owner.hostname.partition("?pidns-")[0] if owner else "unknown"  # filelock adds the container
    return f"process {owner.pid if owner else 0} on host {host}"


@cache
def _this_process() -> OwnerRecord:
    """What the locks of this process say."""
    with tempfile.TemporaryDirectory() as folder, SoftFileLease(os.path.join(folder, LOCK_FILE)) as lease:
        return lease.owner


def _place(owner: OwnerRecord) -> tuple[str, int | None]:
    """Where a process number means one process: a container's numbers on a machine, and that since its start.

    Containers may share a host name, and so may machines. filelock adds the former to the name, and the machine's
    boot id to the time at which the process began, above its 64th bit.
    """
    return owner.hostname, None if owner.start is None else owner.start >> 64
