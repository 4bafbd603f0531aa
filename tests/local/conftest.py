"""Runs of the local back end on the embedded world, in this process."""

import json
from pathlib import Path
from typing import Any

import pytest

from recipe.zppo.config.compose import compose
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.local.trainer import LocalTrainer
from recipe.zppo.types import Group
from recipe.zppo.world.paths import WorldPaths


class SpiedTrainer(LocalTrainer):
    """Keeps the groups of each update and what they are made of, and how often the optimiser stepped."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.updates: dict[int, int] = {}
        self.trained: dict[int, list[Group]] = {}
        self.batches: dict[int, dict] = {}
        self.results: dict[int, Any] = {}
        step = self.learner.optimizer.step

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.updates[self.step_number] = self.updates.get(self.step_number, 0) + 1
            return step(*args, **kwargs)

        self.learner.optimizer.step = counted

    def _update(self, groups: list[Group], step: int) -> dict[str, float]:
        self.trained[step] = groups
        self.batches[step] = {r.key: self.workers.trajectories[r.key] for group in groups for r in group.rollouts}
        return super()._update(groups, step)

    def _keep_books(self, result: Any) -> None:
        self.results[self.step_number] = result
        super()._keep_books(result)

    def metrics(self) -> dict[int, dict]:
        return read_metrics(Path(self.config.trainer.default_local_dir))


def read_metrics(folder: Path) -> dict[int, dict]:
    return {row["step"]: row for row in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())}


def overrides(world: WorldPaths, folder: Path, *changes: str) -> list[str]:
    return [
        "platform=cpu",
        f"data.train_files={world.train_file}",
        f"data.val_files={world.val_file}",
        "data.val_max_samples=16",
        "data.train_batch_size=8",
        "data.max_prompt_length=32",
        "data.max_response_length=32",
        f"actor_rollout_ref.model.path={world.student}",
        "actor_rollout_ref.actor.optim.lr=1.5e-4",
        "actor_rollout_ref.rollout.n=4",
        "actor_rollout_ref.rollout.max_model_len=512",
        f"zppo.teacher.path={world.teacher}",
        "zppo.teacher.n_rollouts=2",
        "zppo.replay.fraction=0.5",
        "zppo.replay.capacity=12",
        "zppo.reformulation.fraction=0.5",
        "zppo.reformulation.max_candidate_tokens=32",
        "zppo.compression.max_tokens=48",
        f"trainer.default_local_dir={folder}",
        "trainer.total_training_steps=2",
        "trainer.save_freq=1",
        "trainer.test_freq=-1",
        "trainer.val_before_train=false",
        "zppo.export.hf_model=false",
        *changes,
    ]


def trained(world: WorldPaths, folder: Path, *changes: str) -> SpiedTrainer:
    """The trainer of a run that has come to its end."""
    config = compose(overrides(world, folder, *changes))
    trainer = SpiedTrainer(config, validate_zppo(config.zppo))
    trainer.fit()
    return trainer


@pytest.fixture
def train(world: WorldPaths, tmp_path: Path):
    """``train(*overrides)`` runs to the end and gives the trainer."""

    return lambda *changes, folder="run": trained(world, tmp_path / folder, *changes)
