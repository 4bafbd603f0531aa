"""Requests gather, are answered in batches, and do not stop the event loop where somebody else needs it."""

import asyncio
import signal
import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from recipe.zppo.local.batching import BatchedModel, GenerationError

WAIT_S = 60
"""For what is about to happen, on however busy a machine."""


class Model:
    """Answers requests in batches; ``meanwhile`` is called in each."""

    def __init__(self, meanwhile: Callable[[], object] = bool):
        self.meanwhile, self.batches, self.sessions = meanwhile, [], 0

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

    def stop(self):
        self.waiting = {}

    def step(self, aborted=bool):
        numbers = list(self.waiting)[: self.at_once]
        self.batches.append(len(numbers))
        self.meanwhile()
        return {number: self.waiting.pop(number).answer() for number in numbers}


def request(number: int) -> SimpleNamespace:
    return SimpleNamespace(answer=lambda: [number] if number >= 0 else 1 / 0)


def test_requests_that_nobody_waits_for_are_not_answered():
    begun, cancelled = threading.Event(), threading.Event()

    def meanwhile():
        begun.set()
        cancelled.wait(WAIT_S)

    model = BatchedModel(Model(meanwhile), max_seqs=2, max_padded_tokens=1000, in_thread=True)

    async def run():
        tasks = [asyncio.create_task(model.generate([request(i)])) for i in range(10)]
        assert await asyncio.to_thread(begun.wait, WAIT_S)  # the first two are under way
        for task in tasks:
            task.cancel()
        cancelled.set()
        await model.idle()

    asyncio.run(run())
    assert model.generator.batches == [2]


def test_what_has_begun_ends_when_nobody_waits_any_more():
    """Ctrl-C waits for the thread, and the longest response takes hours."""
    begun = threading.Event()

    class Endless(Model):
        def step(self, aborted=bool):
            begun.set()
            return {}

    model = BatchedModel(Endless(), max_seqs=2, max_padded_tokens=1000, in_thread=True)

    async def run():
        async with asyncio.timeout(WAIT_S):
            task = asyncio.create_task(model.generate([request(0), request(1)]))
            await asyncio.to_thread(begun.wait)
            task.cancel()
            await model.idle()

    asyncio.run(run())
    assert not model.generator


def test_ctrl_c_ends_a_generation_that_stops_the_loop(ctrl_c):
    """At once: not when all responses are there, as asyncio would have it."""
    seen = []

    def meanwhile():
        seen.append(len(seen))
        if len(seen) == 2:
            signal.raise_signal(signal.SIGINT)

    model = BatchedModel(Model(meanwhile), max_seqs=1, max_padded_tokens=1000)

    async def run():
        await model.generate([request(i) for i in range(9)])

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(run())
    assert seen == [0, 1] and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not model._pump._log_traceback  # nor will asyncio say that nobody has looked at it


@pytest.mark.parametrize("in_thread", [False, True])
def test_the_loop_goes_on_only_where_it_is_asked_to(in_thread):
    begun, went_on, seen = threading.Event(), threading.Event(), []

    def meanwhile():
        begun.set()
        seen.append(went_on.wait(WAIT_S if in_thread else 0.1))

    model = BatchedModel(Model(meanwhile), max_seqs=8, max_padded_tokens=1000, in_thread=in_thread)

    async def go_on():
        while not begun.is_set():
            await asyncio.sleep(0)
        went_on.set()

    async def run():
        task = asyncio.create_task(go_on())
        answers = await asyncio.gather(*(model.generate([request(i)]) for i in range(5)))
        await task
        return answers

    assert asyncio.run(run()) == [[[i]] for i in range(5)]
    assert model.generator.batches == [5]
    assert seen == [in_thread]


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_failing_model_fails_those_that_it_has_and_no_later_one(in_thread):
    model = BatchedModel(Model(), max_seqs=1, max_padded_tokens=1000, in_thread=in_thread)

    async def run():
        with pytest.raises(GenerationError, match="2 responses failed: ZeroDivisionError"):
            await model.generate([request(-1), request(1)])
        assert await model.generate([request(2)]) == [[2]]
        assert model.generator.sessions >= 2

    asyncio.run(run())


@pytest.mark.parametrize("in_thread", [False, True])
def test_what_had_ended_when_the_model_failed_is_answered(in_thread):
    model = BatchedModel(Model(), max_seqs=1, max_padded_tokens=1000, in_thread=in_thread)

    async def run():
        return await asyncio.gather(*(model.generate([request(i)]) for i in (1, -1, 2)), return_exceptions=True)

    first, *others = asyncio.run(run())
    assert first == [[1]]
    assert [str(error) for error in others] == [
        "generating 2 responses failed: ZeroDivisionError('division by zero')"
    ] * 2
