"""A true study, small: `plan=smoke` with the local back end, on a world whose models know nothing."""

import json
from pathlib import Path

import pytest

from recipe.zppo.study.__main__ import main
from recipe.zppo.world.build import build_world
from recipe.zppo.world.settings import WorldSettings
from tests.study.conftest import read_csv


@pytest.mark.e2e
def test_a_smoke_study_trains_both_rows(tmp_path: Path):
    world = build_world(tmp_path / "world", settings=WorldSettings.miniature())
    out = tmp_path / "out"
    arguments = [
        "plan=smoke",
        "worlds=null",
        f"own.model='{world.student}'",
        f"own.teacher='{world.teacher}'",
        f"own.train='{world.train_file}'",
        f"own.val='{world.val_file}'",
        f"own.shifted='{world.file('shifted')}'",
        "settings.data.train_batch_size=8",
        "jobs=1",
        f"out={out}",
    ]
    assert main(arguments) == 0
    runs = {run["row"]: run for run in read_csv(out / "runs.csv")}
    assert {run["state"] for run in runs.values()} == {"finished"}
    assert float(runs["zppo"]["teacher_tokens"]) > 0 and float(runs["zppo"]["ncq_groups"]) > 0
    assert float(runs["grpo_replay"]["teacher_tokens"]) == 0 and float(runs["grpo_replay"]["ncq_groups"]) == 0
    for run in runs.values():
        assert 0 <= float(run["accuracy"]) <= 1 and 0 <= float(run["shifted_accuracy"]) <= 1
        assert float(run["student_tokens"]) > 0 and float(run["train_seconds"]) > 0
    for folder in (out / "runs").iterdir():
        steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert steps == [0, 1, 2, 3, 4]
        assert not list(folder.glob("global_step_*"))  # a finished run needs no checkpoint
    # Two rows of one seed begin from the same model and the same questions.
    assert runs["zppo"]["accuracy_before"] == runs["grpo_replay"]["accuracy_before"]
    assert main(arguments) == 0  # nothing is left to do
