"""What fails in an evaluation is unanswered, costs nothing else, and is taken up by the next call."""

import fcntl
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from recipe.zppo import bounded_grader
from recipe.zppo.benchmarks.grading import decide
from recipe.zppo.benchmarks.scoring.short import decide_short
from recipe.zppo.bounded_grader import BoundedGrader
from recipe.zppo.config import ending
from recipe.zppo.errors import ConfigError, RolloutError
from recipe.zppo.evaluate.__main__ import main
from recipe.zppo.evaluate.tally import unanswered
from tests.evaluate.calls import evaluate, lines, text_of
from tests.evaluate.small import TEXT, sums, write_jsonl
from tests.run.conftest import room_for
from tests.teacher.fake_endpoint import KEY, FakeEndpoint

pytestmark = pytest.mark.usefixtures("no_pauses")


def broken(kind: str) -> web.Response:
    return {
        "500": lambda: web.json_response({"error": {"message": "out of memory"}}, status=500),
        "400": lambda: web.json_response({"error": {"message": "the prompt is too long"}}, status=400),
        "nonsense": lambda: web.Response(text="<html>", content_type="text/html"),
        "other": lambda: web.json_response({"answer": 42}),
    }[kind]()


def test_what_fails_is_unanswered_and_asked_again_next_time(tmp_path: Path):
    """A failure is tried again, within its limit; one of the request itself is not."""
    write_jsonl(tmp_path / "data/own/sums/test.jsonl", sums(8))
    failures = {"s1": ["500"], "s2": ["500", "other"], "s3": ["400"], "s4": ["nonsense"] * 9}
    tries: Counter[str] = Counter()

    def answer(body: dict[str, Any]) -> Any:
        id = f"s{text_of(body)[0]}"
        tries[id] += 1
        return broken(failures[id].pop(0)) if failures.get(id) else rf"\boxed{{{int(id[1]) + 1}}}"

    with FakeEndpoint(answer, models=("student",)) as server:
        (results,) = evaluate(tmp_path, [TEXT], server)
        assert [tries[f"s{i}"] for i in range(8)] == [1, 2, 2, 1, 2, 1, 1, 1]
        first = results.benchmarks["Text"]
        assert (first.score, first.answered, first.unanswered, first.by_rule) == (None, 5, 3, 5)
        assert first.error.startswith("3 of 8 unanswered, more than 1%; the first one: own/sums, question s2: ")
        assert "too long" in lines(tmp_path, TEXT)["s3"].error and "not JSON" in lines(tmp_path, TEXT)["s4"].error
        failures.clear()
        tries.clear()
        (results,) = evaluate(tmp_path, [TEXT], server)
        assert tries == {"s2": 1, "s3": 1, "s4": 1} and results.benchmarks["Text"].score == 100.0


def test_a_key_that_is_not_accepted_ends_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """At once, with the name of its variable; also where the list of models is open to all."""
    write_jsonl(tmp_path / "data/own/sums/test.jsonl", sums(100))
    monkeypatch.setenv("MY_KEY", KEY)
    with FakeEndpoint(lambda body: web.Response(text=f"no such key: {KEY}", status=401), models=("student",)) as server:
        with pytest.raises(RolloutError, match="set the environment variable of server_key_env=MY_KEY") as error:
            evaluate(tmp_path, [TEXT], server, server_key_env="MY_KEY")
        assert KEY not in str(error.value) and len(server.requests) <= 4


def test_few_unanswered_rows_leave_a_score(tmp_path: Path):
    """1% and no more; a wrong answer is another thing."""
    write_jsonl(tmp_path / "data/own/sums/test.jsonl", sums(100))

    def answer(body: dict[str, Any]) -> Any:
        number = int(text_of(body).split()[0])
        return broken("400") if number == 7 else rf"\boxed{{{number + (number != 9)}}}"

    with FakeEndpoint(answer, models=("student",)) as server:
        (results,) = evaluate(tmp_path, [TEXT], server, in_flight=16)
        assert 2 <= server.most_running <= 16
        result = results.benchmarks["Text"]
        assert result.score == pytest.approx(100 * 98 / 99) and result.unanswered == 1 and "s7" in result.error
        evaluate(tmp_path, [TEXT], server)  # that is finished
        assert len(server.requests) == 100


