"""The pipeline's thread is never waited for without a limit, and its own errors come through."""

import time
from types import SimpleNamespace

import pytest

from recipe.zppo.errors import WaitTimeoutError
from recipe.zppo.on_verl import pipeline_thread
from recipe.zppo.on_verl.pipeline_thread import PipelineThread
from tests.rollout.simulated import SimulatedWorkers, make_questions, pipeline_of


@pytest.fixture
def thread():
    workers = SimulatedWorkers({"q0": 4}, {"q0": 0})
    return PipelineThread(pipeline_of(workers, step_s=0.1), SimpleNamespace())


def test_a_blocked_thread_ends_the_wait_and_not_with_the_wrong_cause(thread, monkeypatch, caplog):
    monkeypatch.setattr(pipeline_thread, "_GRACE_S", 0.1)
    thread._loop.call_soon_threadsafe(time.sleep, 1.0)
    with pytest.raises(WaitTimeoutError, match=r"did not come to state within 0.1 s"):
        thread.state_dict()
    thread.close()
    assert "did not come to _cancel" in caplog.text


def test_a_limit_of_the_pipeline_is_told_as_it_is(thread):
    thread.pipeline.workers.hang_student = {"q0"}
    with pytest.raises(WaitTimeoutError, match=r"zppo.timeouts.step_s=0.1 s"):
        thread.run_step(1, make_questions(["q0"]), 1)
    thread.close()
    assert not thread._thread.is_alive()
