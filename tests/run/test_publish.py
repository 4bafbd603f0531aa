"""Of two builders of one folder the second says that it waits, and goes on after the first."""

import threading

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
