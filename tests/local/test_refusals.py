"""What the local back end does not do, or is asked not to do. The former is refused in one line, with exit status 2."""

import functools
import threading
import time
from pathlib import Path

from recipe.zppo.config.compose import compose
from recipe.zppo.local.run import launch
from recipe.zppo.run import lock

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
