"""``python -m tests.local.on_pretend_gpu WORLD FOLDER``: the same runs on the CPU and on a pretended GPU, as JSON."""

import json
import os
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import torch

import tests.conftest  # verl's platform
from recipe.cpu.hf_session import Session
from recipe.zppo.config.compose import compose
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.local import trainer as trainer_module
from recipe.zppo.world.paths import WorldPaths
from tests.local.conftest import SpiedTrainer, overrides, read_metrics
from tests.local.pretend_gpu import NAME, MixedDevicesError, pretend_gpu

SMALL = (
    *("data.train_batch_size=4", "data.max_response_length=20", "data.val_max_samples=2", "data.train_max_samples=64"),
    *("actor_rollout_ref.rollout.n=2", "zppo.updates_per_step=1", "zppo.teacher.n_rollouts=1", "zppo.seed=3"),
    *("trainer.test_freq=2", "zppo.validation.presence_penalty=1.5", "trainer.total_epochs=10"),
    # So small that rounding changes no token of the second step.
    *("actor_rollout_ref.actor.optim.lr=1e-7", "zppo.compression.max_tokens=8", "trainer.logger=[console]"),
)


def train(config: Any, device: str, folder: Path, steps: int, *changes: str) -> dict[str, Any]:
    """What a run gave, as plain values."""
    config = config.copy()
    config.trainer.device, config.trainer.total_training_steps = device, steps
    config.trainer.default_local_dir = str(folder / device)
    config.merge_with_dotlist(list(changes))
    trainer = SpiedTrainer(config, validate_zppo(config.zppo))
    assert trainer.student.model.device.type == device
    trainer.fit()
    groups = {step: [group.kind.value for group in result.groups] for step, result in trainer.results.items()}
    texts = {step: [[r.text for r in g.rollouts] for g in result.groups] for step, result in trainer.results.items()}
    return {"kinds": groups, "texts": texts, "metrics": read_metrics(Path(config.trainer.default_local_dir))}


def main() -> dict[str, Any]:
    world, folder = WorldPaths(Path(sys.argv[1])), Path(sys.argv[2])
    # Inference mode knows no views of tensors that are not PyTorch's own.
    Session.step = torch.no_grad()(Session.step.__wrapped__)
    torch.__future__.set_swap_module_params_on_conversion(True)  # else tied weights would part on their way
    config = compose(overrides(world, folder, *SMALL))
    train(config, "cpu", folder / "zppo", 1)
    shutil.copytree(folder / "zppo" / "cpu", folder / "zppo" / NAME)
    distilled = ("zppo.distillation.mode=on_policy", "zppo.distillation.topk=16", "zppo.reformulation.enable=false")
    distilled += ("trainer.test_freq=-1", "trainer.save_freq=-1")
    found: dict[str, Any] = {}
    for name, steps, changes in (("zppo", 2, ()), ("distilled", 1, distilled)):
        found[name] = {"cpu": train(config, "cpu", folder / name, steps, *changes)}
        with pretend_gpu():
            found[name][NAME] = train(config, NAME, folder / name, steps, *changes)
    with mock.patch.object(trainer_module, "tensors_on", lambda device: nullcontext()), pretend_gpu():
        try:
            train(config, NAME, folder / "forgotten", 1)
        except MixedDevicesError as error:
            found["forgotten"] = repr(error)
    return found


if __name__ == "__main__":
    assert tests.conftest
    print(json.dumps(main()), flush=True)
    os._exit(0)
