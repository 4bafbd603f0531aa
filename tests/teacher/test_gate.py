"""The gate in front of the teacher: limits, retries, and a teacher that is left alone while it is dead."""

import asyncio

import pytest

from recipe.zppo.teacher.gate import RequestGate, TeacherDownError

pytestmark = pytest.mark.virtual_time


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Teacher:
    """Fails as often as it is told to, then answers."""

    def __init__(self, failures: int = 0):
        self.failures, self.calls, self.running, self.most_running = failures, 0, 0, 0

    async def __call__(self) -> str:
        self.calls += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0.001)
        self.running -= 1
        if self.failures:
            self.failures -= 1
            raise ConnectionError("gone")
        return "answer"


def gate(clock=None, **changes) -> RequestGate:
    options = dict(max_concurrent=4, timeout_s=1.0, max_retries=2, dead_after_failures=5, retry_after_s=60.0)
    options |= {"probe": Teacher(), "retry_pause_s": 0.001}
    return RequestGate(**(options | changes), now=clock or Clock())


async def test_a_failed_request_is_tried_again():
    teacher = Teacher(failures=2)
    assert await gate().run(teacher) == "answer"
    assert teacher.calls == 3


async def test_the_last_failure_is_raised():
    teacher = Teacher(failures=9)
    with pytest.raises(ConnectionError, match="gone"):
        await gate().run(teacher)
    assert teacher.calls == 3


async def test_a_request_that_hangs_ends_at_its_limit():
    with pytest.raises(TimeoutError, match=r"no answer within 0.01 s"):
        await gate(timeout_s=0.01, max_retries=0).run(asyncio.Event().wait)


async def test_a_bad_request_is_not_the_teachers_fault():
    async def too_long():
        raise ValueError("too long")

    one = gate(dead_after_failures=1)
    with pytest.raises(ValueError, match="too long"):
        await one.run(too_long)
    assert not one.is_down


async def test_no_more_than_the_limit_at_once():
    teacher, one = Teacher(), gate(max_concurrent=3)
    await asyncio.gather(*(one.run(teacher) for _ in range(20)))
    assert teacher.calls == 20
    assert teacher.most_running == 3


async def test_a_dead_teacher_is_left_alone_until_a_probe_finds_it_back():
    clock, teacher, probe = Clock(), Teacher(failures=3), Teacher()
    one = gate(clock, dead_after_failures=3, max_retries=0, probe=probe)
    for _ in range(3):
        with pytest.raises(ConnectionError):
            await one.run(teacher)
    assert one.is_down
    with pytest.raises(TeacherDownError, match="3 times in a row"):
        await one.run(teacher)
    assert (teacher.calls, probe.calls) == (3, 0)
    clock.now = 61.0
    refused = await asyncio.gather(*(one.run(teacher) for _ in range(4)), return_exceptions=True)
    assert all(isinstance(error, TeacherDownError) for error in refused)  # no question waits for the probe
    await asyncio.sleep(0.02)
    assert (teacher.calls, probe.calls) == (3, 1)
    assert not one.is_down
    assert await one.run(teacher) == "answer"


@pytest.mark.parametrize("probe", [Teacher(failures=1), asyncio.Event().wait])
async def test_a_probe_that_fails_or_hangs_keeps_the_teacher_down_for_another_while(probe):
    clock, teacher = Clock(), Teacher(failures=1)
    one = gate(clock, dead_after_failures=1, max_retries=3, probe=probe, probe_timeout_s=0.01)
    with pytest.raises(ConnectionError):
        await one.run(teacher)
    assert teacher.calls == 1  # retries stop once it is down
    clock.now = 61.0
    with pytest.raises(TeacherDownError):
        await one.run(teacher)
    await asyncio.sleep(0.05)
    clock.now = 100.0
    with pytest.raises(TeacherDownError):
        await one.run(teacher)
    assert one.is_down
    assert teacher.calls == 1


async def test_a_connection_that_breaks_under_many_requests_is_one_failure():
    teacher, one = Teacher(failures=12), gate(max_concurrent=12, dead_after_failures=2)
    answers = await asyncio.gather(*(one.run(teacher) for _ in range(12)))
    assert answers == ["answer"] * 12 and teacher.calls == 24
    assert not one.is_down


async def test_timeouts_count_each_and_an_answer_that_was_under_way_says_that_the_teacher_lives():
    slow = asyncio.Event()

    async def late() -> str:
        await slow.wait()
        return "late"

    one = gate(dead_after_failures=3, max_retries=0, timeout_s=0.05)
    failed = await asyncio.gather(*(one.run(asyncio.Event().wait) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in failed] == [TimeoutError] * 3 and one.is_down

    other = gate(dead_after_failures=1, max_retries=0)
    under_way = asyncio.create_task(other.run(late))
    await asyncio.sleep(0)
    with pytest.raises(ConnectionError):
        await other.run(Teacher(failures=1))
    assert other.is_down
    slow.set()
    assert await under_way == "late"
    assert not other.is_down
