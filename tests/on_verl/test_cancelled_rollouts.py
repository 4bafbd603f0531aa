"""A rollout that is given up while it calls a server has not failed."""

import asyncio
from types import SimpleNamespace

import pytest
from ray.exceptions import RayError, TaskCancelledError

from recipe.zppo.on_verl.worker import ZPPOAgentLoopWorker

FIELDS = {"uid": "1.00000.plain", "index": 0}


def rolled_out(error: BaseException):
    async def fails(*_, **__):
        raise error

    worker = SimpleNamespace(sampling_params={}, seeded=False, _run_agent_loop=fails)
    return asyncio.run(ZPPOAgentLoopWorker._rollout(worker, FIELDS, 0, 1, 1, None))


def test_it_ends_as_cancelled_and_says_nothing(caplog) -> None:
    with pytest.raises(asyncio.CancelledError):
        rolled_out(TaskCancelledError())
    assert not caplog.records


def test_another_failure_of_ray_is_one_of_the_rollout(caplog) -> None:
    assert rolled_out(RayError("gone")).reason == "generation"
    assert "rollout 0 of 1.00000.plain failed" in caplog.text
