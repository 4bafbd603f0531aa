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
from tests.composed import compose

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
    with pytest.raises(Tracked):
        trainer.fit(SimpleNamespace())
    assert given[0]["reward"]["custom_reward_function"]["reward_kwargs"] == {"api_key": "***"}
    assert given[0]["trainer"]["logger"] == ["console"]
    assert OmegaConf.select(trainer.config, KEY) == "sk-1"
