"""The teacher's slots: against a slow reference, and their promises one by one."""

import asyncio
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.bench_teacher_slots import simulate
from recipe.zppo.teacher.slots import Slots, Work

WORK = st.sampled_from(list(Work))
ACTION = st.one_of(WORK, st.tuples(st.sampled_from(["end", "cancel"]), st.integers(0, 30)))


class Drive:
    """Requests, ended one by one by the test; ``granted`` has them in the order of their grants."""

    def __init__(self, count):
        self.slots = Slots(count)
        self.tasks, self.ends, self.granted, self.running = [], [], [], []

    async def submit(self, work):
        number = len(self.tasks)
        self.ends.append(asyncio.Event())

        async def request():
            async with self.slots.take(work):
                self.granted.append(number)
                self.running.append(number)
                try:
                    await self.ends[number].wait()
                finally:
                    self.running.remove(number)

        self.tasks.append(asyncio.create_task(request()))
        await settle()
        return number

    async def end(self, number):
        self.ends[number].set()
        await settle()

    async def cancel(self, number):
        self.tasks[number].cancel()
        await settle()

    async def close(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


@settings(max_examples=200, deadline=None)
@given(count=st.integers(1, 3), actions=st.lists(ACTION, max_size=40))
def test_a_free_slot_goes_to_the_first_of_the_short_work_else_to_the_first_rollout(count, actions):
    """And none is free while somebody waits, and none is lost, whoever is cancelled when."""

    async def run():
        drive = Drive(count)
        asked, waiting, running, granted = [], [], [], []  # as they should be

        def grant():
            while len(running) < count and waiting:
                number = min(waiting, key=lambda number: (asked[number] is Work.ROLLOUT, number))
                waiting.remove(number)
                running.append(number)
                granted.append(number)

        for action in actions:
            if isinstance(action, Work):
                asked.append(action)
                waiting.append(await drive.submit(action))
            elif action[0] == "end" and running:
                await drive.end(running.pop(action[1] % len(running)))
            elif action[0] == "cancel" and asked:
                number = action[1] % len(asked)
                await drive.cancel(number)
                for numbers in (waiting, running):
                    if number in numbers:
                        numbers.remove(number)
            grant()
            assert drive.granted == granted and sorted(drive.running) == sorted(running)
        await drive.close()
        assert drive.slots._free == count

    asyncio.run(run())


def test_a_request_cancelled_in_the_moment_of_its_grant_gives_the_slot_back():
    async def run():
        slots = Slots(1)

        async def request():
            async with slots.take(Work.VERDICT):
                raise AssertionError("it was cancelled before")

        async with slots.take(Work.ROLLOUT):
            waiting = asyncio.create_task(request())
            await settle()
        waiting.cancel()  # granted just now, and not awake yet
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert slots._free == 1

    asyncio.run(run())


def test_on_a_simulated_step_short_work_does_not_wait_for_rollouts():
    """`benchmarks/bench_teacher_slots.py` in small: 128 slots for a step of the paper's size."""
    (before,), old = simulate("in order", 128, steps=1)
    (after,), new = simulate("short first", 128, steps=1)
    for work in (Work.VERDICT, Work.SUMMARY):
        assert statistics.mean(new[work]) < statistics.mean(old[work]) / 10
    assert statistics.mean(new[Work.ROLLOUT]) < 1.5 * statistics.mean(old[Work.ROLLOUT])
    assert max(new[Work.ROLLOUT]) < 1.6 * max(old[Work.ROLLOUT])  # none starves
    assert after < 1.05 * before
