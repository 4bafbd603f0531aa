"""A disk that is full, over quota or broken for a while: the run goes on, and its files are whole afterwards."""

import errno
import logging
import os
from pathlib import Path

import pytest

from recipe.zppo.config import ending
from recipe.zppo.run import files
from recipe.zppo.run.folder import RunFolder
from recipe.zppo.run.metrics_log import MetricsLog
from recipe.zppo.run.rollout_log import RolloutLog
from recipe.zppo.run.status import StatusFile
from tests.run.conftest import room_for, rows

FAILURES = [errno.ENOSPC, errno.EDQUOT, errno.EIO]


def broken(number: int):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    return fail


# ---- which file it was


def test_what_the_disk_refuses_says_of_which_file(tmp_path: Path) -> None:
    """A write to a full disk does not by itself, and nobody knows the temporary file."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with room_for(3), pytest.raises(OSError) as full:
        files.write_text_atomically(str(tmp_path / "file"), "text")
    with pytest.raises(OSError) as taken:
        files.write_text_atomically(str(folder), "text")
    with pytest.raises(OSError) as missing:
        files.write_text_atomically(str(tmp_path / "no" / "file"), "text")
    said = [ending.said(error.value) for error in (full, taken, missing)]
    reasons = ["file: File too large", "folder: Is a directory", "no/file: No such file or directory"]
    assert said == [f"{tmp_path}/{reason}" for reason in reasons] and list(tmp_path.iterdir()) == [folder]


# ---- status


@pytest.mark.parametrize("number", FAILURES)
def test_a_status_that_can_not_be_written_is_said_once(tmp_path, monkeypatch, caplog, number: int) -> None:
    status = StatusFile(str(tmp_path / "status.json"))
    status.write(1, "generate")
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", broken(number))
        for step in (2, 3, 4):
            with status.stage(step, "generate"):
                pass
    assert RunFolder(tmp_path).status()["step"] == 1
    assert os.listdir(tmp_path) == ["status.json"]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert errno.errorcode[number] in record.getMessage() and "status.json" in record.getMessage()
    status.write(5, "update")
    assert RunFolder(tmp_path).status()["step"] == 5


def test_every_kind_of_failure_is_said(tmp_path, monkeypatch, caplog) -> None:
    status = StatusFile(str(tmp_path / "status.json"))
    for number in [*FAILURES, *FAILURES]:
        monkeypatch.setattr(files.os, "fsync", broken(number))
        status.write(1, "generate")
    assert len(caplog.records) == len(FAILURES)


def test_what_is_no_failure_of_the_disk_is_raised(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        StatusFile(str(tmp_path / "status.json")).write({1}, "generate")
    assert os.listdir(tmp_path) == []


# ---- metrics


def test_metrics_that_a_full_disk_refused_come_later_whole_and_in_order(tmp_path, caplog, log) -> None:
    path = tmp_path / "metrics.jsonl"
    log.log({"loss": 0.5}, 1)
    before = path.read_bytes()
    with room_for(len(before) + 7):
        log.log({"loss": 1.0}, 2)
        assert path.read_bytes() == before  # no half a line
        log.log({"loss": 1.5}, 3)
    (record,) = caplog.records
    assert "EFBIG" in record.getMessage() and str(path) in record.getMessage()
    log.log({"loss": 2.0}, 4)
    log.finish()
    assert rows(path) == [{"step": step, "loss": step / 2} for step in (1, 2, 3, 4)]


def test_half_a_line_that_could_not_be_removed_is_removed_before_the_next(tmp_path: Path, log: MetricsLog) -> None:
    path = tmp_path / "metrics.jsonl"
    log.log({"loss": 0.5}, 1)
    file = log._file

    class Broken:
        """Takes some bytes, then no more, and can't be cut."""

        writes = 0

        def fileno(self) -> int:
            return file.fileno()

        def write(self, data: bytes) -> int:
            self.writes += 1
            return file.write(data[:5]) if self.writes == 1 else broken(errno.EIO)()

        truncate = staticmethod(broken(errno.EIO))

    log._file = Broken()
    log.log({"loss": 1.0}, 2)
    assert path.read_text().endswith('\n{"ste')
    log.log({"loss": 1.5}, 3)
    log._file = file
    log.log({"loss": 2.0}, 4)
    log.finish()
    assert rows(path) == [{"step": step, "loss": step / 2} for step in (1, 2, 3, 4)]


def test_what_is_held_back_at_the_end_is_written_or_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "metrics.jsonl"
    for works in (True, False):
        log = MetricsLog(str(path))
        log.resume(0)
        with room_for(3):
            log.log({}, 1)
            if not works:
                log.finish()
        log.finish()
        assert rows(path) == ([{"step": 1}] if works else [])
    assert "the last 1 line(s) could not be written" in caplog.text


def test_metrics_that_are_none_are_raised(log: MetricsLog) -> None:
    with pytest.raises(AttributeError):
        log.log(None, 1)
    log.finish()


def test_a_resume_passes_over_lines_that_are_no_metrics(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "metrics.jsonl"
    garbage = [b'{"step": 2, "lo{"step": 3}', b"\x00\x00\xff", b"[1]", b'{"loss": 1}', b'{"step": "x"}', b"[" * 99_999]
    path.write_bytes(b"\n".join([b'{"step": 1, "loss": 0.5}', *garbage, b'{"step": 2}', b'{"step": 9}', b'{"st']))
    log = MetricsLog(str(path))
    log.resume(2)
    log.log({}, 3)
    log.finish()
    assert rows(path) == [{"step": 1, "loss": 0.5}, {"step": 2}, {"step": 3}]
    (record,) = caplog.records
    assert f"{len(garbage)} line(s)" in record.getMessage() and str(path) in record.getMessage()


# ---- rollouts


class _Result:
    """A step without groups, as far as the log looks at it."""

    groups = ()

    def __init__(self, step: int):
        self.step = step


def test_a_file_of_rollouts_that_failed_is_counted_and_the_next_is_whole(tmp_path, monkeypatch, caplog) -> None:
    log = RolloutLog(str(tmp_path / "rollouts"), None)
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", broken(errno.ENOSPC))
        for step in (1, 2):
            log.write(_Result(step))
        log.flush()
    assert log.failed == 2
    log.write(_Result(3))
    log.flush()
    assert os.listdir(tmp_path / "rollouts") == ["step_000003.jsonl"]
    log.close()
    assert log.failed == 2
    first, last = (record.getMessage() for record in caplog.records)
    assert "step_000001.jsonl" in first and "ENOSPC" in first
    assert "2 file(s) of rollouts could not be written" in last


def test_an_error_of_the_program_surfaces(tmp_path: Path) -> None:
    log = RolloutLog(str(tmp_path / "rollouts"), None)
    broken_result = _Result(1)
    broken_result.groups = (None,)
    log.write(broken_result)
    with pytest.raises(AttributeError):
        log.flush()
    assert log.failed == 0
