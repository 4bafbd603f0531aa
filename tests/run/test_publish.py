"""Of two builders of one folder the second says that it waits, and goes on after the first."""

import threading

import pytest

from recipe.zppo.errors import WaitTimeoutError
from recipe.zppo.run.publish import exclusive


def test_the_second_builder_waits_and_says_so(tmp_path, capfd):
    order, begun = [], threading.Event()

    def second():
        begun.set()
        with exclusive(tmp_path / "world"):
            order.append("second")

    with exclusive(tmp_path / "world"):
        thread = threading.Thread(target=second)
        thread.start()
        begun.wait(10)
        thread.join(0.2)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert f"{tmp_path}/world: another process is at work there" in capfd.readouterr().err


def test_a_builder_that_does_not_end_is_not_waited_for_for_ever(tmp_path):
    place = tmp_path / "world"
    with exclusive(place), pytest.raises(WaitTimeoutError) as error, exclusive(place, limit_s=0.18):
        pass
    assert str(error.value) == (
        f"{place}: another process is still at work there after 5e-05 h; if it hangs, end it "
        f"(it holds {tmp_path}/.world.lock), or name another folder"
    )
