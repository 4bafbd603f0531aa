"""The local back end and the real stack are one algorithm: same seed, same rollouts, token for token."""

import json

import pytest

from tests.e2e.conftest import Training
from tests.local.conftest import SpiedTrainer, read_metrics

pytestmark = pytest.mark.e2e

# With one update a step there is no drawing of mini-batches, in which the two differ.
ONE_UPDATE = ("zppo.updates_per_step=1", "trainer.total_training_steps=3", "trainer.save_freq=3")
VALIDATION = ("trainer.val_before_train=true", "zppo.validation.presence_penalty=1.5")


def test_real_stack_and_local_back_end_agree(training):
    from recipe.zppo.config.compose import compose
    from recipe.zppo.config.validation import validate_zppo

    real: Training = training("real")
    real.run(*ONE_UPDATE, *VALIDATION)
    folder = real.folder / "local"
    command = real.command(*ONE_UPDATE, *VALIDATION, f"trainer.default_local_dir={folder}")
    config = compose([argument for argument in command if "=" in argument])
    SpiedTrainer(config, validate_zppo(config.zppo)).fit()

    for step in (1, 2, 3):
        local = [json.loads(line) for line in (folder / f"rollouts/step_{step:06d}.jsonl").open()]
        assert [group["uid"] for group in local] == [group["uid"] for group in real.rollouts(step)]
        assert {group["kind"] for group in local} == {"plain", "bcq", "ncq"}
        assert local == real.rollouts(step)  # questions, candidates, responses, rewards, the teacher's answers
    ours, theirs = read_metrics(folder), real.metrics()
    validated = [name for name in theirs[0] if name.startswith("val-core/")]
    assert validated and {name: ours[0][name] for name in validated} == {name: theirs[0][name] for name in validated}
    for step in (1, 2, 3):
        for name in ("actor/grad_norm", "actor/entropy"):
            assert ours[step][name] == pytest.approx(theirs[step][name], rel=1e-4), (step, name)
        buffer = {name: value for name, value in theirs[step].items() if name.startswith("zppo/buffer/")}
        assert buffer == {name: ours[step][name] for name in buffer}
