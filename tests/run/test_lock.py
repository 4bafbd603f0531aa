"""One run at a time in a folder: who is alive keeps it, who is dead loses it, to one taker only."""

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recipe.zppo.errors import ZPPOError
from recipe.zppo.run.lock import LOCK_FILE, RunLock, RunLockError, _Holder

HOLD = """
import sys, time
from recipe.zppo.run.lock import RunLock
with RunLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def leave_lock(folder: Path, age_s: float = 0.0, **changes) -> Path:
    """A lock as another process left it: of this machine, unless `changes` say otherwise."""
    path = folder / LOCK_FILE
    content = {**vars(_Holder.this_process()), "pid": 2**22 + 1, "token": "0123abcd", **changes}
    path.write_text(json.dumps(content))
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def holder(folder: Path) -> dict:
    return json.loads((folder / LOCK_FILE).read_text())


def quick(folder: Path) -> RunLock:
    return RunLock(folder, beat_s=0.06, stale_s=0.4)


def test_the_folder_is_free_again_after_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    for _ in range(2):
        with RunLock(folder) as lock:
            assert holder(folder)["pid"] == os.getpid() and not lock.lost
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
    for part in (f"trainer.default_local_dir={tmp_path}", str(os.getpid()), os.uname().nodename, "end it", LOCK_FILE):
        assert part in message
    assert "\n" not in message
    assert isinstance(caught.value, ZPPOError) and str(pickle.loads(pickle.dumps(caught.value))) == message


def test_a_killed_process_keeps_nobody_out(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(RunLockError, match=f"process {process.pid} on host"), RunLock(tmp_path):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert holder(tmp_path)["pid"] == process.pid
    started = time.monotonic()
    with RunLock(tmp_path):
        assert time.monotonic() - started < 5
        assert holder(tmp_path)["pid"] == os.getpid()
    assert os.listdir(tmp_path) == []


def test_a_number_that_belongs_to_another_process_by_now(tmp_path: Path) -> None:
    leave_lock(tmp_path, pid=os.getpid(), started=_Holder.this_process().started - 100)
    with RunLock(tmp_path):
        assert holder(tmp_path)["token"] != "0123abcd"


@pytest.mark.parametrize("elsewhere", [{"host": "node7", "place": "node7 boot pid:[1]"}, {"place": ""}])
def test_another_machine_is_alive_as_long_as_its_heart_beats(tmp_path: Path, elsewhere: dict) -> None:
    path = leave_lock(tmp_path, **elsewhere)
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
        assert holder(tmp_path)["pid"] == os.getpid()


@pytest.mark.parametrize(("age_s", "waits"), [(3600.0, False), (-3600.0, True)])
def test_old_heartbeats_and_those_of_a_clock_that_is_ahead(tmp_path: Path, age_s: float, waits: bool) -> None:
    leave_lock(tmp_path, age_s, host="node7", place="node7 boot pid:[1]")
    started = time.monotonic()
    with quick(tmp_path):
        assert (time.monotonic() - started > 0.35) == waits


def test_the_same_name_in_another_container_is_not_the_same_place(tmp_path: Path) -> None:
    """Its process is not to be seen from here, and lives."""
    path = leave_lock(tmp_path, place=f"{os.uname().nodename} another-boot pid:[1]")
    timer = threading.Timer(0.15, os.utime, [path])
    timer.start()
    with pytest.raises(RunLockError, match="another run works there"), quick(tmp_path):
        pass
    timer.join()


@pytest.mark.parametrize("links", [True, False])
def test_of_many_takers_one_gets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:

        def link(*_: str) -> None:
            raise OSError(errno.EPERM, "no hard links here")

        monkeypatch.setattr(os, "link", link)
    takers = 6
    barrier, inside = threading.Barrier(takers), threading.Semaphore(1)

    def take(folder: Path) -> bool:
        barrier.wait()
        try:
            with quick(folder):
                assert inside.acquire(blocking=False), "two at once"
                barrier.wait()  # hold it until all have tried
                inside.release()
                return True
        except RunLockError:
            barrier.wait()
            return False

    with ThreadPoolExecutor(takers) as executor:
        for attempt in range(30):
            folder = tmp_path / str(attempt)
            folder.mkdir()
            if attempt % 3:
                leave_lock(folder, age_s=3600.0)
            if attempt % 3 == 2:  # one who was killed while it took the lock over
                os.link(folder / LOCK_FILE, folder / f"{LOCK_FILE}.0123abcd") if links else None
            taken = list(executor.map(take, [folder] * takers))
            assert sum(taken) == 1
            assert os.listdir(folder) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"host": 1}', '{"pid": Infinity}', "\x00" * 9])
def test_a_lock_that_nobody_can_read_is_stale_once_it_is_old(tmp_path: Path, content: str) -> None:
    path = tmp_path / LOCK_FILE
    path.write_text(content)
    os.utime(path, (0, 0))
    with quick(tmp_path):
        assert holder(tmp_path)["pid"] == os.getpid()
    assert os.listdir(tmp_path) == []


def test_a_token_is_no_path(tmp_path: Path) -> None:
    leave_lock(tmp_path, age_s=3600.0, token="/../../evil")
    with quick(tmp_path):
        assert os.listdir(tmp_path) == [LOCK_FILE]


def test_the_heart_beats_until_the_lock_is_gone(tmp_path: Path) -> None:
    path = tmp_path / LOCK_FILE
    with quick(tmp_path) as lock:
        os.utime(path, (0, 0))
        wait_for(lambda: path.stat().st_mtime > 1)
        assert not lock.lost
        leave_lock(tmp_path, age_s=50.0)
        wait_for(lambda: lock.lost)
        before = path.stat().st_mtime_ns
        time.sleep(0.2)
        assert path.stat().st_mtime_ns == before
    assert holder(tmp_path)["token"] == "0123abcd"  # is not this run's to remove


def test_a_disk_that_fails_for_a_while_does_not_end_the_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures, utime = [], os.utime

    def fail(path: str, *arguments) -> None:
        if len(failures) < 3:
            failures.append(path)
            raise OSError(errno.EIO, "I/O error")
        utime(path, *arguments)

    with quick(tmp_path) as lock:
        utime(lock.path, (0, 0))
        monkeypatch.setattr(os, "utime", fail)
        wait_for(lambda: os.stat(lock.path).st_mtime > 1)
        assert len(failures) == 3 and not lock.lost


def test_a_folder_that_can_not_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunLockError, match=r"can't be written to: .*give the run another folder"):
        RunLock(tmp_path / "file" / "run").__enter__()


def wait_for(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
