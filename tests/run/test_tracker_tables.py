"""Tables that trackers get, with the real packages: files and data bases in a folder, nothing is sent anywhere."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from verl.utils.tracking import Tracking

from recipe.zppo.run.rollout_log import RolloutLog
from recipe.zppo.run.tracker_tables import (
    MOST_QUESTIONS,
    TEXT_LIMIT,
    TableLog,
    candidate_rollouts,
    hardest_questions,
    plain,
)
from recipe.zppo.run.trackers import tracker_environment
from tests.run.test_trackers import configured, needs
from tests.view.synthetic_run import write_run

HOSTILE = "<script>alert(1)</script> ![x](http://127.0.0.1/a.png)\n\n# head\n\u202e" + "long " * 1000


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run") / "hostile", text=HOSTILE)


def log_a_run(run: Path, folder: Path, tracker: str) -> None:
    """Step 12 of a run, in `tracker`."""
    config = configured(folder, [tracker])
    with tracker_environment(config):
        tracking = Tracking("study", "run", [tracker], OmegaConf.to_container(config))
        rollouts = RolloutLog(str(run / "rollouts"), None)
        tracking.logger["zppo_tables"] = TableLog(tracking.logger, run / "events.jsonl", rollouts, every=5, last=12)
        for step in (11, 12):
            tracking.log({"loss": float(step)}, step)
        tracking.finish()


def log_in_another_process(run: Path, folder: Path, tracker: str, **environment: str) -> None:
    """W&B and trackio read their environment once in a process."""
    program = f"""
