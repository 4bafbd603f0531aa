"""Requests gather, are answered in batches, and do not stop the event loop where somebody else needs it."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from recipe.zppo.local.batching import BatchedModel


class Slow:
    """Takes a while over a batch, as a model does."""

    def __init__(self):
        self.batches = []

    def generate(self, requests):
        self.batches.append(len(requests))
        time.sleep(0.3)
        return [request.prompt_ids for request in requests]


def request(number: int) -> SimpleNamespace:
    return SimpleNamespace(prompt_ids=[number], params=SimpleNamespace(max_tokens=4))


def test_requests_that_nobody_waits_for_are_not_answered():
    model = BatchedModel(Slow(), max_seqs=2, max_padded_tokens=1000, in_thread=True)

    async def run():
        tasks = [asyncio.create_task(model.generate([request(i)])) for i in range(10)]
        await asyncio.sleep(0.1)  # the first two are under way
        for task in tasks:
            task.cancel()
        await model.idle()

    asyncio.run(run())
    assert model.generator.batches == [2]


@pytest.mark.parametrize("in_thread", [False, True])
def test_the_loop_goes_on_only_where_it_is_asked_to(in_thread):
    model = BatchedModel(Slow(), max_seqs=8, max_padded_tokens=1000, in_thread=in_thread)

    async def run():
        ticks = 0

        async def clock():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        task = asyncio.create_task(clock())
        answers = await asyncio.gather(*(model.generate([request(i)]) for i in range(5)))
        task.cancel()
        return answers, ticks

    answers, ticks = asyncio.run(run())
    assert answers == [[[i]] for i in range(5)]
    assert model.generator.batches == [5]
    assert (ticks > 5) == in_thread
