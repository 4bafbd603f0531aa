"""What the agent-loop manager does about workers that die or can't be reached."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf
from ray.exceptions import ActorDiedError, ActorUnavailableError

from benchmarks.virtual_time import run_in_virtual_time
from recipe.zppo.errors import RolloutError
from recipe.zppo.on_verl.manager import ASK_AGAIN_S, ZPPOAgentLoopManager
from recipe.zppo.types import Kind, Question, RolloutFailure

LOST = ActorUnavailableError("connection reset", None)
QUESTION = Question("q", 0, False, {"raw_prompt": [], "row": 0})


class Worker:
    """A handle. With an ``error``, a group breaks after one rollout and other calls fail; ``ready`` fails in turn."""

    def __init__(self, error: Exception | None = None, ready: tuple[Exception, ...] = ()):
        self.error, self._ready, self.calls = error, list(ready), 0
        self.roll_out = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self._stream))
        self.ask_teacher = self.compress = self.write_hint = SimpleNamespace(remote=self._answer)
        self.__ray_ready__ = SimpleNamespace(remote=self._is_ready)

    async def _stream(self, *args: Any, seeds: list[int], **kwargs: Any) -> Any:
        self.calls += 1
        for session in range(len(seeds)):
            if self.error and session == 1:
                raise self.error
            yield self._value(SimpleNamespace(session=session))

    async def _answer(self, *args: Any) -> str:
        self.calls += 1
        if self.error:
            raise self.error
        return "answer"

    async def _is_ready(self) -> bool:
        if self._ready:
            raise self._ready.pop(0)
        self.error = None
        return True

    @staticmethod
    async def _value(value: Any) -> Any:
        return value


@pytest.fixture
def run() -> Callable:
    """Runs a coroutine function on a manager of these workers; waits take no time."""

    def go(do: Callable, *handles: Worker) -> Any:
        config = {"actor_rollout_ref": {"rollout": {}, "model": {}}, "data": {"prompt_key": "prompt"}}
        config["zppo"] = {"judge": {"enable": False}}
        manager = ZPPOAgentLoopManager(OmegaConf.create(config), None)
        manager.agent_loop_workers = list(handles)
        return run_in_virtual_time(asyncio.wait_for(do(manager), 10 * ASK_AGAIN_S))

    return go


async def group(manager: ZPPOAgentLoopManager) -> list:
    stream = manager.roll_out(QUESTION, [], uid="1.0.plain", kind=Kind.PLAIN, seeds=range(4))
    return [rollout async for rollout in stream]


def test_a_group_of_a_worker_out_of_reach_goes_on_with_what_it_has(run) -> None:
    first, *failures = run(group, Worker(LOST))
    assert first.session == 0
    assert [(failure.session, failure.reason) for failure in failures] == [(i, "generation") for i in (1, 2, 3)]
    assert all(isinstance(failure, RolloutFailure) for failure in failures)
    assert "could not be reached" in failures[0].detail


def test_a_worker_that_has_died_ends_the_run(run) -> None:
    with pytest.raises(RolloutError, match="an agent-loop worker died"):
        run(group, Worker(ActorDiedError()))
    with pytest.raises(RolloutError, match="an agent-loop worker died"):
        run(lambda manager: manager.ask_teacher(QUESTION, seeds=[0]), Worker(ActorDiedError()))


def test_a_worker_out_of_reach_gets_no_work_until_it_answers(run) -> None:
    away, well = Worker(LOST, ready=(LOST, LOST)), Worker()

    async def groups(manager: ZPPOAgentLoopManager) -> None:
        await group(manager)
        for _ in range(5):
            assert not any(isinstance(rollout, RolloutFailure) for rollout in await group(manager))
        assert (away.calls, well.calls) == (1, 5)
        await asyncio.sleep(3.5 * ASK_AGAIN_S)
        await group(manager)
        assert away.calls == 2

    run(groups, away, well)


def test_another_worker_answers_for_one_out_of_reach(run) -> None:
    away, well = Worker(LOST, ready=(LOST,) * 1000), Worker()

    async def ask(manager: ZPPOAgentLoopManager) -> list[str]:
        return [
            await manager.ask_teacher(QUESTION, seeds=[0]),
            await manager.compress(None, seed=0, teacher=True),
            await manager.write_hint(QUESTION, None, seed=0),
        ]

    assert run(ask, away, well) == ["answer"] * 3
    assert (away.calls, well.calls) == (1, 3)


def test_with_all_out_of_reach_the_first_one_back_gets_the_work(run) -> None:
    assert run(lambda manager: manager.compress(None, seed=0, teacher=False), Worker(LOST, ready=(LOST,))) == "answer"


def test_a_worker_that_is_found_dead_while_away_ends_the_run(run) -> None:
    away = Worker(LOST, ready=(LOST, ActorDiedError()))

    async def ask(manager: ZPPOAgentLoopManager) -> None:
        for _ in range(4):
            await manager.compress(None, seed=0, teacher=True)
            await asyncio.sleep(ASK_AGAIN_S)

    with pytest.raises(RolloutError, match="an agent-loop worker died"):
        run(ask, away, Worker())
