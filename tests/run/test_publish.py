"""Of two builders of one folder the second says that it waits, and goes on after the first; a kill loses no folder."""

import multiprocessing
import os
import signal
import threading

import pytest

from recipe.zppo.errors import WaitTimeoutError
from recipe.zppo.run.publish import exclusive, publish, remove_leftovers


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


@pytest.fixture
def folders(tmp_path):
    """A new folder, and the place of an old one with the name of a pattern."""
    new, place = tmp_path / "new", tmp_path / "model[1]"
    for folder, text in ((new, "new"), (place, "old")):
        folder.mkdir()
        (folder / "weights").write_text(text)
    return new, place


def test_a_new_folder_takes_the_place_of_the_old_one(folders):
    new, place = folders
    publish(new, place)
    assert (place / "weights").read_text() == "new" and os.listdir(place.parent) == [place.name]


def killed_between_renames(new, place):
    rename = os.rename

    def once(*arguments):
        rename(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    os.rename = once
    publish(new, place)


def test_the_old_folder_comes_back_after_a_kill_between_the_renames(folders):
    _, place = folders
    publisher = multiprocessing.get_context("fork").Process(target=killed_between_renames, args=folders)
    publisher.start()
    publisher.join(60)
    assert publisher.exitcode == -signal.SIGKILL and not place.exists()
    remove_leftovers(place)
    assert (place / "weights").read_text() == "old" and sorted(os.listdir(place.parent)) == [place.name, "new"]


def test_the_old_folder_stays_where_the_new_one_can_not_take_its_place(folders, monkeypatch):
    new, place = folders
    rename = os.rename

    def refuse_new(source, target):
        if source == new:
            raise PermissionError
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse_new)
    with pytest.raises(PermissionError):
        publish(new, place)
    assert (place / "weights").read_text() == "old" and sorted(os.listdir(place.parent)) == [place.name, "new"]
