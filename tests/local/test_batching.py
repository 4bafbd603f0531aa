"""Requests gather, are answered in batches, and do not stop the event loop where somebody else needs it."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from recipe.zppo.local.batching import BatchedModel, GenerationError


class Slow:
    """Takes a while over two requests, as a model does."""

    def __init__(self):
        self.batches, self.sessions = [], 0

    def session(self, max_seqs, max_tokens):
        self.sessions += 1
        self.at_once, self.waiting, self.added = max_seqs, {}, 0
        return self

    def __bool__(self):
        return bool(self.waiting)

    def add(self, request):
        self.added += 1
        self.waiting[self.added] = request
        return self.added

    def forget(self, numbers):
        self.waiting = {number: request for number, request in self.waiting.items() if number not in numbers}

    def step(self):
        numbers = list(self.waiting)[: self.at_once]
        self.batches.append(len(numbers))
        time.sleep(0.3)
        return {number: self.waiting.pop(number).answer() for number in numbers}


def request(number: int) -> SimpleNamespace:
    return SimpleNamespace(answer=lambda: [number] if number >= 0 else 1 / 0)


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


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_failing_model_fails_those_that_it_has_and_no_later_one(in_thread):
    model = BatchedModel(Slow(), max_seqs=1, max_padded_tokens=1000, in_thread=in_thread)

    async def run():
        with pytest.raises(GenerationError, match="2 responses failed: ZeroDivisionError"):
            await model.generate([request(-1), request(1)])
        assert await model.generate([request(2)]) == [[2]]
        assert model.generator.sessions >= 2

    asyncio.run(run())
