"""Scores when reward workers die or can't be reached."""

import asyncio
import logging

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError

from recipe.zppo.errors import RolloutError
from recipe.zppo.on_verl.guards.reward_workers import RewardWorkers

LOST = ActorUnavailableError("connection reset", None)


class Worker:
    """A handle; its worker fails with the next of ``errors``, the last one for ever, or scores."""

    def __init__(self, *errors: Exception | None):
        self.errors, self.asked = list(errors), 0

    @property
    def compute_score(self) -> "Worker":
        return self

    async def remote(self, data: object) -> dict:
        self.asked += 1
        error = (self.errors.pop(0) if len(self.errors) > 1 else self.errors[0]) if self.errors else None
        if error:
            raise error
        return {"reward_score": 1.0, "reward_extra_info": {"acc": 1.0}}


def score(workers: RewardWorkers, times: int = 1) -> None:
    async def ask() -> None:
        for _ in range(times):
            assert (await workers.compute_score.remote("data"))["reward_score"] == 1.0

    asyncio.run(ask())


def test_a_dead_worker_is_asked_once_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    dead, well = Worker(ActorDiedError()), Worker()
    with caplog.at_level(logging.ERROR):
        score(RewardWorkers([dead, well]), times=50)
    assert dead.asked == 1 and well.asked == 50
    (record,) = caplog.records
    assert "1 of 2 (reward.num_workers)" in record.getMessage()


def test_responses_under_way_at_a_death_are_scored_and_it_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    workers = RewardWorkers([Worker(ActorDiedError()), Worker()])

    async def ask() -> list[dict]:
        return await asyncio.gather(*(workers.remote("data") for _ in range(20)))

    with caplog.at_level(logging.ERROR):
        assert len(asyncio.run(ask())) == 20
    assert len(caplog.records) == 1


def test_without_workers_the_error_names_the_setting() -> None:
    workers = RewardWorkers([Worker(ActorDiedError())])
    for _ in range(2):
        with pytest.raises(RolloutError, match=r"all 1 \(reward.num_workers\) have died"):
            score(workers)


def test_a_worker_out_of_reach_is_asked_again_later() -> None:
    away = Worker(LOST, None)
    workers = RewardWorkers([away, Worker()])
    score(workers, times=50)
    assert away.asked > 1
    with pytest.raises(RolloutError, match="for the moment"):
        score(RewardWorkers([Worker(LOST), Worker(LOST)]))


def test_a_response_that_kills_its_workers_does_not_kill_them_all() -> None:
    deadly = [Worker(ActorDiedError()) for _ in range(5)]
    with pytest.raises(RolloutError, match="2 reward workers died"):
        score(RewardWorkers(deadly))
    assert sum(worker.asked for worker in deadly) == 2


def test_a_failure_of_the_reward_function_is_not_tried_again() -> None:
    workers = [Worker(RayTaskError("compute_score", "Traceback", ActorDiedError()).as_instanceof_cause())] * 3
    with pytest.raises(RayTaskError):
        score(RewardWorkers(workers))
    assert workers[0].asked == 1
