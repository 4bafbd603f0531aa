"""kill -9 at three points; the run that is resumed each time is the run that was never killed.

The points are those at which the folder holds different things: nothing of the run but its status; half a checkpoint
and rollout files that are newer than any whole one; a whole checkpoint, and the step after it under way. Between them
only memory differs.
"""

import pytest

from tests.e2e.conftest import Training

pytestmark = pytest.mark.e2e

# With next_step a checkpoint also carries reformulated prompts on their way, the harder case.
SCHEDULE = "zppo.reformulation.schedule=next_step"


@pytest.fixture(scope="module")
def undisturbed(world, tmp_path_factory):
    training = Training(world, tmp_path_factory.mktemp("undisturbed"))
    training.run(SCHEDULE)
    return training


def story(training, steps=(1, 2, 3)) -> list:
    """Everything that was asked and drawn: prompts, replay, candidates, outcomes, and the buffer after each step."""
    told = []
    for step in steps:
        for line in training.rollouts(step):
            responses = [(r["text"], r["reward"]) for r in line["responses"]]
            candidates = [(c["source"], c["text"]) for c in line["candidates"]]
            told.append((step, line["uid"], line["prompt_id"], line["replayed"], candidates, responses))
        told.append([training.metrics()[step][f"zppo/buffer/{n}"] for n in ("size", "admissions", "graduations")])
    return told


def test_same_seed_same_run_and_next_step_rolls_out_what_the_step_before_built(undisturbed):
    for step in (2, 3):
        built_in = {line["built_in_step"] for line in undisturbed.rollouts(step) if line["kind"] != "plain"}
        assert built_in == {step - 1}
    assert {line["kind"] for line in undisturbed.rollouts(1)} == {"plain"}


def test_kill_9_at_three_points_and_resume(undisturbed, training):
    killed = training("killed")
    for point in ((1, "generate"), (2, "checkpoint"), (3, "update")):
        killed.kill_at(*point, SCHEDULE)
    killed.run(SCHEDULE)
    assert story(killed) == story(undisturbed)
    assert list(killed.metrics()) == [1, 2, 3]
