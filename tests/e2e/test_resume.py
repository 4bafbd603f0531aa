"""kill -9 at two points; the run that is resumed each time is the local back end's, which was never killed.

The points are those at which the folder holds different things: half a checkpoint and rollout files that are newer
than any whole one; a whole checkpoint, and the step after it under way. Between them only memory differs. A folder that
holds nothing but a status is the same with either back end: tests/local/test_resume.py.
"""

import pytest
import torch

from recipe.zppo.run.events import EVENTS_FILE, read_events
from tests.e2e.conftest import Training, check_parity

pytestmark = pytest.mark.e2e

SETTINGS = (
    # The second readings of the paper, so that both back ends are seen to agree on them as well.
    "zppo.mini_batches=groups",
    "zppo.advantage_statistics=mini_batch",
    "zppo.updates_per_step=2",
    # A checkpoint then also carries reformulated prompts on their way, the harder case.
    "zppo.reformulation.schedule=next_step",
    "zppo.validation.presence_penalty=1.5",
)
VALIDATED = "trainer.val_before_train=true"  # verl would validate at each start


def test_kill_9_at_two_points_and_resume(training):
    killed: Training = training("killed")
    killed.kill_in_checkpoint(2, *SETTINGS, VALIDATED)
    validated = killed.metrics()[0]
    killed.kill_at(3, "update", *SETTINGS)
    killed.run(*SETTINGS)
    assert list(killed.metrics()) == [0, 1, 2, 3] and killed.metrics()[0] == validated
    events = [(event["type"], event["step"]) for event in read_events(killed.run_dir / EVENTS_FILE)]
    assert [step for name, step in events if name == "checkpointed"] == [1, 2, 3]
    assert [step for name, step in events if name == "measured"] == [1, 2, 3]
    assert [step for name, step in events if name == "started"] == [0, 1, 2]

    assert {line["kind"] for line in killed.rollouts(1)} == {"plain"}
    for step in (2, 3):
        reformulated = [line for line in killed.rollouts(step) if line["kind"] != "plain"]
        assert {line["kind"] for line in reformulated} == {"bcq", "ncq"}
        assert {line["built_in_step"] for line in reformulated} == {step - 1}
    check_parity(killed, *SETTINGS, VALIDATED)


def test_bf16_weights_with_kahan_summation_go_on_with_their_optimizer_only(training):
    run: Training = training("anyprecision")
    run.run(*SETTINGS, "zppo.optimizer=anyprecision", "trainer.total_training_steps=1")
    assert {weight.dtype for weight in run.weights(1).values()} == {torch.bfloat16}
    assert all(state["kahan_comp"].dtype == torch.bfloat16 for state in run.optimizer(1).values())
    # the servers' policy is the trainer's: bf16 weights, computed with in fp32 by both
    assert run.metrics()[1]["training/rollout_probs_diff_max"] < 1e-3
    run.run(*SETTINGS, status=1)
    assert "zppo.optimizer: " in (said := run.last_words()) and "was written with anyprecision, now it is fp32" in said
