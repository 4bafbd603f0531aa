"""The fair queue: against a slow reference, and its promises one by one."""

import asyncio
import itertools
import statistics
from collections import OrderedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.bench_fair_queue import simulate
from recipe.zppo.teacher.fair_queue import FairQueue, Work

CLASSES = ("long", "short", "other")
REQUEST = st.tuples(st.sampled_from(CLASSES), st.integers(1, 40))


class Drive:
    """Requests of a queue, finished one by one by the test; ``granted`` has them in the order of their grants."""

    def __init__(self, slots, weights=None):
        self.queue = FairQueue(slots, weights)
        self.tasks, self.ends, self.granted, self.running = [], [], [], []

    async def submit(self, work, cost):
        number = len(self.tasks)
        self.ends.append(asyncio.Event())

        async def request():
            async with self.queue.slot(work, cost):
                self.granted.append(number)
                self.running.append(number)
                try:
                    await self.ends[number].wait()
                finally:
                    self.running.remove(number)

        self.tasks.append(asyncio.create_task(request()))
        await settle()
        return number

    async def finish(self, number):
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


class Reference:
    """Start-time fair queueing with a tag on every request, searched linearly."""

    def __init__(self, slots, weights):
        self.free, self.weights, self.now = slots, weights, 0.0
        self.waiting, self.finish = [], {}
        self.granted = []

    def submit(self, number, work, cost):
        # The tag is fixed by the class's requests before this one, cancelled ones apart: so it is found at the grant.
        self.waiting.append((number, work, cost, self.now))
        self.grant()

    def release(self):
        self.free += 1
        self.grant()

    def cancel(self, number):
        self.waiting = [request for request in self.waiting if request[0] != number]

    def grant(self):
        while self.free and self.waiting:
            heads = {}
            for number, work, cost, arrived in self.waiting:
                start = max(arrived, self.finish.get(work, 0.0))
                heads.setdefault(work, (start, number, work, cost))
            start, number, work, cost = min(heads.values(), key=lambda head: (head[0], order_of(head[2])))
            self.free -= 1
            self.now = start
            self.finish[work] = start + cost / self.weights.get(work, 1.0)
            self.waiting = [request for request in self.waiting if request[0] != number]
            self.granted.append(number)


def order_of(work):
    return CLASSES.index(work)


@settings(max_examples=150, deadline=None)
@given(
    slots=st.integers(1, 3),
    weights=st.fixed_dictionaries({}, optional={name: st.sampled_from([0.5, 2.0]) for name in CLASSES}),
    actions=st.lists(st.one_of(REQUEST, st.tuples(st.just("end"), st.integers(0, 10))), max_size=40),
)
def test_grants_are_those_of_the_reference(slots, weights, actions):
    async def run():
        drive, reference = Drive(slots, weights), Reference(slots, weights)
        drive.queue._waiting = {work: OrderedDict() for work in CLASSES}  # one order among equals in both
        for kind, value in actions:
            if kind != "end":
                reference.submit(await drive.submit(kind, value), kind, value)
            elif drive.running:
                await drive.finish(drive.running[value % len(drive.running)])
                reference.release()
            assert drive.granted == reference.granted
        await drive.close()

    asyncio.run(run())


@settings(max_examples=150, deadline=None)
@given(
    slots=st.integers(1, 3),
    actions=st.lists(
        st.one_of(REQUEST, st.tuples(st.sampled_from(["end", "cancel"]), st.integers(0, 30))), max_size=40
    ),
)
def test_no_slot_is_free_while_somebody_waits_and_none_is_lost(slots, actions):
    async def run():
        drive = Drive(slots)
        for kind, value in actions:
            if kind in CLASSES:
                await drive.submit(kind, value)
            elif kind == "cancel" and drive.tasks:
                await drive.cancel(value % len(drive.tasks))
            elif kind == "end" and drive.running:
                await drive.finish(drive.running[value % len(drive.running)])
            pending = sum(not task.done() for task in drive.tasks)
            assert len(drive.running) == min(slots, pending)
        await drive.close()
        assert drive.queue._free == slots
        assert not any(drive.queue.num_waiting(work) for work in CLASSES)

    asyncio.run(run())


@settings(max_examples=100, deadline=None)
@given(requests=st.lists(REQUEST, min_size=1, max_size=30))
def test_first_come_first_served_within_a_class(requests):
    async def run():
        drive = Drive(1)
        for work, cost in requests:
            await drive.submit(work, cost)
        while drive.running:
            await drive.finish(drive.running[0])
        for work in CLASSES:
            mine = [number for number in drive.granted if requests[number][0] == work]
            assert mine == sorted(mine)
        assert sorted(drive.granted) == list(range(len(requests)))

    asyncio.run(run())


