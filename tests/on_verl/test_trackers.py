"""What verl's fit() gives to the trackers of a run."""

from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf
from verl.trainer.ppo.v1 import trainer_base

from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.on_verl.trainer import ZPPOTrainer
from recipe.zppo.run.event_log import EventLog
from recipe.zppo.run.metrics_log import MetricsLog
from recipe.zppo.run.rollout_log import RolloutLog
from tests.composed import compose
from tests.run.test_trackers import needs

KEY = "reward.custom_reward_function.reward_kwargs.api_key"


class Tracked(Exception):
    """Stops fit() where its trackers are made."""


def test_keys_are_blotted_out_for_trackers_only(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []

    def tracking(**arguments: Any) -> SimpleNamespace:
        given.append(arguments["config"])
        return SimpleNamespace(logger={"console": None})

    def stop(*_: Any, **__: Any) -> None:
        raise Tracked

    monkeypatch.setattr(trainer_base, "Tracking", tracking)
    monkeypatch.setattr(trainer_base, "ValidationGenerationsLogger", stop)
    config = compose(
        ["platform=cpu", "method=grpo", f"trainer.default_local_dir={tmp_path}", "trainer.logger=[console]"]
    )
    OmegaConf.update(config, KEY, "sk-1", force_add=True)
    trainer = ZPPOTrainer.__new__(ZPPOTrainer)
    trainer.config, trainer.zppo = config, validate_zppo(config.zppo)
    trainer.questions = trainer.buffer = trainer.pending_state = None
    trainer.global_steps, trainer.metrics_log = 0, MetricsLog(str(tmp_path / "metrics.jsonl"))
    trainer.event_log = EventLog(str(tmp_path / "events.jsonl"))
    trainer.rollout_log, trainer.total_training_steps = RolloutLog(None, None), 7
    with pytest.raises(Tracked):
        trainer.fit(SimpleNamespace())
    assert given[0]["reward"]["custom_reward_function"]["reward_kwargs"] == {"api_key": "***"}
    assert given[0]["trainer"]["logger"] == ["console"]
    assert OmegaConf.select(trainer.config, KEY) == "sk-1"
    assert list(trainer.logger.logger) == ["console", "zppo_metrics_file", "zppo_events", "zppo_tables"]


@needs("tensorboard")
def test_trackers_get_tables_after_the_events_of_the_step(tmp_path) -> None:
    given: list[tuple[int, str, str]] = []
    writer = SimpleNamespace(
        add_text=lambda name, text, step: given.append((step, name, text)),
        file_writer=SimpleNamespace(add_event=lambda event: None),
    )
    config = compose(
        [
            "platform=cpu",
            "method=grpo",
            f"trainer.default_local_dir={tmp_path}",
            "trainer.logger=[tensorboard]",
            "trainer.test_freq=2",
        ]
    )
    trainer = ZPPOTrainer.__new__(ZPPOTrainer)
    trainer._unblotted, trainer.global_steps, trainer.total_training_steps = config, 0, 3
    trainer.metrics_log, trainer.rollout_log = MetricsLog(None), RolloutLog(None, None)
    trainer.event_log = EventLog(str(tmp_path / "events.jsonl"))
    tensorboard = SimpleNamespace(writer=writer, log=lambda data, step: None)
    trainer.logger = SimpleNamespace(logger={"tensorboard": tensorboard})
    admitted = {"type": "admitted", "prompt_id": "q", "row": 0, "accuracy": 0.125, "source": "", "question": "?"}
    for step in (1, 2, 3):
        trainer.event_log.append([admitted | {"step": step, "prompt_id": f"q{step}"}])
        for log in trainer.logger.logger.values():
            log.log(data={"loss": 0.0}, step=step)
    assert [(step, name) for step, name, _ in given] == [(step, "zppo/hardest_questions") for step in (2, 3)]
    assert [text.count("    id: q") for *_, text in given] == [2, 3]