def test_few_unanswered_rows_are_asked_again_where_one_says_so(tmp_path: Path):
    """These alone. Another time in vain changes nothing, and nor does a data set that is gone."""
    path = write_jsonl(tmp_path / "data/own/sums/test.jsonl", sums(100))
    ill = True

    def answer(body: dict[str, Any]) -> Any:
        number = int(text_of(body).split()[0])
        return broken("500") if number == 7 and ill else rf"\boxed{{{number + 1}}}"

    with FakeEndpoint(answer, models=("student",)) as server:
        (first,) = evaluate(tmp_path, [TEXT], server)
        assert unanswered(first, ["Text", "Other"]) == "Text 1" and len(server.requests) == 101
        (second,) = evaluate(tmp_path, [TEXT], server, ask_unanswered=True)
        assert second.benchmarks["Text"].unanswered == 1 and len(server.requests) == 103
        path.rename(tmp_path / "away")
        (third,) = evaluate(tmp_path, [TEXT], server, ask_unanswered=True)
        assert third.benchmarks["Text"] == second.benchmarks["Text"]
        (tmp_path / "away").rename(path)
        ill = False
        (last,) = evaluate(tmp_path, [TEXT], server, ask_unanswered=True)
        assert (last.benchmarks["Text"].unanswered, last.scores()) == (0, {"Text": 100.0})
        assert unanswered(last, ["Text"]) == ""
        evaluate(tmp_path, [TEXT], server, ask_unanswered=True)
        assert len(server.requests) == 104


def test_a_dead_server_ends_the_command_and_the_next_goes_on(tmp_path: Path):
    """It dies for good after 40 of 100, in the middle of a line as well; what was answered is not asked again."""
    write_jsonl(tmp_path / "data/own/sums/test.jsonl", sums(100))
    served: list[str] = []
    dead = True

    def answer(body: dict[str, Any]) -> Any:
        if dead and len(served) == 40:
            return broken("500")
        served.append(text_of(body).split()[0])
        return rf"\boxed{{{served[-1]}}}"

    with FakeEndpoint(answer, models=("student",)) as server:
        with pytest.raises(RolloutError, match=r"^Text: 16 questions in a row without an answer, the last one: .*500"):
            evaluate(tmp_path, [TEXT], server, samples=2)
        assert len(served) == 40
        path = tmp_path / "out/student/questions/Text.jsonl"
        with path.open("a") as file:
            file.write('{"id": "s99", "sample": 1, "score": 1.0, "resp')
        dead = False
        (results,) = evaluate(tmp_path, [TEXT], server, samples=2)
    assert Counter(Counter(served).values()) == {2: 100}
    result = results.benchmarks["Text"]
    assert (result.score, result.lines, result.questions, result.standard_error) == (0.0, 200, 100, 0.0)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["id"], row["sample"]) for row in rows] == [(f"s{i}", sample) for i in range(100) for sample in (0, 1)]


