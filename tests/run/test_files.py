"""Files of a run: whole or not there, and right after a resume."""

import json

import numpy as np
import pytest
import torch

from recipe.zppo.run.files import write_atomically
from recipe.zppo.run.metrics_log import MetricsLog
from recipe.zppo.run.status import StatusFile
from tests.run.conftest import rows


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(temporary):
        with open(temporary, "w") as file:
            file.write("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(str(path), fail)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_metrics_of_steps_after_the_checkpoint_are_dropped_on_resume(tmp_path, log):
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2, 3):
        log.log({"loss": step / 2}, step)
    log.finish()
    with path.open("a") as file:
        file.write('{"step": 4, "lo')  # killed while writing
    resumed = MetricsLog(str(path))
    resumed.resume(2)
    resumed.log({"loss": 9.0}, 3)
    resumed.finish()
    assert rows(path) == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 1.0}, {"step": 3, "loss": 9.0}]


def test_a_step_killed_between_its_checkpoint_and_its_log_is_logged_on_resume(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 0.5}\n')
    log = MetricsLog(str(path))
    log.restored = {"loss": 1.0}
    log.resume(2)
    log.finish()
    assert rows(path) == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 1.0}]
    log.resume(2)
    log.finish()
    assert len(rows(path)) == 2


def test_a_fresh_run_starts_a_fresh_metrics_file(tmp_path):
    path = tmp_path / "run/metrics.jsonl"
    path.parent.mkdir()
    path.write_text('{"step": 7}\n')
    log = MetricsLog(str(path))
    log.resume(0)
    log.log({}, 1)
    log.finish()
    assert rows(path) == [{"step": 1}]


def test_metrics_are_plain_json(tmp_path, log):
    log.log({"a": np.float32(0.5), "b": torch.tensor(2), "c": float("nan"), "d": np.int64(3), "e": [1]}, np.int64(1))
    log.finish()
    assert rows(tmp_path / "metrics.jsonl") == [{"step": 1, "a": 0.5, "b": 2, "c": None, "d": 3, "e": "[1]"}]


def test_status_is_readable_at_any_time(tmp_path):
    status = StatusFile(str(tmp_path / "status.json"))
    with status.stage(3, "update"):
        assert json.loads((tmp_path / "status.json").read_text())["stage"] == "update"
    content = json.loads((tmp_path / "status.json").read_text())
    assert (content["step"], content["stage"]) == (3, "after update")
