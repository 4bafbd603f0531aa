"""One run at a time in a folder: the living keep it, the dead lose it to one taker only, and who loses it ends."""

import errno
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import filelock
import pytest
from filelock import OwnerRecord, SoftFileLease

from recipe.zppo.errors import ZPPOError
from recipe.zppo.run.lock import _INTERRUPTS, LOCK_FILE, RunLock, RunLockError, _this_process
from recipe.zppo.run.processes import started_at

HOLD = """
import sys, time
from recipe.zppo.run.lock import RunLock
with RunLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""

LOSE = """
import sys, threading
from recipe.zppo.run import lock
lock._AGAIN_S = 0.2
with lock.RunLock(sys.argv[1], beat_s=0.06, stale_s=0.4):
    print("held", flush=True)
    while True:
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
"""

OLD_FORMAT = '{"host": "node7", "pid": 12, "started": 1.5, "place": "node7 boot pid:[1]", "token": "0123abcd"}'
NODE7 = {"hostname": "node7", "pid": 12}
SAME_NAME = {"start": (1234 << 64) + 5}
"""A machine or container of the same name as this one, whose process can't be seen from here."""


def leave_lock(folder: Path, age_s: float = 0.0, **changes) -> Path:
    """A lock as another process left it: of this machine, unless `changes` say otherwise."""
    owner = _this_process()._replace(**{"pid": 2**22 + 1, "token": "0123abcd", "lease_duration": 0.4} | changes)
    return leave(folder, filelock._marker.encode_marker(owner), age_s)


def leave(folder: Path, content: bytes, age_s: float = 0.0) -> Path:
    path = folder / LOCK_FILE
    path.write_bytes(content)
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def holder(folder: Path) -> OwnerRecord:
    return SoftFileLease(folder / LOCK_FILE).owner


def quick(folder: Path) -> RunLock:
    return RunLock(folder, beat_s=0.06, stale_s=0.4)


def start(script: str, folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", script, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_the_folder_is_free_again_after_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    for _ in range(2):
        with RunLock(folder):
            assert holder(folder).pid == os.getpid()
            assert os.listdir(folder) == [LOCK_FILE]
        assert os.listdir(folder) == []
    with pytest.raises(ValueError, match="a failed run"), RunLock(folder):
        raise ValueError("a failed run")
    assert os.listdir(folder) == []


def test_a_second_run_is_told_who_is_there_and_what_to_do(tmp_path: Path) -> None:
    with RunLock(tmp_path):
        before = (tmp_path / LOCK_FILE).read_text()
        with pytest.raises(RunLockError) as caught, RunLock(tmp_path):
            pass
        assert (tmp_path / LOCK_FILE).read_text() == before
        assert os.listdir(tmp_path) == [LOCK_FILE]
    message = str(caught.value)
    assert message == (
        f"trainer.default_local_dir={tmp_path}: another run works there, process {os.getpid()} on host "
        f"{os.uname().nodename}; wait for it or end it, or give this run another folder (if that process is no run, "
        f"remove {tmp_path / LOCK_FILE})"
    )
    assert isinstance(caught.value, ZPPOError) and str(pickle.loads(pickle.dumps(caught.value))) == message


@pytest.mark.parametrize("reaped", [True, False])
def test_a_killed_process_keeps_nobody_out(tmp_path: Path, reaped: bool) -> None:
    process = start(HOLD, tmp_path)
    with pytest.raises(RunLockError, match=f"process {process.pid} on host"), RunLock(tmp_path):
        pass
    process.send_signal(signal.SIGKILL)
    if reaped:  # not where a container's first process doesn't do it
        process.wait()
    wait_for(lambda: started_at(process.pid) is None)
    assert holder(tmp_path).pid == process.pid
    started = time.monotonic()
    with RunLock(tmp_path):
        assert time.monotonic() - started < 5
        assert holder(tmp_path).pid == os.getpid()
    assert os.listdir(tmp_path) == []
    process.communicate()


def test_a_number_that_belongs_to_another_process_by_now(tmp_path: Path) -> None:
    leave_lock(tmp_path, pid=os.getpid(), age_s=3600.0)
    with RunLock(tmp_path):
        assert holder(tmp_path).token != "0123abcd"


@pytest.mark.parametrize("elsewhere", [NODE7, SAME_NAME, OLD_FORMAT.encode()])
def test_another_machine_is_alive_as_long_as_its_heart_beats(tmp_path: Path, elsewhere: dict | bytes) -> None:
    path = leave_lock(tmp_path, **elsewhere) if isinstance(elsewhere, dict) else leave(tmp_path, elsewhere)
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(0.05):
            os.utime(path)

    with ThreadPoolExecutor(1) as executor:
        executor.submit(beat)
        with pytest.raises(RunLockError, match="another run works there"), quick(tmp_path):
            pass
        ended.set()
    started = time.monotonic()
    with quick(tmp_path):  # a requeued job waits for the death of the one before it
        assert 0.2 < time.monotonic() - started < 5
        assert holder(tmp_path).pid == os.getpid()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("age_s", "waits"), [(3600.0, False), (-3600.0, True)])
