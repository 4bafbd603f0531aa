"""What a run does when something outside of it fails."""

import os
import subprocess
import sys
import time

import pytest

from recipe.zppo.run.lock import BEAT_S, LOCK_FILE
from tests.e2e.conftest import LIMIT_S, cluster_address, kill

pytestmark = pytest.mark.e2e

BROKEN_REWARD = """
def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    raise KeyError("no such unit")
"""


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
        "trainer.total_training_steps=6",
        "trainer.save_freq=6",
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
    assert list(metrics) == [1, 2, 3, 4, 5, 6]
    after = [metrics[step] for step in metrics if step > died_in]
    assert after, f"the teacher was killed too late, in step {died_in}"
    for step in after:
        assert step["zppo/teacher/failed_requests"] > 0
        assert step["zppo/bcq/count"] == 0
        assert step["zppo/ncq/count"] > 0
        assert step["zppo/compression/fall_back_share"] == 1.0
    assert any(metrics[step]["zppo/bcq/count"] > 0 for step in metrics if step <= died_in) or died_in == 1


def test_a_start_that_takes_too_long_ends_with_what_it_waited_for(training):
    log = training("start").run("zppo.timeouts.start_s=12", status=1)
    last = [line for line in log.splitlines() if line.startswith("zppo:")][-1]
    assert "WaitTimeoutError: the run was not ready to train within 12 s (zppo.timeouts.start_s)" in last
    assert "it was waiting in " in last and ".py:" in last
    assert "Traceback" not in last


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
    last = [line for line in run.log().splitlines() if line.startswith("zppo:")][-1]
    assert last.startswith(f"zppo: the run stopped: RunLockError: trainer.default_local_dir={run.run_dir}: ")
    assert "Traceback" not in run.log()


@pytest.mark.parametrize("validate", ["false", "true"])
def test_reward_function_that_raises_stops_the_run_with_its_row(training, validate):
    run = training("reward")
    path = run.folder / "reward.py"
    path.write_text(BROKEN_REWARD)
    log = run.run(f"reward.custom_reward_function.path={path}", f"trainer.val_before_train={validate}", status=1)
    last = [line for line in log.splitlines() if line.startswith("zppo:")][-1]
    assert "the reward function failed on row" in last
    assert ("price_list-val-" if validate == "true" else "price_list-train-") in last
    assert "no such unit" in last
