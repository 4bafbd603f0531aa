"""A run that does not get ready ends with what it was waiting for."""

import contextlib
import signal
import threading

import pytest

from recipe.zppo.errors import WaitTimeoutError
from recipe.zppo.on_verl.guards import wait_limit
from recipe.zppo.on_verl.guards.wait_limit import WaitLimit, not_counted
from recipe.zppo.on_verl.teacher_servers import TeacherStart


def limit_of(seconds: float) -> WaitLimit:
    return WaitLimit(seconds, "the run was not ready", "zppo.timeouts.start_s", "Raise the limit")


def expire() -> None:
    """As when the time is up, at once."""
    signal.raise_signal(signal.SIGALRM)


def timer() -> tuple[float, float]:
    """Seconds until the alarm, and between that and the next; 0 for none."""
    return signal.getitimer(signal.ITIMER_REAL)


def test_a_start_that_hangs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The teacher's servers never answer, and nobody else sets a limit."""
    monkeypatch.setattr("recipe.zppo.on_verl.teacher_servers.start_teacher", lambda *_: threading.Event().wait())
    teacher = TeacherStart({}, None, None)
    message = r"^the run was not ready within 1 s \(zppo.timeouts.start_s\);"
    message += r".*teacher_servers.py:result\. Raise the limit$"
    with pytest.raises(WaitTimeoutError, match=message), limit_of(1):
        teacher.result()


def test_clearing_up_is_limited_too() -> None:
    until_next = []
    with pytest.raises(WaitTimeoutError), limit_of(60):
        try:
            until_next.append(timer()[1])
            expire()
        finally:
            expire()
    assert until_next == [wait_limit._AGAIN_S]


def test_what_comes_after_the_start_has_no_limit() -> None:
    with limit_of(60) as limit:
        assert 0 < timer()[0] <= 60
        limit.lift()
        assert timer() == (0, 0)


def test_reading_data_is_not_counted() -> None:
    with limit_of(60):
        with not_counted():
            assert timer() == (0, 0)
        assert 0 < timer()[0] <= 60 and timer()[1] == wait_limit._AGAIN_S
    with pytest.raises(WaitTimeoutError), limit_of(0.5):
        with not_counted():
            pass
        threading.Event().wait()


def test_after_a_start_each_wait_has_a_limit_of_its_own() -> None:
    with limit_of(60) as start:
        start.lift()
        with WaitLimit(50, "step 3: update did not end", "zppo.timeouts.engine_s"):
            assert 0 < timer()[0] <= 50
        assert timer() == (0, 0)
        with (
            pytest.raises(WaitTimeoutError, match=r"^step 3: update did not end within 50 s .*a call of its own$"),
            WaitLimit(50, "step 3: update did not end", "zppo.timeouts.engine_s"),
        ):
            expire()


@pytest.mark.parametrize("left", [10, 100])
def test_of_two_limits_the_one_that_ends_first_counts(left: float) -> None:
    with pytest.raises(WaitTimeoutError, match=r"^the run was not ready within 60 s"), limit_of(60):
        with WaitLimit(left, "step 3: update did not end", "zppo.timeouts.engine_s"):
            assert 0 < timer()[0] <= min(left, 60)
        assert 10 < timer()[0] <= 60
        expire()


def test_a_limit_that_ends_within_a_longer_one_is_named() -> None:
    with (
        pytest.raises(WaitTimeoutError, match=r"^the run was not ready within 1 s .*Raise the limit$"),
        limit_of(1),
        WaitLimit(60, "step 3: update did not end", "zppo.timeouts.engine_s"),
    ):
        try:
            threading.Event().wait()
        finally:
            assert 1 < timer()[0] <= wait_limit._AGAIN_S


def test_a_limit_is_lifted_within_another() -> None:
    with limit_of(60) as start, WaitLimit(500, "step 3: update did not end", "zppo.timeouts.engine_s"):
        start.lift()
        assert 60 < timer()[0] <= 500
        with not_counted():
            assert timer() == (0, 0)
        assert 60 < timer()[0] <= 500


def test_a_clean_up_that_fails_does_not_hide_the_cause() -> None:
    with pytest.raises(WaitTimeoutError), limit_of(60):
        try:
            expire()
        finally:
            raise RuntimeError("clean-up failed")


def test_an_interrupt_during_training_is_none_of_the_start() -> None:
    with pytest.raises(KeyboardInterrupt), limit_of(60) as limit:
        with contextlib.suppress(KeyboardInterrupt):
            expire()
        limit.lift()
        raise KeyboardInterrupt


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_other_errors_pass(error: type[BaseException]) -> None:
    with pytest.raises(error), limit_of(60):
        raise error
