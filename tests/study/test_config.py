"""Mistakes in the arguments: one line, exit status 2, and nothing is written."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from recipe.zppo.errors import ConfigError
from recipe.zppo.study.__main__ import main
from recipe.zppo.study.config import plans, read_config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stepz=3"], "unknown key stepz; did you mean steps?"),
        (["steps=many"], "steps: expected a whole number of at least 1, got 'many'"),
        (["seeds=[]"], "seeds: expected a list of seeds"),
        (["seeds=[1,1]"], "a seed is given twice"),
        (["plan=tabel3"], "Could not find 'plan/tabel3'; known: baselines"),
        (["plan=none"], "rows: none"),
        (["only=[zpo]"], "only: unknown row zpo; did you mean zppo?"),
        (["baseline=grpo_repley"], "baseline: unknown row grpo_repley; did you mean grpo_replay?"),
        (["worlds=[frim]"], "worlds: unknown world frim; did you mean firm?"),
        (["worlds=null"], "own.model, own.train, own.val: needed with worlds=null"),
        (["own.train=x.parquet"], "own.train: set together with worlds; say worlds=null"),
        (["own.trian=x.parquet"], "Could not override 'own.trian'."),
        (["rows.zppo.step=3"], "rows.zppo: unknown key step; did you mean steps?"),
        (["backend=lokal"], "backend: 'lokal' is not one of local, verl"),
        (["backend=no.such.module:Backend"], "backend: no.such.module:Backend can't be loaded"),
        (["settings.zppo.tresholt=0.5"], "row grpo: zppo.tresholt: unknown key; did you mean zppo.threshold?"),
        (["settings.data.no_such_key=1"], "row grpo: Could not override 'data.no_such_key'."),
        (["settings.zppo.threshold=2"], "row grpo: zppo.threshold: 2.0 is out of range"),
        (["rows.mine.method=zpo"], "row mine: In 'zppo_trainer': Could not find 'method/zpo'; known: grpo, grpo_both"),
        (["plan=controls", "only=[grpo_replay_same_time]"], "same_time_as: zppo is not run"),
        (["rows.zppo.steps=0"], "rows.zppo.steps: expected a whole number of at least 1, got 0"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([f"out={tmp_path / 'out'}", "backend=tests.study.fake_backend:FakeBackend", *arguments]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.err.startswith("study: ") and output.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_command(tmp_path: Path):
    command = [sys.executable, "-m", "recipe.zppo.study", f"out={tmp_path / 'out'}", "stepz=3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, "study: unknown key stepz; did you mean steps?\n")


def test_more_steps_than_questions(fake_arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert main([*fake_arguments, "steps=11"]) == 2  # 160 questions, 16 a step
    assert "row grpo_replay: 11 steps, but the data of world own last for 10" in capsys.readouterr().err


def test_the_row_of_the_docs():
    text = (Path(__file__).parents[2] / "docs/guides/study.md").read_text()
    (argument,) = re.findall(r"rows\.big_buffer='\{.*?\}'", text)
    config = read_config([argument.replace("='", "=").removesuffix("'")])
    assert config.rows["big_buffer"].overrides == ["zppo.replay.capacity=400"]


def test_a_row_with_larger_batches_has_fewer_steps_of_the_data(study, capsys):
    def row(steps: int) -> str:
        return f'rows.big={{method: zppo, overrides: ["data.train_batch_size=32"], steps: {steps}}}'

    assert study(row(6))[0] == 2
    assert "row big: 6 steps, but the data of world own last for 5" in capsys.readouterr().err
    assert study(row(5))[0] == 0


@pytest.mark.parametrize("plan", [plan for plan in plans() if plan != "none"])
def test_every_plan_has_the_row_that_it_compares_with(plan: str, own_data: list[str]):
    own = own_data if plan == "smollm2" else []
    config = read_config([*own, f"plan={plan}"])
    assert config.baseline in [row.name for row in config.chosen]


def test_the_plan_for_a_real_model_is_for_that_model_only(own_data: list[str]):
    with pytest.raises(ConfigError, match="needed with worlds=null"):
        read_config(["plan=smollm2"])
    config = read_config(["plan=smollm2", *own_data])
    assert [row.name for row in config.chosen] == ["zppo", "grpo_replay_bcq", "grpo_replay", "grpo"]
    assert (config.steps, config.seeds) == (150, [0, 1, 2])


@pytest.mark.parametrize("worlds", ["firm,firm-0", "firm-1,mild,firm-01", "firm-2,firm"])
def test_no_world_counts_twice(worlds: str):
    one, *_, other = worlds.split(",")
    seed = "world_seed=2" if worlds == "firm-2,firm" else "world_seed=0"
    with pytest.raises(ConfigError, match=f"worlds: {one} and {other} are one world"):
        read_config([f"worlds=[{worlds}]", seed])
    read_config([f"worlds=[{worlds}]", "world_seed=3"] if "01" not in worlds else ["worlds=[firm,firm,firm-1]"])


def test_the_default_is_table_3():
    config = read_config([])
    labels = ["GRPO", "GRPO†", "GRPO + Both", "GRPO† + BCQ", "GRPO† + NCQ", "ZPPO"]
    assert [row.label for row in config.chosen] == labels
    assert {row.seeds for row in config.chosen} == {(0, 1, 2)}
    assert config.worlds == ["firm"]


def test_the_full_plan_has_more_seeds_for_four_rows_and_two_worlds():
    config = read_config(["plan=full"])
    assert config.worlds == ["firm", "mild"]
    five = [row.name for row in config.chosen if row.seeds == (0, 1, 2, 3, 4)]
    assert five == ["grpo_replay", "grpo_replay_bcq", "grpo_replay_ncq", "zppo"]
    assert config.notices == ("row zppo_two_teachers is left out: it needs second_teacher",)
    with_teacher = read_config(["plan=full", "second_teacher=/models/other"])
    assert with_teacher.chosen[-1].overrides == ("method=zppo", "zppo.teacher.more=['/models/other']")


def test_plans_can_be_joined_and_rows_added_and_left_out():
    config = read_config(["plan=[norms,updates]", "rows.mine={method: zppo, steps: 7}", "only=[zppo_updates_1,mine]"])
    assert [(row.name, row.steps) for row in config.chosen] == [("zppo_updates_1", 40), ("mine", 7)]


def test_matched_updates_have_as_many_updates_and_new_questions():
    config = read_config(["plan=updates_matched"])
    settings = {"zppo.updates_per_step": 4, "data.train_batch_size": config.settings["data"]["train_batch_size"]}
    for row in config.chosen:
        own = settings | {key: int(value) for key, value in (o.split("=") for o in row.overrides[1:])}
        assert row.steps * own["zppo.updates_per_step"] == 160 and row.steps * own["data.train_batch_size"] == 640


def test_verl_runs_one_at_a_time():
    assert read_config(["backend=verl", "jobs=4"]).workers == 1


def test_dry_run_lists_the_runs_and_writes_nothing(fake_arguments: list[str], tmp_path: Path, capsys):
    assert main([*fake_arguments, "plan=controls", "dry_run=true"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7 and lines[-1].startswith("later")
    assert not (tmp_path / "out").exists()
