#!/usr/bin/env bash
# A run that resumes into its MLflow run with one setting changed trains on, and logs nothing more to MLflow.
#
# Versions: verl 0.9.1, mlflow 3.17.2, torch 2.13.0 (CPU).
# Behaviour: verl's Tracking takes MLFLOW_RUN_ID as the run to go on with, and logs the whole configuration as parameters.
#   MLflow's parameters can't be changed. One would expect a changed setting (more steps, another save_freq) to be kept as
#   it was, or the start to fail. Tracking tries three times, five seconds apart, warns in a log, and goes on without
#   MLflow: no exception, status 0, and every later metric is lost. With the same settings the run is continued.
# Seen:
#   same settings: mlflow among the loggers: True
#   total_epochs 1 -> 2: mlflow among the loggers: False, after 10 s
#   steps in the run: [1, 2]
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check verl==0.9.1 torch==2.13.0 tensordict==0.10.0 ray==2.60.0 TransferQueue==0.1.11 \
  mlflow==3.17.2
cat > "$work/run.py" <<'PY'
import os, time

import mlflow
from verl.utils.tracking import Tracking

os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{os.getcwd()}/mlflow.db"


def start(total_epochs, step, run_id=None):
    """A start of a training as far as its tracker goes: whether it has MLflow, and how long it took to know."""
    if run_id is not None:
        os.environ["MLFLOW_RUN_ID"] = run_id  # mlflow.end_run takes it away
    began = time.monotonic()
    tracking = Tracking("project", "run", ["mlflow"], {"trainer": {"total_epochs": total_epochs, "lr": 1e-6}})
    seconds = time.monotonic() - began
    tracking.log({"score": 0.5}, step=step)
    mlflow.end_run()
    return "mlflow" in tracking.logger, seconds


assert start(total_epochs=1, step=1)[0]
(run,) = mlflow.MlflowClient().search_runs([mlflow.get_experiment_by_name("project").experiment_id])
same, _ = start(total_epochs=1, step=2, run_id=run.info.run_id)
changed, seconds = start(total_epochs=2, step=3, run_id=run.info.run_id)
history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "score")
steps = sorted(metric.step for metric in history)
print("same settings: mlflow among the loggers:", same)
print(f"total_epochs 1 -> 2: mlflow among the loggers: {changed}, after {seconds:.0f} s")
print("steps in the run:", steps)
assert same and not changed and seconds > 9 and steps == [1, 2]
PY
cd "$work" && "$work/venv/bin/python" -W ignore run.py 2>/dev/null
