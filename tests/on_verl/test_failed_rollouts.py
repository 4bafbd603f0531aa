"""Which failure of a server's call is a rollout's, which ends the run, and which is none."""

import asyncio
from types import SimpleNamespace

import pytest
from ray.exceptions import ActorDiedError, RayError, RayTaskError, TaskCancelledError

from recipe.zppo.errors import RolloutError
from recipe.zppo.on_verl.worker import ZPPOAgentLoopWorker

FIELDS = {"uid": "1.00000.plain", "index": 0}


def rolled_out(error: BaseException):
    async def fails(*_, **__):
        raise error

    worker = SimpleNamespace(sampling_params={}, seeded=False, _run_agent_loop=fails)
    return asyncio.run(ZPPOAgentLoopWorker._rollout(worker, FIELDS, 0, 1, 1, None))


def test_one_that_is_given_up_ends_as_cancelled_and_says_nothing(caplog) -> None:
    with pytest.raises(asyncio.CancelledError):
        rolled_out(TaskCancelledError())
    assert not caplog.records


def test_another_failure_of_ray_is_one_of_the_rollout(caplog) -> None:
    assert rolled_out(RayError("gone")).reason == "generation"
    assert "rollout 0 of 1.00000.plain failed" in caplog.text


class EngineDeadError(Exception):
    """As vLLM's is called."""


def test_a_dead_server_ends_the_run() -> None:
    cause = EngineDeadError("EngineCore encountered an issue")
    for error in (cause, RayTaskError("generate", "traceback", cause).as_instanceof_cause(), ActorDiedError()):
        with pytest.raises(RolloutError, match=r"^one of the student's rollout servers has died .*last checkpoint$"):
            rolled_out(error)
