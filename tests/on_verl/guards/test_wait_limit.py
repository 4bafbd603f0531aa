"""A run that does not get ready ends with what it was waiting for."""

import contextlib
import threading
import time

import pytest

from recipe.zppo.errors import WaitTimeoutError
from recipe.zppo.on_verl.guards import wait_limit
from recipe.zppo.on_verl.guards.wait_limit import WaitLimit, not_counted
from recipe.zppo.on_verl.teacher_servers import TeacherStart


def limit_of(seconds: float) -> WaitLimit:
    return WaitLimit(seconds, "the run was not ready", "zppo.timeouts.start_s", "Raise the limit")


def test_a_start_that_hangs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The teacher's servers never answer, and nobody else sets a limit."""
    monkeypatch.setattr("recipe.zppo.on_verl.teacher_servers.start_teacher", lambda *_: threading.Event().wait())
    teacher = TeacherStart({}, None, None)
    started = time.monotonic()
    message = r"^the run was not ready within 0 s \(zppo.timeouts.start_s\);"
    message += r".*teacher_servers.py:result\. Raise the limit$"
    with pytest.raises(WaitTimeoutError, match=message), limit_of(0.3):
        teacher.result()
    assert time.monotonic() - started < 5


def test_clearing_up_is_limited_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait_limit, "_AGAIN_S", 0.2)
    with pytest.raises(WaitTimeoutError), limit_of(0.2):
        try:
            threading.Event().wait()
        finally:
            threading.Event().wait()


def test_what_comes_after_the_start_has_no_limit() -> None:
    started = time.monotonic()
    with limit_of(0.2) as limit:
        limit.lift()
        time.sleep(0.4)
    assert time.monotonic() - started >= 0.4


def test_reading_data_is_not_counted() -> None:
    with limit_of(0.3) as limit:
        with not_counted():
            time.sleep(0.4)
        limit.lift()
    with pytest.raises(WaitTimeoutError), limit_of(0.3):
        with not_counted():
            pass
        threading.Event().wait()


def test_after_a_start_each_wait_has_a_limit_of_its_own() -> None:
    with limit_of(60) as start:
        start.lift()
        with WaitLimit(5, "step 3: update did not end", "zppo.timeouts.engine_s"):
            pass
        time.sleep(0.1)
        with (
            pytest.raises(WaitTimeoutError, match=r"^step 3: update did not end within 0 s .*a call of its own$"),
            WaitLimit(0.2, "step 3: update did not end", "zppo.timeouts.engine_s"),
        ):
            threading.Event().wait()


def test_a_clean_up_that_fails_does_not_hide_the_cause() -> None:
    with pytest.raises(WaitTimeoutError), limit_of(0.2):
        try:
            threading.Event().wait()
        finally:
            raise RuntimeError("clean-up failed")


def test_an_interrupt_during_training_is_none_of_the_start() -> None:
    with pytest.raises(KeyboardInterrupt), limit_of(0.2) as limit:
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
        limit.lift()
        raise KeyboardInterrupt


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_other_errors_pass(error: type[BaseException]) -> None:
    with pytest.raises(error), limit_of(60):
        raise error
