"""What the local back end does not do, or is asked not to do. The former is refused in one line, with exit status 2."""

import functools
import math
import threading
import time
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

from recipe.zppo.config.compose import compose
from recipe.zppo.local.run import launch
from recipe.zppo.run import lock
from tests.runnable import row, write_rows

from .conftest import overrides


def test_a_lora_student_is_refused(world, tmp_path, capsys):
    assert launch(compose(overrides(world, tmp_path / "run", "actor_rollout_ref.model.lora_rank=8"))) == 2
    assert "actor_rollout_ref.model.lora_rank: recipe.zppo.local trains all weights" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_another_engine_is_refused_before_its_packages_are_missed(world, tmp_path, capsys):
    config = compose(overrides(world, tmp_path / "run", "model_engine=megatron"))
    for config.zppo.dry_run in (False, True):
        assert launch(config.copy()) == 2
        said = capsys.readouterr().err
        assert said.startswith("zppo: actor_rollout_ref.actor.strategy: recipe.zppo.local ") and said.count("\n") == 1
        assert "; choose model_engine=dp" in said


def test_weights_that_are_not_finite_are_said_to_be_so(world, tmp_path, capsys):
    model, student = AutoModelForCausalLM.from_pretrained(world.student), tmp_path / "student"
    model.model.norm.weight.data.fill_(math.nan)
    model.save_pretrained(student)
    AutoTokenizer.from_pretrained(world.student).save_pretrained(student)
    assert launch(compose(overrides(world, tmp_path / "run", f"actor_rollout_ref.model.path={student}"))) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("zppo: the run stopped: RolloutError: step 1: 8 of 8 plain groups gave no rollouts ")
    assert "FloatingPointError('logits are not finite: the weights hold NaN or infinity, " in last


def test_a_dry_run_finds_what_one_process_does_not_do_with_rows_and_models(world, tmp_path, capsys):
    file = write_rows(tmp_path / "named.parquet", [row(i, agent_name="tool_agent") for i in range(16)])
    config = compose(overrides(world, tmp_path / "run", f"data.val_files={file}", "zppo.dry_run=true"))
    assert launch(config) == 2
    page = capsys.readouterr().out
    assert f"problem: data.val_files: {file} row 0: agent_name=tool_agent: recipe.zppo.local asks one question" in page
    assert page.endswith("would not run: 1 problem\n")


def test_validation_only_trains_nothing(train):
    trainer = train("trainer.val_only=true", "trainer.val_before_train=true", "zppo.export.hf_model=true")
    (row,) = trainer.metrics().values()
    assert any(name.startswith("val-core/") for name in row)
    assert trainer.updates == {} and trainer.step_number == 0
    folder = Path(trainer.config.trainer.default_local_dir)
    assert not (folder / "hf_model").exists() and not list(folder.glob("local_state*"))


def test_a_run_whose_folder_is_taken_ends(world, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(lock, "RunLock", functools.partial(lock.RunLock, beat_s=0.1, stale_s=1.0))
    monkeypatch.setattr(lock, "_AGAIN_S", 5.0)  # should the interrupt come where it is swallowed

    def take() -> None:
        while not (tmp_path / "run" / "metrics.jsonl").exists():
            time.sleep(0.01)
        (tmp_path / "run" / lock.LOCK_FILE).unlink()

    threading.Thread(target=take, daemon=True).start()
    steps = ("trainer.total_training_steps=10000", "trainer.total_epochs=1000")
    assert launch(compose(overrides(world, tmp_path / "run", *steps))) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith(f"zppo: the run stopped: RunLockError: trainer.default_local_dir={tmp_path / 'run'}: ")