from pathlib import Path
from tests.run.test_tracker_tables import log_a_run
log_a_run(Path({str(run)!r}), Path({str(folder)!r}), {tracker!r})
"""
    command = [sys.executable, "-c", program]
    subprocess.run(command, env=os.environ | environment, check=True, timeout=120, capture_output=True)


@contextmanager
def counted(run: Path, every: int, last: int) -> Iterator[list[tuple[int, list[str]]]]:
    """Steps and names of what a tracker is given."""
    given: list[tuple[int, list[str]]] = []

    class Writer:
        def add_text(self, name: str, text: str, step: int) -> None:
            given.append((step, name))

    tracker = type("Tracker", (), {"writer": Writer()})()
    log = TableLog({"tensorboard": tracker, "console": None}, run / "events.jsonl", RolloutLog(None, None), every, last)
    for step in range(last + 1):
        log.log({}, step)
    yield given


def test_tables_come_with_the_validations_and_at_the_end(hostile_run: Path):
    for every, last, steps in ((5, 12, [5, 10, 12]), (-1, 3, [3]), (4, 8, [4, 8])):
        with counted(hostile_run, every, last) as given:
            assert given == [(step, "zppo/hardest_questions") for step in steps]


def test_the_hardest_are_those_of_the_buffer(hostile_run: Path):
    inside: dict[str, list[float]] = {}
    for line in (hostile_run / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["type"] in ("admitted", "visited"):
            inside.setdefault(event["prompt_id"], []).append(event["accuracy"])
        elif event["type"] in ("graduated", "evicted"):
            del inside[event["prompt_id"]]
    table = hardest_questions(hostile_run / "events.jsonl")
    assert len(table.rows) == min(MOST_QUESTIONS, len(inside)) > 20
    for name, *_, entry, visits, last in table.rows:
        accuracies = inside[name]
        assert (entry, visits, last) == (accuracies[0], len(accuracies) - 1, accuracies[-1])
    assert [row[-1] for row in table.rows] == sorted(row[-1] for row in table.rows)


def test_what_was_said_under_candidates_is_harmless(hostile_run: Path):
    table = candidate_rollouts(hostile_run / "rollouts" / "step_000012.jsonl")
    assert {row[0] for row in table.rows} == {"bcq", "ncq"} and len(table.rows) > 3
    right = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert {(row["answer"], row["reward"]) for row in right} == {("1", 1.0), ("2", 0.0)}
    for row in right:
        assert row["gold"] == "1" and row["response"].startswith("< script>alert(1)< /script> ![x] (http")
        for text in (row["prompt"], row["response"]):
            assert len(text) <= TEXT_LIMIT and text.isprintable() and "<s" not in text and "](" not in text
    assert candidate_rollouts(hostile_run / "rollouts" / "missing.jsonl").rows == []


def test_plain_keeps_formulas_and_both_ends():
    assert plain("x<3 and\n y < z, f[1] (2)") == "x<3 and y < z, f[1] (2)"
    text = plain("a" * 5000 + " so the answer is 5")
    assert len(text) <= TEXT_LIMIT and text.startswith("aaa") and text.endswith("so the answer is 5")
    assert len(plain("<a" * 5000)) <= TEXT_LIMIT and plain("") == ""


def test_a_tracker_that_refuses_does_not_end_the_run(hostile_run: Path, caplog: pytest.LogCaptureFixture):
    log = TableLog({"tensorboard": None}, hostile_run / "events.jsonl", RolloutLog(None, None), 1, 12)
    log.log({}, 1)
    (record,) = caplog.records
    assert record.getMessage().startswith("tensorboard did not take the tables of step 1: ")


@needs("tensorboard")
def test_tensorboard_has_them_as_text(hostile_run: Path, tmp_path: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log_a_run(hostile_run, tmp_path, "tensorboard")
    read = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    for name in ("hardest_questions", "candidate_rollouts"):
        (event,) = read.Tensors(f"zppo/{name}/text_summary")
        lines = event.tensor_proto.string_val[0].decode().split("\n")
        assert event.step == 12 and len(lines) > 20 and all(line.startswith("    ") for line in lines)
    assert [event.step for event in read.Scalars("loss")] == [11, 12]


@needs("wandb")
def test_wandb_has_them_as_tables(hostile_run: Path, tmp_path: Path):
    log_in_another_process(hostile_run, tmp_path, "wandb", WANDB_MODE="offline", WANDB_SILENT="true")
    files = (tmp_path / "wandb" / "latest-run").resolve().rglob("*.table.json")
    tables = {file.name.partition("_12_")[0]: json.loads(file.read_text()) for file in files}
    assert set(tables) == {"hardest_questions", "candidate_rollouts"}
    expected = candidate_rollouts(hostile_run / "rollouts" / "step_000012.jsonl")
    assert tables["candidate_rollouts"]["columns"] == list(expected.columns)
    assert tables["candidate_rollouts"]["data"] == expected.rows


@needs("mlflow")
def test_mlflow_has_them_as_tables(hostile_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    log_a_run(hostile_run, tmp_path, "mlflow")
    run_id = json.loads((tmp_path / "mlflow_run.json").read_text())["run"]
    for name in ("hardest_questions", "candidate_rollouts"):
        frame = mlflow.load_table(f"zppo/{name}/step_000012.json", run_ids=[run_id])
        assert len(frame) > 3
    (file,) = (tmp_path / "mlartifacts").rglob("candidate_rollouts/step_000012.json")
    expected = candidate_rollouts(hostile_run / "rollouts" / "step_000012.jsonl")
    assert json.loads(file.read_text()) == {"columns": list(expected.columns), "data": expected.rows}
    (tmp_path / "elsewhere").rmdir()  # nothing is written where the command was run


@needs("trackio")
def test_trackio_has_them_as_tables(hostile_run: Path, tmp_path: Path):
    log_in_another_process(hostile_run, tmp_path, "trackio", TRACKIO_DIR=str(tmp_path / "trackio"))
    with sqlite3.connect(tmp_path / "trackio" / "study.db") as base:
        logged = dict(base.execute("select step, metrics from metrics where cast(metrics as text) like '%rollouts%'"))
    (metrics,) = map(json.loads, logged.values())
    expected = candidate_rollouts(hostile_run / "rollouts" / "step_000012.jsonl")
    table = metrics["zppo/candidate_rollouts"]
    assert set(logged) == {12} and table["_type"] == "trackio.table"
    assert [list(row.values()) for row in table["_value"]] == expected.rows
