"""A resumed run goes on in the same run of each tracker. Nothing is sent anywhere: files and data bases in a folder."""

import importlib.util
import os
import sqlite3
import sys
import time
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf
from verl.utils.tracking import Tracking

from recipe.zppo.run.trackers import TrackerError, resume_trackers, tracker_environment


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"{package} is not installed")


def configured(folder: Path, logger: list[str], **changes: object) -> DictConfig:
    names = {"project_name": "study", "experiment_name": "run", "resume_mode": "auto", "total_training_steps": 4}
    return OmegaConf.create({"trainer": {"default_local_dir": str(folder), "logger": logger, **names, **changes}})


def start(config: DictConfig, first: int, last: int) -> None:
    """A start that goes on after step `first - 1`, and logs 10 times the step plus the number of its first step."""
    with tracker_environment(config):
        tracking = Tracking(
            config.trainer.project_name,
            config.trainer.experiment_name,
            config.trainer.logger,
            OmegaConf.to_container(config),
        )
        resume_trackers(tracking, config, first - 1)
        for step in range(first, last + 1):
            tracking.log({"loss": 10.0 * step + first}, step)
        tracking.finish()


def test_the_environment_is_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "mine")
    monkeypatch.delenv("WANDB_RESUME", raising=False)
    before = dict(os.environ)
    with tracker_environment(configured(tmp_path / "run", ["wandb"])):
        assert os.environ["WANDB_RUN_ID"] == "mine" and os.environ["WANDB_RESUME"] == "allow"
    assert dict(os.environ) == before


def test_a_fresh_start_is_another_run(tmp_path: Path) -> None:
    ids = []
    for mode in ("auto", "auto", "disable"):
        with tracker_environment(configured(tmp_path, ["wandb"], resume_mode=mode)):
            ids.append(os.environ["WANDB_RUN_ID"])
    assert ids[0] == ids[1] != ids[2]


def test_a_tracker_that_verl_goes_on_without_is_said(tmp_path: Path) -> None:
    tracking = type("Tracking", (), {"logger": {"console": None}})()
    with pytest.raises(TrackerError, match=r"^trainer.logger: mlflow did not start"):
        resume_trackers(tracking, configured(tmp_path, ["console", "mlflow"]), 0)


@needs("tensorboard")
def test_tensorboard_forgets_what_is_logged_again(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = configured(tmp_path, ["tensorboard"])
    start(config, 1, 4)
    time.sleep(1.1)  # files of one process and one second are read in the order of their names: 10 before 9
    start(config, 3, 5)
    shown = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("loss")
    assert [(event.step, event.value) for event in shown] == [(1, 11), (2, 21), (3, 33), (4, 43), (5, 53)]


@needs("wandb")
def test_wandb_offline_has_one_run_of_two_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(name, value)
    config = configured(tmp_path, ["wandb"])
    start(config, 1, 2)
    first = (tmp_path / "wandb_run_id.txt").read_text()
    (tmp_path / "wandb" / "latest-run").unlink()
    start(config, 2, 3)
    (file,) = (tmp_path / "wandb" / "latest-run").resolve().glob("*.wandb")
    assert file.name == f"run-{first}.wandb"


@needs("mlflow")
def test_mlflow_goes_on_and_other_settings_are_a_run_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    config = configured(tmp_path, ["mlflow"])
    start(config, 1, 4)
    start(config, 3, 5)
    longer = configured(tmp_path, ["mlflow"], total_training_steps=6)
    start(longer, 6, 6)
    start(longer, 6, 6)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (study,) = (each for each in client.search_experiments() if each.name == "study")
    below, first = client.search_runs([study.experiment_id], order_by=["attributes.start_time DESC"])
    history = [(each.step, each.value) for each in client.get_metric_history(first.info.run_id, "loss")]
    assert history == [(1, 11), (2, 21), (3, 31), (4, 41), (3, 33), (4, 43), (5, 53)]
    assert [each.value for each in client.get_metric_history(below.info.run_id, "loss")] == [66, 66]
    assert below.data.tags["mlflow.parentRunId"] == first.info.run_id
    assert (first.data.params["trainer/total_training_steps"], below.data.params["trainer/total_training_steps"]) == (
        "4",
        "6",
    )


@needs("mlflow")
def test_an_mlflow_that_does_not_start_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://x")
    with pytest.raises(TrackerError, match=r"^trainer.logger: mlflow does not start: [^\n]*$"):
        start(configured(tmp_path, ["mlflow"]), 1, 1)


@needs("trackio")
def test_trackio_goes_on(tmp_path: Path) -> None:
    """In a process of its own: trackio reads its folder's name once."""
    import subprocess

    program = f"""
from pathlib import Path
from tests.run.test_trackers import configured, start
for folder in ("one", "two"):
    start(configured(Path({str(tmp_path)!r}) / folder, ["trackio"]), 1, 4)
start(configured(Path({str(tmp_path)!r}) / "one", ["trackio"]), 3, 5)
"""
    environment = os.environ | {"TRACKIO_DIR": str(tmp_path / "trackio")}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=120, capture_output=True)
    with sqlite3.connect(tmp_path / "trackio" / "study.db") as base:
        runs = base.execute(
            "select run_name, count(distinct run_id), group_concat(step) from metrics group by 1"
        ).fetchall()
    assert sorted((count, steps) for _, count, steps in runs) == [(1, "1,2,3,4"), (1, "1,2,3,4,3,4,5")]


@needs("mlflow")
def test_another_key_is_the_same_run(tmp_path: Path) -> None:
    """What MLflow is given of a key is `***` each time."""
    runs = []
    for key in ("sk-1", "sk-2"):
        with tracker_environment(configured(tmp_path, ["mlflow"], api_key=key)):
            runs.append(os.environ["MLFLOW_RUN_ID"])
    assert runs[0] == runs[1]