def test_old_heartbeats_and_those_of_a_clock_that_is_ahead(tmp_path: Path, age_s: float, waits: bool) -> None:
    leave_lock(tmp_path, age_s, **NODE7)
    started = time.monotonic()
    with quick(tmp_path):
        assert (time.monotonic() - started > 0.35) == waits


def test_filelock_says_of_this_process_what_places_are_told_apart_by(tmp_path: Path) -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    assert f"{_this_process().start >> 64:032x}" == boot
    assert _this_process().hostname.startswith(os.uname().nodename)


def no_exchange(*_: str) -> bool:
    """As on NFS."""
    return False


def no_links(*_: str) -> None:
    raise OSError(errno.EPERM, "no hard links here")


def _join(barrier, inside, plain_disk: bool) -> None:
    global everyone, within
    everyone, within = barrier, inside
    if plain_disk:
        filelock._soft.exchange_names = filelock._util.exchange_names = no_exchange
        os.link = no_links


def _try(folder: Path) -> bool:
    everyone.wait()
    try:
        with quick(folder):
            assert within.acquire(block=False), "two at once"
            everyone.wait()  # hold it until all have tried
            within.release()
            return True
    except RunLockError:
        everyone.wait()
        return False


@pytest.mark.parametrize("plain_disk", [False, True])
def test_of_many_takers_one_gets_it(tmp_path: Path, plain_disk: bool) -> None:
    takers, context = 6, multiprocessing.get_context("fork")
    shared = (context.Barrier(takers, timeout=30), context.Semaphore(1), plain_disk)
    with ProcessPoolExecutor(takers, context, _join, shared) as executor:
        for attempt in range(30):
            folder = tmp_path / str(attempt)
            folder.mkdir()
            if attempt % 3:
                path = leave_lock(folder, age_s=3600.0)
            if attempt % 3 == 2:  # one who was killed while it took the lock over
                path.with_name(f"{LOCK_FILE}.taken").write_bytes(path.read_bytes())
            taken = list(executor.map(_try, [folder] * takers))
            assert sum(taken) == 1
            assert os.listdir(folder) == []


@pytest.mark.parametrize("content", ["", "{", "[]", OLD_FORMAT, "filelock/2\npid=9", "filelock/9\n", "\x00" * 9])
def test_a_lock_that_nobody_can_read_is_stale_once_it_is_old(tmp_path: Path, content: str) -> None:
    leave(tmp_path, content.encode(), age_s=3600.0)
    with quick(tmp_path):
        assert holder(tmp_path).pid == os.getpid()
    assert os.listdir(tmp_path) == []


def test_the_heart_beats_until_the_lock_is_gone(tmp_path: Path) -> None:
    path = tmp_path / LOCK_FILE
    with pytest.raises(RunLockError, match="is no longer that of this run") as caught, quick(tmp_path):
        os.utime(path, (0, 0))
        wait_for(lambda: path.stat().st_mtime > 1)
        path.unlink()
        leave_lock(tmp_path)
        time.sleep(10)
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)
    assert holder(tmp_path).token == "0123abcd"  # is not this run's to remove


def test_a_run_that_does_not_heed_the_interrupt_ends_all_the_same(tmp_path: Path) -> None:
    process = start(LOSE, tmp_path)
    (tmp_path / LOCK_FILE).unlink()
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (1, "interrupted\n" * _INTERRUPTS)
    assert err.startswith(f"zppo: the run stopped: RunLockError: trainer.default_local_dir={tmp_path}: ")
    assert err.count("\n") == 1


def test_a_disk_that_fails_for_a_while_does_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures, utime = [], os.utime

    def fail(path: str, *arguments, **options) -> None:
        if len(failures) < 3:
            failures.append(path)
            raise OSError(errno.EIO, "I/O error")
        utime(path, *arguments, **options)

    with quick(tmp_path) as lock:
        utime(lock.path, (0, 0))
        monkeypatch.setattr(os, "utime", fail)
        wait_for(lambda: os.stat(lock.path).st_mtime > 1)
        assert len(failures) == 3


def test_a_folder_that_can_not_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunLockError, match=r"can't be written to: .*give the run another folder"):
        RunLock(tmp_path / "file" / "run").__enter__()


def wait_for(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
