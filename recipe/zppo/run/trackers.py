"""Trackers of a run: their files lie in its folder, and a resumed run goes on in the tracker's run of before.

Each tracker has a hook of its own for that. verl's `Tracking` reads WANDB_* and MLFLOW_RUN_ID from the environment, and
takes a run of trackio that is open already. TensorBoard's writer is told from which step on older events no longer
count. What each one shows of steps that are logged twice is in docs/guides/trackers.md.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from recipe.zppo.errors import ZPPOError, first_line
from recipe.zppo.run.blotting import blotted
from recipe.zppo.run.files import write_text_atomically
from recipe.zppo.run.folder import read_json

WANDB_ID, MLFLOW_RUN = "wandb_run_id.txt", "mlflow_run.json"


class TrackerError(ZPPOError, RuntimeError):
    """A tracker that `trainer.logger` asks for does not start."""


@contextmanager
def tracker_environment(config: DictConfig) -> Iterator[None]:
    """What verl's `Tracking` is made with; variables that the user has set stay. Taken back afterwards.

    verl's own default for TensorBoard is a folder below the working directory, shared by all runs; for MLflow a data
    base in /tmp, shared by all users.

    Raises:
        TrackerError: see there.
    """
    folder, asked = Path(str(config.trainer.default_local_dir)).absolute(), _asked(config)
    wanted = {"TENSORBOARD_DIR": str(folder / "tensorboard")}
    fresh = config.trainer.resume_mode == "disable"
    if {"wandb", "trackio"} & asked:
        name = _run_id(folder, fresh)
        wanted |= {"WANDB_RUN_ID": name, "WANDB_RESUME": "allow", "WANDB_DIR": str(folder)}
    if "mlflow" in asked and "MLFLOW_RUN_ID" not in os.environ:
        wanted["MLFLOW_TRACKING_URI"] = _own_mlflow(folder)
        uri = os.environ.get("MLFLOW_TRACKING_URI", wanted["MLFLOW_TRACKING_URI"])
        wanted["MLFLOW_RUN_ID"] = _started("mlflow", lambda: _mlflow_run(config, folder, uri, fresh))
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        if "trackio" in asked:
            _started("trackio", lambda: _open_trackio(config, name))
        yield
    finally:
        for variable in added:
            os.environ.pop(variable, None)


def resume_trackers(tracking: Any, config: DictConfig, step: int) -> None:
    """Call it once `Tracking` is made: TensorBoard forgets what an earlier start has logged after `step`.

    Raises:
        TrackerError: verl goes on without a tracker that was asked for; only its log says so.
    """
    if missing := _asked(config) - set(tracking.logger):
        raise TrackerError(
            f"trainer.logger: {', '.join(sorted(missing))} did not start, for the reason in the lines above; mend it, "
            "or take it off trainer.logger"
        )
    if "tensorboard" in tracking.logger:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        begun = Event(step=step + 1, session_log=SessionLog(status=SessionLog.START))
        tracking.logger["tensorboard"].writer.file_writer.add_event(begun)


def _asked(config: DictConfig) -> set[str]:
    chosen = config.trainer.logger
    return {chosen} if isinstance(chosen, str) else set(chosen)


def _started(name: str, start: Callable[[], Any]) -> Any:
    try:
        return start()
    except Exception as error:  # a tracker raises what it likes
        raise TrackerError(
            f"trainer.logger: {name} does not start: {first_line(error)}; mend it, or take it off trainer.logger"
        ) from error


def _run_id(folder: Path, fresh: bool) -> str:
    """Of the run in this folder, for W&B and trackio; another one where it starts afresh."""
    file = folder / WANDB_ID
    if file.exists() and not fresh:
        return file.read_text(encoding="utf-8").strip()
    chosen = uuid.uuid4().hex[:12]
    folder.mkdir(parents=True, exist_ok=True)
    write_text_atomically(str(file), chosen)
    return chosen


def _own_mlflow(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def _mlflow_run(config: DictConfig, folder: Path, uri: str, fresh: bool) -> str:
    """The run in MLflow that this start logs to.

    MLflow keeps the settings of a run for good, and refuses to log to it under others. So a start with other settings
    is a run of its own, nested below the first one.
    """
    import mlflow

    mlflow.set_tracking_uri(uri)
    text = json.dumps(OmegaConf.to_container(blotted(config), resolve=True), sort_keys=True, default=str)
    settings = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    before = None if fresh else read_json(folder / MLFLOW_RUN)
    if before and before["settings"] == settings:
        return before["run"]
    name = str(config.trainer.project_name)
    if uri == _own_mlflow(folder) and mlflow.get_experiment_by_name(name) is None:
        mlflow.create_experiment(name, artifact_location=(folder / "mlartifacts").as_uri())  # else ./mlruns
    experiment = mlflow.set_experiment(name)
    tags = {"mlflow.runName": str(config.trainer.experiment_name)}
    if before:
        tags["mlflow.parentRunId"] = before["first"]
    run = mlflow.MlflowClient().create_run(experiment.experiment_id, tags=tags).info.run_id
    content = {"run": run, "first": before["first"] if before else run, "settings": settings}
    folder.mkdir(parents=True, exist_ok=True)
    write_text_atomically(str(folder / MLFLOW_RUN), json.dumps(content))
    return run


def _open_trackio(config: DictConfig, run_id: str) -> None:
    """trackio finds a run by its name, so this folder's has one that no other has."""
    import trackio

    trainer = config.trainer
    trackio.init(
        project=trainer.project_name,
        name=f"{trainer.experiment_name}-{run_id}",
        config=OmegaConf.to_container(blotted(config), resolve=True),
        resume="allow",
    )
