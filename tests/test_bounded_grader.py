"""The helper process that compares answers: what takes too long or too much there costs one verdict, not the run."""

import multiprocessing
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recipe.zppo import bounded_grader
from recipe.zppo.bounded_grader import BoundedGrader, grade_answer
from recipe.zppo.reward import is_correct

FOLDER = Path(sys.modules[BoundedGrader.__module__].__file__).parent
SCRIPT = """
import importlib.util, os, pathlib, signal, sys, time
spec = importlib.util.spec_from_file_location("bounded_grader", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

def grade(answer, gold):
    print("noise")
    if answer == "spins":
        while True:
            pass
    if answer == "sleeps":
        time.sleep(0.3)
    if answer.startswith("while it is there, "):
        if pathlib.Path(gold).exists():
            time.sleep(600) if answer.endswith("hang") else os.kill(os.getpid(), signal.SIGKILL)
        return True
    if answer == "is killed once" and pathlib.Path(gold).exists():
        pathlib.Path(gold).unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    if answer == "dies":
        os._exit(1)
    if answer == "grows":
        return bool(bytes(10**12))
    if answer == "near":
        return 0.25
    if answer == "raises":
        raise RecursionError
    if answer == "writes":
        return pathlib.Path(gold, "file").write_text("text") > 0
    return answer in (gold, "is killed once")

module.serve(grade)
"""


@pytest.fixture(scope="module")
def grader() -> BoundedGrader:
    return BoundedGrader([sys.executable, "-P", "-c", SCRIPT, str(FOLDER / "bounded_grader.py")])


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        *[("gold", True), ("other", False), ("near", 0.25)],
        *[("raises", False), ("grows", False), ("dies", None), ("spins", None)],
    ],
)
def test_each_verdict_stands_alone(grader, answer, verdict):
    assert [grader(answer, "gold"), grader("gold", "gold")] == [verdict, True]


@pytest.mark.parametrize(("accident", "wait_s"), [("be killed", 60.0), ("hang", 0.2)])
def test_after_an_accident_the_same_pair_is_compared_anew(grader, tmp_path, monkeypatch, accident, wait_s):
    monkeypatch.setitem(bounded_grader._graders, "mathruler", grader)
    file = tmp_path / "file"
    file.touch()
    with monkeypatch.context() as patch:
        patch.setattr(grader, "wait_s", wait_s)
        assert not is_correct(f"while it is there, {accident}", str(file), "paper")
    file.unlink()
    assert is_correct(f"while it is there, {accident}", str(file), "paper")


def test_a_helper_that_is_killed_once_costs_no_verdict(grader, tmp_path):
    file = tmp_path / "file"
    file.touch()
    assert grader.ask("is killed once", str(file)) is True
    assert not file.exists()


def test_that_a_pair_takes_too_long_is_remembered(grader, monkeypatch):
    monkeypatch.setitem(bounded_grader._graders, "mathruler", grader)
    assert not is_correct("spins", "gold", "paper")
    monkeypatch.setitem(bounded_grader._graders, "mathruler", None)
    assert not is_correct("spins", "gold", "paper")


def test_an_answer_that_nobody_read_is_no_verdict_on_the_next_pair(grader):
    """An interrupt in the middle of a call; what it left behind must not be taken for a later answer."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(3):
            assert grader("gold", "gold")
            with pytest.raises(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, 0.1)
                grader("sleeps", "other")
            assert [grader("gold", "gold"), grader("other", "gold")] == [True, False]
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_pair_larger_than_a_pipe(grader):
    assert [grader("x" * 10**6, "x" * 10**6), grader("x" * 10**6, "y")] == [True, False]


def test_it_can_write_no_file(grader, tmp_path):
    assert not grader("writes", str(tmp_path))
    assert not any(path.stat().st_size for path in tmp_path.iterdir())


def test_a_helper_that_does_not_start_is_an_error():
    with pytest.raises(OSError, match="the process that compares answers did not start"):
        BoundedGrader([sys.executable, "-c", "1/0"])("1", "1")


def test_threads_get_the_verdicts_on_their_own_pairs():
    pairs = [(f"x+{i}", f"{i % 3}+x") for i in range(60)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda pair: grade_answer(*pair), pairs)) == [i < 3 for i in range(60)]


def test_the_careful_grader_has_a_helper_of_its_own():
    assert [grade_answer("x²", "x^2", name) for name in ("careful", "mathruler")] == [True, False]


def test_a_fork_has_a_helper_of_its_own():
    assert grade_answer("x+1", "1+x")
    with multiprocessing.get_context("fork").Pool(2) as pool:
        verdicts = pool.starmap(grade_answer, [(f"x+{i}", "1+x") for i in range(20)])
    assert verdicts == [i == 1 for i in range(20)] and grade_answer("y+1", "1+y")
