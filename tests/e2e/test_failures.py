"""What a run does when something outside of it fails."""

import os
import subprocess
import sys
import time

import pytest
import torch
from transformers import AutoModelForCausalLM

from recipe.zppo.run.lock import BEAT_S, LOCK_FILE
from tests.e2e.conftest import LIMIT_S, Training, cluster_address, kill

pytestmark = pytest.mark.e2e

KILL_TEACHER = """
import sys
import ray
ray.init(address=sys.argv[1], logging_level="ERROR")
servers = [actor for actor in ray.util.list_named_actors(all_namespaces=True) if "server_teacher" in actor["name"]]
assert len(servers) == 1, ray.util.list_named_actors(all_namespaces=True)
ray.kill(ray.get_actor(**servers[0]))
"""


def test_teacher_that_dies_degrades_to_ncq_and_the_run_goes_on(training):
    run = training("teacher")
    process = run.start(
        "zppo.teacher.max_retries=1",
        "zppo.teacher.dead_after_failures=2",
        "zppo.teacher.retry_after_s=1000",
        "trainer.total_training_steps=12",
        "trainer.save_freq=12",
    )
    try:
        deadline = time.monotonic() + LIMIT_S
        while run.status().get("step") != 1:
            assert process.poll() is None and time.monotonic() < deadline, run.log()[-3000:]
            time.sleep(0.02)
        token = os.environ | {"RAY_AUTH_MODE": "token"}  # Ray gives one to clusters on one machine
        command = [sys.executable, "-c", KILL_TEACHER, cluster_address(process)]
        subprocess.run(command, check=True, timeout=120, env=token)
        died_in = run.status()["step"]
        assert process.wait(LIMIT_S) == 0, run.log()[-3000:]
    finally:
        kill(process)
    metrics = run.metrics()
    assert list(metrics) == list(range(1, 13))
    after = [metrics[step] for step in metrics if step > died_in]
    assert after, f"the teacher was killed too late, in step {died_in}"
    for step in after:
        assert step["zppo/teacher/failed_requests"] > 0
        assert step["zppo/bcq/count"] == 0
        assert step["zppo/ncq/count"] > 0
        assert step["zppo/compression/fall_back_share"] == 1.0
    assert any(metrics[step]["zppo/bcq/count"] > 0 for step in metrics if step <= died_in) or died_in == 1


def test_a_start_that_takes_too_long_ends_with_what_it_waited_for(training):
    run = training("start")
    run.run("zppo.timeouts.start_s=2", status=1)
    last = run.last_words()
    assert "WaitTimeoutError: the run was not ready to train within 2 s (zppo.timeouts.start_s)" in last
    assert "it was waiting in " in last and ".py:" in last


def test_a_run_whose_folder_is_taken_ends(training):
    run = training("taken")
    process = run.start("trainer.total_training_steps=10000", "trainer.total_epochs=1000", "trainer.save_freq=9999")
    try:
        deadline = time.monotonic() + LIMIT_S
        while run.status().get("step") != 1:
            assert process.poll() is None and time.monotonic() < deadline, run.log()[-3000:]
            time.sleep(0.1)
        (run.run_dir / LOCK_FILE).unlink()
        assert process.wait(4 * BEAT_S) == 1, run.log()[-3000:]
    finally:
        kill(process)
    assert run.last_words().startswith(
        f"zppo: the run stopped: RunLockError: trainer.default_local_dir={run.run_dir}: "
    )
    assert "Traceback" not in run.log()


@pytest.fixture(scope="module")
def hopeless(world, tmp_path_factory):
    """Two teachers, and nobody is ever right; in the third step the reward function raises."""
    run = Training(world, tmp_path_factory.mktemp("hopeless"))
    second = run.folder / "second"
    second.symlink_to(world.teacher)
    run.run(
        run.failing_reward(3, "generate", otherwise="0.0"),
        f"zppo.teacher.more=[{second}]",
        "zppo.dynamic_sampling=true",
        "trainer.save_freq=2",
        status=1,
    )
    return run


def test_two_teachers_that_are_never_right_and_a_batch_in_which_nothing_can_be_learnt(hopeless):
    metrics = hopeless.metrics()
    assert list(metrics) == [1, 2]
    for step in metrics.values():
        assert step["zppo/batch/skipped_updates"] == 1
        assert step["zppo/batch/dropped_trivial"] == step["zppo/batch/groups"] > 8
        assert "actor/grad_norm" not in step and step["timing_s/step"] > 0
        for teacher in (0, 1):
            assert step[f"zppo/teacher/{teacher}/asked"] >= 8
            assert step[f"zppo/teacher/{teacher}/solved"] == 0
        assert step["zppo/bcq/count"] == 0 and step["zppo/ncq/count"] == 4
        assert step["zppo/teacher/failed_requests"] == 0
    before = dict(AutoModelForCausalLM.from_pretrained(hopeless.world.student).named_parameters())
    after = hopeless.weights(2)
    assert before.keys() <= after.keys()
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())


def test_reward_function_that_raises_stops_the_run_with_its_row(hopeless):
    last = hopeless.last_words()
    assert "the reward function failed on row" in last
    assert "price_list-train-" in last and "no such unit" in last