def test_an_answer_that_is_being_scored_when_the_server_dies_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its scoring takes longer than it takes all others to fail; it is scored next time and not asked again."""
    write_jsonl(tmp_path / "data/own/sums/test.jsonl", sums(100))
    dead, over = True, threading.Event()
    asked: Counter[str] = Counter()

    def answer(body: dict[str, Any]) -> Any:
        number = text_of(body).split()[0]
        asked[number] += 1
        if not dead or number == "0":
            return rf"\boxed{{{number}}}"
        if asked.total() == 30:
            threading.Timer(0.5, over.set).start()
        return broken("500")

    def slow(*arguments: Any) -> Any:
        assert over.wait(60)
        return decide(*arguments)

    monkeypatch.setattr("recipe.zppo.evaluate.runner.decide", slow)
    with FakeEndpoint(answer, models=("student",)) as server:
        with pytest.raises(RolloutError, match="16 questions in a row without an answer"):
            evaluate(tmp_path, [TEXT], server)
        dead = False
        (results,) = evaluate(tmp_path, [TEXT], server)
    assert asked["0"] == 1 and results.benchmarks["Text"].answered == 100


def test_a_full_disk_ends_the_command_and_names_the_file(tmp_path: Path):
    """What it took is not asked again; half a line that it took is no answer."""
    write_jsonl(tmp_path / "data/own/sums/test.jsonl", sums(60))
    asked: Counter[str] = Counter()

    def answer(body: dict[str, Any]) -> Any:
        asked[text_of(body).split()[0]] += 1
        return r"\boxed{0}"

    path = tmp_path / "out/student/questions/Text.jsonl"
    with FakeEndpoint(answer, models=("student",)) as server:
        with room_for(10_000), pytest.raises(OSError) as error:
            evaluate(tmp_path, [TEXT], server)
        assert ending.said(error.value) == f"{path}: File too large"
        kept = path.read_bytes().count(b"\n")
        assert path.stat().st_size == 10_000 and 0 < kept < 60
        (results,) = evaluate(tmp_path, [TEXT], server)
    assert results.benchmarks["Text"].answered == 60
    assert sum(count == 1 for count in asked.values()) >= kept and asked.total() <= 60 + 2 * 4


def test_two_evaluations_in_one_folder(tmp_path: Path):
    write_jsonl(tmp_path / "data/own/sums/test.jsonl", sums(1))
    (tmp_path / "out").mkdir()
    with open(tmp_path / "out/evaluate.lock", "w") as lock, FakeEndpoint(str, models=("student",)) as server:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(
            ConfigError, match=r"^out: another evaluation works in .*/out; wait for it, or give another"
        ):
            evaluate(tmp_path, [TEXT], server)
        assert server.requests == []


def test_ctrl_c_ends_a_download(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, ctrl_c: None):
    """Not when the data are there, which may take an hour."""
    went_on = []

    def download(*_: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        went_on.append(True)

    monkeypatch.setattr("recipe.zppo.benchmarks.loading.local_set", download)
    assert main(["model=a", "judge=null", "server=http://127.0.0.1:9/v1", "benchmarks=[AIME25]"]) == 130
    assert capsys.readouterr().err == "zppo: interrupted\n" and went_on == []


def test_an_answer_that_is_being_scored_when_the_command_is_told_to_end_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, ctrl_c: None
):
    """By Ctrl-C, or SIGTERM as batch systems send it: one line, tables of what there is; it is not asked again."""
    write_jsonl(tmp_path / "data/own/sums/test.jsonl", sums(3))
    write_jsonl(tmp_path / "data/own/more/test.jsonl", sums(1))
    first = replace(TEXT, name="First", source=replace(TEXT.source, dataset="own/more"))
    monkeypatch.setattr("recipe.zppo.benchmarks.registry.select", lambda names: [first, TEXT])
    to_send = [signal.SIGINT, signal.SIGTERM]

    def told(benchmark: Any, *arguments: Any) -> Any:
        if benchmark is TEXT and to_send:
            os.kill(os.getpid(), to_send.pop(0))
            time.sleep(1)  # the loop is to notice meanwhile
        return decide(benchmark, *arguments)

    monkeypatch.setattr("recipe.zppo.evaluate.runner.decide", told)
    with FakeEndpoint(lambda body: r"\boxed{1}", models=("student",)) as server:
        words = ["model=student", f"server={server.url}", "judge=null", "in_flight=1"]
        words += [f"data={tmp_path}/data", f"out={tmp_path}/out"]
        for _ in range(2):  # the second time it is being scored again
            assert main(words) == 130 and len(server.requests) == 2
            shown = capsys.readouterr()
            assert shown.err.splitlines()[-1] == "zppo: interrupted" and f"{tmp_path}/out/table.md" in shown.out
        assert main(words) == 0 and len(server.requests) == 4


def test_a_judge_that_fails_costs_no_answers(tmp_path: Path):
    """Without a verdict a row is unanswered; the next call asks the judge alone."""
    write_jsonl(tmp_path / "data/own/sums/test.jsonl", sums(3))
    down = True

    def answer(body: dict[str, Any]) -> Any:
        if body["model"] == "student":
            return "no box"
        return broken("500") if down else '{"verdict": "wrong"}'

    with FakeEndpoint(answer, models=("student", "judge")) as server:
        options = {"judge": "judge", "judge_server": server.url}
        (results,) = evaluate(tmp_path, [TEXT], server, **options)
        assert results.benchmarks["Text"].unanswered == 3
        assert results.benchmarks["Text"].error.startswith(
            "3 of 3 unanswered, more than 1%; the first one: no verdict on s"
        )
        down = False
        (results,) = evaluate(tmp_path, [TEXT], server, **options)
        assert Counter(body["model"] for body in server.requests) == {"student": 3, "judge": 9}
        assert results.benchmarks["Text"].score == 0.0


def test_a_grader_that_is_killed_leaves_the_answer_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It scores nothing, and the next call compares it without asking the student again."""
    write_jsonl(tmp_path / "data/own/sums/test.jsonl", sums(1))
    out_of_memory = tmp_path / "full"
    out_of_memory.touch()
    script = (
        "import os, sys; from recipe.zppo.bounded_grader import serve; "
        "serve(lambda answer, gold: os.kill(os.getpid(), 9) if os.path.exists(sys.argv[1]) else True)"
    )
    grader = BoundedGrader([sys.executable, "-c", script, str(out_of_memory)])
    for name in bounded_grader._graders:
        monkeypatch.setitem(bounded_grader._graders, name, grader)
    by_graders = replace(TEXT, decide=decide_short)
    with FakeEndpoint(lambda body: r"\boxed{one, in words}", models=("student",)) as server:
        (results,) = evaluate(tmp_path, [by_graders], server)
        line, result = lines(tmp_path, TEXT)["s0"], results.benchmarks["Text"]
        assert (line.score, line.response, result.score) == (None, r"\boxed{one, in words}", None)
        assert line.error.startswith(
            "Text: its rule failed on s0: HelperKilledError: the process that compares answers"
        )
        out_of_memory.unlink()
        (results,) = evaluate(tmp_path, [by_graders], server)
        assert results.benchmarks["Text"].score == 100.0 and len(server.requests) == 1
