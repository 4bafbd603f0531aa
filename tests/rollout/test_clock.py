"""How much teacher time is counted as hidden."""

from recipe.zppo.rollout.clock import ActivityClock


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_exposed_is_teacher_time_that_the_step_waits_for_and_no_plain_rollout_covers():
    time = Time()
    clock = ActivityClock(time)
    with clock("wait"):
        with clock("plain"):
            time.now = 10.0
            teacher = clock("teacher")
            teacher.__enter__()
            time.now = 14.0  # covered by the rollout
        time.now = 17.0  # nothing else runs: exposed
        with clock("teacher"):
            time.now = 18.0  # two requests at once are one second of waiting
    time.now = 30.0  # the step no longer waits: training
    teacher.__exit__(None, None, None)
    time.now = 40.0
    assert clock.pop() == {"teacher": 20.0, "wait": 18.0, "exposed": 4.0}
    assert clock.pop() == {"teacher": 0, "wait": 0, "exposed": 0}
