"""The folder of a build: taken up, refused, shared, removed, and killed at any moment of that."""

import errno
import fcntl
import os
import shutil

import pytest

from recipe.zppo.data import corpus
from tests.data.building import AI2D, build, complaint, contents
from tests.data.conftest import vero_row, write_vero


def test_another_build_in_the_folder_is_refused(tmp_path, capfd):
    vero = write_vero(tmp_path / "vero", {AI2D: [vero_row(number) for number in range(4)]})
    given = (f"vero={vero}", "mmfinereason=null", f"out={tmp_path / 'out'}")
    build(tmp_path / "out", *given)
    said = complaint(capfd, *given, "tier1_cap=2")
    assert said.startswith(f"out={tmp_path / 'out'}: holds a build with other settings (tier1_cap: 2800 there, 2 now);")
    assert build(tmp_path / "out", *given, "tier1_cap=2", "overwrite=true")["rows"] == 2
    write_vero(tmp_path / "vero", {AI2D: [vero_row(number) for number in range(9)]})
    assert "(files of vero: [[" in complaint(capfd, *given, "tier1_cap=2")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "train-00000-of-00001.parquet").write_text("mine")
    said = complaint(capfd, *given[:2], f"out={tmp_path / 'foreign'}", "overwrite=true")
    assert "train-00000-of-00001.parquet is there, but not from a build" in said


def test_two_builds_in_one_folder(tmp_path, capfd):
    vero = write_vero(tmp_path / "vero", {AI2D: [vero_row(1)]})
    (tmp_path / "out").mkdir()
    with open(tmp_path / "out" / ".lock-train", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another process builds there" in complaint(capfd, f"vero={vero}", f"out={tmp_path / 'out'}")


@pytest.mark.parametrize("code", ["ENOSYS", "ENOLCK", "EOPNOTSUPP", "EIO"])
def test_a_file_system_without_locks(tmp_path, capfd, monkeypatch, code):
    flock = fcntl.flock

    def refuse(handle, how):
        if not os.readlink(f"/proc/self/fd/{handle}").endswith(".lock-train"):  # `datasets` locks its cache
            return flock(handle, how)
        raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))

    monkeypatch.setattr(fcntl, "flock", refuse)
    given = ("mmfinereason=null", f"vero={write_vero(tmp_path / 'vero', {AI2D: [vero_row(1)]})}")
    if code == "EIO":
        said = complaint(capfd, *given, f"out={tmp_path / 'out'}")
        assert said == f"{tmp_path / 'out'}: can't be written: Input/output error"
        return
    assert build(tmp_path / "out", *given)["rows"] == 1
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "locks" in line]
    assert line.startswith(f"out={tmp_path / 'out'}: the file system has no locks (") and "-o flock" in line


class Killed(BaseException):
    """As a kill: nothing handles it."""


def _kill(*_) -> None:
    raise Killed


@pytest.mark.parametrize("finished", [False, True])
def test_a_removal_that_is_killed_anywhere(tmp_path, monkeypatch, finished):
    """With `overwrite=true`; both the new settings and the old ones then lead to what they lead to from the start."""
    vero = write_vero(tmp_path / "vero", {AI2D: [vero_row(number, answer="1") for number in range(6)]}, shards=2)
    old = (f"vero={vero}", "rows_per_shard=2", "max_answer_chars=5")
    new = (f"vero={vero}", "rows_per_shard=2", "max_answer_chars=6", "strip_directives=false", "seed=3")
    build(tmp_path / "old", *old)
    build(tmp_path / "new", *new)
    start = tmp_path / "start"
    if finished:
        shutil.copytree(tmp_path / "old", start)
    else:
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(corpus.WorkFolder, "finish", _kill)
            build(start, *old)
        assert (start / ".work-train" / "asked.json").is_file() and list(start.glob("train-*"))
    removals, names = 0, {"unlink": os.unlink, "rmdir": os.rmdir}
    while True:
        left = removals

        def counting(name):
            def remove(*arguments, **named):
                nonlocal left
                if left == 0:
                    raise Killed
                left -= 1
                return names[name](*arguments, **named)

            return remove

        out = tmp_path / f"killed-{removals}"
        shutil.copytree(start, out)
        with monkeypatch.context() as patch:
            for name in names:
                patch.setattr(os, name, counting(name))
            try:
                build(out, *new, "overwrite=true")
                break
            except Killed:
                pass
        shutil.copytree(out, tmp_path / f"back-{removals}")
        build(out, *new, "overwrite=true")
        assert contents(out) == contents(tmp_path / "new")
        # Whoever changes their mind gets the old build, if the new one did not begin.
        build(tmp_path / f"back-{removals}", *old, "overwrite=true")
        assert contents(tmp_path / f"back-{removals}") == contents(tmp_path / "old")
        removals += 1
    assert removals > 5


def test_files_of_tasks_without_a_plan_are_not_trusted(tmp_path):
    """As a killed removal of an older version left them."""
    vero = write_vero(tmp_path / "vero", {AI2D: [vero_row(number) for number in range(4)]})
    build(tmp_path / "fresh", f"vero={vero}")
    scan = tmp_path / "out" / ".work-train" / "scan"
    scan.mkdir(parents=True)
    (scan / "00000.parquet").write_text("of other settings")
    build(tmp_path / "out", f"vero={vero}")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")