@settings(max_examples=100, deadline=None)
@given(
    costs=st.fixed_dictionaries({work: st.lists(st.integers(1, 40), min_size=1, max_size=30) for work in CLASSES}),
    weights=st.fixed_dictionaries({work: st.sampled_from([0.5, 1.0, 3.0]) for work in CLASSES}),
)
def test_no_starvation_while_two_classes_wait_their_shares_differ_by_one_request_of_each(costs, weights):
    async def run():
        drive, requests = Drive(1, weights), []
        requests.append(("long", 1))
        await drive.submit("long", 1)  # keeps the slot while the others line up
        for work, list_of_costs in costs.items():
            for cost in list_of_costs:
                requests.append((work, cost))
                await drive.submit(work, cost)
        while drive.running:
            await drive.finish(drive.running[0])
        granted = [requests[number] for number in drive.granted[1:]]
        left = {work: len(list_of_costs) for work, list_of_costs in costs.items()}
        share = dict.fromkeys(CLASSES, 0.0)
        share["long"] = 1 / weights["long"]
        for work, cost in granted:
            share[work] += cost / weights[work]
            left[work] -= 1
            for one, two in itertools.combinations(CLASSES, 2):
                if left[one] and left[two]:  # both have waited all along
                    bound = max(costs[one]) / weights[one] + max(costs[two]) / weights[two] + 1 / weights["long"]
                    assert abs(share[one] - share[two]) <= bound + 1e-9

    asyncio.run(run())


def test_a_verdict_passes_a_thousand_waiting_rollouts():
    async def run():
        drive = Drive(2)
        for _ in range(1002):
            await drive.submit(Work.ROLLOUT, 12_288)
        verdict = await drive.submit(Work.VERDICT, 512)
        assert verdict not in drive.granted
        await drive.finish(0)
        assert drive.granted[-1] == verdict
        await drive.close()

    asyncio.run(run())


def test_verdicts_without_end_do_not_keep_a_rollout_waiting():
    async def run():
        drive = Drive(1)
        for _ in range(100):
            await drive.submit(Work.VERDICT, 512)
        first, second = [await drive.submit(Work.ROLLOUT, 12_288) for _ in range(2)]
        while second not in drive.granted:
            await drive.submit(Work.VERDICT, 512)
            await drive.finish(drive.running[0])
        assert drive.granted.index(first) <= 2
        between = drive.granted[drive.granted.index(first) + 1 : drive.granted.index(second)]
        assert abs(len(between) - 12_288 // 512) <= 1  # as many verdicts as a rollout has tokens
        await drive.close()

    asyncio.run(run())


def test_a_class_that_asked_nothing_has_no_credit():
    async def run():
        drive = Drive(1)
        for _ in range(20):
            await drive.submit("long", 10)
        for _ in range(15):
            await drive.finish(drive.running[0])
        for _ in range(20):
            await drive.submit("short", 10)
        for _ in range(6):
            await drive.finish(drive.running[0])
        last = drive.granted[-6:]
        assert 2 <= sum(number < 20 for number in last) <= 4  # in turns, not twenty short ones first
        await drive.close()

    asyncio.run(run())


def test_a_request_cancelled_in_the_moment_of_its_grant_gives_the_slot_back():
    async def run():
        queue = FairQueue(1)
        async with queue.slot("a", 1):
            waiting = asyncio.create_task(queue._acquire("a", 1))
            await settle()
        waiting.cancel()  # granted just now, and not awake yet
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert queue._free == 1

    asyncio.run(run())


def test_a_queue_without_slots_is_refused():
    with pytest.raises(ValueError, match="at least 1 slot"):
        FairQueue(0)


def test_on_a_simulated_step_short_work_no_longer_waits_for_rollouts():
    """`benchmarks/bench_fair_queue.py` in small: 128 slots for a step of the paper's size."""
    (before,), old = simulate("semaphore", 128, steps=1)
    (after,), new = simulate("fair queue", 128, steps=1)
    for work in (Work.VERDICT, Work.SUMMARY):
        assert statistics.mean(new[work]) < statistics.mean(old[work]) / 10
    assert statistics.mean(new[Work.ROLLOUT]) < 1.5 * statistics.mean(old[Work.ROLLOUT])
    assert after < 1.05 * before
